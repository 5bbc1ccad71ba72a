"""`POST /v1/chat/completions`: a song from the last message of a conversation, streamed or not.

The song is a job like any other; what waits for it here goes away with its caller, and then the job is cancelled.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from partita.errors import PartitaError
from partita.service.doors.openai import answers
from partita.service.doors.openai.errors import INSIDE, OpenAiRoute, error_body, responses, told_status
from partita.service.doors.openai.fields import ChatBody
from partita.service.doors.openai.kitchen import TIMEOUT_S, EventStream, Key, Kitchen, headers_of
from partita.service.doors.openai.messages import last_said
from partita.service.doors.openai.table import CHAT_NAMES, notes_on
from partita.service.doors.openai.waiting import PAUSE_S, finished, give_up, outcome, told
from partita.service.doors.openai.wanted import Format
from partita.service.jobs.job import Job
from partita.service.service import Service

_log = logging.getLogger(__name__)


def chat_router(service: Service, *, timeout_s: float = TIMEOUT_S) -> APIRouter:
    """The route of chat completions. A song that is not streamed is given up after `timeout_s` seconds (504)."""
    router, kitchen = APIRouter(route_class=OpenAiRoute, tags=["chat"]), Kitchen(service, timeout_s)

    @router.post(
        "/v1/chat/completions",
        response_class=JSONResponse,
        summary="A song from the last message of a conversation",
        responses=responses(400, 404, 409, 410, 503, 504, 507)
        | {200: {"description": "The song, whole or as events.", "content": {"text/event-stream": {}}}},
    )
    async def complete(request: Request, body: ChatBody, key: Key = None) -> Response:
        said = last_said(body.messages)
        notes = notes_on(body)
        if said.others:
            notes += (f"Parts of the kind {', '.join(said.others[:5])} were sent and are not applied.",)
        job, form = await kitchen.submit(body, said, notes, CHAT_NAMES, key)
        if body.stream:
            return EventStream(
                _stream(kitchen, body, job, form),
                ended=lambda: give_up(service.queue, job),
                headers=headers_of(job) | {"Cache-Control": "no-cache"},
            )
        job = await finished(request, service.queue, job, timeout_s)
        data = await kitchen.audio(job, form)
        answer = answers.completion(job, _model(body, job), _audio(kitchen, body, job, form, data))
        return Response(json.dumps(answer), media_type="application/json", headers=headers_of(job))

    return router


def _model(body: ChatBody, job: Job) -> str:
    return body.model or job.request.model or ""


def _expires_at(kitchen: Kitchen, job: Job) -> int:
    return answers.expires_at(job, kitchen.service.config.retention.age_s)


def _audio(kitchen: Kitchen, body: ChatBody, job: Job, form: Format, data: bytes) -> Any:
    """Audio in the shape that was asked for: OpenAI's where `audio` was given, else OpenRouter's."""
    if body.audio is not None:
        return answers.audio_object(data, job, _expires_at(kitchen, job))
    return answers.audio_list(data, form)


async def _stream(kitchen: Kitchen, body: ChatBody, job: Job, form: Format) -> AsyncGenerator[bytes]:
    """The events of a streamed answer."""
    model = _model(body, job)
    yield _event(answers.chunk(job, model, {"role": "assistant", "content": ""}))
    try:
        async with aclosing(told(kitchen.service.queue, job.id, pause_s=PAUSE_S)) as seen:
            async for latest in seen:
                job = latest
                if not job.is_over:
                    yield _comment(job)
        data = await kitchen.audio(outcome(job), form)
    except PartitaError as error:
        yield _failed(job, model, told_status(error), str(error), getattr(error, "field", None))
    except Exception:  # noqa: BLE001  (the answer has begun: it says so, and the log what it was)
        _log.exception("the stream of job %s failed", job.id)
        yield _failed(job, model, 500, INSIDE, None)
    else:
        for piece in _pieces(kitchen, body, job, form, data):
            yield _event(piece)
    yield b"data: [DONE]\n\n"


def _pieces(kitchen: Kitchen, body: ChatBody, job: Job, form: Format, data: bytes) -> Iterator[dict[str, Any]]:
    model = _model(body, job)
    yield answers.chunk(job, model, {"content": f"\n\n{answers.text_of(job)}"})
    if body.audio is not None:
        for audio in answers.audio_pieces(data, job, _expires_at(kitchen, job)):
            yield answers.chunk(job, model, {"audio": audio})
    else:
        yield answers.chunk(job, model, {"audio": answers.audio_list(data, form)})
    if codes := answers.codes_of(job):
        yield answers.chunk(job, model, {"content": f"[audio_codes]{codes}[/audio_codes]"})
    yield answers.chunk(job, model, {}, "stop", partita=answers.about(job))
    if body.stream_options is not None and body.stream_options.include_usage:
        yield answers.chunk(job, model, None, usage=answers.USAGE)


def _failed(job: Job, model: str, status: int, message: str, field: str | None) -> bytes:
    error = error_body(status, message, param=field)["error"]
    return _event(answers.chunk(job, model, {"content": f"\n\nError: {message}"}, "error", error=error))


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _comment(job: Job) -> bytes:
    """A sign of life that readers of the stream do not see."""
    at = job.progress
    where = f" {at.stage} {round(100 * at.share)} %" if at is not None else ""
    where = where if job.position is None else f" position {job.position}"
    return f": {job.state}{where}\n\n".encode()
