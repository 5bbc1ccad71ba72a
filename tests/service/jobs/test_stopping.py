"""What ends a job before its time: a caller, a deadline, the queue closing, the process dying."""

import time

import pytest

from partita.errors import ConflictError, DeadlineError, NotFoundError, ResourceError
from partita.service.jobs import board
from partita.service.jobs.job import JobOptions
from partita.service.jobs.queue import JobQueue
from partita.service.jobs.store import SCHEMA_VERSION, JobStore, StoreError
from tests.fakes import ToneRenderer
from tests.service.jobs.conftest import Gate, asked, done


def busy(open_queue, **choices):
    gate = Gate()
    queue = open_queue(ToneRenderer(gate), **choices)
    running = queue.submit(asked(duration_s=9))
    gate.wait()
    return queue, gate, running


def test_a_job_that_waits_is_cancelled_at_once(open_queue):
    queue, gate, _ = busy(open_queue)
    job = queue.submit(asked())
    over = queue.cancel(job.id)
    assert (over.state, over.position, over.attempts) == ("cancelled", None, 0)
    assert over.finished_at is not None
    gate.open()


def test_a_job_that_runs_is_cancelled_within_a_step(open_queue):
    steps = []
    gate = Gate()

    def hook(stage, step):
        steps.append((stage, step))
        gate(stage, step)

    queue = open_queue(ToneRenderer(hook))
    job = queue.submit(asked())
    gate.wait()
    assert queue.cancel(job.id).state == "running"
    gate.open()
    assert done(queue, job).state == "cancelled"
    assert steps[-1] == ("sample", 0)


def test_cancelling_what_is_over_changes_nothing(open_queue):
    queue = open_queue()
    job = done(queue, queue.submit(asked()))
    assert queue.cancel(job.id) == job
    assert queue.song_path(job.id).is_file()


def test_deleting_takes_the_files_along_in_any_state(open_queue, folder):
    queue, gate, running = busy(open_queue)
    waiting = queue.submit(asked())
    queue.delete(waiting.id)
    queue.delete(running.id)
    after = queue.submit(asked())
    gate.open()
    done(queue, after)
    for job_id in (running.id, waiting.id):
        with pytest.raises(NotFoundError):
            queue.job(job_id)
    assert [path.name for path in (folder / "songs").iterdir()] == [after.id]
    queue.delete(after.id)
    assert list((folder / "songs").iterdir()) == []


def test_a_song_that_is_finished_when_its_job_is_deleted_is_not_left_behind(open_queue, folder):
    queue = None

    def hook(stage, step):
        if stage == "decode" and step > 0:
            queue.delete(queue.jobs()[0].id)

    queue = open_queue(ToneRenderer(hook))
    heard = []
    queue.subscribe(lambda event: heard.append(event.job.state))
    queue.submit(asked())
    while "cancelled" not in heard:
        time.sleep(0.001)
    queue.__exit__(None, None, None)
    assert list((folder / "songs").glob("*")) == []
    queue.__enter__()


def test_a_deadline_is_kept_while_waiting(open_queue):
    queue, gate, _ = busy(open_queue)
    job = queue.submit(asked(), JobOptions(deadline_s=0.05))
    over = done(queue, job)
    assert (over.state, over.fault.kind, over.attempts) == ("failed", DeadlineError.__name__, 0)
    assert "0.05 s" in over.fault.message
    gate.open()


def test_a_deadline_is_kept_while_running(open_queue):
    def slow(stage, step):
        if stage == "sample":
            time.sleep(0.1)

    queue = open_queue(ToneRenderer(slow, steps=100))
    over = done(queue, queue.submit(asked(), JobOptions(deadline_s=0.25)))
    assert (over.state, over.fault.kind, over.attempts) == ("failed", DeadlineError.__name__, 1)
    assert over.finished_at - over.submitted_at < 2


def test_a_deadline_that_is_not_reached_does_nothing(open_queue):
    queue = open_queue()
    assert done(queue, queue.submit(asked(), JobOptions(deadline_s=60))).state == "done"


