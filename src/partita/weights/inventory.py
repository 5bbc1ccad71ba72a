"""What models are on this machine, what could be fetched, and how large they are.

It looks at names and sizes only; whether files are sound is `verify`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from partita.errors import ModelError
from partita.song.card import ModelCard, PlannerCard, Published
from partita.weights.catalog import catalog, planners, total_bytes
from partita.weights.download import missing_files
from partita.weights.locate import search
from partita.weights.locate_planner import search_planner
from partita.weights.located import Found
from partita.weights.places import Caches

State = Literal["shipped", "ready", "partial", "absent", "damaged"]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model or planner of the catalog. `folder` and `layout` say where its own weights lie, where they do.

    `partial`: something of the model itself is here. `damaged`: what is here cannot be read, and `missing` says why.
    `fetch_bytes` is what `download` would have to fetch, as far as sizes are known.
    """

    card: Published
    state: State
    folder: Path | None = None
    layout: str | None = None
    missing: tuple[str, ...] = ()
    total_bytes: int = 0
    fetch_bytes: int = 0


def inventory(caches: Caches, checkpoint_dir: Path | None = None) -> list[ModelStatus]:
    """The state of every model of the catalog, in its order."""
    return [model_status(card, caches, checkpoint_dir) for card in catalog()]


def planner_inventory(caches: Caches, checkpoint_dir: Path | None = None) -> list[ModelStatus]:
    """The state of every planner of the catalog, in its order."""
    return [_planner_status(card, caches, checkpoint_dir) for card in planners()]


def _planner_status(card: PlannerCard, caches: Caches, checkpoint_dir: Path | None) -> ModelStatus:
    total = total_bytes(card)
    absent = sum(entry.size_bytes or entry.about_bytes or 0 for entry in missing_files(card, caches))
    try:
        found = search_planner(card, caches, checkpoint_dir) or search_planner(card, caches)
    except ModelError as error:
        return ModelStatus(card, "damaged", missing=(str(error),), total_bytes=total, fetch_bytes=absent)
    if found is None:
        return ModelStatus(card, "absent", missing=("weights",), total_bytes=total, fetch_bytes=absent)
    missing = tuple(str(path) for path in found.missing())
    state: State = "partial" if missing else "ready"
    return ModelStatus(card, state, found.folder, "published", missing, total, absent if missing else 0)


def model_status(card: ModelCard, caches: Caches, checkpoint_dir: Path | None = None) -> ModelStatus:
    """The state of one model."""
    if not card.files:
        return ModelStatus(card, "shipped")
    total = total_bytes(card)
    absent = sum(entry.size_bytes or entry.about_bytes or 0 for entry in missing_files(card, caches))
    try:
        found = search(card, caches)
        if checkpoint_dir is not None and (found.model is None or found.missing()):
            named = search(card, caches, checkpoint_dir)
            found = named if named.model is not None else found
    except ModelError as error:
        return ModelStatus(card, "damaged", missing=(str(error),), total_bytes=total, fetch_bytes=absent)
    missing = found.missing()
    if not missing:
        return _with_place(card, "ready", found, missing, total, 0)
    return _with_place(card, "partial" if found.model is not None else "absent", found, missing, total, absent)


def _with_place(
    card: ModelCard, state: State, found: Found, missing: tuple[str, ...], total: int, absent: int
) -> ModelStatus:
    folder = found.model.folder if found.model else None
    return ModelStatus(card, state, folder, found.model.layout if found.model else None, missing, total, absent)
