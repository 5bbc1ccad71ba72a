"""Jobs of like shape are made in one pass, and what is wrong with one of them is no harm to the others."""

import pytest

from partita.errors import ModelError, ResourceError
from partita.service.jobs.faults import fault_of
from partita.service.jobs.files import JobFiles
from partita.service.jobs.job import JobOptions
from partita.service.jobs.queue import JobQueue
from partita.service.jobs.worker import MOST_TOGETHER
from tests.fakes import ToneRenderer
from tests.service.jobs.conftest import Gate, asked, done, until


class Poisoned(ToneRenderer):
    """Fails in any pass that has a song of seed 13 in it."""

    def __init__(self, error: Exception, hook=lambda stage, step: None) -> None:
        super().__init__(hook)
        self.error = error

    def render(self, jobs, parts, runtime):
        for told in super().render(jobs, parts, runtime):
            if any(job.seed == 13 for job in jobs) and type(told.event).__name__ == "LatentsReady":
                raise self.error
            yield told


def held_back(open_queue, renderer_of, *, songs=(), managers=None):
    """A queue whose worker is busy until the gate opens, and jobs that wait behind."""
    gate = Gate()
    renderer = renderer_of(gate)
    queue = open_queue(renderer)
    if managers is not None:
        managers.extend(queue.managers)
    queue.submit(asked(duration_s=9))
    gate.wait()
    jobs = [queue.submit(request, options) for request, options in songs]
    gate.open()
    return queue, renderer, jobs


def sizes(renderer):
    return [len(jobs) for jobs in renderer.passes[1:]]


PLAIN = JobOptions()


def test_jobs_of_like_shape_are_one_pass(open_queue):
    songs = [(asked(seed=1), PLAIN), (asked("another", seed=2), PLAIN), (asked(seed=3, count=2), PLAIN)]
    queue, renderer, jobs = held_back(open_queue, ToneRenderer, songs=songs)
    over = [done(queue, job) for job in jobs]
    assert [job.state for job in over] == ["done"] * 3
    assert [[song.seed for song in job.songs] for job in over] == [[1], [2], [3, 4]]
    assert [job.songs[0].record.request.caption for job in over] == ["a tone", "another", "a tone"]
    assert sizes(renderer) == [4]


def test_jobs_of_another_shape_or_priority_are_passes_of_their_own(open_queue):
    songs = [
        (asked(seed=1), PLAIN),
        (asked(seed=2, duration_s=2), PLAIN),
        (asked(seed=3), JobOptions(priority=-1)),
        (asked(seed=4), PLAIN),
        (asked(seed=5, best_of=2), PLAIN),
    ]
    queue, renderer, jobs = held_back(open_queue, ToneRenderer, songs=songs)
    assert [done(queue, job).state for job in jobs] == ["done"] * 5
    seeds = [sorted(job.seed for job in jobs) for jobs in renderer.passes[1:]]
    assert seeds == [[1, 4], [2], [5, 6], [3]]


def test_a_pass_has_so_many_songs_at_most(open_queue):
    songs = [(asked(seed=seed), PLAIN) for seed in range(MOST_TOGETHER + 1)] + [(asked(seed=99, count=10), PLAIN)]
    queue, renderer, jobs = held_back(open_queue, ToneRenderer, songs=songs)
    assert [done(queue, job).state for job in jobs] == ["done"] * (MOST_TOGETHER + 2)
    assert sizes(renderer) == [8, 1, 8, 2]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ModelError("The transformer is broken."), "ModelError", "The transformer is broken."),
        (ZeroDivisionError("/home/secret"), "InternalError", "the server's log"),
    ],
)
def test_only_the_job_at_fault_fails(open_queue, caplog, error, kind, message):
    songs = [(asked(seed=12), PLAIN), (asked(seed=13), PLAIN), (asked(seed=14), PLAIN)]
    queue, _, jobs = held_back(open_queue, lambda gate: Poisoned(error, gate), songs=songs)
    over = [done(queue, job) for job in jobs]
    assert [job.state for job in over] == ["done", "failed", "done"]
    fault = over[1].fault
    assert fault.kind == kind
    assert message in fault.message
    assert "secret" not in fault.message + "".join(fault.notes)
    assert ("secret" in caplog.text) == (kind == "InternalError")


