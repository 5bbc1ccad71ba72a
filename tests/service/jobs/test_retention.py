"""What goes after a while: by age, and the oldest where songs are too many bytes; never what waits or runs."""

import time

from hypothesis import given, strategies as st

from partita.engine.archive import Archive
from partita.service.config import Retention
from partita.service.jobs import board
from partita.service.jobs.job import JobOptions
from partita.service.jobs.queue import JobQueue
from partita.service.jobs.retention import Ended, to_forget
from partita.song.request import SongRequest
from partita.song.source import AudioRef
from partita.song.task import Repaint
from tests.fakes import ToneRenderer
from tests.service.jobs.conftest import Gate, asked, done

ENDED = st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 100)), max_size=20).map(
    lambda facts: [Ended(str(number), at, size) for number, (at, size) in enumerate(sorted(facts))]
)


@given(ENDED, st.integers(1, 500), st.floats(1, 500))
def test_what_stays_is_young_and_small_enough_and_nothing_goes_in_vain(ended, most_bytes, age_s):
    gone = set(to_forget(ended, Retention(age_s=age_s, bytes=most_bytes), 1000.0))
    kept = [one for one in ended if one.id not in gone]
    assert all(one.finished_at > 1000.0 - age_s for one in kept)
    assert sum(one.bytes for one in kept[:-1]) <= most_bytes
    assert sum(one.bytes for one in kept) <= most_bytes or len([one for one in kept if one.bytes]) <= 1
    for one in ended:
        if one.id in gone and one.finished_at > 1000.0 - age_s:
            younger = sum(other.bytes for other in ended[int(one.id) :])
            assert younger > most_bytes


@given(ENDED)
def test_without_limits_nothing_goes(ended):
    assert to_forget(ended, Retention(age_s=None, bytes=None), 1e9) == []


def test_the_oldest_songs_make_room_with_their_keys(make_manager, folder):
    def key(seed):
        return JobOptions(idempotency_key=f"k{seed}")

    with JobQueue([make_manager()], folder) as queue:
        jobs = [done(queue, queue.submit(asked(seed=seed), key(seed))) for seed in range(3)]
    sizes = [sum(path.stat().st_size for path in (folder / "songs" / job.id).iterdir()) for job in jobs]
    with JobQueue([make_manager()], folder, retention=Retention(bytes=sum(sizes))) as queue:
        assert len(queue.jobs()) == 3
        last = done(queue, queue.submit(asked(seed=2)))
        queue.run(lambda engine, cancel: None)  # the worker has looked by then
        assert [job.id for job in queue.jobs()] == [last.id, jobs[2].id, jobs[1].id]
        assert {path.name for path in (folder / "songs").iterdir()} == {last.id, jobs[2].id, jobs[1].id}
        assert queue.submit(asked(seed=0), key(0)).id != jobs[0].id
        assert queue.submit(asked(seed=1), key(1)).id == jobs[1].id


def test_what_was_converted_counts_too(make_manager, folder):
    with JobQueue([make_manager()], folder, retention=Retention(bytes=300_000)) as queue:
        first = done(queue, queue.submit(asked(seed=1)))
        assert queue.audio_as(first.id, 0, "wav").stat().st_size > 250_000
        second = done(queue, queue.submit(asked(seed=2)))
        queue.run(lambda engine, cancel: None)
        assert [job.id for job in queue.jobs()] == [second.id]


def test_what_is_old_goes_at_opening_and_what_waits_stays(make_manager, folder):
    with JobQueue([make_manager()], folder) as queue:
        old = done(queue, queue.submit(asked()))
    gate = Gate()
    with JobQueue([make_manager(ToneRenderer(gate))], folder) as queue:
        waiting = [queue.submit(asked(duration_s=seconds)) for seconds in (2, 3)]
        gate.wait()
        with queue._open.store._change() as db:
            db.execute("UPDATE jobs SET submitted_at = 0")
            db.execute("UPDATE jobs SET finished_at = ? WHERE id = ?", (time.time() - 3600, old.id))
        queue._open.closing.set()
        gate.open()
    gate = Gate()
    with JobQueue([make_manager(ToneRenderer(gate))], folder, retention=Retention(age_s=1800)) as queue:
        gate.wait()
        deadline = time.monotonic() + 10
        while len(queue.jobs()) > 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        assert [job.id for job in queue.jobs()] == [job.id for job in reversed(waiting)]
        gate.open()


def test_it_is_looked_at_again_every_hour(make_manager, folder, monkeypatch):
    monkeypatch.setattr(board, "TIDY_EVERY_S", 0.05)
    with JobQueue([make_manager()], folder, retention=Retention(age_s=0.1)) as queue:
        done(queue, queue.submit(asked()))
        deadline = time.monotonic() + 10
        while queue.jobs() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert queue.jobs() == []


def test_what_the_archive_keeps_goes_with_the_last_job_that_needs_it(open_queue, settings):
    queue = open_queue(ToneRenderer())
    first, second = (done(queue, queue.submit(asked(seed=5))) for _ in range(2))
    archive = Archive(settings.archive)
    sha256 = first.songs[0].record.audio_sha256
    assert second.songs[0].record.audio_sha256 == sha256
    queue.delete(first.id)
    assert archive.latents_of(sha256) is not None
    edited = queue.submit(
        SongRequest(
            caption="a tone",
            model="ace-step-1.5-turbo",
            task=Repaint(source=AudioRef(path=str(queue.song_path(second.id))), start_s=0.2, end_s=0.5),
        )
    )
    over = done(queue, edited)
    queue.delete(second.id)
    assert archive.latents_of(sha256) is not None
    queue.delete(over.id)
    assert archive.latents_of(sha256) is None
    assert not [path for path in settings.archive.rglob("*") if path.is_file() and path.name != ".lock"]
