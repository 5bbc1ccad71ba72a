"""A job's life: what it goes through, who is told, and what is there of it afterwards."""

import threading

import pytest

from partita.engine.events import StageBegan
from partita.errors import BusyError, ConflictError, NotFoundError, RequestError, TooLargeError
from partita.service.config import Limits
from partita.service.jobs.job import JobOptions
from partita.song.record import Record
from partita.song.request import SongRequest
from tests.fakes import ToneRenderer
from tests.service.jobs.conftest import SOON_S, Gate, asked, done


def test_a_job_waits_runs_and_is_done(open_queue):
    gate = Gate()
    queue = open_queue(ToneRenderer(gate))
    job = queue.submit(asked(count=2, seed=5))
    gate.wait()
    running = queue.job(job.id)
    assert (job.state, job.attempts) == ("queued", 0)
    assert (running.state, running.position, running.attempts, running.songs) == ("running", None, 1, ())
    assert running.progress is not None
    assert (running.progress.stage, running.progress.songs) == ("sample", 2)
    gate.open()
    over = done(queue, job)
    assert (over.state, over.progress, over.fault) == ("done", None, None)
    assert [(song.index, song.seed) for song in over.songs] == [(0, 5), (1, 6)]
    assert over.submitted_at <= over.started_at <= over.finished_at
    assert queue.job(job.id) == over == queue.wait(job.id)


def test_the_songs_that_are_finished_are_counted_while_it_runs(open_queue):
    queue, heard = open_queue(), []
    queue.subscribe(lambda event: event.job.progress and heard.append((event.kind, event.job.progress.song)))
    done(queue, queue.submit(asked(count=3)))
    assert heard[0] == ("state", 0)
    assert [song for kind, song in heard if kind == "song"] == [1, 2, 3]
    assert [song for _, song in heard] == sorted(song for _, song in heard)


def test_a_song_lies_under_names_of_ours_with_its_record(open_queue, folder):
    queue = open_queue()
    (song,) = done(queue, queue.submit(asked("../../etc/passwd"))).songs
    path = queue.song_path(queue.jobs()[0].id)
    assert path.parent.parent == folder / "songs"
    assert path.name == "0.flac" == song.audio == song.files[0]
    assert Record.from_json(queue.song_path(queue.jobs()[0].id, 0, "0.json").read_text()) == song.record


def test_listeners_hear_of_every_state_and_song_in_order_and_no_more_after_they_left(open_queue):
    queue, heard = open_queue(), []
    leave = queue.subscribe(lambda event: heard.append((event.kind, event.job.state)))
    done(queue, queue.submit(asked(count=2)))
    leave()
    assert [kind for kind in heard if kind[0] != "progress"] == [
        ("state", "queued"),
        ("state", "running"),
        ("song", "running"),
        ("song", "running"),
        ("state", "done"),
    ]
    assert ("progress", "running") in heard
    done(queue, queue.submit(asked()))
    assert len([one for one in heard if one == ("state", "queued")]) == 1


def test_a_listener_that_raises_disturbs_nobody(open_queue, caplog):
    queue, heard = open_queue(), []

    def fail(event):
        raise ValueError("a listener's own fault")

    queue.subscribe(fail)
    queue.subscribe(lambda event: heard.append(event.job.state))
    assert done(queue, queue.submit(asked())).state == "done"
    assert heard[-1] == "done"
    assert "a listener's own fault" in caplog.text


def test_a_listener_may_use_the_queue(open_queue):
    queue, seen = open_queue(), []
    queue.subscribe(lambda event: seen.append(queue.job(event.job.id).state))
    done(queue, queue.submit(asked()))
    assert seen[-1] == "done"


def test_notes_of_a_door_stand_in_the_record_and_in_its_file(open_queue):
    queue = open_queue()
    (song,) = done(queue, queue.submit(asked(), JobOptions(notes=("cfg is not applied.",)))).songs
    assert song.record.warnings[-1] == "cfg is not applied."
    assert "cfg is not applied." in queue.song_path(queue.jobs()[0].id, 0, "0.json").read_text()


