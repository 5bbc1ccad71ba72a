"""Partita's own HTTP API as a FastAPI app. It knows routes and documents; tokens, limits and sockets are around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from partita.service.http import adapters, health, models, planning, problems, songs, uploads
from partita.service.http.common import Base, Lanes, ServiceOf
from partita.service.http.downloads import Downloads
from partita.service.http.events import of_all, stream
from partita.service.http.metrics import CountRequests, Metrics
from partita.service.http.problems import Problem
from partita.service.http.schemas import ProgressTold, SongTold
from partita.service.service import Service
from partita.song.request import SongRequest

_ABOUT = """Describe a song, get a song. Ask with `POST /v1/songs`, follow `links.events`, fetch `links.audio`.

Every error is a problem document (RFC 9457, `application/problem+json`) that names the field at fault. Where the
server has a token, requests carry it as `Authorization: Bearer TOKEN`."""
_REF = "#/components/schemas/{model}"
_NAMED_BY_HAND = (SongRequest, uploads.FetchRequest, Problem, SongTold, ProgressTold)
"""Values that the document speaks of and no route has as its parameter or answer."""


def create_app(service: Service) -> FastAPI:
    """The app of an entered service. Several may be made of one service."""
    metrics, downloads = Metrics(service.queue), Downloads(service.settings)

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        yield
        downloads.close()
        metrics.close()

    app = FastAPI(
        title="Partita",
        version=metadata.version("partita"),
        description=_ABOUT,
        lifespan=alive,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: f"{route.tags[0]}_{route.name}" if route.tags else route.name,
    )
    app.state.service, app.state.lanes = service, Lanes()
    app.state.metrics, app.state.downloads = metrics, downloads
    problems.install(app)
    app.add_middleware(CountRequests, metrics=metrics)
    for module in (songs, uploads, planning, models, adapters, health):
        app.include_router(module.router)
    app.add_api_route("/v1/events", _all_events, methods=["GET"], include_in_schema=False)
    app.openapi = lambda: _document(app)
    return app


async def _all_events(service: ServiceOf, base: Base) -> Response:
    """Every change of every job, without an end; no route for those who read an answer to its end, as tools do that
    go through a document."""
    return stream(of_all(service.queue, base))


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: the routes', with the values that FastAPI does not see, and every error as it is told."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            separate_input_output_schemas=False,
        )
        _, named = models_json_schema([(model, "validation") for model in _NAMED_BY_HAND], ref_template=_REF)
        schemas = document["components"]["schemas"]
        for name, schema in named["$defs"].items():
            schemas.setdefault(name, schema)
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{}, {"token": []}]
        app.openapi_schema = document
    return app.openapi_schema
