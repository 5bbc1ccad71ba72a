"""What the routes of this door have in common: wishes become jobs, finished songs become bytes, streams have an end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Header
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from partita.errors import NotFoundError, PartitaError, RequestError
from partita.service.doors.choice import submit_fitted
from partita.service.doors.openai import answers
from partita.service.doors.openai.fields import ChatBody
from partita.service.doors.openai.messages import Said
from partita.service.doors.openai.wanted import Format, wanted
from partita.service.jobs.job import Job, JobOptions
from partita.service.service import Service
from partita.service.uploads import Upload

TIMEOUT_S = 600.0
DOOR = "openai"
_WRITERS = 4
"""How many may have a language model write for them at once: each holds a thread for as long."""
_NO_KEY = "Idempotency-Key was sent and is not applied: audio that is sent again cannot be known to be the same."

Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255, description="The same key, the same job.")]


class EventStream(StreamingResponse):
    """An event stream. `ended` is called once, when all of it is sent or its reader went away; it may raise errors of
    ours, for which nobody is left."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], *, ended: Callable[[], None], headers: Mapping[str, str]) -> None:
        super().__init__(events, headers=headers)
        self._events, self._ended = events, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._events):
                await super().__call__(scope, receive, send)
        finally:
            with suppress(PartitaError):  # it was deleted, or the queue is closed
                self._ended()


class Kitchen:
    """Submits what bodies ask for. A song is given up after `timeout_s` seconds, but not one that is streamed."""

    def __init__(self, service: Service, timeout_s: float = TIMEOUT_S) -> None:
        self.service, self.timeout_s = service, timeout_s
        self._writers: CapacityLimiter | None = None

    async def submit(
        self, body: ChatBody, said: Said, notes: tuple[str, ...], names: Mapping[str, str], key: str | None
    ) -> tuple[Job, Format]:
        """The job of a body, and the format of its answer. `names` are the protocol's names of our fields."""
        limiter = None
        if body.sample_mode or body.use_format:
            if self._writers is None:  # it belongs to the event loop, which there was none of before
                self._writers = CapacityLimiter(_WRITERS)
            limiter = self._writers
        return await to_thread.run_sync(self._submit, body, said, notes, names, key, limiter=limiter)

    def _submit(
        self, body: ChatBody, said: Said, notes: tuple[str, ...], names: Mapping[str, str], key: str | None
    ) -> tuple[Job, Format]:
        service = self.service
        uploads: list[Upload] = []
        try:
            for clip in said.clips:
                uploads.append(service.uploads.take([clip.data], f"audio.{clip.suffix}"))
            asked = wanted(body, said.text, uploads, service, timeout_s=self.timeout_s)
            options = JobOptions(
                door=DOOR,
                notes=(*notes, *asked.notes, *([_NO_KEY] if key and uploads else [])),
                idempotency_key=None if uploads else key or None,
                deadline_s=None if body.stream else self.timeout_s,
            )
            return submit_fitted(service, asked.fields, options, names), asked.format
        except RequestError as error:
            error.field = names.get(error.field or "", error.field)
            raise
        finally:
            # Sources are kept by their content once a job is submitted: the files are needed no longer.
            for upload in uploads:
                with suppress(NotFoundError):  # retention was quicker
                    service.uploads.delete(upload.id)

    async def audio(self, job: Job, form: Format) -> bytes:
        """The finished song of a job as it goes over the wire."""
        path = await run_in_threadpool(self.service.queue.song_path, job.id)
        return await run_in_threadpool(answers.audio_bytes, path, form)


def headers_of(job: Job) -> dict[str, str]:
    """Which song it is, and what is to be told of it, for clients that hold the answer in no object of ours."""
    return {"X-Partita-Song": job.id, "X-Partita-Notes": answers.notes_header(answers.notes_of(job))}
