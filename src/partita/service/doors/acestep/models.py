"""Which models play for this door: their names in the protocol, which of them is in use, and what can be told of them.

A name of the protocol means a model only if its files are here; what plays in its place is told. Knows no HTTP.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from partita.errors import RequestError
from partita.service.doors.choice import BUILT_IN, Choice, choose_model
from partita.service.doors.spoken import planner_here
from partita.service.service import Service
from partita.settings import Settings
from partita.song.card import ModelCard, Published
from partita.weights.catalog import card as find_card, catalog, fetch_command, planner as find_planner
from partita.weights.inventory import inventory, planner_inventory
from partita.weights.places import caches_of

TASKS = {
    "text2music": "text-to-music",
    "cover": "cover",
    "repaint": "repaint",
    "lego": "lego",
    "extract": "extract",
    "complete": "complete",
}
"""Kinds of work by their names in the protocol."""

_OWNERS = ("acestep", "acemusic", "ace-step")
_HERE = ("shipped", "ready")
_A_MONTH_S = 30 * 24 * 3600


def name_of(card: Published) -> str:
    """What the protocol calls a model: the name of its folder, which is what its clients know."""
    return card.folder if card.folder.startswith("acestep-") else card.id


def tasks_of(card: ModelCard) -> list[str]:
    """The kinds of work that a model does, in the protocol's words."""
    return [name for name, kind in TASKS.items() if kind in card.tasks]


class Models:
    """The models of a server, and the one that `/v1/init` has put in use. Safe to use from any thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._used: str | None = None

    @property
    def settings(self) -> Settings:
        """The server's settings, with the model in use as the usual one."""
        used = self._used
        return self._service.settings if used is None else self._service.settings.model_copy(update={"model": used})

    def used(self) -> ModelCard:
        """The model that plays where none is named."""
        return choose_model(None, self.settings).card

    def use(self, model: str) -> Choice:
        """Put a model in use, by its name. Raises RequestError where there is no such model anywhere."""
        card = find_card(_bare(model))
        choice = choose_model(card.id, self.settings)
        with self._lock:
            self._used = choice.card.id
        return choice

    def choose(self, asked: str | None, kind: str, *, maker: str | None = None) -> Choice:
        """The model for a kind of work. `maker` is the model that made the source, where that is known.

        A model that was named and is here plays, whatever it can do; else the one in use, if it does such work, else
        another that is here and does.
        """
        choice = choose_model(_bare(asked) if asked else None, self.settings)
        if asked and choice.note is None:
            return choice
        made = [find_card(maker)] if maker is not None else []
        for card in (choice.card, *made, *self.here()):
            if kind in card.tasks and (not card.own_songs_only or maker == card.id or kind == TASKS["text2music"]):
                if card is choice.card:
                    return choice
                other = f"{choice.card.id} does no {kind} of this source; {card.id} plays."
                return Choice(card, other if choice.note is None else f"{choice.note} {other}")
        return choice

    def here(self) -> Sequence[ModelCard]:
        """The models whose files are on this machine, the one in use first."""
        settings, used = self.settings, self.used()
        statuses = inventory(caches_of(settings), settings.checkpoint_dir)
        ready = [status.card.id for status in statuses if status.state in _HERE]
        return sorted((card for card in catalog() if card.id in ready), key=lambda card: card.id != used.id)

    def planners_here(self) -> list[Published]:
        """The planners whose files are on this machine."""
        settings = self.settings
        statuses = planner_inventory(caches_of(settings), settings.checkpoint_dir)
        return [status.card for status in statuses if status.state == "ready"]

    def told(self) -> dict[str, Any]:
        """The inventory, with what both `/v1/model_inventory` and `/v1/init` say of it."""
        used, planner = self.used(), planner_here(self.settings)
        return {
            "models": [
                {
                    "name": name_of(card),
                    "is_default": card.id == used.id,
                    "is_loaded": card.id == used.id,
                    "supported_task_types": tasks_of(card),
                }
                for card in self.here()
            ],
            "default_model": name_of(used),
            "lm_models": [
                {"name": name_of(card), "is_loaded": planner is not None and card.id == planner.id}
                for card in self.planners_here()
            ],
            "loaded_lm_model": None if planner is None else name_of(planner),
            "llm_initialized": planner is not None,
        }

    def told_openrouter(self) -> dict[str, Any]:
        """The models in the shape of OpenRouter's list."""
        return {"object": "list", "data": [_openrouter(card) for card in self.here()]}


def planner_note(asked: str | None, settings: Settings) -> str | None:
    """A sentence where the language model that was asked for is not here; none where it is."""
    name = None if asked is None else _bare(asked)
    if planner_here(settings, name) is not None:
        return None
    try:
        fetch = fetch_command(find_planner(name or "ace-step-1.5-planner-1.7b"))
    except RequestError as error:
        return str(error)
    return f"The language model {name or 'that was asked for'} is not on this machine; `{fetch}` fetches it."


def _bare(name: str) -> str:
    """A name without the owner that clients of OpenRouter put before it, and without the folder of a path."""
    owner, slash, rest = name.strip().partition("/")
    return rest if slash and owner in _OWNERS else name.strip().rstrip("/").rpartition("/")[2]


def _openrouter(card: ModelCard) -> dict[str, Any]:
    name = name_of(card)
    return {
        "id": f"acestep/{name}",
        "name": f"ACE-Step {name}" if card.id != BUILT_IN else card.title,
        "created": int(time.time()) - _A_MONTH_S,
        "description": card.summary,
        "input_modalities": ["text", "audio"] if len(card.tasks) > 1 else ["text"],
        "output_modalities": ["audio", "text"],
        "context_length": 4096,
        "max_output_length": int(min(300, card.duration.max_s)),
        "pricing": {"prompt": "0", "completion": "0", "request": "0", "image": "0"},
        "architecture": None,
    }
