"""Between songs and the planner: a resolved request as a planner's wish, its answer as a plan or a description.

The user's values win, the planner's come next, and what it leaves open is as the rules have it. Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from partita.errors import RequestError
from partita.planner.lm.fields import DURATION_MAX_S, Field, time_signature
from partita.planner.lm.planner import Draft, How, SongAnswer, Wish, without_voice
from partita.planner.lm.prompts import CURRENT, INSTRUMENTAL, LEGACY, NO_INPUT
from partita.planner.lm.sampling import Sampling
from partita.score.keys import tidy_key
from partita.song.plan import Origin, Plan
from partita.song.planning import Description, PlannedBy, PlannerOptions
from partita.song.resolve import ResolvedRequest
from partita.text.languages import UNKNOWN

_FIELDS = {
    "bpm": Field.BPM,
    "duration_s": Field.DURATION,
    "key": Field.KEYSCALE,
    "language": Field.LANGUAGE,
    "time_signature": Field.TIMESIGNATURE,
}


def sampling_of(options: PlannerOptions, *, original: bool = False) -> Sampling:
    """How tokens are chosen. The original's program for CUDA, the usual one, ignores top-p unless it is exactly 1."""
    return Sampling(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=1.0 if original else options.top_p,
        min_p=options.min_p,
        guidance=options.guidance_scale,
    )


def wish_of(resolved: ResolvedRequest) -> Wish:
    """What the planner is asked, with what the user settled. The original does not tell it the language."""
    given = given_fields({name: getattr(resolved, name) for name in _FIELDS})
    if resolved.parity or resolved.language == UNKNOWN:
        given.pop(Field.LANGUAGE.value)
    return Wish(caption=resolved.caption, lyrics=resolved.lyrics, given=given, duration_max_s=DURATION_MAX_S)


def given_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values under the names of a request, those that are none left out, under the planner's names."""
    return {_FIELDS[name].value: value for name, value in values.items() if value is not None}


def how_of(resolved: ResolvedRequest) -> How:
    """How it is asked: the options of the request."""
    options = resolved.planner
    return How(
        sampling=sampling_of(options, original=resolved.parity),
        caption=options.rewrite_caption,
        codes=options.mode == "full",
        negative=options.negative_prompt or NO_INPUT,
        layout=LEGACY if options.layout == "legacy" else CURRENT,
        original=resolved.parity,
    )


def plan_of(resolved: ResolvedRequest, rules: Plan, answer: SongAnswer, planner: PlannedBy) -> Plan:
    """The plan of one song: `rules`, what the rules make of the request, with what the planner wrote in its place.

    The original finds a language and then loses it. A language that the planner does not know stays as the rules have
    it.
    """
    written = described(answer.metadata)
    if resolved.parity or written.get("language") == UNKNOWN:
        written.pop("language", None)
    if not resolved.planner.rewrite_caption:
        written.pop("caption", None)
    taken = {
        name: written[name]
        for name in ("caption", "language", "duration_s", "bpm", "key", "time_signature")
        if name in written and (name == "caption" or rules.origins.get(name) not in ("user", "style"))
    }
    if answer.codes is not None:
        taken["codes"] = answer.codes
    origins: dict[str, Origin] = {**rules.origins, **dict.fromkeys(taken, cast("Origin", "language model"))}
    return rules.model_copy(
        update={**taken, "origins": origins, "notes": (*rules.notes, *answer.notes), "planner": planner}
    )


def described(metadata: Mapping[str, int | str]) -> dict[str, Any]:
    """A planner's metadata under the names of a request, in its spellings; what makes no sense there is left out."""
    found: dict[str, Any] = {name: metadata[name] for name in ("caption", "language", "genres") if name in metadata}
    for name in ("bpm", "duration"):
        if isinstance(value := metadata.get(name), int) and value > 0:
            found["duration_s" if name == "duration" else name] = float(value) if name == "duration" else value
    if "keyscale" in metadata and (key := _key(str(metadata["keyscale"]))) is not None:
        found["key"] = key
    metre = time_signature(str(metadata.get("timesignature", "")).removesuffix("/4").replace("6/8", "6"))
    return found if metre is None else {**found, "time_signature": metre}


def _key(text: str) -> str | None:
    try:
        return tidy_key(text)
    except RequestError:  # the original's grammar lets through what is no key
        return None


def description_of(
    draft: Draft,
    seed: int,
    planner: PlannedBy,
    *,
    lyrics: str = "",
    instrumental: bool = False,
    original: bool = False,
) -> Description:
    """What a planner wrote, as a description. `lyrics` are those to keep where it wrote none.

    Music that was asked for without a voice gets no lyrics, whatever was written (in the original it keeps them).
    """
    written = described(draft.answer.metadata)
    words, notes = draft.answer.lyrics or lyrics, [] if draft.note is None else [draft.note]
    if instrumental and not without_voice(words) and not original:
        words = INSTRUMENTAL
        notes.append("The planner wrote lyrics although none were wanted; they were left out.")
    return Description(
        caption=written.pop("caption", ""),
        lyrics=INSTRUMENTAL if without_voice(words) else words,
        seed=seed,
        planner=planner,
        notes=tuple(notes),
        **written,
    )
