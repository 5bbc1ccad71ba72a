"""Submitting, asking after, and fetching songs: `/release_task`, `/query_result`, `/v1/audio`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from partita.errors import AccessError, AudioError, ModelError, NotFoundError, RequestError
from partita.service.doors.acestep.body import read_body, read_plain
from partita.service.doors.acestep.door import Door, answer, check_body_token, check_header, door_of, refusal
from partita.service.doors.acestep.fields import FIELDS, REFERENCE_FILES, SOURCE_FILES, Given, read_fields
from partita.service.doors.acestep.files import AUDIO_PATH, MEDIA_TYPES, find_audio
from partita.service.doors.acestep.request import want
from partita.service.doors.acestep.results import entry_of
from partita.service.doors.acestep.sources import Sources
from partita.service.doors.acestep.submit import submit, task_name
from partita.service.doors.acestep.wanted import Wanted

MOST_TASKS = 1000
"""Tasks that are asked after at once."""

_KINDS = {"text": "string", "whole": "integer", "number": "number", "flag": "boolean", "list": "array"}
_PROPERTIES: dict[str, Any] = {
    field.name: {key: value for key, value in (("type", _KINDS.get(field.kind)), ("default", field.usual)) if value}
    | ({"items": {"type": "string"}} if field.kind == "list" else {})
    for field in FIELDS
}
_FILES = {name: {"type": "string", "format": "binary"} for name in (*SOURCE_FILES, *REFERENCE_FILES)}
_CONTENT = {
    "application/json": {"schema": {"type": "object", "properties": _PROPERTIES}},
    "application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": _PROPERTIES}},
    "multipart/form-data": {"schema": {"type": "object", "properties": _PROPERTIES | _FILES}},
}

router = APIRouter(tags=["tasks"])
_log = logging.getLogger(__name__)


@router.post("/release_task", openapi_extra={"requestBody": {"content": _CONTENT, "required": True}})
async def release_task(request: Request) -> Response:
    """Take in a task. Fields as JSON, a form, or a form with files; see docs/doors/acestep.md."""
    check_header(request)
    body = await read_body(request)
    try:
        check_body_token(request, body.values)
        given = read_fields(body.values)
        return await run_in_threadpool(_release, door_of(request), given, body.files)
    finally:
        for file in body.files.values():
            await file.close()


def _release(door: Door, given: Given, files: Mapping[str, UploadFile]) -> Response:
    service = door.service
    entered = {"prompt": given.get("prompt") or given.get("global_caption"), "lyrics": given.get("lyrics")}
    sources = Sources(service, given, files)
    wanted = Wanted(**entered, notes=given.notes)
    try:
        try:
            wanted = want(given, sources, door.models, service.config.limits, door.loras.choices())
        except AudioError as error:  # what was sent is no audio, and nothing else is wrong with the task
            raise HTTPException(400, str(error)) from None
        if wanted.kind != "song":
            return _taken(door.errands.add(wanted).id, door.errands.counts()["waiting"], wanted.notes)
        jobs = submit(service, wanted)
    except (RequestError, ModelError, AudioError) as error:
        if isinstance(error, RequestError) and type(error) is not RequestError:
            raise  # it is about this server: too large, or something that is not here
        refused = door.errands.refuse(wanted, str(error))
        _log.info("Task %s cannot be done: %s", refused.id, error)
        return _taken(refused.id, 1, wanted.notes)
    position = jobs[0].position
    return _taken(task_name(jobs), 1 if position is None else position + 1, jobs[0].options.notes)


def _taken(task_id: str, position: int, notes: tuple[str, ...]) -> Response:
    told = {"task_id": task_id, "status": "queued", "queue_position": max(1, position), "notes": list(notes)}
    return answer(told)


@router.post("/query_result")
async def query_result(request: Request) -> Response:
    """How tasks are doing, in the order in which they are asked after."""
    values = await read_plain(request)
    check_body_token(request, values)
    asked = _task_ids(values.get("task_id_list"))
    if len(asked) > MOST_TASKS:
        raise HTTPException(400, f"{len(asked)} tasks were asked after, and {MOST_TASKS} are told at once")
    door = door_of(request)
    return await run_in_threadpool(lambda: answer([entry_of(door.service, door.errands, task_id) for task_id in asked]))


def _task_ids(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    return value if isinstance(value, list) else []


@router.head(AUDIO_PATH, include_in_schema=False)
@router.get(AUDIO_PATH)
def audio(request: Request, path: str) -> Response:
    """The audio of a finished song, whole or a range of it."""
    try:
        found = find_audio(door_of(request).service, path)
    except AccessError as error:
        return refusal(403, str(error))
    except NotFoundError as error:
        return refusal(404, str(error))
    name = path if "/" not in path and "?" not in path else found.name
    media_type = MEDIA_TYPES.get(found.suffix, "application/octet-stream")
    return FileResponse(found, media_type=media_type, filename=name, content_disposition_type="inline")
