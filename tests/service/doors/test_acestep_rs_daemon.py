"""The daemon over real sockets, with a player that makes no sound and waits where a test wants it to."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from partita.errors import Cancelled, ConflictError, ModelError, RequestError, ResourceError, SaveError
from partita.service.doors.acestep_rs.daemon import MOST_WAITING, Daemon
from partita.service.doors.acestep_rs.protocol import MAX_LINE_BYTES, Asked
from partita.service.doors.acestep_rs.sockets import HAS_UNIX_SOCKETS, Claimed, claim_tcp, claim_unix

pytestmark = pytest.mark.skipif(not HAS_UNIX_SOCKETS, reason="this system has no Unix sockets")
WAIT_S = 20.0


@dataclass
class SilentPlayer:
    """Stands in for the player: notes what it is asked for. A closed `gate` keeps songs, and `loaded` the start."""

    manager: Any = field(default_factory=lambda: SimpleNamespace(alive=True))
    gate: threading.Event = field(default_factory=threading.Event)
    loaded: threading.Event = field(default_factory=threading.Event)
    playing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    placed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    wrote: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    played: list[str] = field(default_factory=list)
    unloads: int = 0
    at_once: int = 0
    most_at_once: int = 0
    fails: Callable[[Asked], None] = lambda asked: None
    loads: Callable[[], None] = lambda: None

    def load(self) -> None:
        assert self.loaded.wait(WAIT_S)
        self.loads()

    def unload(self) -> None:
        self.unloads += 1
        self.played.append("unload")

    def place(self, output: str | None) -> tuple[str, Path]:
        if output == "/root-only/x.ogg":
            raise RequestError("could not create output directory: Permission denied (os error 13)")
        self.placed.release()
        told = output or "/spool/1.ogg"
        return told, Path(told)

    def play(self, asked: Asked, file_format: str, *, cancel: threading.Event) -> Any:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.playing.release()
        try:
            while not self.gate.wait(0.02):
                if cancel.is_set():
                    raise Cancelled
            self.fails(asked)
            self.played.append(asked.caption)
            plan = SimpleNamespace(duration_s=47.5)
            return SimpleNamespace(record=SimpleNamespace(plan=plan), asked=asked)
        finally:
            self.at_once -= 1

    def write(self, song: Any, path: Path, file_format: str) -> None:
        self.wrote.release()
        if song.asked.caption == "unwritable":
            raise SaveError("audio: the disk is full. The song is kept in /kept/x.flac.")


class Running:
    """A daemon in a thread."""

    def __init__(self, player: SilentPlayer, claimed: Claimed, address: Any) -> None:
        self.player, self.address = player, address
        self.daemon = Daemon(player, claimed)  # pyright: ignore[reportArgumentType]
        self.code: int | BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.code = self.daemon.run()
        except BaseException as error:  # noqa: BLE001  (told to the test)
            self.code = error

    def connect(self) -> socket.socket:
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.settimeout(WAIT_S)
        connection.connect(self.address)
        return connection

    def send(self, data: bytes | dict[str, Any], *, half_close: bool = True) -> socket.socket:
        connection = self.connect()
        connection.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return connection

    def ask(self, data: bytes | dict[str, Any], *, half_close: bool = True) -> str:
        return answer(self.send(data, half_close=half_close))

    def end(self) -> int | BaseException | None:
        if self.thread.is_alive():
            self.daemon.stop()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()
        return self.code


def answer(connection: socket.socket) -> str:
    """All that arrives up to the end."""
    with connection, connection.makefile(encoding="utf-8") as lines:
        return lines.read()


def error_of(line: str) -> str:
    told = json.loads(line)
    assert told["ok"] is False
    return told["error"]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="p"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def player() -> SilentPlayer:
    player = SilentPlayer()
    player.gate.set()
    player.loaded.set()
    return player


@pytest.fixture
def running(player: SilentPlayer, folder: Path) -> Iterator[Running]:
    path = folder / "s"
    running = Running(player, claim_unix(path), str(path))
    yield running
    player.gate.set()
    player.loaded.set()
    running.end()
    assert not path.exists()


def test_a_song_byte_for_byte(running: Running):
    line = '{"caption":"café","duration_s":12,"output":"/tmp/ü.ogg"}\n'.encode()
    assert running.ask(line) == ('{"ok":true,"path":"/tmp/ü.ogg","duration_s":12.0,"sample_rate":48000,"channels":2}\n')
    assert running.player.played == ["café"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nanother line\n", b"\n" + b"x" * 300_000])
def test_one_line_with_or_without_its_end_and_whatever_follows(running: Running, end: bytes):
    told = running.ask(b'{"caption":"a"}' + end)
    assert json.loads(told)["path"] == "/spool/1.ogg"
    assert running.player.played == ["a"]


def test_the_answer_comes_while_the_client_keeps_its_half_open(running: Running):
    assert json.loads(running.ask({"caption": "a"}, half_close=False))["ok"]


def test_a_length_that_was_left_open_is_told_as_it_came_out(running: Running):
    assert json.loads(running.ask({"caption": "a", "duration_s": None}))["duration_s"] == 47.5


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty request"),
        (b"\n", "empty request"),
        (b"  \r\n", "empty request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "invalid JSON request: "),
        (b'{"caption":" "}\n', "'caption' field is required and must not be empty"),
        (b'{"caption":"a","duration_s":700}\n', "duration_s must be between 1 and 600, got 700"),
        (b'{"caption":"a","output":"x.flac"}\n', "unsupported output format 'flac'. Use .wav or .ogg"),
        (
            b'{"caption":"a","output":"/root-only/x.ogg"}\n',
            "could not create output directory: Permission denied (os error 13)",
        ),
        (b'{"command":"status"}\n', "unknown command 'status'. There is: unload"),
        (b'{"caption":"unwritable"}\n', "failed to write audio file: audio: the disk is full."),
    ],
)
def test_faults_in_their_words(running: Running, data: bytes, text: str):
    assert error_of(running.ask(data)).startswith(text)


def test_a_line_that_is_too_long(running: Running):
    told = running.ask(b'{"caption":"' + b"a" * (3 * MAX_LINE_BYTES) + b'"}\n')
    assert error_of(told) == f"invalid JSON request: the line is longer than {MAX_LINE_BYTES} bytes"
    assert json.loads(running.ask({"caption": "a"}))["ok"]


def test_a_line_that_is_almost_too_long_is_read(running: Running):
    line = b'{"caption":"a","x":"' + b"b" * (MAX_LINE_BYTES - 100) + b'"}\n'
    assert json.loads(running.ask(line))["ok"]


def test_bytes_that_are_not_utf8_close_the_connection(running: Running):
    assert running.ask(b'{"caption":"\xff"}\n') == ""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ResourceError("manager: generation failed even on CPU: x"), "manager: generation failed even on CPU: x"),
        (ModelError("the file is damaged"), "the file is damaged"),
        (ZeroDivisionError("secret"), "a fault of this program, which its log tells"),
    ],
    ids=["memory", "model", "unforeseen"],
)
def test_a_song_that_fails_is_told_and_the_next_one_is_made(running: Running, error: Exception, text: str):
    def fails(asked: Asked) -> None:
        if asked.caption == "bad":
            raise error

    running.player.fails = fails
    assert error_of(running.ask({"caption": "bad"})) == f"generation failed: {text}"
    assert json.loads(running.ask({"caption": "good"}))["ok"]


def test_unload_waits_for_what_came_before(running: Running):
    running.player.gate.clear()
    song = running.send({"caption": "a"})
    assert running.player.playing.acquire(timeout=WAIT_S)
    unload = running.send({"command": "unload"})
    running.player.gate.set()
    assert answer(unload) == '{"ok":true,"message":"pipeline unloaded"}\n'
    assert json.loads(answer(song))["ok"]
    assert running.player.played == ["a", "unload"]


def test_early_callers_wait_while_the_model_is_loaded(player: SilentPlayer, folder: Path):
    player.loaded.clear()
    running = Running(player, claim_unix(folder / "s"), str(folder / "s"))
    early = running.send({"caption": "a"})
    assert player.placed.acquire(timeout=WAIT_S)
    assert player.played == []
    assert error_of(running.ask({"caption": " "})).startswith("'caption' field")
    player.loaded.set()
    assert json.loads(answer(early))["ok"]
    assert running.end() == 0


def test_more_callers_than_the_line_holds_are_served_one_by_one_in_order(running: Running):
    player = running.player
    player.gate.clear()
    idle = running.connect()
    # One is being made, the line is full, and one stands at its end; nobody has seen where the others are.
    seen = MOST_WAITING + 2
    songs = [f"song {number}" for number in range(seen + 10)]
    callers = []
    for number, song in enumerate(songs):
        callers.append(running.send({"caption": song}, half_close=number % 2 == 0))
        assert number >= seen or player.placed.acquire(timeout=WAIT_S)
    player.gate.set()
    assert all(json.loads(answer(caller))["ok"] for caller in callers)
    assert player.played[:seen] == songs[:seen]
    assert sorted(player.played) == sorted(songs)
    assert player.most_at_once == 1
    idle.close()


def test_a_song_is_made_though_its_caller_has_left(running: Running):
    player = running.player
    player.gate.clear()
    first = running.send({"caption": "first"})
    assert player.playing.acquire(timeout=WAIT_S)
    running.send({"caption": "second"}).close()
    assert player.placed.acquire(timeout=WAIT_S)
    assert player.placed.acquire(timeout=WAIT_S)
    first.close()
    player.gate.set()
    assert json.loads(running.ask({"caption": "third"}))["ok"]
    assert player.played == ["first", "second", "third"]


def test_a_silent_or_slow_caller_keeps_nobody_waiting(running: Running):
    silent, slow = running.connect(), running.connect()
    slow.sendall(b'{"caption":')
    assert json.loads(running.ask({"caption": "quick"}))["ok"]
    slow.sendall(b'"slow"}\n')
    assert json.loads(answer(slow))["ok"]
    silent.close()


def test_stopping_answers_everybody_and_removes_the_socket(running: Running):
    player = running.player
    player.gate.clear()
    making = running.send({"caption": "making"})
    assert player.playing.acquire(timeout=WAIT_S)
    waiting = running.send({"caption": "waiting"})
    assert player.placed.acquire(timeout=WAIT_S)
    assert player.placed.acquire(timeout=WAIT_S)
    running.daemon.stop()
    assert error_of(answer(making)) == "generation failed: the daemon was stopped"
    assert error_of(answer(waiting)) == "generation failed: the daemon was stopped"
    assert running.end() == 0
    assert player.played == []
    assert not running.daemon.is_busy
    with pytest.raises(FileNotFoundError):
        running.connect()


def test_where_no_song_can_be_made_any_longer_it_ends_with_1_and_answers_nobody(running: Running):
    player = running.player

    def dies(asked: Asked) -> None:
        player.manager.alive = False
        raise ResourceError("manager: manager has shut down")

    player.fails = dies
    player.gate.clear()
    callers = [running.send({"caption": "a"}), running.send({"caption": "b"})]
    assert player.playing.acquire(timeout=WAIT_S)
    player.gate.set()
    told = []
    for caller in callers:
        try:
            told.append(answer(caller))
        except ConnectionError:
            told.append("")
    assert told == ["", ""]
    running.thread.join(WAIT_S)
    assert running.code == 1


def test_a_model_that_cannot_be_loaded_ends_it(player: SilentPlayer, folder: Path):
    def fails() -> None:
        raise ModelError("manager: pipeline load failed: damaged")

    player.loads = fails
    running = Running(player, claim_unix(folder / "s"), str(folder / "s"))
    running.thread.join(WAIT_S)
    assert isinstance(running.code, ModelError)
    assert not (folder / "s").exists()


# The socket.


def test_a_live_socket_is_not_taken(running: Running):
    with pytest.raises(ConflictError, match="another program is listening on"):
        claim_unix(Path(running.address))
    assert json.loads(running.ask({"caption": "a"}))["ok"]


def test_a_socket_that_was_left_over_is_replaced(folder: Path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / "s"))
    left.close()
    claimed = claim_unix(folder / "s")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(folder / "s"))
    claimed.release()
    assert not (folder / "s").exists()


def test_a_file_that_is_no_socket_is_left_alone(folder: Path):
    (folder / "s").write_text("precious")
    with pytest.raises(ConflictError, match="is no socket"):
        claim_unix(folder / "s")
    assert (folder / "s").read_text() == "precious"


def test_of_many_that_start_at_once_one_gets_the_socket(folder: Path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / "s"))
    left.close()
    start, got = threading.Barrier(8), []

    def claim() -> None:
        start.wait()
        try:
            got.append(claim_unix(folder / "s"))
        except ConflictError:
            got.append(None)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    (winner,) = [one for one in got if one is not None]
    winner.release()


def test_another_programs_socket_is_not_removed_at_the_end(folder: Path):
    first = claim_unix(folder / "s")
    (folder / "s").unlink()
    second = claim_unix(folder / "s")
    first.release()
    assert (folder / "s").exists()
    second.release()
    second.release()


@pytest.mark.parametrize("name", ["missing/s", "s" * 150])
def test_a_place_where_no_socket_can_be(folder: Path, name: str):
    with pytest.raises(ResourceError, match="could not listen on"):
        claim_unix(folder / name)


def test_over_tcp_on_loopback(player: SilentPlayer):
    claimed = claim_tcp(0)
    host, port = claimed.listener.getsockname()
    assert host == "127.0.0.1"
    assert str(claimed) == f"127.0.0.1:{port}"
    running = Running(player, claimed, (host, port))
    try:
        assert json.loads(running.ask({"caption": "a"}))["ok"]
        assert json.loads(running.ask({"caption": "b"}, half_close=False))["ok"]
        with pytest.raises(ResourceError, match="could not listen on 127"):
            claim_tcp(port)
    finally:
        assert running.end() == 0
