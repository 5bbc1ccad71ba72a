"""Many callers at once, and many jobs one after another: all are answered, and nothing grows."""

import gc
import threading
from pathlib import Path

import psutil
import pytest

from partita.errors import BusyError
from partita.service.config import Limits, Retention
from partita.service.jobs.queue import JobQueue
from partita.service.manager import Manager
from tests.service.jobs.conftest import asked
from tests.service.jobs.crash_child import make_engine


@pytest.mark.parametrize("callers", [24, pytest.param(200, marks=pytest.mark.long)])
def test_every_caller_is_answered_or_refused(open_queue, callers):
    queue = open_queue(limits=Limits(waiting=callers // 2))
    start, answers = threading.Barrier(callers), []

    def call(number):
        start.wait()
        try:
            job = queue.submit(asked(seed=number))
        except BusyError:
            answers.append("refused")
            return
        answers.append(queue.wait(job.id, 300).state)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == callers
    assert set(answers) <= {"done", "refused"}
    assert answers.count("done") >= callers // 2
    assert queue.counts()["done"] == answers.count("done")


@pytest.fixture
def built_in(tmp_path) -> Manager:
    engine = make_engine(tmp_path / "data")
    return Manager(lambda device: engine)


def test_many_small_jobs_leave_nothing_behind(tmp_path, make_manager):
    check_growth(make_manager(), tmp_path, jobs=40, warm=15)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_a_thousand_small_jobs_of_the_built_in_model_leave_nothing_behind(tmp_path, built_in, capsys):
    seen = check_growth(built_in, tmp_path, jobs=1000, warm=100)
    with capsys.disabled():
        print(f"\nafter so many jobs: MiB, open files, threads: {seen}")


def check_growth(manager: Manager, folder: Path, *, jobs: int, warm: int) -> dict[int, tuple[float, int, int]]:
    """Memory (MiB), open files and threads after `warm` jobs and after all of them."""
    process, seen = psutil.Process(), {}
    with JobQueue([manager], folder, retention=Retention(bytes=3_000_000)) as queue:
        for number in range(1, jobs + 1):
            leave = queue.subscribe(lambda event: None)
            job = queue.submit(asked("a small tune", seed=number))
            assert queue.wait(job.id, 60).state == "done"
            leave()
            if number % 10 == 0:
                queue.audio_as(job.id, 0, "mp3")
            if number in (warm, jobs):
                queue.run(lambda engine, cancel: None)
                gc.collect()
                memory = process.memory_info().rss / 2**20
                seen[number] = (memory, process.num_fds(), process.num_threads())
        kept = sum(path.stat().st_size for path in (folder / "songs").rglob("*") if path.is_file())
        assert kept <= 3_500_000
    assert seen[jobs][1:] == seen[warm][1:]
    assert seen[jobs][0] - seen[warm][0] < 40, seen
    return seen
