"""A folder of songs, and a sound card that is a stand-in."""

import sys
from types import ModuleType

import numpy as np
import pytest

from partita.audio.tags import read_record
from partita.errors import PartitaError, RequestError, SaveError
from partita.radio.folder import Folder
from partita.radio.request import RadioRequest
from partita.radio.show import Show
from partita.radio.sound import SoundCard
from partita.radio.station import RadioStation
from partita.song.record import Record
from partita.song.request import Output
from tests.radio.conftest import FastClock
from tests.radio.test_show import ended


class TestFolder:
    def test_each_song_is_a_file_with_its_record_and_a_line_of_the_playlist(self, station: RadioStation, tmp_path):
        folder = Folder(tmp_path / "show", station.settings, paced=False)
        station.enqueue(RadioRequest(caption="my song\nof two lines", seed=5))
        ended(Show(station, folder, songs=3))
        assert [path.name.split("-")[0] for path in folder.saved] == ["001", "002", "003"]
        assert folder.saved[0].name == "001-my-song-of-two-lines-5.flac"
        text = read_record(folder.saved[0])
        assert text is not None
        assert Record.from_json(text).seed == 5
        playlist = (tmp_path / "show" / "radio.m3u8").read_text(encoding="utf-8").splitlines()
        assert playlist[:3] == ["#EXTM3U", "#EXTINF:2,my song of two lines", folder.saved[0].name]
        assert [line for line in playlist if not line.startswith("#")] == [path.name for path in folder.saved]

    def test_songs_come_in_the_format_that_is_asked_for(self, tones, settings, tmp_path):
        station = RadioStation(tones, settings=settings, duration_s=2.0, output=Output(format="mp3"))
        folder = Folder(tmp_path / "show", settings, paced=False)
        ended(Show(station, folder, songs=1))
        assert folder.saved[0].suffix == ".mp3"

    def test_a_second_show_leaves_the_first_ones_songs_alone(self, station: RadioStation, tmp_path):
        for _ in range(2):
            asked = RadioStation(station.maker, settings=station.settings, duration_s=2.0)
            asked.enqueue(RadioRequest(caption="x", seed=1))
            ended(Show(asked, Folder(tmp_path / "show", station.settings, paced=False), songs=1))
        assert sorted(path.name for path in (tmp_path / "show").glob("*.flac")) == ["001-x-1-2.flac", "001-x-1.flac"]

    def test_it_can_keep_the_pace_of_the_music(self, station: RadioStation, tmp_path):
        clock = FastClock(20)
        began = clock.now()
        ended(Show(station, Folder(tmp_path / "show", station.settings, paced=True), songs=3, clock=clock))
        assert clock.now() - began > 3.5

    def test_a_song_that_cannot_be_written_is_kept_and_ends_the_show(self, station: RadioStation, tmp_path):
        folder = Folder(tmp_path / "show", station.settings, paced=False)
        folder.path = tmp_path / "file"
        folder.path.touch()
        with pytest.raises(SaveError, match="kept in") as caught:
            ended(Show(station, folder, songs=2))
        assert caught.value.kept_at is not None
        assert caught.value.kept_at.exists()

    def test_a_folder_that_cannot_be_made_is_refused(self, settings, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(RequestError, match="cannot be made"):
            Folder(tmp_path / "file" / "show", settings, paced=False)


class FakeDevice(ModuleType):
    """`sounddevice`, as far as it is used."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *, missing: bool = False) -> None:
        super().__init__("sounddevice")
        device = self
        self.blocks: list[np.ndarray] = []
        self.gone = self.closed = False

        class OutputStream:
            def __init__(self, **asked: object) -> None:
                if missing:
                    raise FakeDevice.PortAudioError("Error querying device -1")
                assert (asked["samplerate"], asked["channels"], asked["dtype"]) == (48_000, 2, "float32")

            def start(self) -> None: ...

            def write(self, block: np.ndarray) -> bool:
                if device.gone:
                    raise FakeDevice.PortAudioError("Unanticipated host error")
                assert block.flags["C_CONTIGUOUS"]
                assert np.abs(block).max(initial=0) <= 1
                device.blocks.append(block)
                return False

            def stop(self) -> None: ...

            def close(self) -> None:
                device.closed = True

        self.OutputStream = OutputStream


class TestSoundCard:
    def test_it_plays_what_the_show_plays(self, station: RadioStation, monkeypatch):
        device = FakeDevice()
        monkeypatch.setitem(sys.modules, "sounddevice", device)
        card = SoundCard()
        ended(Show(station, card, songs=2))
        card.close()
        heard = np.concatenate(device.blocks)
        sounding = np.flatnonzero(np.abs(heard).max(axis=1) > 0.05)
        assert len(sounding) > 3 * 48_000
        assert device.closed

    def test_a_device_that_goes_away_ends_the_show(self, station: RadioStation, monkeypatch):
        device = FakeDevice()
        monkeypatch.setitem(sys.modules, "sounddevice", device)
        card = SoundCard()
        device.gone = True
        with pytest.raises(PartitaError, match="went away"):
            ended(Show(station, card, songs=2))

    def test_without_a_device_it_says_what_to_do(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sounddevice", FakeDevice(missing=True))
        with pytest.raises(RequestError, match=r"no sound device.*--to http.*--to folder PATH"):
            SoundCard()

    def test_without_sounddevice_it_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sounddevice", None)
        with pytest.raises(RequestError, match=r"partita\[radio\]"):
            SoundCard()
