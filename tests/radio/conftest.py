import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from partita.engine.cancel import CancelFlag
from partita.engine.engine import Engine
from partita.engine.song import Song
from partita.radio.memory import Memory
from partita.radio.show import Clock
from partita.radio.station import RadioStation
from partita.settings import Settings
from partita.song.request import SongRequest
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime


class FastClock(Clock):
    """An hour in some seconds."""

    def __init__(self, times: float = 40.0) -> None:
        self._times = times

    def now(self) -> float:
        return time.monotonic() * self._times

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        return stop.wait(seconds / self._times)


class Tones:
    """Makes songs of a tone at once. `before` is called with each request and may wait or raise."""

    def __init__(self, folder: Path, before: Callable[[SongRequest], None] = lambda request: None) -> None:
        settings = Settings(data=folder / "data", cache=folder / "cache")
        self._engine = Engine(
            runtime=fake_runtime(), settings=settings, renderer=ToneRenderer(), loader=lambda card: FakeLoader()
        )
        self.before = before
        self.asked: list[SongRequest] = []

    def generate(self, request: SongRequest, *, cancel: CancelFlag | None = None) -> Song:
        self.asked.append(request)
        self.before(request)
        return self._engine.generate(request, cancel=cancel)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.fixture
def tones(tmp_path: Path) -> Tones:
    return Tones(tmp_path)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memory")


@pytest.fixture
def station(tones: Tones, memory: Memory, settings: Settings) -> RadioStation:
    """Songs of two seconds, made at once, and remembered."""
    return RadioStation(tones, memory=memory, settings=settings, duration_s=2.0)
