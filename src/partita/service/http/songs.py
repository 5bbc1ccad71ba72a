"""Routes of songs: ask for them, look how they are doing, fetch them, cancel them, forget them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query, Request
from pydantic_core import from_json, to_json
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from partita.errors import ConflictError, NotFoundError, RequestError
from partita.service.http.common import (
    JSON_BYTES,
    Base,
    JobIdOf,
    LanesOf,
    ServiceOf,
    keep_part,
    media_type,
    parse_json,
    read_form,
    read_json,
)
from partita.service.http.events import of_job, stream
from partita.service.http.files import AUDIO_TYPES, send_file
from partita.service.http.problems import leads_to, responses
from partita.service.http.schemas import SONG_EXAMPLES, JobsPage, JobView, job_view
from partita.service.jobs.job import Job, JobOptions, JobSong, JobState
from partita.service.service import Service
from partita.song.record import Record
from partita.song.request import AudioFormat, SongRequest

router = APIRouter(prefix="/v1/songs", tags=["songs"])

SongIndex = Annotated[int, Query(ge=0, le=63, description="Which song of the job, from 0.")]
_REQUEST_SCHEMA = {"$ref": "#/components/schemas/SongRequest"}
_ONE_FILE = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _REQUEST_SCHEMA, "examples": SONG_EXAMPLES},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["request"],
                    "additionalProperties": False,
                    "properties": {
                        "request": _REQUEST_SCHEMA,
                        "source": _ONE_FILE
                        | {"description": "What the task works from; its `source` is then left out of the request."},
                        "reference": {
                            "type": "array",
                            "maxItems": 8,
                            "items": _ONE_FILE,
                            "description": "Audio whose timbre the song should have.",
                        },
                    },
                },
                "encoding": {"request": {"contentType": "application/json"}},
            },
        },
    }
}
_AUDIO = {
    "description": "The audio, or the part of it that was asked for.",
    "content": {kind: {"schema": _ONE_FILE} for kind in AUDIO_TYPES},
}
_PART = {
    "description": "The ranges that were asked for.",
    "content": {**_AUDIO["content"], "multipart/byteranges": {"schema": _ONE_FILE}},
}
_ANY_FILE = {"*/*": {"schema": _ONE_FILE}}
_ACCEPTED = {
    "headers": {"Location": {"description": "The job.", "schema": {"type": "string"}}},
    "description": "The job is kept, and will be done.",
    "links": leads_to("id", "songs_one", "songs_audio", "songs_record", "songs_events", "songs_cancel", "songs_delete"),
}


@router.post(
    "",
    status_code=202,
    summary="Ask for songs",
    responses={202: _ACCEPTED, **responses(400, 404, 409, 424)},
    openapi_extra=_BODY,
)
async def submit(
    request: Request,
    response: Response,
    service: ServiceOf,
    base: Base,
    priority: Annotated[int, Query(ge=-100, le=100, description="Higher is served first.")] = 0,
    deadline_s: Annotated[
        float | None, Query(gt=0, description="Give up if the songs are not finished so many seconds from now.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=255, description="The same key again is the same job, not another."),
    ] = None,
) -> JobView:
    """Take in a request and answer at once; the songs are made one job after another.

    Audio to work from is uploaded before and named by its id, or sent along as `multipart/form-data`: the request in
    the part `request`, files in `source` and `reference`. A request names no paths and no addresses.
    """
    options = JobOptions(priority=priority, deadline_s=deadline_s, idempotency_key=idempotency_key)
    if media_type(request) == "multipart/form-data":
        job = await _submit_form(request, service, options)
    else:
        asked = parse_json(SongRequest, await read_json(request))
        job = await run_in_threadpool(service.submit, asked, options)
    view = job_view(job, base)
    response.headers["Location"] = view.links.job
    return view


@router.get("", summary="List jobs", responses=responses(404))
def listed(
    service: ServiceOf,
    base: Base,
    state: Annotated[JobState | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many.")] = 50,
    before: Annotated[
        str | None, Query(pattern="^[0-9a-f]{32}$", description="Id of the last job of the page before this.")
    ] = None,
) -> JobsPage:
    """Jobs, the latest first."""
    jobs = service.queue.jobs(state=state, limit=limit, before=before)
    further = None
    if len(jobs) == limit:
        query = {"limit": limit, "before": jobs[-1].id} | ({"state": state} if state else {})
        further = f"{base}/v1/songs?{urlencode(query)}"
    return JobsPage(jobs=tuple(job_view(job, base) for job in jobs), next=further)


@router.get("/{id}", summary="How a job is doing", responses=responses(404))
def one(service: ServiceOf, base: Base, job_id: JobIdOf) -> JobView:
    """State, place in the queue, progress, and the songs that are finished."""
    return job_view(service.queue.job(job_id), base)


@router.delete("/{id}", status_code=204, summary="Forget a job and its songs", responses=responses(404))
def delete(service: ServiceOf, job_id: JobIdOf) -> None:
    """Delete the job and all its files. One that waits or runs is cancelled first."""
    service.queue.delete(job_id)


@router.post("/{id}/cancel", summary="Stop a job", responses=responses(404))
def cancel(service: ServiceOf, base: Base, job_id: JobIdOf) -> JobView:
    """Stop it within a step, or take it off the queue. A song that is finished stays; of a job that is over nothing
    changes."""
    return job_view(service.queue.cancel(job_id), base)


@router.head("/{id}/audio", include_in_schema=False)
@router.get(
    "/{id}/audio",
    summary="The sound of a song",
    response_class=Response,
    responses={200: _AUDIO, 206: _PART, 304: {"description": "As it was."}, **responses(404, 409, 416)},
)
async def audio(
    request: Request,
    service: ServiceOf,
    lanes: LanesOf,
    job_id: JobIdOf,
    format: Annotated[AudioFormat | None, Query(description="Default: the one the request asked for.")] = None,
    index: SongIndex = 0,
) -> Response:
    """The song in any format, whole or in ranges. 409 as long as it is not finished."""
    _finished(await run_in_threadpool(service.queue.job, job_id), index)
    if format is None:
        path = await run_in_threadpool(service.queue.song_path, job_id, index)
    else:
        path = await lanes.audio.call(lambda: service.queue.audio_as(job_id, index, format))
    return send_file(path, f"partita-{job_id[:8]}-{index}{path.suffix}", request)


@router.head("/{id}/files/{name:path}", include_in_schema=False)
@router.get(
    "/{id}/files/{name:path}",
    summary="A file beside a song",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": _ANY_FILE},
        206: {"description": "A part of it.", "content": _ANY_FILE},
        304: {"description": "As it was."},
        **responses(404, 416),
    },
)
def file(request: Request, service: ServiceOf, job_id: JobIdOf, name: str) -> Response:
    """MIDI, stems, latents, subtitles, the record: whatever the job's `links.files` name."""
    job = service.queue.job(job_id)
    song = next((song for song in job.songs if name in song.files), None)
    if song is None:
        here = ", ".join(one for song in job.songs for one in song.files) or "none yet"
        raise NotFoundError(f"Job {job_id} has no file {name[:80]!r}; it has: {here}.", field="name", value=name)
    path = service.queue.song_path(job_id, song.index, name)
    return send_file(path, f"partita-{job_id[:8]}-{path.name}", request)


