"""Routes for those who watch a server: whether it answers, and its figures."""

from __future__ import annotations

from importlib import metadata

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from partita.service.http.common import LanesOf, ServiceOf
from partita.service.http.metrics import Metrics
from partita.service.http.problems import responses
from partita.service.http.schemas import Health

router = APIRouter(tags=["server"])


@router.get("/health", summary="Whether the server answers", responses=responses())
async def health(service: ServiceOf, lanes: LanesOf) -> Health:
    """Needs no token, and waits for nothing that is being made."""
    queue = service.queue
    return await lanes.watch.call(
        lambda: Health(
            status="ok",
            version=metadata.version("partita"),
            device=queue.managers[0].engine.runtime.device.value,
            jobs=queue.counts(),
            average_job_s=queue.average_job_s,
        )
    )


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"description": "In Prometheus' text format.", "content": {"text/plain": {}}}, **responses()},
)
async def metrics(request: Request, lanes: LanesOf) -> Response:
    """Jobs, songs, requests, and what the process takes."""
    figures: Metrics = request.app.state.metrics
    return Response(await lanes.watch.call(figures.text), media_type=CONTENT_TYPE_LATEST)
