"""Whatever callers do in whatever order, jobs end in one of the ways there are, and files and rows agree."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from partita.engine.engine import Engine
from partita.errors import NotFoundError
from partita.service.jobs.job import JobOptions
from partita.service.jobs.queue import JobQueue
from partita.service.manager import Manager, ManagerConfig
from partita.settings import Settings
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime
from tests.service.jobs.conftest import SOON_S, asked

NUMBERS = st.integers(0, 9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(-1, 1), st.integers(1, 3)),
        st.tuples(st.sampled_from(["cancel", "delete", "wait", "convert"]), NUMBERS, st.just(0)),
        st.tuples(st.just("reopen"), st.just(0), st.just(0)),
    ),
    min_size=3,
    max_size=12,
)


def manager_of(folder: Path) -> Manager:
    engine = Engine(
        runtime=fake_runtime(),
        settings=Settings(data=folder / "data"),
        renderer=ToneRenderer(),
        loader=lambda card: FakeLoader(),
    )
    return Manager(lambda device: engine, ManagerConfig(min_free_bytes=0))


def check(steps: list[tuple[str, int, int]], folder: Path) -> None:
    queue = JobQueue([manager_of(folder), manager_of(folder)], folder)
    queue.__enter__()
    ids: list[str] = []
    deleted, cancelled, last = set(), set(), {}
    leave = queue.subscribe(lambda event: last.__setitem__(event.job.id, event.job.state))
    for step, number, count in steps:
        if step == "submit":
            ids.append(queue.submit(asked(count=count), JobOptions(priority=number)).id)
        elif step == "reopen":
            queue.__exit__(None, None, None)
            queue.__enter__()
        elif ids:
            job_id = ids[number % len(ids)]
            try:
                if step == "cancel":
                    queue.cancel(job_id)
                    cancelled.add(job_id)
                elif step == "delete":
                    queue.delete(job_id)
                elif step == "wait":
                    queue.wait(job_id, SOON_S)
                elif queue.job(job_id).songs:
                    queue.audio_as(job_id, 0, "wav")
            except NotFoundError:
                assert job_id in deleted
            if step == "delete":
                deleted.add(job_id)
    for job_id in ids:
        if job_id in deleted:
            with pytest.raises(NotFoundError):
                queue.job(job_id)
            continue
        job = queue.wait(job_id, SOON_S)
        assert job.state == "done" or (job.state == "cancelled" and job_id in cancelled)
        assert job.state == "cancelled" or len(job.songs) == job.request.count
        assert last[job_id] == job.state
        for song in job.songs:
            assert all(queue.song_path(job_id, song.index, name).is_file() for name in song.files)
    assert queue.counts()["queued"] + queue.counts()["running"] == 0
    leave()
    queue.__exit__(None, None, None)
    assert {path.name for path in (folder / "songs").glob("*") if any(path.iterdir())} <= set(ids) - deleted
    assert not list((folder / "songs").rglob(".*"))


@hypothesis_settings(deadline=None, max_examples=6)
@given(STEPS)
def test_anything_goes(steps):
    folder = Path(tempfile.mkdtemp())
    check(steps, folder)
    shutil.rmtree(folder)


@pytest.mark.long
@hypothesis_settings(deadline=None, max_examples=150, derandomize=False)
@given(STEPS)
def test_anything_goes_for_long(steps):
    folder = Path(tempfile.mkdtemp())
    check(steps, folder)
    shutil.rmtree(folder)
