"""The rules of each operation: which fields are written, given or left out, and what follows them.

One function an operation; prompts of the same names are `prompts.Prompts`'s. Knows no tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from partita.planner.lm.fields import DURATION_MAX_S, Field, given_values, wanted_language
from partita.planner.lm.lengths import code_target
from partita.planner.lm.states import Rules, Then
from partita.planner.lm.trees import GenreVocabulary


def metadata_rules(
    given: Mapping[str, Any] | None = None,
    *,
    caption: bool = True,
    language: bool = True,
    duration_max_s: int = DURATION_MAX_S,
    original: bool = False,
) -> Rules:
    """The first phase: metadata alone, up to the end of the thought. Genres are left out; caption and language too,
    where they are not wanted. Raises RequestError for a given value out of range."""
    wanted = {Field.CAPTION: caption, Field.LANGUAGE: language, Field.GENRES: False}
    return Rules(
        then=Then.STOP,
        given=given_values(given, duration_max_s=duration_max_s, original=original),
        skipped=frozenset(field for field, wish in wanted.items() if not wish),
        duration_max_s=duration_max_s,
        original=original,
    )


def codes_rules(duration_s: float | None, *, original: bool = False) -> Rules:
    """The second phase: audio codes after a prompt with the finished thought, exactly as many as `duration_s` takes.

    `duration_s` is the plan's, whoever settled it. (The original took only the user's, and let codes end where they
    liked while the song kept the planned length.)
    """
    return Rules(then=Then.CODES, thought_done=True, target_codes=code_target(duration_s), original=original)


def create_rules(
    language: str | None = None,
    *,
    genres: GenreVocabulary | None = None,
    duration_max_s: int = DURATION_MAX_S,
    original: bool = False,
) -> Rules:
    """A whole song from a wish: every field, then lyrics. A language that was settled on is given."""
    wanted = wanted_language(language)
    given = given_values({Field.LANGUAGE.value: wanted}, original=original) if wanted else {}
    return Rules(then=Then.TEXT, given=given, genres=genres, duration_max_s=duration_max_s, original=original)


def format_rules(
    given: Mapping[str, Any] | None = None,
    *,
    genres: GenreVocabulary | None = None,
    duration_max_s: int = DURATION_MAX_S,
    original: bool = False,
) -> Rules:
    """A caption and lyrics rewritten, with what was given kept, the language too (the original leaves its field out
    then, and the answer has none). Raises RequestError for a given value out of range; the original drops it."""
    values = _numbers_above_0(given or {}) if original else dict(given or {})
    if not original and wanted_language(str(values.get("language") or "")) is None:
        values.pop("language", None)
    kept = given_values(values, duration_max_s=duration_max_s, original=original)
    skipped = frozenset({Field.LANGUAGE}) if original and Field.LANGUAGE in kept else frozenset()
    return Rules(Then.TEXT, kept, skipped, genres=genres, duration_max_s=duration_max_s, original=original)


def understand_rules(
    *, genres: GenreVocabulary | None = None, duration_max_s: int = DURATION_MAX_S, original: bool = False
) -> Rules:
    """What given codes sound like: every field, then lyrics."""
    return Rules(then=Then.TEXT, genres=genres, duration_max_s=duration_max_s, original=original)


def _numbers_above_0(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: given[name] for name in ("keyscale", "timesignature", "language") if given.get(name)}
    for name in ("bpm", "duration"):
        try:
            number = int(given.get(name) or 0)
        except (TypeError, ValueError):
            continue
        if number > 0:
            kept[name] = number
    return kept
