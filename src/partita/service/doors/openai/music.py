"""`POST /v1/audio/music`, and `/v1/audio/speech` where clients look for it: a song as the bytes of a sound file.

The song is whole before the first byte is sent, so that whatever goes wrong has its status.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from partita.service.doors.openai import answers
from partita.service.doors.openai.errors import OpenAiRoute, responses
from partita.service.doors.openai.fields import MusicBody
from partita.service.doors.openai.kitchen import TIMEOUT_S, Key, Kitchen, headers_of
from partita.service.doors.openai.messages import Said, words_of
from partita.service.doors.openai.table import MUSIC_NAMES, notes_on
from partita.service.doors.openai.waiting import finished
from partita.service.doors.openai.wanted import FORMATS
from partita.service.service import Service

_SOUND = {"schema": {"type": "string", "format": "binary"}}


def music_router(service: Service, *, timeout_s: float = TIMEOUT_S) -> APIRouter:
    """The routes that answer with sound. A song is given up after `timeout_s` seconds (504)."""
    router, kitchen = APIRouter(route_class=OpenAiRoute, tags=["audio"]), Kitchen(service, timeout_s)
    kinds = {form.media_type: _SOUND for form in FORMATS.values()} | {"text/event-stream": {}}
    told = responses(400, 404, 409, 410, 503, 504, 507) | {
        200: {"description": "The song.", "content": kinds},
    }

    @router.post("/v1/audio/speech", response_class=Response, summary="The same, where clients look", responses=told)
    @router.post("/v1/audio/music", response_class=Response, summary="A song from words, as sound", responses=told)
    async def make(request: Request, body: MusicBody, key: Key = None) -> Response:
        job, form = await kitchen.submit(body.as_chat(), _said(body), notes_on(body), MUSIC_NAMES, key)
        job = await finished(request, service.queue, job, timeout_s)
        headers = headers_of(job)
        if body.stream_format == "sse":
            return StreamingResponse(
                _events(await kitchen.audio(job, form)), media_type="text/event-stream", headers=headers
            )
        if form.is_pcm:
            return Response(await kitchen.audio(job, form), media_type=form.media_type, headers=headers)
        path = service.queue.song_path(job.id)
        return FileResponse(path, media_type=form.media_type, headers=headers)

    return router


def _said(body: MusicBody) -> Said:
    """The input with the instructions in its caption."""
    words = words_of(body.input)
    caption = ", ".join(part for part in (words.caption, (body.instructions or "").strip()) if part)
    return Said(f"<prompt>{caption}</prompt><lyrics>{words.lyrics}</lyrics>" if body.instructions else body.input)


def _events(data: bytes) -> Iterator[bytes]:
    """Sound as OpenAI streams it in events."""
    for start in range(0, len(data), answers.PIECE_BYTES):
        piece = base64.b64encode(data[start : start + answers.PIECE_BYTES]).decode()
        yield _event({"type": "speech.audio.delta", "audio": piece})
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(value: dict[str, object]) -> bytes:
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()