def test_the_best_of_several_is_delivered(open_queue):
    queue = open_queue()
    job = done(queue, queue.submit(asked(best_of=2, count=2, seed=1)))
    assert job.state == "done"
    assert [song.record.choice is not None for song in job.songs] == [True, True]
    assert {song.seed for song in job.songs} <= {1, 2, 3, 4}


def test_a_bad_request_is_refused_at_once_and_leaves_nothing(open_queue):
    queue = open_queue()
    with pytest.raises(RequestError, match="no-such-model"):
        queue.submit(asked(model="no-such-model"))
    assert queue.jobs() == []


def test_what_is_beyond_the_limits_is_refused(open_queue):
    gate = Gate()
    queue = open_queue(ToneRenderer(gate), limits=Limits(songs=4, duration_s=30, waiting=2))
    with pytest.raises(TooLargeError, match="at most 4"):
        queue.submit(asked(count=3, best_of=2))
    with pytest.raises(TooLargeError, match="at most 30 s"):
        queue.submit(asked(duration_s=31))
    queue.submit(asked())
    gate.wait()
    first, _ = queue.submit(asked()), queue.submit(asked())
    with pytest.raises(BusyError) as caught:
        queue.submit(asked())
    assert caught.value.retry_after_s == 5.0
    queue.cancel(first.id)
    assert queue.submit(asked()).position == 1
    gate.open()


def test_the_same_key_is_the_same_job_and_another_request_with_it_a_conflict(open_queue):
    queue = open_queue()
    options = JobOptions(idempotency_key="k")
    first = queue.submit(asked(), options)
    assert queue.submit(asked(), options).id == first.id
    with pytest.raises(ConflictError, match="another request") as caught:
        queue.submit(asked("another"), options)
    assert caught.value.field == "idempotency_key"
    assert queue.submit(asked("another"), options.model_copy(update={"door": "openai"})).id != first.id
    done(queue, first)
    assert queue.submit(asked(), options).state == "done"
    queue.delete(first.id)
    assert queue.submit(asked("another"), options).id != first.id


def test_many_at_once_with_one_key_are_one_job(open_queue):
    queue, ids = open_queue(), []
    start = threading.Barrier(8)

    def submit():
        start.wait()
        ids.append(queue.submit(asked(), JobOptions(idempotency_key="k")).id)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 1
    assert len(queue.jobs()) == 1


def test_a_job_shows_what_was_asked_and_not_what_it_became(open_queue):
    queue = open_queue()
    shown = asked("as the caller said it")
    job = queue.submit(asked("with files of ours"), JobOptions(idempotency_key="k"), asked=shown)
    assert job.request == shown
    assert queue.submit(asked("other files"), JobOptions(idempotency_key="k"), asked=shown).id == job.id
    assert done(queue, job).songs[0].record.request.caption == "with files of ours"


def test_a_request_of_a_job_can_be_asked_again(open_queue):
    queue = open_queue()
    job = queue.submit(asked(seed=3))
    again = queue.submit(SongRequest.from_json(job.request.model_dump_json()))
    assert done(queue, again).songs[0].record == done(queue, job).songs[0].record


def test_jobs_come_latest_first_page_by_page(open_queue):
    gate = Gate()
    queue = open_queue(ToneRenderer(gate))
    ids = [queue.submit(asked(duration_s=1 + number)).id for number in range(5)]
    gate.wait()
    page = queue.jobs(limit=2)
    assert [job.id for job in page] == ids[:2:-1]
    assert [job.id for job in queue.jobs(limit=10, before=page[-1].id)] == ids[2::-1]
    assert [job.id for job in queue.jobs(state="running")] == ids[:1]
    assert [job.position for job in queue.jobs(state="queued")] == [3, 2, 1, 0]
    assert queue.counts() == {"queued": 4, "running": 1, "done": 0, "failed": 0, "cancelled": 0}
    with pytest.raises(NotFoundError):
        queue.jobs(before="0" * 32)
    gate.open()


