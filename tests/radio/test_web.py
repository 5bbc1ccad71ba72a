"""A show over HTTP, with real listeners on a real socket, in a clock that runs faster."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import av
import httpx
import numpy as np
import pytest

from partita.engine.cancel import CancelFlag
from partita.engine.engine import Engine
from partita.engine.song import Song
from partita.errors import PartitaError, RequestError
from partita.measure.defects import defects
from partita.measure.seams import seam
from partita.radio import stream
from partita.radio.events import Playing, SongDone
from partita.radio.mix import RATE_HZ
from partita.radio.mixer import Mixer
from partita.radio.request import RadioRequest
from partita.radio.show import Show, piece_of
from partita.radio.station import RadioStation
from partita.radio.stream import META_BYTES, Chunk, IcyWriter, icy_metadata
from partita.radio.web import HttpOutput
from partita.settings import Settings
from partita.song.request import SongRequest
from tests.radio.conftest import FastClock
from tests.radio.test_encoders import decoded
from tests.radio.test_show import Log

TOKEN = "a-long-token"


@contextmanager
def on_air(
    station: RadioStation, times: float = 20.0, name: str = "Río, lofi", songs: int | None = None, **config
) -> Iterator[tuple]:
    """An output, the show on it, and its log."""
    log = Log()
    with closing(HttpOutput(name, port=0, **config)) as web:
        show = Show(station, web, songs=songs, told=log, clock=FastClock(times))
        web.state = lambda: show.state
        with show:
            yield web, show, log


class Listener:
    """Listens on a raw socket and keeps the bytes."""

    def __init__(self, web: HttpOutput, path: str, *headers: str, buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(20)
        if buffer_bytes is not None:  # settled with the connection
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.socket.connect(("127.0.0.1", web.port))
        lines = [f"GET {path} HTTP/1.0", f"Host: 127.0.0.1:{web.port}", *headers]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._file.readline().strip():
            key, _, value = line.decode().partition(":")
            self.headers[key.lower()] = value.strip()

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def read_in_the_background(self) -> Callable[[], bytes]:
        """Read until the end; calling what it returns waits for that."""
        kept: list[bytes] = []
        thread = threading.Thread(target=lambda: kept.append(self._file.read()))
        thread.start()

        def done() -> bytes:
            thread.join(20)
            return kept[0]

        return done

    def close(self) -> None:
        self._file.close()
        self.socket.close()


class Prepared:
    """Songs that were made beforehand, so that a fast clock need not wait for them."""

    def __init__(self, songs: list[Song]) -> None:
        self._songs = iter(songs)

    def generate(self, request: SongRequest, *, cancel: CancelFlag | None = None) -> Song:
        return next(self._songs)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Song]:
    """Three of the built-in model, of four seconds."""
    home = Settings(data=tmp_path_factory.mktemp("data"), cache=tmp_path_factory.mktemp("cache"))
    engine = Engine(settings=home)
    return [engine.generate(SongRequest(caption="calm piano", duration_s=4.0, seed=seed)) for seed in range(3)]


def wait_for_listeners(web: HttpOutput, count: int) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if web.listeners == count:
            return
        pause.wait(0.01)
    raise AssertionError(f"{web.listeners} listeners, not {count}")


class TestListening:
    def test_songs_of_the_built_in_model_are_heard_without_a_gap_in_both_formats(
        self, songs: list[Song], settings: Settings
    ):
        station = RadioStation(Prepared(songs), settings=settings)
        with on_air(station, times=10.0, songs=3) as (web, show, log):
            log.wait_for(lambda event: isinstance(event, Playing))
            listeners = {path: Listener(web, path) for path in ("/stream.mp3", "/stream.opus")}
            ends = {path: listener.read_in_the_background() for path, listener in listeners.items()}
            log.wait_for(lambda event: isinstance(event, SongDone), 2)
            assert show.state.underruns == 0
            show.stop()
            assert show.wait(20)
            web.close()
            heard = {path: decoded(end()) for path, end in ends.items()}
            for listener in listeners.values():
                listener.close()
        for path, audio in heard.items():
            assert len(audio) > 4.5 * RATE_HZ, path  # one song and the beginning of the next
            sounding = np.flatnonzero(np.abs(audio).max(axis=1) > 0.01)
            music = audio[sounding[0] : sounding[-1]]
            found = defects(music, RATE_HZ)
            assert found.longest_silence_s <= 0.05, path
            assert not found.dropouts, path
            assert found.nan_samples == 0

    def test_the_join_of_two_songs_has_no_click(self, songs: list[Song], settings: Settings):
        station = RadioStation(Prepared(songs), settings=settings)
        pieces = [piece_of(station.generate(RadioRequest(caption="calm piano", seed=seed))) for seed in (1, 2)]
        mixer = Mixer()
        for piece in pieces:
            mixer.add(piece)
        mixer.close()
        audio = mixer.read(20 * RATE_HZ)
        begin_s = (len(audio) - len(pieces[1].audio)) / RATE_HZ
        assert 2.0 < begin_s < 4.0
        assert seam(audio, RATE_HZ, begin_s).click_z < 5.0
        end_s = min(pieces[0].outline.end / RATE_HZ, len(audio) / RATE_HZ - 0.3)
        assert seam(audio, RATE_HZ, end_s).click_z < 5.0
        assert np.abs(audio).max() <= 1.0

    def test_a_player_opens_it_by_its_address(self, station: RadioStation):
        with on_air(station) as (web, _, log):
            log.wait_for(lambda event: isinstance(event, Playing))
            with av.open(f"{web.url}/stream.mp3", timeout=20) as container:
                assert container.streams.audio[0].codec_context.name.startswith("mp3")
                frames = [frame for frame, _ in zip(container.decode(audio=0), range(100), strict=False)]
                assert container.metadata["icy-name"] == "Río, lofi"
                assert container.metadata["StreamTitle"]
        assert sum(frame.samples for frame in frames) > 2 * RATE_HZ

    def test_titles_come_with_the_songs(self, station: RadioStation):
        with on_air(station) as (web, _, log):
            listener = Listener(web, "/stream.mp3", "Icy-MetaData: 1")
            assert listener.headers["icy-metaint"] == str(META_BYTES)
            assert listener.headers["icy-name"].encode("utf-8", "surrogateescape").decode() == "Río, lofi"
            titles: list[str] = []
            sound = b""
            while len(set(titles)) < 3:
                sound += listener.read(META_BYTES)
                size = 16 * listener.read(1)[0]
                if size:
                    found = re.fullmatch(rb"StreamTitle='(.*)';\0*", listener.read(size))
                    assert found
                    titles.append(found[1].decode())
            listener.close()
        begun = [event.heard.request.caption for event in log.events if isinstance(event, Playing)]
        assert [title for title in titles if title] == begun[: len([title for title in titles if title])]
        assert len(decoded(sound)) > RATE_HZ

    def test_who_comes_later_hears_the_last_seconds_at_once(self, station: RadioStation):
        with on_air(station, times=40.0) as (web, show, _):
            first = Listener(web, "/stream.mp3")
            first.read(8 * 24_000)
            show.stop()  # nothing more is played
            assert show.wait(20)
            second = Listener(web, "/stream.mp3")
            assert len(decoded(second.read(3 * 24_000))) > 2.5 * RATE_HZ
            first.close()
            second.close()

    def test_one_who_left_and_came_back_hears_a_stream_from_its_beginning(self, station: RadioStation):
        with on_air(station) as (web, _, _):
            for _ in range(3):
                listener = Listener(web, "/stream.opus")
                assert listener.read(4) == b"OggS"
                assert b"OpusHead" in listener.read(60)
                listener.close()
                wait_for_listeners(web, 0)

    def test_a_listener_who_does_not_listen_is_dropped_and_holds_up_nobody(self, station: RadioStation, monkeypatch):
        monkeypatch.setattr(stream, "BEHIND_S", 8.0)
        with on_air(station, times=60.0) as (web, _, _):
            lazy, other = Listener(web, "/stream.mp3", buffer_bytes=4096), Listener(web, "/stream.mp3")
            done = other.read_in_the_background()
            wait_for_listeners(web, 1)
            web.close()
            assert len(done()) > 8 * 24_000
            lazy.close()
            other.close()

    def test_listeners_who_vanish_leave_nothing_behind(self, station: RadioStation):
        with on_air(station) as (web, _, _):
            for _ in range(8):
                listener = Listener(web, "/stream.mp3")
                listener.read(1000)
                listener.close()
            wait_for_listeners(web, 0)
            assert httpx.get(f"{web.url}/now").status_code == 200


class TestPages:
    def test_what_plays_is_told(self, station: RadioStation):
        with on_air(station, times=1.0) as (web, show, log):
            log.wait_for(lambda event: isinstance(event, Playing))
            show.station.enqueue("asked for")
            now = httpx.get(f"{web.url}/now").json()
            assert now["playing"]["song"] == 0
            assert now["playing"]["filler"]
            assert now["total"] == 1
            told = httpx.get(f"{web.url}/").json()
            assert told["name"] == "Río, lofi"
            assert set(told["streams"]) == {"/stream.mp3", "/stream.opus"}

    def test_the_head_alone_has_an_end(self, station: RadioStation):
        with on_air(station) as (web, _, _):
            answer = httpx.head(f"{web.url}/stream.opus")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/ogg; codecs=opus")
            assert web.listeners == 0

    @pytest.mark.parametrize(("method", "path", "status"), [("GET", "/other", 404), ("POST", "/stream.mp3", 405)])
    def test_anything_else_is_a_problem_document(self, station: RadioStation, method: str, path: str, status: int):
        with on_air(station) as (web, _, _):
            answer = httpx.request(method, f"{web.url}{path}")
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            assert "/stream.mp3" in answer.json()["detail"]


class TestAccess:
    def test_a_token_is_asked_for_in_the_header_or_the_address(self, station: RadioStation):
        with on_air(station, token=TOKEN) as (web, _, _):
            for path, headers in (("/now", {}), ("/now?token=wrong", {}), ("/", {"Authorization": "Bearer wrong"})):
                assert httpx.get(f"{web.url}{path}", headers=headers).status_code == 401
            assert httpx.get(f"{web.url}/now?token={TOKEN}").status_code == 200
            assert httpx.get(f"{web.url}/now", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
            listener = Listener(web, f"/stream.mp3?token={TOKEN}")
            assert (listener.status, len(listener.read(1000))) == (200, 1000)
            listener.close()

    def test_others_may_not_come_in_without_one(self):
        with pytest.raises(RequestError, match="token"):
            HttpOutput("x", host="0.0.0.0", port=0)

    def test_a_short_token_is_refused_and_not_repeated(self):
        with pytest.raises(RequestError, match="fewer than") as caught:
            HttpOutput("x", port=0, token="hunter2")
        assert "hunter2" not in str(caught.value)

    def test_a_page_under_another_name_may_not_ask(self, station: RadioStation):
        with on_air(station) as (web, _, _):
            assert httpx.get(f"{web.url}/now", headers={"Host": "evil.example"}).status_code == 403

    def test_a_port_that_is_taken_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PartitaError, match=str(port)):
                HttpOutput("x", port=port)


class TestMetadata:
    def test_a_title_is_told_once_and_cut_to_what_fits(self):
        writer = IcyWriter()
        data = writer.write(Chunk(bytes(META_BYTES * 3), "it's\n'fine'; " + "é" * 5000))
        size = data[META_BYTES] * 16
        text = data[META_BYTES + 1 : META_BYTES + 1 + size].rstrip(b"\0").decode()
        assert text.startswith("StreamTitle='it’s ’fine’; éé")
        assert text.endswith("é';")
        assert len(data) == 3 * META_BYTES + 3 + size

    def test_no_block_of_it_is_longer_than_it_may_be(self):
        for title in ("", "x" * 5000, "日本" * 500):
            block = icy_metadata(title)
            assert len(block) == 1 + 16 * block[0]
