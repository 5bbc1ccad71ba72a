"""Routes of models: what there is and what is here, load and let go, download and look how that goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from partita.errors import NotFoundError, RequestError
from partita.service.http.common import LanesOf, ServiceOf
from partita.service.http.downloads import Downloads
from partita.service.http.events import stream
from partita.service.http.problems import responses
from partita.service.http.schemas import DownloadView, LoadedView, ModelsView, ModelView
from partita.service.service import Service
from partita.song.card import ModelCard, Published
from partita.weights.catalog import published
from partita.weights.inventory import ModelStatus, inventory, planner_inventory
from partita.weights.places import caches_of

router = APIRouter(prefix="/v1/models", tags=["models"])
LOOK_EVERY_S = 0.5


async def _downloads(request: Request) -> Downloads:
    return request.app.state.downloads


def _card(
    model: Annotated[
        str, Path(alias="id", max_length=200, description="Id or alias of a model or planner.", examples=["built-in"])
    ],
) -> Published:
    try:
        return published(model)
    except RequestError as error:
        raise NotFoundError(str(error), field="id", value=model) from None


Card = Annotated[Published, Depends(_card)]
DownloadsOf = Annotated[Downloads, Depends(_downloads)]


@router.get("", summary="List models", responses=responses())
def listed(service: ServiceOf) -> ModelsView:
    """Every model and planner of the catalog: what it can do, and whether it is on this machine and in memory."""
    settings = service.settings
    loaded = _loaded(service)
    caches, folder = caches_of(settings), settings.checkpoint_dir
    every = [*inventory(caches, folder), *planner_inventory(caches, folder)]
    return ModelsView(models=tuple(_view(status, service, loaded) for status in every), default=settings.model)


@router.post("/unload", summary="Let go of all models", responses=responses())
async def unload_all(service: ServiceOf, lanes: LanesOf) -> LoadedView:
    """Free the memory of all networks, once what is being made is finished. The next song loads them again."""

    def unload() -> LoadedView:
        for manager in service.queue.managers:
            manager.unload()
        return LoadedView(loaded=_loaded(service))

    return await lanes.model.call(unload)


@router.get("/{id}", summary="A model", responses=responses(404))
def one(service: ServiceOf, card: Card) -> ModelView:
    """What it can do, and whether it is here."""
    settings = service.settings
    look = inventory if isinstance(card, ModelCard) else planner_inventory
    every = look(caches_of(settings), settings.checkpoint_dir)
    return _view(next(status for status in every if status.card.id == card.id), service, _loaded(service))


@router.post("/{id}/load", summary="Load a model", responses=responses(404, 424))
async def load(service: ServiceOf, lanes: LanesOf, card: Card) -> LoadedView:
    """Load its networks, so that the first song does not wait. Planners are loaded when they are asked."""
    if not isinstance(card, ModelCard):
        raise RequestError(
            f"{card.id} is a planner, and those are loaded when a song is planned and let go of after.",
            field="id",
            value=card.id,
        )

    def load_it() -> LoadedView:
        for manager in service.queue.managers:
            manager.load(card.id)
        return LoadedView(loaded=_loaded(service))

    return await lanes.model.call(load_it)


@router.post("/{id}/unload", summary="Let go of a model", responses=responses(404))
def unload(service: ServiceOf, card: Card) -> LoadedView:
    """Free the memory of its networks, but for one that is in use at this moment."""
    for manager in service.queue.managers:
        manager.engine.store.clear(card.id)
    return LoadedView(loaded=_loaded(service))


@router.post("/{id}/download", status_code=202, summary="Download a model", responses=responses(404))
def download(downloads: DownloadsOf, card: Card) -> DownloadView:
    """Begin to fetch its published files, or go on where the last try stopped. Asked again while it runs, it is one and
    the same download."""
    return downloads.start(card)


@router.get(
    "/{id}/download",
    summary="How a download is doing",
    responses={
        200: {
            "description": "Its progress; where `Accept` asks for `text/event-stream`, as `progress` events until it "
            "is over.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **responses(404),
    },
    response_model=DownloadView,
)
async def progress(request: Request, downloads: DownloadsOf, card: Card) -> DownloadView | Response:
    """How much has arrived, file by file."""
    view = downloads.view(card)
    return stream(_followed(downloads, card)) if "text/event-stream" in request.headers.get("accept", "") else view


@router.delete("/{id}/download", summary="Stop a download", responses=responses(404))
def stop(downloads: DownloadsOf, card: Card) -> DownloadView:
    """Stop it; what has arrived is kept."""
    return downloads.cancel(card)


async def _followed(downloads: Downloads, card: Published) -> AsyncIterator[ServerSentEvent]:
    before: DownloadView | None = None
    while True:
        view = await run_in_threadpool(downloads.view, card)
        if view != before:
            yield ServerSentEvent(event="progress", data=view.model_dump_json())
        if view.state != "running":
            return
        before = view
        await asyncio.sleep(LOOK_EVERY_S)


def _loaded(service: Service) -> tuple[str, ...]:
    keys = [key[0] for manager in service.queue.managers for key in manager.engine.store.loaded()]
    return tuple(dict.fromkeys(keys))


def _view(status: ModelStatus, service: Service, loaded: tuple[str, ...]) -> ModelView:
    card = status.card
    song_model = card if isinstance(card, ModelCard) else None
    return ModelView(
        id=card.id,
        kind="model" if song_model else "planner",
        title=card.title,
        summary=card.summary,
        aliases=card.aliases,
        licence=card.licence,
        family=song_model.family if song_model else None,
        tasks=song_model.tasks if song_model else (),
        sings=song_model is not None and song_model.sings,
        state=status.state,
        missing=tuple(name.rsplit("/", 1)[-1] for name in status.missing) if status.state != "damaged" else (),
        total_bytes=status.total_bytes,
        download_bytes=status.fetch_bytes,
        loaded=card.id in loaded,
        default=card.id == service.settings.model,
        longest_s=song_model.duration.max_s if song_model else None,
    )
