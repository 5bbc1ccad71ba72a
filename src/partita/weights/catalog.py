"""The models that Partita knows: cards, shared files and published sizes, read from `partita/data/catalog.json`.

It knows nothing of what lies on this machine and imports no torch. Defaults of checkpoints stand in the data file and
nowhere in code.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from partita.errors import RequestError
from partita.song.card import FileEntry, ModelCard, SharedFiles


def catalog() -> tuple[ModelCard, ...]:
    """Every model, the built-in one first."""
    return _read()[0]


def card(name: str) -> ModelCard:
    """The model with this id or upstream alias, in any case.

    Raises RequestError where there is none; it lists close matches and every id.
    """
    wanted = name.strip().casefold()
    for one in catalog():
        if wanted in (one.id.casefold(), *(alias.casefold() for alias in one.aliases)):
            return one
    names = [spelling for one in catalog() for spelling in (one.id, *one.aliases)]
    close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.45)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise RequestError(
        f"There is no model {name!r}.{hint} Models: {', '.join(one.id for one in catalog())}.",
        field="model",
        value=name,
    )


def shared_files(card: ModelCard) -> tuple[SharedFiles, ...]:
    """What `card` needs besides its own files."""
    by_id = {one.id: one for one in _read()[1]}
    return tuple(by_id[name] for name in card.shared)


def every_file(card: ModelCard) -> tuple[FileEntry, ...]:
    """The model's own published files and the shared ones."""
    return card.files + tuple(entry for shared in shared_files(card) for entry in shared.files)


def total_bytes(card: ModelCard) -> int:
    """Bytes of everything the model needs, shared files included; sizes that are not known exactly are estimates."""
    return sum(entry.size_bytes or entry.about_bytes or 0 for entry in every_file(card))


def configuration(name: str) -> dict[str, Any]:
    """Published sizes of a network by their name in the catalog, for files that come without a `config.json`.

    Keys are those of the published `config.json`. Raises KeyError for a name that no card uses.
    """
    return dict(_read()[2][name])


def fetch_command(card: ModelCard) -> str:
    """What to type to download this model."""
    return f"partita download {card.id}"


@cache
def _read() -> tuple[tuple[ModelCard, ...], tuple[SharedFiles, ...], dict[str, dict[str, Any]]]:
    data = json.loads(files("partita").joinpath("data", "catalog.json").read_text(encoding="utf-8"))
    models = tuple(ModelCard.model_validate(one) for one in data["models"])
    shared = tuple(SharedFiles.model_validate(one) for one in data["shared"])
    return models, shared, data["configurations"]