@router.get("/{id}/record", summary="How a song was made", responses=responses(404, 409))
def record(service: ServiceOf, job_id: JobIdOf, index: SongIndex = 0) -> Record:
    """The resolved request, the plan, seeds, versions and weights: enough to make the song again."""
    return _finished(service.queue.job(job_id), index).record


@router.get(
    "/{id}/events",
    summary="Follow a job",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events: `state` (the job), `progress` and `song`. The first says how the job "
            "is; the stream ends when it is over.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **responses(404),
    },
)
async def events(service: ServiceOf, base: Base, job_id: JobIdOf) -> Response:
    """Every change of the job as it happens."""
    await run_in_threadpool(service.queue.job, job_id)  # an unknown one is told before the stream begins
    return stream(of_job(service.queue, job_id, base))


async def _submit_form(request: Request, service: Service, options: JobOptions) -> Job:
    """A request with files beside it, which become uploads."""
    async with AsyncExitStack() as stack:
        form = await read_form(request, service.config.limits.upload_bytes)
        stack.push_async_callback(form.close)
        text, files = await _parts(form)
        kept: dict[str, list[dict[str, str]]] = {"source": [], "reference": []}
        for name, sent in files:
            upload = await run_in_threadpool(keep_part, service, sent)
            kept[name].append({"upload": upload.id})
        asked = parse_json(SongRequest, _with_uploads(text, kept["source"], kept["reference"]))
        return await run_in_threadpool(service.submit, asked, options)


async def _parts(form: FormData) -> tuple[bytes | str, list[tuple[Literal["source", "reference"], UploadFile]]]:
    """The request's text and the files. Raises RequestError for other parts, or a wrong number of them."""
    text: bytes | str | None = None
    files: list[tuple[Any, UploadFile]] = []
    for name, part in form.multi_items():
        if name == "request" and text is None:
            text = part if isinstance(part, str) else await part.read(JSON_BYTES)
        elif name in ("source", "reference") and isinstance(part, UploadFile):
            files.append((name, part))
        else:
            raise RequestError(
                f"The part {name[:60]!r} is none of request (once, JSON), source and reference (files).",
                field=name[:60],
            )
    if text is None:
        raise RequestError("The part `request` is missing: it holds the request as JSON.", field="request")
    if sum(name == "source" for name, _ in files) > 1:
        raise RequestError("There are several parts `source`, and a task works from one.", field="source")
    return text, files


def _with_uploads(text: bytes | str, source: list[dict[str, str]], references: list[dict[str, str]]) -> bytes:
    """The request's text with the files named in it. Raises RequestError where it names others already, or its task
    works from none."""
    try:
        told = from_json(text)
    except ValueError as error:
        raise HTTPException(400, f"The part `request` cannot be read as JSON: {error}.") from None
    if not isinstance(told, dict):
        return to_json(told)
    if source:
        task = told.get("task")
        if not isinstance(task, dict) or "source" in task:
            why = (
                "the request names one already" if isinstance(task, dict) else "the request has no task that needs one"
            )
            raise RequestError(f"A file `source` was sent, and {why}: leave out one of them.", field="task.source")
        told["task"] = task | {"source": source[0]}
    if references:
        before = told.get("references", [])
        told["references"] = [*before, *references] if isinstance(before, list) else before
    return to_json(told)


def _finished(job: Job, index: int) -> JobSong:
    """Raises ConflictError where the song is not finished, NotFoundError where it never will be."""
    for song in job.songs:
        if song.index == index:
            return song
    if not job.is_over:
        raise ConflictError(
            f"Song {index} of job {job.id} is not finished: the job is {job.state}. Follow it at "
            f"/v1/songs/{job.id}/events, or ask again.",
            field="id",
        )
    why = f": {job.fault.message}" if job.fault is not None else ""
    raise NotFoundError(
        f"Job {job.id} has no song {index}; it is {job.state} and made {len(job.songs)}{why}",
        field="index",
        value=index,
    )