def test_what_is_not_here_is_said_to_be_not_here(open_queue):
    queue = open_queue()
    for call in (queue.job, queue.cancel, queue.delete, queue.wait, queue.song_path):
        with pytest.raises(NotFoundError):
            call("0" * 32)
    job = done(queue, queue.submit(asked()))
    with pytest.raises(NotFoundError, match="no song 1"):
        queue.song_path(job.id, 1)
    with pytest.raises(NotFoundError, match="no file"):
        queue.song_path(job.id, 0, "../../jobs.sqlite")


def test_waiting_ends_when_the_time_is_up(open_queue):
    gate = Gate()
    queue = open_queue(ToneRenderer(gate))
    job = queue.submit(asked())
    gate.wait()
    assert queue.wait(job.id, 0.01).state == "running"
    gate.open()


def test_a_closed_queue_says_so(open_queue, make_manager):
    from partita.service.jobs.queue import JobQueue

    queue = JobQueue([make_manager()], None)
    with pytest.raises(ConflictError, match="not open"):
        queue.submit(asked())
    with queue:
        assert done(queue, queue.submit(asked())).state == "done"
        with pytest.raises(ConflictError, match="open already"):
            queue.__enter__()
    with pytest.raises(ConflictError, match="not open"):
        queue.jobs()


def test_without_a_folder_nothing_is_left(make_manager):
    from partita.service.jobs.queue import JobQueue

    with JobQueue([make_manager()], None) as queue:
        path = queue.song_path(done(queue, queue.submit(asked())).id)
        assert path.is_file()
    assert not path.parent.parent.parent.exists()


def test_two_managers_work_side_by_side(open_queue):
    gate = Gate()
    queue = open_queue(ToneRenderer(gate), ToneRenderer(gate))
    jobs = [queue.submit(asked(duration_s=seconds)) for seconds in (1, 2)]
    gate.wait()
    gate.wait()
    assert queue.counts()["running"] == 2
    gate.open()
    assert [done(queue, job).state for job in jobs] == ["done", "done"]


def test_the_average_is_of_jobs_that_were_done(open_queue):
    queue = open_queue()
    assert queue.average_job_s == 5.0
    job = done(queue, queue.submit(asked()))
    assert queue.average_job_s == pytest.approx(job.finished_at - job.started_at)


def test_nothing_is_kept_of_waiters_and_listeners_that_are_gone(open_queue):
    queue = open_queue()
    for number in range(3):
        leave = queue.subscribe(lambda event: None)
        done(queue, queue.submit(asked(f"tone {number}")))
        leave()
        leave()
    assert queue._news.size == 0
    assert queue._open is not None
    assert (queue._open._working, queue._open._progress) == ({}, {})


def test_stages_are_told_as_the_engine_names_them(open_queue):
    queue, stages = open_queue(), []
    queue.subscribe(lambda event: event.kind == "progress" and stages.append(event.job.progress.stage))
    done(queue, queue.submit(asked()))
    assert list(dict.fromkeys(stages)) == ["plan", "text", "sample", "decode", "master"]
    assert StageBegan.__doc__ is not None
    assert all(stage in StageBegan.__doc__ for stage in stages)


def test_a_deleted_job_ends_the_waiting_for_it(open_queue):
    gate = Gate()
    queue, heard = open_queue(ToneRenderer(gate)), []
    job = queue.submit(asked())
    gate.wait()
    begun = threading.Event()

    def wait():
        begun.set()
        try:
            queue.wait(job.id, SOON_S)
        except NotFoundError as error:
            heard.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait(SOON_S)
    queue.delete(job.id)
    thread.join(SOON_S)
    gate.open()
    assert len(heard) == 1
