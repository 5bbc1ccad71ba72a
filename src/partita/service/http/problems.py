"""Errors as RFC 9457 problem documents: which status an error of our tree has, and the document that tells it.

For every HTTP door. What an unexpected error says stays in the log; a caller learns only that it happened.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from partita.errors import (
    AccessError,
    AudioError,
    BusyError,
    Cancelled,
    ConflictError,
    DeadlineError,
    ModelError,
    NotFoundError,
    PartitaError,
    ReplayError,
    RequestError,
    ResourceError,
    SaveError,
    TooLargeError,
)
from partita.song.values import fault_error, request_error, short

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:partita:problem:"

_STATUSES: tuple[tuple[type[PartitaError], int, str, str], ...] = (
    (NotFoundError, 404, "not-found", "Not here"),
    (ConflictError, 409, "conflict", "Contradicts what is there"),
    (TooLargeError, 413, "too-large", "More than this server takes"),
    (RequestError, 422, "bad-request", "Cannot be done as asked"),
    (SaveError, 507, "no-room", "Could not be kept"),
    (AudioError, 422, "bad-audio", "Audio that cannot be used"),
    (ModelError, 424, "model", "The model cannot be used"),
    (ReplayError, 409, "replay", "Cannot be rendered again here"),
    (BusyError, 429, "busy", "Too much at once"),
    (DeadlineError, 504, "deadline", "Not finished in time"),
    (ResourceError, 507, "no-room", "Not enough memory or disk"),
    (Cancelled, 409, "cancelled", "Cancelled"),
)
"""The first class that fits decides. 424: the request is fine, and what it depends on (weights) is not here or broken;
it is not the server that failed, and asking again does not help before somebody fetches them."""


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it. `field` is the dotted name in the request, `value` what was given, cut."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="A stable name of the kind of problem.", examples=["urn:partita:problem:bad-request"])
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="What was asked, what was seen, what to do.")
    instance: str | None = Field(default=None, description="The path that was asked.")
    field: str | None = Field(default=None, description="The field at fault, dotted, where there is one.")
    value: str | None = Field(default=None, description="What was given there, shortened.")
    notes: list[str] = Field(default_factory=list, description="What else may help.")
    retry_after_s: float | None = Field(default=None, description="When to ask again, as in `Retry-After`.")


def status_of(error: PartitaError) -> int:
    """The HTTP status of an error of our tree."""
    if isinstance(error, AccessError):
        return 403 if error.known else 401
    return _row(error)[0]


def problem_of(error: BaseException, instance: str | None = None) -> Problem:
    """The document for any error; one that is not of our tree is a 500 that says nothing of the insides."""
    if isinstance(error, ValidationError):
        error = request_error(error)
    if isinstance(error, AccessError):
        status = status_of(error)
        kind, title = ("forbidden", "Not allowed") if error.known else ("unauthorized", "No valid token")
    elif isinstance(error, PartitaError):
        status, kind, title = _row(error)
    else:
        return problem(
            500, "Something went wrong inside the server; its log says what.", kind="internal", instance=instance
        )
    return Problem(
        type=TYPE_PREFIX + kind,
        title=title,
        status=status,
        detail=str(error),
        instance=instance,
        field=getattr(error, "field", None),
        value=None if getattr(error, "value", None) is None else short(getattr(error, "value", None)),
        notes=list(getattr(error, "__notes__", ())),
        retry_after_s=error.retry_after_s if isinstance(error, BusyError) else None,
    )


def problem(status: int, detail: str, *, kind: str = "about", instance: str | None = None, **more: Any) -> Problem:
    """A document for what is no error of our tree, such as a router's 404."""
    return Problem(
        type=TYPE_PREFIX + kind,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=instance,
        **more,
    )


def leads_to(parameter: str, *operations: str) -> dict[str, dict[str, Any]]:
    """For a route's `responses`: operations that take the `id` of its answer, by their ids in the document."""
    return {name: {"operationId": name, "parameters": {parameter: "$response.body#/id"}} for name in operations}


def respond(told: Problem, headers: dict[str, str] | None = None) -> Response:
    """The answer: the document, its status, and the headers that go with it."""
    headers = dict(headers or {})
    if told.retry_after_s is not None:
        headers.setdefault("Retry-After", str(max(1, math.ceil(told.retry_after_s))))
    if told.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    body = json.dumps(told.model_dump(exclude_defaults=True), ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(body, status_code=told.status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Have every error of an app answered with a problem document, the router's own among them."""
    app.add_exception_handler(PartitaError, _told)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _of_router)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


def _told(request: Request, error: Exception) -> Response:
    return respond(problem_of(error, request.url.path))


def _invalid(request: Request, error: Exception) -> Response:
    """A query, path, header or body that is not as documented."""
    assert isinstance(error, RequestValidationError)
    first = dict(error.errors()[0])
    place, *where = first["loc"]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return respond(problem(400, f"The body is no JSON: {reason}.", kind="malformed", instance=request.url.path))
    return respond(problem_of(fault_error(first | {"loc": where}, place), request.url.path))


def _of_router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, headers = request.url.path, dict(error.headers or {})
    kind, detail = "malformed", str(error.detail)
    if error.status_code == 404:
        kind, detail = "not-found", f"There is nothing at {path[:200]}; the routes are listed at /docs."
    elif error.status_code == 405:
        able = headers["Allow"] = ", ".join(_methods(request))
        kind, detail = "method", f"{request.method} is not for {path[:200]}, which takes {able}."
    return respond(problem(error.status_code, detail, kind=kind, instance=path), headers)


def _methods(request: Request) -> list[str]:
    """Every method that some route takes at this path: the router itself names those of the first one alone."""
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "POST", "PUT", "PATCH")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


def _gone(request: Request, error: Exception) -> Response:
    return respond(problem(400, "The body ended early.", kind="malformed", instance=request.url.path))


def _unexpected(request: Request, error: Exception) -> Response:
    # The boundary of the process: whatever it is, its traceback belongs into the log and not into the answer.
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return respond(problem_of(error, request.url.path))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: these statuses, and those that any request can be answered with."""
    return {status: _documented(status) for status in sorted({*statuses, *ANYWHERE})}


ANYWHERE = (401, 403, 408, 413, 422, 429, 500, 507)
"""Statuses of the wrapping around every route (token, limits, slow bodies), of a bad query or path, and of a disk that
is full."""


def _documented(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _row(error: PartitaError) -> tuple[int, str, str]:
    for kind, status, name, title in _STATUSES:
        if isinstance(error, kind):
            return status, name, title
    return 500, "internal", "Something went wrong"


def kinds() -> Iterable[tuple[str, int, str]]:
    """Every kind of problem of our tree with its status and title, for the docs."""
    yield "unauthorized", 401, "No valid token"
    yield "forbidden", 403, "Not allowed"
    for _, status, name, title in _STATUSES:
        yield name, status, title
