"""A request of ace-step-rs as one of ours: the model that plays, what `metas` says, seeds, shifts and formats.

What the model cannot honour is left out, and a sentence says so. Reads no file and makes no song.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from partita.errors import RequestError
from partita.planner.reading import key_of, metre_of, tempo_of
from partita.score.keys import tidy_key
from partita.service.doors.acestep_rs.protocol import DEFAULT_DURATION_S, Asked, FileFormat, number
from partita.service.doors.choice import Choice, Fitted, choose_model, fit
from partita.service.doors.spoken import planned, sung
from partita.settings import Settings
from partita.song.card import ModelCard
from partita.song.request import MAX_SEED, SongRequest
from partita.weights.catalog import catalog
from partita.weights.inventory import model_status
from partita.weights.places import caches_of

UPSTREAM_MODEL = "acestep-v15-turbo"
OUTPUTS: dict[FileFormat, dict[str, Any]] = {
    "wav": {"format": "wav", "bit_depth": 32},
    "ogg": {"format": "ogg"},
    "mp3": {"format": "mp3", "bitrate_kbps": 192},
}
_NAMES = {
    "bpm": "metas: bpm",
    "key": "metas: key",
    "time_signature": "metas: time signature",
    "sampling.shift": "shift",
}
_TABLES = (1, 2, 3)
_NO_CAPTION = "instrumental music"


def choose(settings: Settings, model: str | None = None) -> Choice:
    """The model that plays: the one that is named, else a turbo of ACE-Step 1.5 that is on this machine, else
    PARTITA_MODEL's, else the built-in one. A note says where another plays than was asked for."""
    if model is not None:
        return choose_model(model, settings)
    caches = caches_of(settings)
    turbos = [card for card in catalog() if card.family == "acestep-1.5" and "turbo" in card.variant]
    here = (card for card in turbos if model_status(card, caches, settings.checkpoint_dir).state == "ready")
    return choose_model(UPSTREAM_MODEL, settings, stands_for=(next(here, turbos[0]).id,))


def request_of(
    asked: Asked,
    file_format: FileFormat,
    choice: Choice,
    settings: Settings,
    *,
    use_lm: bool = False,
    resolve: Callable[[SongRequest], object],
) -> Fitted:
    """The request, and sentences for the record. Raises RequestError for what no wording can save."""
    card = choice.card
    notes: list[str] = list(choice.notes)
    fields: dict[str, Any] = {
        "model": card.id,
        "caption": asked.caption,
        **sung(asked.lyrics),
        "duration_s": asked.duration_s,
        "seed": _seed(asked.seed, notes),
        "output": OUTPUTS[file_format],
        "sampling": _sampling(asked.shift, card, notes),
    }
    plan = planned(
        "metadata" if use_lm else "off",
        card,
        settings,
        "--use-lm",
        options={"temperature": 0.0},
        duration_s=asked.duration_s,
    )
    notes.extend(plan.notes)
    if plan.fields:
        fields |= plan.fields
        if asked.metas.strip():
            notes.append("metas was asked for and is not applied: with --use-lm the planner writes them.")
    else:
        fields["language"] = asked.language
        fields["duration_s"] = DEFAULT_DURATION_S if asked.duration_s is None else asked.duration_s
        _apply(read_metas(asked.metas), fields, asked, notes)
    if not fields["caption"].strip() and "lyrics" not in fields:
        fields["caption"] = _NO_CAPTION
        notes.append(f"The caption is empty: {_NO_CAPTION!r} stands in its place.")
    fitted = fit({name: value for name, value in fields.items() if value is not None}, resolve, _NAMES)
    return Fitted(fitted.request, (*notes, *fitted.notes))


def unplanned(asked: Asked, error: Exception) -> str:
    """What the record says where the planner failed and the song was made without it."""
    return f"--use-lm was asked for and is not applied: the planner failed ({error})."


