"""The ACE-Step 1.5 REST API as an app. The wrapping for the header's token, limits and CORS is the server's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from partita.errors import PartitaError
from partita.service.doors.acestep import absent_paths, lora_paths, model_paths, task_paths, word_paths
from partita.service.doors.acestep.door import Door, refusal, refusal_of
from partita.service.doors.acestep.errands import Errands
from partita.service.doors.acestep.lora import Loras
from partita.service.doors.acestep.models import Models
from partita.service.doors.acestep.spoken import run_errand
from partita.service.doors.openai.chat import chat_router
from partita.service.service import Service


def create_app(service: Service, *, token: str | None = None) -> FastAPI:
    """The app over a service that is open while the app is served.

    With a `token` the app looks for it itself on the paths of `BODY_TOKEN_PATHS`, in the body and in the header, and
    the wrapping has to leave these to it; without, the wrapping looks at the header of every path.
    """
    models = Models(service)
    errands = Errands(
        service.folder / "acestep",
        partial(run_errand, service, models),
        most_waiting=service.config.limits.waiting,
        keep_s=service.config.retention.age_s,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        errands.resume()
        try:
            yield
        finally:
            errands.close()

    app = FastAPI(
        title="Partita: ACE-Step 1.5 door",
        description="The REST API of ACE-Step 1.5, for clients of it. See docs/doors/acestep.md.",
        lifespan=lifespan,
    )
    app.state.door = Door(service, models, Loras(service.settings.adapters), errands, token)
    for paths in (model_paths, task_paths, word_paths, lora_paths, absent_paths):
        app.include_router(paths.router)
    app.include_router(chat_router(service))
    app.add_exception_handler(PartitaError, _of_ours)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_schema)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)
    return app


def _of_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, PartitaError)
    return refusal_of(error)


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail, error.headers)


def _of_schema(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refusal(422, jsonable_encoder([{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]))


def _gone(request: Request, error: Exception) -> Response:
    """Nobody hears it; there is nothing to log about a caller who went away."""
    return refusal(400, "The body did not arrive whole.")


def _unexpected(request: Request, error: Exception) -> Response:
    """What went wrong is for the log alone; the framework raises it on, to the server, which writes it there."""
    return refusal(500, "Something went wrong inside the server; its log says what.")