def test_closing_puts_a_running_job_back_and_wakes_who_waits(make_manager, folder):
    gate = Gate()
    with JobQueue([make_manager(ToneRenderer(gate))], folder) as queue:
        first, second = queue.submit(asked(duration_s=2)), queue.submit(asked())
        gate.wait()
        opened = queue._open
        heard = []
        queue.subscribe(lambda event: heard.append((event.job.id, event.job.state)))
        with queue._news.waiting(second.id) as waiter:
            opened.closing.set()
            gate.open()
            opened.close()
            assert waiter.over.is_set()
            assert waiter.job.state == "queued"
        queue._open = type("Closed", (), {"close": lambda self: None})()
    assert heard == [(first.id, "queued")]
    with JobQueue([make_manager()], folder) as queue:
        assert [done(queue, job).attempts for job in (first, second)] == [1, 1]


def kill(folder, job_ids):
    """What a killed process leaves: jobs that run, and nobody who runs them."""
    store = JobStore(folder / "jobs.sqlite")
    with store._change() as db:
        for job_id in job_ids:
            db.execute("UPDATE jobs SET state = 'running', finished_at = NULL WHERE id = ?", (job_id,))
    store.close()


def test_what_a_killed_process_ran_runs_again_and_its_finished_songs_stay(make_manager, folder):
    gate = Gate()
    with JobQueue([make_manager(ToneRenderer(gate))], folder) as queue:
        job = queue.submit(asked(seed=1, count=10))
        gate.open()
        over = done(queue, job)
    kept = {path.name: path.stat().st_mtime_ns for path in (folder / "songs" / job.id).iterdir()}
    kill(folder, [job.id])
    store = JobStore(folder / "jobs.sqlite")
    with store._change() as db:  # as if the last two had not been made
        db.execute("DELETE FROM songs WHERE place >= 8")
    store.close()
    (folder / "songs" / job.id / ".8.flac.part").write_bytes(b"half")
    renderer = ToneRenderer()
    with JobQueue([make_manager(renderer)], folder) as queue:
        again = done(queue, job)
    assert [len(jobs) for jobs in renderer.passes] == [2]
    assert again.attempts == 2
    assert again.songs == over.songs
    names = {path.name: path.stat().st_mtime_ns for path in (folder / "songs" / job.id).iterdir()}
    assert names.keys() == kept.keys()
    assert {name for name in names if names[name] == kept[name]} == {
        f"{index}.{suffix}" for index in range(8) for suffix in ("flac", "json")
    }


def test_a_job_that_lacks_nothing_but_its_end_is_done(make_manager, folder):
    with JobQueue([make_manager()], folder) as queue:
        job = done(queue, queue.submit(asked()))
    kill(folder, [job.id])
    renderer = ToneRenderer()
    with JobQueue([make_manager(renderer)], folder) as queue:
        again = done(queue, job)
    assert (again.state, again.songs, renderer.passes) == ("done", job.songs, [])


def test_files_of_nobody_and_half_written_ones_are_cleared_up(make_manager, folder):
    with JobQueue([make_manager()], folder) as queue:
        job = done(queue, queue.submit(asked()))
    songs = folder / "songs"
    (songs / ("0" * 32)).mkdir()
    (songs / ("0" * 32) / "0.flac").write_bytes(b"nobody's")
    (songs / job.id / ".0.mp3.part").write_bytes(b"half")
    (songs / "a folder of the user's").mkdir()
    with JobQueue([make_manager()], folder) as queue:
        assert queue.song_path(job.id).is_file()
    assert sorted(path.name for path in songs.iterdir()) == sorted([job.id, "a folder of the user's"])
    assert sorted(path.name for path in (songs / job.id).iterdir()) == ["0.flac", "0.json"]


def test_a_cancel_is_remembered_by_the_next_process(make_manager, folder):
    gate = Gate()
    with JobQueue([make_manager(ToneRenderer(gate))], folder) as queue:
        job = queue.submit(asked())
        gate.wait()
        queue._open.store.ask_cancel(job.id)
        gate.open()
        done(queue, job)
    kill(folder, [job.id])
    with JobQueue([make_manager()], folder) as queue:
        assert queue.job(job.id).state == "cancelled"


