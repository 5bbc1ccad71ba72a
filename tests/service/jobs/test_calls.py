"""What a worker does between two jobs, for callers who need its engine and no song."""

import threading

import pytest

from partita.engine.engine import Engine
from partita.errors import BusyError, Cancelled, DeadlineError, RequestError, ResourceError
from partita.service.jobs.queue import MOST_CALLS
from tests.fakes import ToneRenderer
from tests.service.jobs.conftest import SOON_S, Gate, asked, done, until


def in_thread(call):
    """Runs `call` beside the test; returns what waits for what it returned or raised."""
    found = []

    def run():
        try:
            found.append(call())
        except Exception as error:  # noqa: BLE001  (handed to the test)
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def outcome():
        thread.join(SOON_S)
        (one,) = found
        return one

    return outcome


def test_a_call_gets_the_engine_and_its_result_or_error_comes_back(open_queue):
    queue = open_queue()
    engine, thread = queue.run(lambda engine, cancel: (engine, threading.current_thread().name))
    assert isinstance(engine, Engine)
    assert thread == "partita-worker-0"

    def refuse(engine, cancel):
        raise RequestError("no", field="caption")

    with pytest.raises(RequestError, match="no"):
        queue.run(refuse)
    assert done(queue, queue.submit(asked())).state == "done"


def test_a_call_goes_before_jobs_that_wait_and_after_the_one_that_runs(open_queue):
    gate, order = Gate(), []
    queue = open_queue(ToneRenderer(gate))
    jobs = [queue.submit(asked(duration_s=seconds)) for seconds in (1, 2)]
    gate.wait()
    queue.subscribe(lambda event: event.kind == "state" and order.append((event.job.id, event.job.state)))
    outcomes = []
    for name, priority in (("low", 0), ("high", 1)):
        outcomes.append(in_thread(lambda n=name, p=priority: queue.run(lambda e, c: order.append(n), priority=p)))
        until(lambda: len(queue._open.calls) == len(outcomes))
    gate.open()
    for outcome in outcomes:
        assert outcome() is None
    done(queue, jobs[1])
    assert order[:4] == [(jobs[0].id, "done"), "high", "low", (jobs[1].id, "running")]


def test_calls_do_not_keep_jobs_out(open_queue):
    gate = Gate()
    queue = open_queue(ToneRenderer(gate))
    queue.submit(asked())
    gate.wait()
    job, order = queue.submit(asked(duration_s=2)), []
    queue.subscribe(lambda event: event.kind == "state" and order.append(event.job.state))
    outcomes = [in_thread(lambda: queue.run(lambda e, c: order.append("call"))) for _ in range(20)]
    until(lambda: len(queue._open.calls) == 20)
    gate.open()
    for outcome in outcomes:
        outcome()
    done(queue, job)
    assert order == ["done", *["call"] * 8, "running", "done", *["call"] * 12]


def test_so_many_calls_wait_and_no_more(open_queue):
    gate = Gate()
    queue = open_queue(ToneRenderer(gate))
    queue.submit(asked())
    gate.wait()
    outcomes = [in_thread(lambda: queue.run(lambda e, c: 1)) for _ in range(MOST_CALLS)]
    until(lambda: len(queue._open.calls) == MOST_CALLS)
    with pytest.raises(BusyError) as caught:
        queue.run(lambda e, c: 1)
    assert caught.value.retry_after_s >= 1
    gate.open()
    assert [outcome() for outcome in outcomes] == [1] * MOST_CALLS


def test_a_call_whose_time_is_up_while_it_waits_is_not_made(open_queue):
    gate, made = Gate(), []
    queue = open_queue(ToneRenderer(gate))
    queue.submit(asked())
    gate.wait()
    with pytest.raises(DeadlineError):
        queue.run(lambda e, c: made.append(1), timeout_s=0.01)
    assert len(queue._open.calls) == 0
    gate.open()
    queue.run(lambda e, c: made.append(2))
    assert made == [2]


def test_a_call_whose_time_is_up_while_it_runs_is_cancelled(open_queue):
    queue, told = open_queue(), threading.Event()

    def wait_for_cancel(engine, cancel):
        until(cancel.is_set)
        told.set()

    with pytest.raises(DeadlineError):
        queue.run(wait_for_cancel, timeout_s=0.05)
    assert told.wait(SOON_S)


def test_closing_ends_calls_that_wait_and_those_that_run(open_queue):
    queue, begun = open_queue(), threading.Event()

    def wait_for_cancel(engine, cancel):
        begun.set()
        until(cancel.is_set)
        raise Cancelled

    running = in_thread(lambda: queue.run(wait_for_cancel))
    assert begun.wait(SOON_S)
    waiting = in_thread(lambda: queue.run(lambda e, c: 1))
    until(lambda: len(queue._open.calls) == 1)
    queue.__exit__(None, None, None)
    assert isinstance(running(), Cancelled)
    assert isinstance(waiting(), Cancelled)
    queue.__enter__()


def test_jobs_are_kept_where_the_device_is_gone_for_good(make_manager, folder, caplog):
    from partita.service.jobs.queue import JobQueue

    manager = make_manager()
    with JobQueue([manager], folder) as queue:
        job = queue.submit(asked())
        done(queue, job)

        def die(engine, cancel):
            manager._end = "the device fell off the bus."
            queue._open.add(
                job.model_copy(update={"id": "1" * 32, "state": "queued"}), engine.resolve(asked()), None, 99
            )

        queue.run(die)
        until(lambda: "nothing more" in caplog.text)
        with pytest.raises(ResourceError, match="start the program again"):
            queue.run(lambda e, c: 1)
        with pytest.raises(ResourceError, match="fell off"):
            queue.submit(asked())
    with JobQueue([make_manager()], folder) as queue:
        assert queue.wait("1" * 32, SOON_S).state == "done"