@dataclass(frozen=True, slots=True)
class Metas:
    """What `metas` says: fields of the request, a length, and other words."""

    fields: dict[str, Any]
    duration_s: float | None
    words: tuple[str, ...]


def read_metas(metas: str) -> Metas:
    """Read items such as `bpm: 120, key: C major`, or lines of them with dashes in front, in any order."""
    fields: dict[str, Any] = {}
    duration_s, words = None, []
    for item in filter(None, (one.strip().lstrip("-").strip() for one in re.split(r"[,;\n]", metas))):
        name, colon, value = (part.strip() for part in item.partition(":"))
        kind = _KINDS.get(re.sub(r"[\s_-]", "", name.lower())) if colon else None
        if kind is not None and value.lower() in ("", "n/a", "none", "auto"):
            continue
        if kind == "duration_s" and (found := re.match(r"\d+(\.\d+)?", value)):
            duration_s = float(found.group())
            continue
        said = _said(kind, value) if kind is not None else _said_plainly(item)
        fields = said | fields
        if not said:
            words.append(item)
    return Metas(fields, duration_s, tuple(words))


_KINDS = {
    **dict.fromkeys(("bpm", "tempo"), "bpm"),
    **dict.fromkeys(("key", "keyscale", "scale"), "key"),
    **dict.fromkeys(("timesignature", "meter", "metre", "time"), "time_signature"),
    **dict.fromkeys(("duration", "length"), "duration_s"),
}
_METRES = {"2": "2/4", "3": "3/4", "4": "4/4", "6": "6/8"}


def _said(kind: str, value: str) -> dict[str, Any]:
    """The field that an item with a name gives, empty where its value is none."""
    if kind == "bpm":
        found = re.match(r"\d{1,4}(\.\d+)?", value)
        return {"bpm": round(float(found.group()))} if found else {}
    if kind == "time_signature":
        metre = _METRES.get(value) or metre_of(value)
        return {"time_signature": metre} if metre else {}
    if kind == "key":
        with suppress(RequestError):
            return {"key": tidy_key(value)}
        key = key_of(value)
        return {"key": key} if key else {}
    return {}


def _said_plainly(item: str) -> dict[str, Any]:
    """The field that an item without a name is: `120 bpm`, `C minor`, `3/4`."""
    read: tuple[tuple[str, Callable[[str], Any]], ...] = (
        ("bpm", tempo_of),
        ("time_signature", metre_of),
        ("key", key_of),
    )
    if len(item.split()) > 3:  # a phrase in which a tempo is named says more than that
        return {}
    return next(({name: value} for name, reader in read if (value := reader(item)) is not None), {})


def _apply(metas: Metas, fields: dict[str, Any], asked: Asked, notes: list[str]) -> None:
    fields |= metas.fields
    if metas.words:
        fields["caption"] = ", ".join((*filter(None, [fields["caption"].rstrip(" ,.")]), *metas.words))
    if metas.duration_s is not None and metas.duration_s != int(fields["duration_s"]) and metas.duration_s > 0:
        notes.append(
            f"metas: duration {number(metas.duration_s)} was asked for and is not applied: duration_s says "
            f"{number(fields['duration_s'])}."
        )


def _sampling(shift: float, card: ModelCard, notes: list[str]) -> dict[str, Any]:
    if tuple(card.sampling.shifts) == _TABLES:
        whole = int(max(shift, 0))
        return {"shift": float(whole if whole in _TABLES else 3)}
    if shift != 3:
        notes.append(f"shift {number(shift)} was asked for and is not applied: {card.id} has no such tables of times.")
    return {}


def _seed(seed: int | None, notes: list[str]) -> int | None:
    if seed is None or seed <= MAX_SEED:
        return seed
    folded = (seed ^ (seed >> 32)) & MAX_SEED
    notes.append(f"seed {seed} is above {MAX_SEED}: its halves are folded into {folded}.")
    return folded