def test_a_job_that_ends_its_process_every_time_fails_in_the_end(make_manager, folder):
    with JobQueue([make_manager()], folder) as queue:
        job = done(queue, queue.submit(asked()))
    store = JobStore(folder / "jobs.sqlite")
    with store._change() as db:
        db.execute("DELETE FROM songs")
        db.execute("UPDATE jobs SET finished_at = NULL, state = 'running', attempts = ?", (board.MOST_ATTEMPTS,))
    store.close()
    with JobQueue([make_manager()], folder) as queue:
        over = done(queue, job)
    assert (over.state, over.fault.kind, over.attempts) == ("failed", "ResourceError", board.MOST_ATTEMPTS)
    assert "10 times" in over.fault.message


def test_an_interrupted_job_is_made_alone(make_manager, folder):
    gate = Gate()
    with JobQueue([make_manager(ToneRenderer(gate))], folder) as queue:
        queue.submit(asked(duration_s=9))
        gate.wait()
        jobs = [queue.submit(asked(seed=seed)) for seed in range(3)]
        queue._open.closing.set()
        gate.open()
    store = JobStore(folder / "jobs.sqlite")
    store.begin([jobs[0].id], time.time())
    store.close()
    renderer = ToneRenderer()
    with JobQueue([make_manager(renderer)], folder) as queue:
        for job in jobs:
            assert done(queue, job).state == "done"
    assert [len(jobs) for jobs in renderer.passes] == [1, 1, 2]


def test_a_folder_is_open_once(open_queue, make_manager, folder):
    import os

    open_queue()
    with pytest.raises(ConflictError, match=f"in use by another server \\(process {os.getpid()}"):
        JobQueue([make_manager()], folder).__enter__()


def test_a_folder_of_a_later_version_is_refused_and_left_alone(make_manager, folder):
    with JobQueue([make_manager()], folder):
        pass
    store = JobStore(folder / "jobs.sqlite")
    store._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    store.close()
    for _ in range(2):  # the lock is let go of
        with pytest.raises(ConflictError, match="later version"):
            JobQueue([make_manager()], folder).__enter__()


def test_a_file_that_is_no_queue_is_refused(make_manager, folder):
    folder.mkdir()
    (folder / "jobs.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ResourceError, match="not a database"):
        JobQueue([make_manager()], folder).__enter__()


def test_a_job_of_another_version_fails_and_is_not_in_the_way(make_manager, folder):
    gate = Gate()
    with JobQueue([make_manager(ToneRenderer(gate))], folder) as queue:
        queue.submit(asked(duration_s=9))
        gate.wait()
        bad, good = queue.submit(asked()), queue.submit(asked())
        store = queue._open.store
        with store._change() as db:
            db.execute('UPDATE jobs SET resolved = \'{"of": "another version"}\' WHERE id = ?', (bad.id,))
        queue._open.closing.set()
        gate.open()
    with JobQueue([make_manager()], folder) as queue:
        assert done(queue, good).state == "done"
        failed = queue.job(bad.id)
        assert failed.state == "failed"
        assert "another version" in failed.fault.message
        store = queue._open.store
        with store._change() as db:
            db.execute("UPDATE jobs SET request = '{}' WHERE id = ?", (bad.id,))
        assert bad.id not in [job.id for job in queue.jobs()]
        with pytest.raises(NotFoundError, match="another version"):
            queue.job(bad.id)


def test_a_worker_outlives_a_disk_that_refuses_for_a_while(open_queue, monkeypatch, caplog):
    monkeypatch.setattr(board, "RETRY_S", 0.01)
    queue = open_queue()
    store, refusals = queue._open.store, [1, 2]
    end = store.end

    def refuse(*args, **choices):
        if refusals:
            refusals.pop()
            raise StoreError("The disk is full.")
        return end(*args, **choices)

    monkeypatch.setattr(store, "end", refuse)
    job = done(queue, queue.submit(asked()))
    assert (job.state, job.attempts) == ("done", 2 + 1)
    assert caplog.text.count("The disk is full.") >= 2
