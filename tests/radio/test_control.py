"""The control socket, with real clients."""

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partita.errors import PartitaError, RequestError
from partita.radio.control import LONGEST_LINE, ControlSocket
from partita.radio.events import Event, Ready
from partita.radio.show import Show
from partita.radio.station import RadioStation
from tests.radio.test_show import Ears


class Client:
    def __init__(self, address: str) -> None:
        if ":" in address and "/" not in address:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)), timeout=20)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(20)
            self.socket.connect(address)
        self._lines = self.socket.makefile("r", encoding="utf-8")

    def say(self, line: str | bytes) -> None:
        self.socket.sendall((line.encode() if isinstance(line, str) else line) + b"\n")

    def hear(self) -> str:
        return self._lines.readline().rstrip("\n")

    def hear_until(self, begin: str) -> str:
        while not (line := self.hear()).startswith(begin):
            assert line, f"closed before {begin!r}"
        return line

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: names of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="pr") as made:
        yield Path(made)


@pytest.fixture
def connect() -> Iterator[Callable[[str], Client]]:
    clients: list[Client] = []

    def make(address: str) -> Client:
        clients.append(Client(address))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def quits() -> threading.Event:
    return threading.Event()


@pytest.fixture
def control(station: RadioStation, folder: Path, quits: threading.Event) -> Iterator[ControlSocket]:
    with ControlSocket(Show(station, Ears()), str(folder / "radio.sock"), quit=quits.set) as control:
        yield control


class TestClients:
    def test_each_is_greeted_with_the_state(self, control, connect):
        assert connect(control.address).hear() == "event:state playing=idle queued=0 history=0 total=0"

    def test_answers_go_to_who_asked_and_events_to_all(self, control, connect):
        first, second = connect(control.address), connect(control.address)
        first.hear()
        second.hear()
        first.say("slow piano")
        assert first.hear() == 'event:ok queued: "slow piano"'
        control.tell(Ready())
        assert (first.hear(), second.hear()) == ("event:ready", "event:ready")

    def test_one_ends_it_for_all(self, control, connect, quits):
        first, second = connect(control.address), connect(control.address)
        first.hear()
        second.hear()
        first.say("quit")
        assert second.hear() == first.hear() == "event:ok shutting down"
        assert quits.wait(20)

    def test_one_that_vanishes_disturbs_nobody(self, control, connect):
        for _ in range(3):
            client = connect(control.address)
            client.socket.sendall(b"half a li")
            client.close()
        other = connect(control.address)
        other.hear()
        other.say("state")
        assert other.hear().startswith("event:state ")

    def test_what_is_no_text_is_said(self, control, connect):
        client = connect(control.address)
        client.hear()
        client.say(b"\xff\xfe")
        assert client.hear() == "event:error a line is not UTF-8 text"
        client.say("state")
        assert client.hear().startswith("event:state ")

    def test_a_line_without_an_end_is_refused(self, control, connect):
        client = connect(control.address)
        client.hear()
        client.say(b"x" * (LONGEST_LINE + 10))
        assert client.hear() == f"event:error a line is longer than {LONGEST_LINE} bytes"
        assert client.hear() == ""


class TestPlace:
    def test_only_this_user_may_use_it_and_it_goes_with_the_radio(self, station, folder):
        path = folder / "radio.sock"
        with ControlSocket(Show(station, Ears()), str(path), quit=lambda: None):
            assert path.stat().st_mode & 0o777 == 0o600
        assert not path.exists()

    def test_a_socket_that_was_left_behind_is_replaced(self, station, folder):
        path = folder / "radio.sock"
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(str(path))
        with ControlSocket(Show(station, Ears()), str(path), quit=lambda: None) as control:
            Client(control.address).close()

    def test_another_radios_is_left_alone(self, control, station):
        with pytest.raises(PartitaError, match="Another radio"):
            ControlSocket(Show(station, Ears()), control.address, quit=lambda: None)
        assert Path(control.address).exists()

    def test_a_file_is_left_alone(self, station, folder):
        (folder / "notes.txt").write_text("mine")
        with pytest.raises(RequestError, match="no socket"):
            ControlSocket(Show(station, Ears()), str(folder / "notes.txt"), quit=lambda: None)
        assert (folder / "notes.txt").read_text() == "mine"

    def test_it_may_be_a_port_of_this_machine(self, station, connect):
        with ControlSocket(Show(station, Ears()), "127.0.0.1:0", quit=lambda: None) as control:
            client = connect(control.address)
            assert client.hear().startswith("event:state ")

    def test_it_may_not_be_a_port_for_others(self, station):
        with pytest.raises(RequestError, match="this machine only"):
            ControlSocket(Show(station, Ears()), "0.0.0.0:0", quit=lambda: None)


def test_a_whole_show_is_heard_of(station, folder, connect):
    tellers: list[Callable[[Event], None]] = []
    ears = Ears()
    ears.gate.clear()
    show = Show(station, ears, told=lambda event: [tell(event) for tell in tellers][:0] and None)
    with ControlSocket(show, str(folder / "radio.sock"), quit=show.stop) as control:
        tellers.append(control.tell)
        client = connect(control.address)
        client.hear()
        with show:
            client.hear_until("event:playing song=0")
            client.hear_until("event:song_ready song=1")
            client.say('request {"caption": "mine", "seed": 3}')
            client.hear_until("event:song_ready song=2 seed=3")
            ears.gate.set()
            client.hear_until("event:playing song=2")
            client.say("like")
            assert client.hear_until("event:ok").startswith("event:ok liked: ")
            client.say("q")
            client.hear_until("event:ok shutting down")
            assert show.wait(20)
