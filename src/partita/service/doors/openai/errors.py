"""Errors as OpenAI's clients know them: a real status, and `{"error": {message, type, param, code}}`.

Routes of the class `OpenAiRoute` answer so wherever they are mounted; `install` does the same for what no route takes.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from partita import errors
from partita.errors import (
    BusyError,
    Cancelled,
    ModelError,
    NotFoundError,
    PartitaError,
    PlannerError,
    RequestError,
)
from partita.service.http.problems import status_of
from partita.service.jobs.job import JobFault

CANCELLED = 410
"""Status of a song that somebody cancelled. Clients of this protocol ask again after the usual 409."""
_STATUSES = {422: 400, 424: 503}
"""Of statuses that this protocol tells otherwise: what cannot be done as asked, and a model that is not ready."""
_KINDS = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", None),
    409: ("conflict_error", None),
    413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("server_error", "model_not_ready"),
    504: ("server_error", "timeout"),
}
INSIDE = "Something went wrong inside the server; its log says what."

_log = logging.getLogger(__name__)


class ErrorDetail(BaseModel):
    """What went wrong. `param` is the field at fault, dotted, where there is one."""

    message: str = Field(description="What was asked, what was seen, what to do.")
    type: str = Field(description="The kind of error.", examples=["invalid_request_error"])
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    error: ErrorDetail


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: these statuses, and those of the wrapping around every route."""
    every = sorted({*statuses, 401, 403, 408, 413, 429, 500})
    return {status: {"model": ErrorBody, "description": HTTPStatus(status).phrase} for status in every}


def error_body(status: int, message: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The document of an error."""
    kind, usual = _KINDS.get(status, ("invalid_request_error" if status < 500 else "server_error", None))
    return {"error": {"message": message, "type": kind, "param": param, "code": code or usual}}


def answer_of(error: Exception, names: dict[str, str] | None = None) -> Response:
    """The answer to any error. `names` are the protocol's names of our fields. An error that is not of our tree says
    nothing of the insides."""
    headers: dict[str, str] = {}
    if isinstance(error, PartitaError):
        status, param, code = told_status(error), getattr(error, "field", None), None
        if isinstance(error, BusyError):
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
        if isinstance(error, NotFoundError) and param == "model":
            code = "model_not_found"
        return _respond(status, str(error), (names or {}).get(param or "", param), code, headers)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = [str(part) for part in first["loc"] if part != "body"]
        if first["type"] == "json_invalid" or not where:
            told = "The body is no JSON object: send one, with Content-Type: application/json."
            return _respond(400, told, None, None)
        field = ".".join(where)
        return _respond(400, f"{field}: {first['msg']}.", field, None)
    if isinstance(error, HTTPException):
        return _respond(error.status_code, str(error.detail), None, None, dict(error.headers or {}))
    return _respond(500, INSIDE, None, None)


def told_status(error: PartitaError) -> int:
    """The status of an error in this protocol."""
    if isinstance(error, Cancelled):
        return CANCELLED
    status = status_of(error)
    return _STATUSES.get(status, status)


def error_of_fault(fault: JobFault) -> PartitaError:
    """The error that a job failed with, of its own class where that is known."""
    kind = getattr(errors, fault.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, PartitaError)):
        return PartitaError(INSIDE)
    if issubclass(kind, RequestError):
        return kind(fault.message, field=fault.field)
    return (ModelError if issubclass(kind, PlannerError) else kind)(fault.message)


class OpenAiRoute(APIRoute):
    """A route that answers every error in the shape of this protocol, whatever application it is part of."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (PartitaError, RequestValidationError, HTTPException) as error:
                return answer_of(error)
            except Exception as error:  # noqa: BLE001  (the boundary of the door: logged, and told to nobody)
                _log.exception("%s %r failed", request.method, request.url.path)
                return answer_of(error)

        return answer


def install(app: FastAPI) -> None:
    """Have an application answer unknown paths and methods in the shape of this protocol too."""

    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code in (404, 405):
            told = f"There is nothing to {request.method} at {request.url.path[:200]} here."
            return _respond(error.status_code, told, None, None, dict(error.headers or {}))
        return answer_of(error)

    app.add_exception_handler(HTTPException, answer)
    app.add_exception_handler(RequestValidationError, answer)


def _respond(
    status: int, message: str, param: str | None, code: str | None, headers: dict[str, str] | None = None
) -> Response:
    headers = dict(headers or {})
    if status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    # As ASCII: a message may quote what is no text.
    body = json.dumps(error_body(status, message, param=param, code=code))
    return Response(body, status_code=status, headers=headers, media_type="application/json")
