import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from partita.engine.engine import Engine
from partita.service.jobs.job import Job
from partita.service.jobs.queue import JobQueue
from partita.service.manager import Manager, ManagerConfig
from partita.settings import Settings
from partita.song.request import SongRequest
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime

SOON_S = 20.0
"""Longer than anything here takes; a test that needs it has failed."""


def asked(caption: str = "a tone", duration_s: float = 1.0, **fields) -> SongRequest:
    return SongRequest(caption=caption, duration_s=duration_s, **fields)


class Gate:
    """A renderer's hook that stops in the first step of sampling until it is opened."""

    def __init__(self) -> None:
        self.reached, self._open = threading.Semaphore(0), threading.Event()

    def __call__(self, stage: str, step: int) -> None:
        if (stage, step) == ("sample", 0) and not self._open.is_set():
            self.reached.release()
            assert self._open.wait(SOON_S)

    def wait(self) -> None:
        """Until a run stands before the gate."""
        assert self.reached.acquire(timeout=SOON_S)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "service"


@pytest.fixture
def make_manager(settings) -> Callable[..., Manager]:
    """A manager whose songs are tones, made at once."""

    def make(renderer: ToneRenderer | None = None) -> Manager:
        engine = Engine(
            runtime=fake_runtime(),
            settings=settings,
            renderer=renderer or ToneRenderer(),
            loader=lambda card: FakeLoader(),
        )
        return Manager(lambda device: engine, ManagerConfig(min_free_bytes=0))

    return make


@pytest.fixture
def open_queue(make_manager, folder) -> Iterator[Callable[..., JobQueue]]:
    """Opens queues, and closes them when the test is over."""
    with ExitStack() as stack:

        def make(*renderers: ToneRenderer, folder: Path | None = folder, **choices) -> JobQueue:
            managers = [make_manager(renderer) for renderer in renderers or (ToneRenderer(),)]
            return stack.enter_context(JobQueue(managers, folder, **choices))

        yield make


def done(queue: JobQueue, job: Job) -> Job:
    """The job when it is over, which must be soon."""
    over = queue.wait(job.id, SOON_S)
    assert over.is_over, over
    return over


def until(true: Callable[[], bool]) -> None:
    """Returns once it is true, which must be soon."""
    waited = threading.Event()
    for _ in range(2000):
        if true():
            return
        waited.wait(0.005)
    raise AssertionError("it never came true")