def test_running_out_of_memory_is_told_as_such():
    fault = fault_of(MemoryError())
    assert (fault.kind, "not enough memory" in fault.message) == ("ResourceError", True)


def test_a_request_error_of_the_engine_names_its_field(open_queue):
    from partita.errors import RequestError

    error = RequestError("seed 13 brings bad luck.", field="seed", value=13)
    error.add_note("Take another.")
    queue = open_queue(Poisoned(error))
    fault = done(queue, queue.submit(asked(seed=13))).fault
    assert (fault.kind, fault.field, fault.message) == ("RequestError", "seed", "seed 13 brings bad luck.")
    assert "Take another." in fault.notes


def test_songs_before_the_one_that_fails_stay(open_queue):
    queue = open_queue(Poisoned(ResourceError("Too much.")))
    job = done(queue, queue.submit(asked(seed=5, count=9)))
    assert (job.state, job.fault.message) == ("failed", "Too much.")
    assert [song.seed for song in job.songs] == list(range(5, 13))
    assert all(queue.song_path(job.id, song.index).is_file() for song in job.songs)


def test_what_waits_is_kept_where_the_device_dies_in_the_middle_of_a_pass(open_queue, make_manager, folder):
    managers = []

    class Dying(ToneRenderer):
        def render(self, jobs, parts, runtime):
            if len(jobs) > 1:
                managers[0]._end = "the device fell off the bus."
                raise ResourceError("The device fell off the bus.")
            yield from super().render(jobs, parts, runtime)

    songs = [(asked(seed=seed), PLAIN) for seed in range(3)]
    queue, _, jobs = held_back(open_queue, Dying, songs=songs, managers=managers)
    until(lambda: queue._open._serving == 0)
    assert [queue.job(job.id).state for job in jobs] == ["queued"] * 3
    queue.__exit__(None, None, None)
    with JobQueue([make_manager()], folder) as after:
        assert [done(after, job).state for job in jobs] == ["done"] * 3
    queue.__enter__()


def test_one_that_is_cancelled_leaves_the_others_of_its_pass(open_queue):
    first, gate = Gate(), Gate()
    renderer = ToneRenderer(lambda stage, step: (first if len(renderer.passes) == 1 else gate)(stage, step))
    queue = open_queue(renderer)
    queue.submit(asked(duration_s=9))
    first.wait()
    jobs = [queue.submit(asked(seed=seed)) for seed in range(3)]
    first.open()
    gate.wait()
    assert queue.counts()["running"] == 3
    queue.cancel(jobs[1].id)
    gate.open()
    over = [done(queue, job) for job in jobs]
    assert [job.state for job in over] == ["done", "cancelled", "done"]
    assert [job.attempts for job in over] == [1, 1, 1]


def test_a_song_that_cannot_be_saved_is_kept_elsewhere_and_its_job_says_where(open_queue, settings, monkeypatch):
    keep = JobFiles.keep

    def refuse_seed_13(self, job_id, index, song, settings):
        if song.record.seed == 13:
            (self.folder / job_id).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / job_id).write_text("in the way of the folder")
        return keep(self, job_id, index, song, settings)

    monkeypatch.setattr(JobFiles, "keep", refuse_seed_13)
    songs = [(asked(seed=13), PLAIN), (asked(seed=14), PLAIN)]
    queue, _, jobs = held_back(open_queue, ToneRenderer, songs=songs)
    failed, other = (done(queue, job) for job in jobs)
    assert (failed.state, failed.fault.kind, other.state) == ("failed", "SaveError", "done")
    (kept,) = settings.kept.glob("*.flac")
    assert str(kept) in " ".join(failed.fault.notes)
