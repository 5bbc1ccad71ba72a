"""What the routes share: the service behind an app, bodies read within limits, and calls that wait for a worker.

Bodies of files go to disk as they come; a body that ends early leaves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, TypeVar

import anyio
from fastapi import Depends, Path, Request
from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from partita.errors import BusyError, TooLargeError
from partita.service.config import MIB
from partita.service.service import Service
from partita.service.uploads import Upload
from partita.song.values import request_error

JSON_BYTES = 8 * MIB
"""Far more than the longest plan with all its codes."""
MOST_FILES = 9
"""A source and eight references."""
WAITING_CALLS = 16
"""Calls that wait for a worker at once; each holds a thread."""
CONVERSIONS = 2

Result = TypeVar("Result")
Body = TypeVar("Body", bound=BaseModel)


async def _service(request: Request) -> Service:
    return request.app.state.service


async def _base(request: Request) -> str:
    return request.scope.get("root_path", "")


ServiceOf = Annotated[Service, Depends(_service)]
Base = Annotated[str, Depends(_base)]
"""Where the app lies, for links."""
JobIdOf = Annotated[
    str,
    Path(
        alias="id",
        pattern="^[0-9a-f]{32}$",
        description="Id of a job.",
        examples=["0b6f6d1c3f5a4c0d9a54c1b3e0d2f7a8"],
    ),
]


class Lane:
    """Threads for one kind of blocking call, so that those who wait there keep no other request waiting. Where
    `refuses`, nobody waits for a thread."""

    def __init__(self, threads: int, *, refuses: bool = False) -> None:
        self._threads, self._refuses, self._calls = threads, refuses, 0
        self._limiter: anyio.CapacityLimiter | None = None

    async def call(self, call: Callable[[], Result]) -> Result:
        """What `call` returns. Raises BusyError where all threads are busy and it refuses, and what it raises."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._threads)  # belongs to the loop that runs the app
        if self._refuses and self._calls >= self._threads:
            raise BusyError(
                f"{self._threads} requests wait for the model already: ask again a little later.", retry_after_s=2.0
            )
        self._calls += 1  # on the loop's own thread, with nothing awaited since it was looked at
        try:
            return await anyio.to_thread.run_sync(call, limiter=self._limiter)
        finally:
            self._calls -= 1


class Lanes:
    """The lanes of one app: calls that wait for a worker, conversions of audio, and those who watch the server."""

    def __init__(self) -> None:
        self.model = Lane(WAITING_CALLS, refuses=True)
        self.audio = Lane(CONVERSIONS)
        self.watch = Lane(1)


async def _lanes(request: Request) -> Lanes:
    return request.app.state.lanes


LanesOf = Annotated[Lanes, Depends(_lanes)]


def media_type(request: Request) -> str:
    """The content type without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body, piece by piece. Raises TooLargeError at the first byte beyond `most`."""
    seen = 0
    async for piece in request.stream():
        seen += len(piece)
        if seen > most:
            raise TooLargeError(f"The body has more than the {most / MIB:.4g} MiB that may come here.")
        yield piece


async def read_json(request: Request) -> bytes:
    """A body that is no file, whole."""
    return b"".join([piece async for piece in pieces(request, JSON_BYTES)])


def parse_json(kind: type[Body], text: bytes | str) -> Body:
    """A value from JSON text. Raises HTTPException (400) for what is no JSON, RequestError for a bad field."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise HTTPException(400, f"The body cannot be read as JSON. {first['msg']}.") from None
        raise request_error(error) from None


async def read_form(request: Request, most_bytes: int) -> FormData:
    """A multipart body, its files in temporary ones that go when the form is closed. Raises HTTPException (400) for
    one that is damaged, TooLargeError."""
    parser = MultiPartParser(
        request.headers,
        pieces(request, most_bytes),  # type: ignore[arg-type]  (any asynchronous iterator will do)
        max_files=MOST_FILES,
        max_fields=MOST_FILES,
        max_part_size=JSON_BYTES,
    )
    try:
        return await parser.parse()
    except (MultiPartException, FormParserError) as error:
        raise HTTPException(400, f"The multipart body cannot be read: {error}.") from None


async def keep_body(request: Request, service: Service, file_name: str) -> Upload:
    """The body as an upload."""
    with service.uploads.begin(file_name) as incoming:
        async for piece in pieces(request, service.config.limits.upload_bytes):
            await run_in_threadpool(incoming.write, piece)
        return await run_in_threadpool(incoming.finish)


def keep_part(service: Service, part: UploadFile) -> Upload:
    """A file of a multipart body as an upload. Blocks."""
    return service.uploads.take(iter(lambda: part.file.read(MIB), b""), part.filename or "")
