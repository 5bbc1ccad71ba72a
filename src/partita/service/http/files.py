"""Files of songs as answers: in ranges, with an entity tag, under names and media types of ours."""

from __future__ import annotations

from pathlib import Path

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable, Response

from partita.errors import NotFoundError

MEDIA_TYPES = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg; codecs=opus",
    ".m4a": "audio/mp4",
    ".mid": "audio/midi",
    ".json": "application/json",
    ".lrc": "text/plain; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
    ".safetensors": "application/octet-stream",
}
AUDIO_TYPES = tuple(dict.fromkeys(kind.partition(";")[0] for kind in MEDIA_TYPES.values() if kind.startswith("audio/")))


def send_file(path: Path, name: str, request: Request) -> Response:
    """The file, or the part of it that was asked for, or 304 where the caller has it. Raises NotFoundError."""
    try:
        stat = path.stat()
    except OSError:
        raise NotFoundError(f"The file {name} is gone: its job was deleted.", field="id") from None
    response = _Ranged(
        path,
        media_type=MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
        filename=name,
        stat_result=stat,
        content_disposition_type="inline",
        headers={"Cache-Control": "private, no-cache"},
    )
    asked = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if response.headers["etag"] in asked or "*" in asked:
        kept = ("etag", "cache-control", "last-modified")
        return Response(status_code=304, headers={tag: response.headers[tag] for tag in kept})
    return response


class _Ranged(FileResponse):
    """A range that cannot be had is told as a problem; what is no range at all is ignored, as RFC 9110 (14.2) says."""

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []
        except RangeNotSatisfiable:
            raise HTTPException(
                416,
                f"The range {http_range[:80]!r} lies beyond the {file_size} bytes of the file.",
                {"Content-Range": f"bytes */{file_size}"},
            ) from None
