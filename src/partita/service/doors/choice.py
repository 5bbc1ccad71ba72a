"""What every door of an older protocol needs: the model that plays for a name of that protocol, and a request that this
model can honour, with a sentence for everything that was left out.

Knows no protocol and no network. What a model honours is `song.resolve`'s business: a request is tried, and what is
refused is left out, for as long as the refused field is no more than a wish about how to make the song.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from partita.errors import RequestError
from partita.planner.reading import metre_of, tempo_of
from partita.settings import Settings
from partita.song.card import ModelCard
from partita.song.request import SongRequest
from partita.song.resolve import TakenIn, resolve
from partita.song.values import short
from partita.weights.catalog import card as find_card, fetch_command
from partita.weights.inventory import model_status
from partita.weights.places import caches_of

if TYPE_CHECKING:  # a program that starts fast chooses a model before it imports an engine
    from partita.service.jobs.job import Job, JobOptions
    from partita.service.service import Service

BUILT_IN = "built-in"

_WISHES = ("bpm", "duration_s", "key", "time_signature", "language", "references", "adapters")
"""Fields without which a song is still the one that was described."""
_WISHES_WITHIN = {
    "sampling": None,  # all of them
    "output": ("bit_depth", "bitrate_kbps", "keep_latents", "midi", "stems", "lrc", "vtt", "loudness_lufs"),
    "task": ("strength", "noise_strength", "mode", "chunk_mask", "follow", "codes", "fsq", "n_min", "n_max", "n_avg"),
}
_GUIDANCE = ("guidance_scale", "guidance", "guidance_interval")
"""A model without guidance refuses any of them in the name of the first."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that plays, and a sentence where it is not the one that was asked for."""

    card: ModelCard
    note: str | None = None

    @property
    def model_id(self) -> str:
        return self.card.id

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self.note is None else (self.note,)


def choose_model(asked: str | None, settings: Settings, *, stands_for: Sequence[str] | None = None) -> Choice:
    """The catalog model for a name of another protocol: a catalog id or an upstream alias, if its files are here.

    `stands_for` are the catalog's names for what the protocol calls `asked`, best first, where it has names of its own;
    empty, where nothing here is like it. Otherwise PARTITA_MODEL's model plays, and the built-in one where that is not
    here either; the note names what was asked for, why it does not play, and what does.
    """
    names = [asked] if asked and stands_for is None else list(stands_for or ())
    faults = []
    for name in names:
        card, fault = _here(name, settings)
        if card is not None:
            return Choice(card)
        faults.append(fault)
    if asked and not names:
        faults.append("there is no such model here")
    played, fault = _here(settings.model, settings)
    if played is None:
        faults.append(f"PARTITA_MODEL is {settings.model}, and {fault}")
    card = played or find_card(BUILT_IN)
    if not faults:
        return Choice(card)
    what = f"model {asked} was asked for" if asked else f"PARTITA_MODEL {settings.model} was asked for"
    return Choice(card, f"{what} and is not applied: {'; '.join(faults)}. {card.id} plays.")


