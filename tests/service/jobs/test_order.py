"""Who is served first, and what position says: priority before arrival, whatever comes and goes."""

import time
from functools import cache

from hypothesis import given, settings as hypothesis_settings, strategies as st

from partita.service.jobs.job import Job, JobOptions
from partita.service.jobs.store import JobStore
from partita.settings import Settings
from partita.song.resolve import ResolvedRequest
from tests.fakes import ToneRenderer
from tests.service.jobs.conftest import Gate, asked, done

PRIORITIES = st.integers(-100, 100)


@cache
def resolved() -> ResolvedRequest:
    from partita.engine.intake import resolve_request

    return resolve_request(asked(), Settings())


def put(store: JobStore, number: int, priority: int) -> str:
    options = JobOptions(priority=priority)
    job = Job(id=f"{number:032x}", state="queued", request=asked(), options=options, submitted_at=time.time())
    kept = store.add(job, resolved(), deadline_at=None)
    assert kept is not None
    return kept.id


@hypothesis_settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(PRIORITIES, st.sampled_from(["take", "cancel", "forget"])), max_size=25))
def test_positions_are_the_order_in_which_jobs_are_taken(steps):
    store = JobStore(None)
    waiting: list[tuple[int, int]] = []
    for number, step in enumerate(steps):
        if isinstance(step, int):
            put(store, number, step)
            waiting.append((-step, number))
        elif waiting:
            waiting.sort()
            _, next_number = waiting.pop(0 if step == "take" else len(waiting) // 2)
            next_id = f"{next_number:032x}"
            if step == "take":
                assert [one.job.id for one in store.next_waiting(1)] == [next_id]
                store.begin([next_id], time.time())
            elif step == "cancel":
                assert store.end(next_id, "cancelled", time.time())
            else:
                assert store.forget(next_id)
        order = [f"{number:032x}" for _, number in sorted(waiting)]
        assert [one.job.id for one in store.next_waiting(100)] == order
        assert [store.job(job_id).position for job_id in order] == list(range(len(order)))
    store.close()


@hypothesis_settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-2, 2), min_size=1, max_size=10), st.integers(1, 4))
def test_what_was_running_when_the_process_died_has_its_old_place(priorities, running):
    store = JobStore(None)
    for number, priority in enumerate(priorities):
        put(store, number, priority)
    before = [one.job.id for one in store.next_waiting(100)]
    store.begin(before[:running], time.time())
    assert sorted(store.take_up(time.time(), patience=3)) == sorted(before[:running])
    assert [one.job.id for one in store.next_waiting(100)] == before
    store.close()


def test_a_job_that_was_interrupted_often_goes_behind_all_others():
    store = JobStore(None)
    first, second = put(store, 0, 100), put(store, 1, -100)
    for patience_left in (2, 1, 0):
        assert store.next_waiting(1)[0].job.id == first
        store.begin([first], time.time())
        store.take_up(time.time(), patience=3)
        assert (store.job(first).position == 1) == (patience_left == 0)
    assert store.next_waiting(1)[0].job.id == second
    assert store.job(first).options.priority == 100
    store.close()


def test_jobs_run_by_priority_and_then_in_their_order(open_queue):
    gate, ran = Gate(), []
    queue = open_queue(ToneRenderer(gate))
    queue.submit(asked(duration_s=1))
    gate.wait()
    priorities = (0, 5, -5, 5, 0)
    jobs = [
        queue.submit(asked(duration_s=1 + number / 10), JobOptions(priority=priority))
        for number, priority in enumerate(priorities)
    ]
    assert [queue.job(job.id).position for job in jobs] == [2, 0, 4, 1, 3]
    queue.subscribe(lambda event: (event.kind, event.job.state) == ("state", "running") and ran.append(event.job.id))
    gate.open()
    for job in jobs:
        done(queue, job)
    assert ran == [jobs[index].id for index in (1, 3, 0, 4, 2)]
