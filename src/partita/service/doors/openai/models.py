"""`GET /v1/models`: the models whose files are on this machine, by our ids and by the names that clients know."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from partita.errors import NotFoundError, RequestError
from partita.service.doors.openai.answers import model_entry
from partita.service.doors.openai.errors import OpenAiRoute, responses
from partita.service.doors.openai.wanted import bare
from partita.service.service import Service
from partita.settings import Settings
from partita.song.card import ModelCard
from partita.weights.catalog import card as find_card, catalog, fetch_command
from partita.weights.inventory import inventory
from partita.weights.places import caches_of

OWNER = "acestep"


def models_router(service: Service) -> APIRouter:
    """The routes of models."""
    router = APIRouter(route_class=OpenAiRoute, tags=["models"])

    @router.get("/v1/models", summary="The models that can be named", responses=responses())
    def every() -> dict[str, Any]:
        return listed(service.settings)

    @router.get("/v1/models/{model:path}", summary="One of them", responses=responses(404))
    def one(model: str) -> dict[str, Any]:
        return entry(model, service.settings)

    return router


def listed(settings: Settings) -> dict[str, Any]:
    """Every model that is here under each of its names, the one of the settings first."""
    return {"object": "list", "data": [model_entry(card, name) for card in _here(settings) for name in names_of(card)]}


def entry(name: str, settings: Settings) -> dict[str, Any]:
    """One model by any of its names. Raises NotFoundError where it is not here, with what would fetch it."""
    try:
        card = find_card(bare(name) or "")
    except RequestError as error:
        raise NotFoundError(str(error), field="model", value=name) from None
    if card.id not in [one.id for one in _here(settings)]:
        raise NotFoundError(
            f"{card.id} is not on this machine: `{fetch_command(card)}` fetches it.", field="model", value=name
        )
    return model_entry(card, name)


def names_of(card: ModelCard) -> list[str]:
    """Our id, and the name behind an owner by which clients of the original look for a model."""
    upstream = card.folder if card.folder.startswith("acestep-") else card.id
    return [card.id, f"{OWNER}/{upstream}"]


def _here(settings: Settings) -> list[ModelCard]:
    statuses = inventory(caches_of(settings), settings.checkpoint_dir)
    ready = {status.card.id for status in statuses if status.state in ("shipped", "ready")}
    return sorted((card for card in catalog() if card.id in ready), key=lambda card: card.id != settings.model)
