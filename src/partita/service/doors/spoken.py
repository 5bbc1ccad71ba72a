"""What doors do with words: those that are lyrics or say that there are none, and wishes for a language model to write
a song, to rewrite one, or to plan one.

Where no planner is on this machine, or the one that is there fails, the words are used as they are, and a sentence says
so. Knows no protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from partita.engine.cancel import CancelFlag
from partita.engine.engine import Engine
from partita.engine.planning import PREFERRED
from partita.errors import ModelError, RequestError
from partita.service.jobs.queue import JobQueue
from partita.settings import Settings
from partita.song.card import ModelCard, PlannerCard
from partita.song.planning import Description, PlannerMode, PlannerOptions
from partita.text.prompts import DURATION_RANGE_S
from partita.weights.catalog import fetch_command, planner as find_planner
from partita.weights.inventory import planner_inventory
from partita.weights.places import caches_of


@dataclass(frozen=True, slots=True)
class Words:
    """Fields of a SongRequest, and a sentence for each wish that could not be followed. `description` is what a
    language model wrote, none where none did."""

    fields: dict[str, Any]
    notes: tuple[str, ...] = ()
    description: Description | None = field(default=None, compare=False)


def sung(lyrics: str | None, instrumental: bool | None = None) -> dict[str, Any]:
    """The request's fields for lyrics as other programs take them: `[inst]` and `[instrumental]` alone are none.

    Lyrics that were given win over `instrumental`, which cannot be had with them.
    """
    words = (lyrics or "").strip()
    if words.casefold() in ("", "[inst]", "[instrumental]"):
        return {"instrumental": True} if words or instrumental else {}
    return {"lyrics": lyrics}


def planner_here(settings: Settings, name: str | None = None) -> PlannerCard | None:
    """The planner of a name, or else the best, if its files are on this machine."""
    states = {one.card.id: one.state for one in planner_inventory(caches_of(settings), settings.checkpoint_dir)}
    if name is not None:
        try:
            names = [find_planner(name).id]
        except RequestError:
            return None
    else:
        names = list(PREFERRED)
    return next((find_planner(one) for one in names if states[one] == "ready"), None)


def planned(
    mode: PlannerMode,
    card: ModelCard,
    settings: Settings,
    asked: str,
    *,
    options: Mapping[str, Any] | None = None,
    duration_s: float | None = None,
) -> Words:
    """The request's field `planner` for a protocol's wish, called `asked` in sentences, that a language model plan.

    `options` are further fields of PlannerOptions; its `model` is used where it is on this machine, and else another.
    Empty where `mode` is off or the wish cannot be followed.
    """
    if mode == "off":
        return Words({})
    least, most = DURATION_RANGE_S
    if not card.codes:
        return Words({}, (_not_applied(asked, f"{card.id} is not planned by a language model"),))
    if duration_s is not None and not least <= duration_s <= most:
        why = f"a language model plans songs of {least} to {most} seconds, and {duration_s:g} were asked for"
        return Words({}, (_not_applied(asked, why),))
    given = {name: value for name, value in (options or {}).items() if value is not None}
    named = given.pop("model", None)
    here = planner_here(settings, named) or planner_here(settings)
    if here is None:
        return Words({}, (_not_applied(asked, _absent()),))
    notes = () if named is None or planner_here(settings, named) else (_other(named, here),)
    return Words({"planner": {"mode": mode, "model": here.id, **given}}, notes)


def written(
    queue: JobQueue,
    settings: Settings,
    wish: str,
    asked: str,
    *,
    language: str | None = None,
    instrumental: bool = False,
    options: PlannerOptions = PlannerOptions(),  # noqa: B008  (a frozen value)
    seed: int | None = None,
    timeout_s: float | None = None,
) -> Words:
    """A whole song in words from a wish; the wish itself as the caption where no planner can write it.

    Blocks until a worker has done it. Raises RequestError for an empty wish, BusyError and DeadlineError.
    """

    def call(engine: Engine, cancel: CancelFlag) -> Description:
        return engine.write(
            wish, language=language, instrumental=instrumental, planner=options, seed=seed, cancel=cancel
        )

    return _asked_of_worker(queue, settings, call, {"caption": wish}, asked, timeout_s)


def rewritten(
    queue: JobQueue,
    settings: Settings,
    caption: str,
    lyrics: str,
    asked: str,
    *,
    given: Mapping[str, Any] | None = None,
    options: PlannerOptions = PlannerOptions(),  # noqa: B008
    seed: int | None = None,
    timeout_s: float | None = None,
) -> Words:
    """Caption and lyrics in a planner's own words; as they are where no planner can do it.

    `given` are fields of the request that stay: bpm, duration_s, key, time_signature, language. Blocks and raises as
    `written` does.
    """
    kept = {name: value for name, value in (given or {}).items() if value is not None}

    def call(engine: Engine, cancel: CancelFlag) -> Description:
        return engine.format(caption, lyrics, **kept, planner=options, seed=seed, cancel=cancel)

    return _asked_of_worker(queue, settings, call, {"caption": caption, "lyrics": lyrics, **kept}, asked, timeout_s)


def _asked_of_worker(
    queue: JobQueue,
    settings: Settings,
    call: Callable[[Engine, CancelFlag], Description],
    otherwise: dict[str, Any],
    asked: str,
    timeout_s: float | None,
) -> Words:
    if planner_here(settings) is None:
        return Words(otherwise, (_not_applied(asked, _absent()),))
    try:
        description = queue.run(call, timeout_s=timeout_s)
    except ModelError as error:  # the song can be made without, and whoever asked is told
        return Words(otherwise, (_not_applied(asked, str(error).rstrip(".")),))
    return Words(otherwise | description.request_fields(), description.notes, description)


def _not_applied(asked: str, why: str) -> str:
    return f"{asked} was asked for and is not applied: {why}."


def _absent() -> str:
    return f"no language model is on this machine, `{fetch_command(find_planner(PREFERRED[0]))}` fetches one"


def _other(named: str, here: PlannerCard) -> str:
    return f"planner {named} was asked for and is not applied: it is not on this machine. {here.id} plans."
