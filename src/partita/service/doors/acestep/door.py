"""What the paths of this door share: the service, its models, its adapters and its errands; and how answers look.

An answer is an envelope. An error has its real status and says the same in both ways of the protocol, as `detail` and
as `error`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from partita.errors import AccessError, AudioError, BusyError, PartitaError, RequestError
from partita.service.doors.acestep.errands import Errands
from partita.service.doors.acestep.fields import TOKEN
from partita.service.doors.acestep.lora import Loras
from partita.service.doors.acestep.models import Models
from partita.service.http.problems import status_of
from partita.service.http.security import check_token
from partita.service.service import Service

T = TypeVar("T")
_PATIENT = 8
LARGEST_UNKNOWN_BYTES = 16 * 2**20
"""A form with files is read from a caller whose header says no token, for its fields may, up to this size."""


@dataclass(frozen=True, slots=True)
class Door:
    """One app's share of a server."""

    service: Service
    models: Models
    loras: Loras
    errands: Errands
    token: str | None = None
    patience: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_PATIENT))

    async def wait_for(self, call: Callable[[], T]) -> T:
        """What `call` returns, which may wait for a worker for long. Only so many do at once, so that what is quick
        always finds a thread."""
        return await to_thread.run_sync(call, limiter=self.patience)


def door_of(request: Request) -> Door:
    """The door of the app that is asked."""
    return request.app.state.door


class Told(Response):
    """JSON, also of text that is no Unicode, such as half of a surrogate pair that came in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def answer(data: Any) -> Told:
    """The envelope of a success."""
    return Told(_envelope(data, 200, None))


def refusal(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Told:
    """An error, in both ways of the protocol."""
    said = detail if isinstance(detail, str) else "The request does not fit: see detail."
    body = {"detail": detail, **_envelope(None, status, said)}
    return Told(body, status_code=status, headers=None if headers is None else dict(headers))


def refusal_of(error: PartitaError) -> Told:
    """The answer for an error of our tree."""
    status = status_of(error)
    if status == 422 and isinstance(error, (RequestError, AudioError)):
        status = 400  # 422 is for bodies that do not fit their schema, with a list
    headers = {"Retry-After": str(max(1, round(error.retry_after_s)))} if isinstance(error, BusyError) else None
    text = f"Server busy: queue is full. {error}" if isinstance(error, BusyError) else str(error)
    return refusal(status, text, headers)


def check_header(request: Request) -> None:
    """Before a large form is read: raises HTTPException 401 where a token is asked for and the header has none."""
    token = door_of(request).token
    kind = request.headers.get("content-type", "")
    length = request.headers.get("content-length", "")
    small = length.isdecimal() and int(length) <= LARGEST_UNKNOWN_BYTES
    if token is not None and kind.lower().startswith("multipart/") and not small:
        _check_header(request, token)


def check_body_token(request: Request, values: Mapping[str, Any]) -> None:
    """Raises HTTPException 401 unless the body says the token, or does not speak of one and the header says it."""
    token = door_of(request).token
    if token is None:
        return
    said = values.get(TOKEN)
    if said is None:
        _check_header(request, token)
        return
    try:
        check_token([f"Bearer {said}"], token)
    except (AccessError, UnicodeEncodeError):
        raise HTTPException(401, "Invalid ai_token") from None


def _check_header(request: Request, token: str) -> None:
    given = request.headers.getlist("authorization")
    try:
        check_token(given, token)
    except AccessError:
        raise HTTPException(401, "Invalid API key" if given else "Missing Authorization header") from None


def _envelope(data: Any, code: int, error: str | None) -> dict[str, Any]:
    return {"data": data, "code": code, "error": error, "timestamp": int(time.time() * 1000), "extra": None}
