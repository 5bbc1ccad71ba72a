"""Routes of uploads: audio that songs are to be made from, sent as a file, as a form, or fetched from an address."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from partita.errors import AccessError, RequestError
from partita.service.fetch import fetch
from partita.service.http.common import (
    Base,
    ServiceOf,
    keep_body,
    keep_part,
    media_type,
    parse_json,
    read_form,
    read_json,
)
from partita.service.http.problems import leads_to, responses
from partita.service.http.schemas import UploadView, upload_view
from partita.service.service import Service
from partita.service.uploads import Upload
from partita.song.values import Asked

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
FETCH_TIMEOUT_S = 60.0

UploadId = Annotated[str, Path(alias="id", pattern="^[0-9a-f]{32}$", description="Id of an upload.")]
_FILE = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": _FILE},
                }
            },
            "audio/*": {"schema": _FILE},
            "application/octet-stream": {"schema": _FILE},
            "application/json": {
                "schema": {"$ref": "#/components/schemas/FetchRequest"},
                "examples": {"address": {"value": {"url": "https://example.org/melody.flac"}}},
            },
        },
    }
}


class FetchRequest(Asked):
    """Audio at an address, for servers that may fetch it."""

    url: str = Field(min_length=1, max_length=2048, description="http(s) address of a file in the public internet.")


@router.post(
    "",
    status_code=201,
    summary="Send audio",
    responses={
        201: {"description": "The file is here.", "links": leads_to("id", "uploads_one", "uploads_delete")},
        **responses(400),
    },
    openapi_extra=_BODY,
)
async def take(
    request: Request,
    service: ServiceOf,
    base: Base,
    x_file_name: Annotated[str, Header(max_length=255, description="Of a raw body; only its suffix matters.")] = "",
) -> UploadView:
    """Take in a file: WAV, FLAC, MP3, Ogg, Opus, M4A and more, or latents as `.safetensors`.

    Its bytes come as the part `file` of a form, or raw, as by `curl --data-binary`. Where the server was started with
    `fetch_urls`, also `{"url": ...}`. The same bytes again are the same upload.
    """
    kind = media_type(request)
    if kind == "application/json":
        asked = parse_json(FetchRequest, await read_json(request))
        kept = await run_in_threadpool(_fetched, service, asked.url)
    elif kind == "multipart/form-data":
        kept = await _of_form(request, service)
    else:
        kept = await keep_body(request, service, x_file_name)
    return upload_view(kept, base)


@router.get("/{id}", summary="An upload", responses=responses(404))
def one(service: ServiceOf, base: Base, upload_id: UploadId) -> UploadView:
    """What is known of it."""
    return upload_view(service.uploads.find(upload_id), base)


@router.delete("/{id}", status_code=204, summary="Forget an upload", responses=responses(404))
def delete(service: ServiceOf, upload_id: UploadId) -> None:
    """Delete the file. Jobs that were taken in with it keep what they need."""
    service.uploads.delete(upload_id)


async def _of_form(request: Request, service: Service) -> Upload:
    form = await read_form(request, service.config.limits.upload_bytes)
    try:
        parts = form.multi_items()
        if len(parts) != 1 or parts[0][0] != "file" or not isinstance(parts[0][1], UploadFile):
            seen = ", ".join(name[:60] for name, _ in parts) or "none"
            raise RequestError(f"One part `file` with a file is needed; the parts here: {seen}.", field="file")
        return await run_in_threadpool(keep_part, service, parts[0][1])
    finally:
        await form.close()


def _fetched(service: Service, url: str) -> Upload:
    if not service.config.fetch_urls:
        raise AccessError(
            "This server fetches no addresses: send the file itself, or start the server with --fetch-urls.",
            known=True,
            field="url",
        )
    pieces = fetch(url, largest_bytes=service.config.limits.upload_bytes, timeout_s=FETCH_TIMEOUT_S)
    return service.uploads.take(pieces, url.partition("?")[0])
