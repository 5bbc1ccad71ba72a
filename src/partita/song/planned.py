"""What of a request is about its plan: a plan that was given, and whether a language model may make one.

Rules of the one place where requests are resolved (`song.resolve`), held here for their length. Reads no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from partita.errors import RequestError
from partita.score.keys import parse_key
from partita.song.card import ModelCard
from partita.song.plan import CODES_PER_S
from partita.song.planning import PlannerOptions
from partita.song.request import SongRequest
from partita.song.task import Retake, TextToMusic
from partita.song.values import short
from partita.text.languages import check_language
from partita.text.prompts import BPM_RANGE, DURATION_RANGE_S, INSTRUMENTAL_LYRICS

_SETTLED = ("caption", "lyrics", "language", "duration_s", "bpm", "key", "time_signature")


def follow_plan(request: SongRequest) -> SongRequest:
    """`request` with the values of its plan, where it has one.

    Raises RequestError where the request says otherwise than its plan, or the plan makes no sense.
    """
    plan = request.plan
    if plan is None:
        return request
    if not isinstance(request.task, (TextToMusic, Retake)):
        raise _bad(f"A plan was given, and {request.task.kind} follows its source: leave plan out.", "plan")
    if request.planner.mode != "off":
        raise _bad(
            f"A plan was given and planner {request.planner.mode} was asked for: leave out one of them.", "planner.mode"
        )
    if isinstance(request.task, TextToMusic) and request.task.codes is not None:
        raise _bad("A plan was given and codes too: put the codes into the plan, or leave it out.", "task.codes")
    if request.instrumental and plan.lyrics.strip() not in ("", INSTRUMENTAL_LYRICS):
        raise _bad("instrumental was asked for and the plan has lyrics: leave out one of them.", "instrumental", True)
    for name in _SETTLED:
        asked, settled = getattr(request, name), getattr(plan, name)
        if asked not in (None, "") and asked != settled:
            raise _bad(
                f"{name} {short(asked)} was asked for, and the plan says {short(settled)}: leave {name} out, or "
                "change the plan.",
                name,
                asked,
            )
    check_language(plan.language)
    if plan.key is not None:
        parse_key(plan.key)
    if plan.bpm is not None and not BPM_RANGE[0] <= plan.bpm <= BPM_RANGE[1]:
        raise _bad(f"The plan's bpm is {plan.bpm}; give one from {BPM_RANGE[0]} to {BPM_RANGE[1]}.", "bpm", plan.bpm)
    if plan.codes is not None and not plan.codes:
        raise _bad("The plan's codes are an empty list: leave them out, or give at least one.", "plan.codes")
    coded_s = plan.duration_s if plan.codes is None else len(plan.codes) / CODES_PER_S
    if abs(coded_s - plan.duration_s) > 1 / CODES_PER_S and not request.parity:
        raise _bad(
            f"The plan is {plan.duration_s:g} s long and its {len(plan.codes or ())} codes make {coded_s:g} s: change "
            "one of them (parity takes both as they are).",
            "plan.codes",
            len(plan.codes or ()),
        )
    return request.model_copy(update={name: getattr(plan, name) for name in _SETTLED})


def check_planner(request: SongRequest, card: ModelCard, cards: Sequence[ModelCard]) -> None:
    """Raises RequestError where a language model is asked to plan what it cannot, or is told how and not asked to.

    It plans songs from words alone, as the original does. The built-in model takes none: it needs a whole plan of parts
    and bars, within the narrow ranges that it plays, which its rules make; long captions in a planner's words are not
    what it reads. Nor does ACE-Step v1, which was trained on tags and knows no codes.
    """
    options, kind = request.planner, request.task.kind
    if options.mode == "off":
        # A usual value is no wish: a request that was written out and read again has all of them.
        usual = PlannerOptions()
        told = sorted(name for name in options.model_fields_set if getattr(options, name) != getattr(usual, name))
        if told:
            raise _bad(
                f"planner.{told[0]} was given, and the planner is off: ask for planner metadata or full.",
                f"planner.{told[0]}",
                getattr(options, told[0]),
            )
        return
    if kind != "text-to-music":
        raise _bad(
            f"planner {options.mode} was asked for, and {kind} takes what it needs from a song that is there: a "
            "language model plans songs from words alone. Leave planner out.",
            "planner.mode",
            options.mode,
        )
    if not card.codes:
        able = ", ".join(one.id for one in cards if one.codes)
        why = (
            "is planned by rules: it needs every part and bar settled, which no language model here writes"
            if card.makes_score
            else "reads tags and lyrics as they are given: it follows no codes, and prose is not what it was trained on"
        )
        raise _bad(
            f"planner {options.mode} was asked for, and {card.id} {why}."
            f"{f' These take a planner: {able}.' if able else ''}",
            "planner.mode",
            options.mode,
        )
    if options.mode == "full" and isinstance(request.task, TextToMusic) and request.task.codes is not None:
        raise _bad(
            "planner full writes semantic codes, and codes were given: use planner metadata, or leave out the codes.",
            "task.codes",
            len(request.task.codes),
        )
    least, most = DURATION_RANGE_S
    if request.duration_s is not None and not least <= request.duration_s <= most:
        raise _bad(
            f"duration_s {request.duration_s:g} was asked for, and the planner plans songs of {least} to {most} "
            "seconds: ask for such a length, or leave planner out.",
            "duration_s",
            request.duration_s,
        )
    if options.negative_prompt.strip() and (options.mode != "full" or options.guidance_scale <= 1):
        raise _bad(
            "planner.negative_prompt leads codes away from something, which needs planner full and a "
            "planner.guidance_scale above 1.",
            "planner.negative_prompt",
            options.negative_prompt,
        )


def _bad(message: str, field: str, value: Any = None) -> RequestError:
    return RequestError(message, field=field, value=value)
