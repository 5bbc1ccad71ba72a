"""Waiting for a job on the event loop, without a thread for each who waits, and for as long as its caller is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import Receive

from partita.errors import Cancelled, DeadlineError
from partita.service.doors.openai.errors import error_of_fault
from partita.service.jobs.job import Job
from partita.service.jobs.queue import JobEvent, JobQueue

PAUSE_S = 2.0
"""How long nothing is heard of a job before it is looked at again, and a stream says that it is alive."""
SLACK_S = 5.0
"""The queue itself ends a job at its deadline; this much later it is given up here."""


async def told(queue: JobQueue, job_id: str, *, pause_s: float = PAUSE_S) -> AsyncGenerator[Job]:
    """The job, whenever it begins or ends and every `pause_s` seconds; the last time when it is over.

    Raises NotFoundError where it is deleted meanwhile.
    """
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def hear(event: JobEvent) -> None:
        if event.kind == "state" and event.job.id == job_id:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(changed.set)

    end = queue.subscribe(hear)
    try:
        while True:
            changed.clear()
            job = await run_in_threadpool(queue.job, job_id)
            yield job
            if job.is_over:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await changed.wait()
    finally:
        end()


async def finished(request: Request, queue: JobQueue, job: Job, timeout_s: float) -> Job:
    """The job once it is done; cancelled where its caller goes away or the time is up, but not where it has a key with
    which its caller can come back.

    Raises what the job failed with, Cancelled, DeadlineError.
    """
    over = asyncio.ensure_future(_last(queue, job.id))
    gone = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({over, gone}, timeout=timeout_s + SLACK_S, return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            return outcome(over.result())
        if gone.done():
            raise Cancelled("The caller went away before the song was finished.")
        raise DeadlineError(f"The song was not finished within {timeout_s:g} s.")
    finally:
        if not over.done():
            give_up(queue, job)
        over.cancel()
        gone.cancel()


def give_up(queue: JobQueue, job: Job) -> None:
    """Cancel a job for which nobody waits any more."""
    if job.options.idempotency_key is None:
        queue.cancel(job.id)


def outcome(job: Job) -> Job:
    """The job if it is done. Raises what it failed with, or Cancelled."""
    if job.state == "cancelled":
        raise Cancelled("The song was cancelled before it was finished.")
    if job.fault is not None:
        raise error_of_fault(job.fault)
    return job


async def _last(queue: JobQueue, job_id: str) -> Job:
    async with aclosing(told(queue, job_id)) as seen:
        async for job in seen:
            if job.is_over:
                return job
    raise Cancelled  # not reached: the last one is over


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
