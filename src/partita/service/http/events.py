"""Changes of jobs as server-sent events, handed from the threads of the workers to the loop of the app.

A listener that is slow misses steps of progress and nothing else; one that is gone leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from sse_starlette import EventSourceResponse, ServerSentEvent

from partita.errors import NotFoundError
from partita.service.http.schemas import ProgressTold, SongTold, job_view, song_view
from partita.service.jobs.job import Job
from partita.service.jobs.queue import JobEvent, JobQueue

PING_S = 15.0
MOST_WAITING = 1000
"""Events that wait for one caller. Whoever lets more pile up is cut off, and may connect again."""


class _Line:
    """Events on their way from any thread to one loop."""

    def __init__(self, wanted: Callable[[JobEvent], bool]) -> None:
        self._wanted = wanted
        self._loop = asyncio.get_running_loop()
        self._line: deque[JobEvent] = deque()
        self._some = asyncio.Event()
        self.overrun = False

    def hear(self, event: JobEvent) -> None:
        """The queue's listener, on the thread of a worker."""
        if self._wanted(event):
            with suppress(RuntimeError):  # the loop has ended, and its caller with it
                self._loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: JobEvent) -> None:
        last = self._line[-1] if self._line else None
        if last is not None and last.kind == event.kind == "progress" and last.job.id == event.job.id:
            self._line.pop()
        self._line.append(event)
        self.overrun = self.overrun or len(self._line) > MOST_WAITING
        self._some.set()

    async def next(self) -> JobEvent:
        while not self._line:
            self._some.clear()
            await self._some.wait()
        return self._line.popleft()


async def of_job(queue: JobQueue, job_id: str, base: str) -> AsyncIterator[ServerSentEvent]:
    """How a job is at once, then every change, and the end when it is over."""
    line = _Line(lambda event: event.job.id == job_id)
    end = queue.subscribe(line.hear)
    try:
        job = await asyncio.to_thread(queue.job, job_id)
        yield _event("state", job, base, 0)
        number = 0
        while not job.is_over and not line.overrun:
            event = await line.next()
            job, number = event.job, number + 1
            yield _event(event.kind, job, base, number)
    except NotFoundError:
        return  # deleted between the answer's head and its first event
    finally:
        end()


async def of_all(queue: JobQueue, base: str) -> AsyncIterator[ServerSentEvent]:
    """Every change of every job from here on, without an end."""
    line = _Line(lambda event: True)
    end = queue.subscribe(line.hear)
    number = 0
    try:
        while not line.overrun:
            event = await line.next()
            number += 1
            yield _event(event.kind, event.job, base, number)
    finally:
        end()


def stream(events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
    """The answer, with a comment now and then so that nothing in between takes the silence for an end."""
    return EventSourceResponse(events, ping=PING_S, headers={"Cache-Control": "no-store"})


def _event(kind: str, job: Job, base: str, number: int) -> ServerSentEvent:
    return ServerSentEvent(event=kind, id=f"{job.id}-{number}", data=_data(kind, job, base))


def _data(kind: str, job: Job, base: str) -> str:
    """`state`: the job as `GET /v1/songs/ID` tells it. `song`: its id and its latest song. `progress`: its id and how
    far it is."""
    if kind == "song" and job.songs:
        return SongTold(id=job.id, song=song_view(job.songs[-1], f"{base}/v1/songs/{job.id}")).model_dump_json()
    if kind == "progress":
        return ProgressTold(id=job.id, progress=job.progress).model_dump_json()
    return job_view(job, base).model_dump_json()