def _here(name: str, settings: Settings) -> tuple[ModelCard | None, str]:
    """The model of a name if it is whole on this machine, else none and why."""
    try:
        card = find_card(name)
    except RequestError:
        return None, "there is no such model here"
    status = model_status(card, caches_of(settings), settings.checkpoint_dir)
    if status.state in ("shipped", "ready"):
        return card, ""
    if status.state == "damaged":
        return None, f"{card.id} cannot be read: {status.missing[0].rstrip('.')}"
    whole = "not whole on this machine" if status.state == "partial" else "not on this machine"
    return None, f"{card.id} is {whole}, `{fetch_command(card)}` fetches it"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A request that is honoured, and a sentence for each wish that was left out of it."""

    request: SongRequest
    notes: tuple[str, ...]


def fit(
    fields: Mapping[str, Any],
    check: Callable[[SongRequest], object] | ModelCard,
    names: Mapping[str, str] | None = None,
) -> Fitted:
    """A request of `fields` (those of SongRequest, nested as in its JSON) without what cannot be honoured.

    `check` raises RequestError where a request cannot be: `Engine.resolve`, or a card, which does for requests that
    name no source and no adapter. `names` are the protocol's names of our fields, such as `sampling.steps`, for the
    sentences. Raises RequestError for what makes the song another: its words, its task, its source.
    """
    seen = check if callable(check) else lambda request: resolve(request, check, TakenIn())
    request, notes = _attempt(fields, lambda request, _: (seen(request), request)[1], names or {})
    return Fitted(request, notes)


def submit_fitted(
    service: Service,
    fields: Mapping[str, Any],
    options: JobOptions,
    names: Mapping[str, str] | None = None,
) -> Job:
    """Submit the request of `fields` without what cannot be honoured; the sentences about it join the options' notes.

    Raises as `fit` and `Service.submit` do.
    """

    def submit(request: SongRequest, notes: tuple[str, ...]) -> Job:
        return service.submit(request, options.model_copy(update={"notes": (*options.notes, *notes)}))

    return _attempt(fields, submit, names or {})[0]


def _attempt(
    fields: Mapping[str, Any], use: Callable[[SongRequest, tuple[str, ...]], T], names: Mapping[str, str]
) -> tuple[T, tuple[str, ...]]:
    """What `use` makes of the request, leaving out one refused wish after another, and the sentences about them."""
    left: dict[str, Any] = copy.deepcopy(dict(fields))
    notes = _keep_caption_within(left)
    while True:
        try:
            return use(SongRequest(**left), notes), notes
        except RequestError as error:
            # Its heirs are about this server (too large, not found), and not about what a model can honour.
            place = _place(error, left) if type(error) is RequestError else None
            if place is None:
                raise
            notes = (*notes, _leave_out(left, place, error, names))


def _keep_caption_within(fields: dict[str, Any]) -> tuple[str, ...]:
    """Set the nearest tempo and metre beside a caption that names ones which the model does not play, and say so.

    A model that makes a score plans them from the caption's words, and its planner would refuse these.
    """
    card, caption = find_card(fields["model"]) if fields.get("model") else None, fields.get("caption", "")
    if card is None or not card.makes_score or not isinstance(caption, str):
        return ()
    notes = []
    tempo, metre = tempo_of(caption), metre_of(caption)
    if fields.get("bpm") is None and tempo is not None and not card.bpm_min <= tempo <= card.bpm_max:
        fields["bpm"] = min(max(tempo, card.bpm_min), card.bpm_max)
        notes.append(
            f"The caption's {tempo} BPM were asked for and are not applied: {card.id} plays {card.bpm_min} to "
            f"{card.bpm_max}. {fields['bpm']} is taken."
        )
    if fields.get("time_signature") is None and metre is not None and metre not in card.time_signatures:
        fields["time_signature"] = "4/4"
        notes.append(
            f"The caption's {metre} was asked for and is not applied: {card.id} does not play it. 4/4 is taken."
        )
    return tuple(notes)


def _place(error: RequestError, fields: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Where in `fields` the wish lies that was refused; none where it is no wish or not there.

    Whatever is found is taken away, so that there are no more attempts than fields.
    """
    first, *rest = (error.field or "").split(".")
    if first in _WISHES:
        return (first,) if first in fields else None
    inner = fields.get(first)
    if not isinstance(inner, Mapping):
        return None
    if first == "planner":
        return (first,)
    name = rest[0] if rest else ""
    if name in _GUIDANCE and name not in inner:
        name = next((one for one in _GUIDANCE if one in inner), name)
    allowed = _WISHES_WITHIN.get(first, ())
    return (first, name) if name in inner and (allowed is None or name in allowed) else None


def _leave_out(fields: dict[str, Any], place: tuple[str, ...], error: RequestError, names: Mapping[str, str]) -> str:
    """Take a wish out of `fields`, or put the nearest that the model does in its place, and say so."""
    owner = fields
    for step in place[:-1]:
        owner[step] = dict(owner[step])
        owner = owner[step]
    ours = ".".join(place)
    asked = owner.pop(place[-1])
    nearest = _nearest(ours, asked, fields)
    if nearest is not None:
        owner[place[-1]] = nearest
    shown = "" if isinstance(asked, (Mapping, list, tuple)) else f" {short(asked)}"
    taken = f" {nearest:g} is taken." if nearest is not None else ""
    return f"{names.get(ours, ours)}{shown} was asked for and is not applied: {error}{taken}"


def _nearest(name: str, asked: Any, fields: Mapping[str, Any]) -> float | None:
    """What the model does that comes nearest to a length or a tempo outside of what it does."""
    if name not in ("duration_s", "bpm") or isinstance(asked, bool) or not isinstance(asked, (int, float)):
        return None
    if not math.isfinite(asked) or asked <= 0 or _holds_source(fields) or "model" not in fields:
        return None
    card = find_card(fields["model"])
    low, high = (card.bpm_min, card.bpm_max) if name == "bpm" else (card.duration.min_s, card.duration.max_s)
    nearest = min(max(asked, low), high)
    return nearest if nearest != asked else None


def _holds_source(fields: Mapping[str, Any]) -> bool:
    task = fields.get("task")
    return isinstance(task, Mapping) and "source" in task
