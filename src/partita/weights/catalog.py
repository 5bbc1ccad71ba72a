"""The models and planners that Partita knows: cards, shared files, published sizes, from `partita/data/catalog.json`.

It knows nothing of what lies on this machine and imports no torch. Defaults of checkpoints stand in the data file and
nowhere in code.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, NoReturn, TypeVar

from partita.errors import RequestError
from partita.song.card import FileEntry, ModelCard, PlannerCard, Published, SharedFiles

C = TypeVar("C", bound=Published)


def catalog() -> tuple[ModelCard, ...]:
    """Every model that makes songs, the built-in one first."""
    return _read().models


def planners() -> tuple[PlannerCard, ...]:
    """Every planner, the smallest first. They make no songs by themselves."""
    return _read().planners


def card(name: str) -> ModelCard:
    """The model with this id or upstream alias, in any case.

    Raises RequestError where there is none; it lists close matches and every id.
    """
    found = _named(name, catalog())
    if found is None and _named(name, planners()):
        raise RequestError(
            f"{name.strip()} plans songs and makes none; give it as the planner beside one of the models "
            f"{', '.join(one.id for one in catalog())}.",
            field="model",
            value=name,
        )
    return found or _refuse("model", name, catalog())


def planner(name: str) -> PlannerCard:
    """The planner with this id or upstream alias, in any case. Raises RequestError as `card` does."""
    return _named(name, planners()) or _refuse("planner", name, planners())


def published(name: str) -> Published:
    """The model or planner with this id or upstream alias, in any case. Raises RequestError as `card` does."""
    every = (*catalog(), *planners())
    return _named(name, every) or _refuse("model", name, every)


def _named(name: str, cards: Sequence[C]) -> C | None:
    wanted = name.strip().casefold()
    return next((one for one in cards if wanted in map(str.casefold, (one.id, *one.aliases))), None)


def _refuse(kind: str, name: str, cards: Sequence[Published]) -> NoReturn:
    names = [spelling for one in cards for spelling in (one.id, *one.aliases)]
    close = difflib.get_close_matches(name.strip().casefold(), names, n=3, cutoff=0.45)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise RequestError(
        f"There is no {kind} {name!r}.{hint} {kind.capitalize()}s: {', '.join(one.id for one in cards)}.",
        field=kind,
        value=name,
    )


def shared_files(card: Published) -> tuple[SharedFiles, ...]:
    """What `card` needs besides its own files."""
    by_id = {one.id: one for one in _read().shared}
    return tuple(by_id[name] for name in card.shared)


def every_file(card: Published) -> tuple[FileEntry, ...]:
    """The model's own published files and the shared ones."""
    return card.files + tuple(entry for shared in shared_files(card) for entry in shared.files)


def total_bytes(card: Published) -> int:
    """Bytes of everything the model needs, shared files included; sizes that are not known exactly are estimates."""
    return sum(entry.size_bytes or entry.about_bytes or 0 for entry in every_file(card))


def configuration(name: str) -> dict[str, Any]:
    """Published sizes of a network by their name in the catalog, for files that come without a `config.json`.

    Keys are those of the published `config.json`. Raises KeyError for a name that no card uses.
    """
    return dict(_read().configurations[name])


def fetch_command(card: Published) -> str:
    """What to type to download this model."""
    return f"partita download {card.id}"


class _Catalog(NamedTuple):
    models: tuple[ModelCard, ...]
    planners: tuple[PlannerCard, ...]
    shared: tuple[SharedFiles, ...]
    configurations: dict[str, dict[str, Any]]


@cache
def _read() -> _Catalog:
    data = json.loads(files("partita").joinpath("data", "catalog.json").read_text(encoding="utf-8"))
    return _Catalog(
        tuple(ModelCard.model_validate(one) for one in data["models"]),
        tuple(PlannerCard.model_validate(one) for one in data["planners"]),
        tuple(SharedFiles.model_validate(one) for one in data["shared"]),
        data["configurations"],
    )
