"""The metadata fields of a plan as the planner writes them, what each may hold, and user values put in that form.

Field order, names and ranges are those the planner was trained on. Knows no tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from partita.errors import RequestError
from partita.score.keys import key_name, parse_key
from partita.text.languages import LANGUAGES, UNKNOWN, check_language


class Field(Enum):
    """A metadata field by its trained-in name, in the order in which fields are written."""

    BPM = "bpm"
    CAPTION = "caption"
    DURATION = "duration"
    GENRES = "genres"
    KEYSCALE = "keyscale"
    LANGUAGE = "language"
    TIMESIGNATURE = "timesignature"


FIELDS = tuple(Field)
FIELD_NAMES = tuple(field.value for field in FIELDS)

BPM_MIN, BPM_MAX = 30, 300
DURATION_MIN_S, DURATION_MAX_S = 10, 600
KEYSCALES = tuple(
    f"{note}{accidental} {mode}"
    for note in "ABCDEFG"
    for accidental in ("", "#", "b", "♯", "♭")
    for mode in ("major", "minor")
)
TIME_SIGNATURES = ("2", "3", "4", "6")
"""Beats a bar as the planner counts them: 2/4, 3/4, 4/4 and 6/8."""

_ABSENT = ("", "n/a")
_MARK = re.compile(r"<\|[a-z0-9_]+\|>|</?(?:think|tool_call|tool_response)>", re.IGNORECASE)


def field_after(field: Field, skipped: frozenset[Field]) -> Field | None:
    """The next field in order that is not skipped, or None after the last."""
    rest = FIELDS[FIELDS.index(field) + 1 :]
    return next((candidate for candidate in rest if candidate not in skipped), None)


def valid_values(field: Field, duration_max_s: int = DURATION_MAX_S) -> tuple[str, ...]:
    """Every value of a field that has a list of them; empty for captions and genres, which are text."""
    match field:
        case Field.BPM:
            return tuple(str(bpm) for bpm in range(BPM_MIN, BPM_MAX + 1))
        case Field.DURATION:
            return tuple(str(seconds) for seconds in range(DURATION_MIN_S, duration_max_s + 1))
        case Field.KEYSCALE:
            return KEYSCALES
        case Field.LANGUAGE:
            return tuple(LANGUAGES)
        case Field.TIMESIGNATURE:
            return TIME_SIGNATURES
        case _:
            return ()


def check_text(field: str, text: str) -> str:
    """`text` itself. Raises RequestError where it holds a mark that would end the turn, or stand for an audio code."""
    match = _MARK.search(text)
    if match:
        raise RequestError(
            f"{field} holds {match[0]!r}, which the planner would take for one of its control marks; remove it.",
            field=field,
            value=match[0],
        )
    return text


def metre(text: str) -> str:
    """A time signature in the planner's form: `4/4` is `4`, `6/8` is `6`; anything else stays."""
    text = text.strip()
    return "6" if text == "6/8" else text.removesuffix("/4")


def time_signature(beats: str) -> str | None:
    """The usual form of a time signature of the planner, `4/4` of `4` and `6/8` of `6`; None for another."""
    if beats not in TIME_SIGNATURES:
        return None
    return "6/8" if beats == "6" else f"{beats}/4"


def given_values(
    values: Mapping[str, Any] | None, *, duration_max_s: int = DURATION_MAX_S, original: bool = False
) -> dict[Field, str]:
    """What a user gave, under the field names, as the text to be written; absent values (None, blank, `N/A`) left out.

    bpm and duration become whole numbers, a key the planner's spelling, a time signature its beats, a caption one line.
    The original takes every value but None as it is, and passes over names that it does not know.

    Raises RequestError for an unknown field, or a value that the planner was not trained on.
    """
    values = values or {}
    if original:
        return {field: f"{values[field.value]}" for field in FIELDS if values.get(field.value) is not None}
    unknown = [name for name in values if name not in FIELD_NAMES]
    if unknown:
        raise RequestError(
            f"The planner has no field {unknown[0]!r}; it writes {', '.join(FIELD_NAMES)}.",
            field=str(unknown[0]),
            value=values[unknown[0]],
        )
    held = {field: values[field.value] for field in FIELDS if not absent(values.get(field.value))}
    return {field: _written(field, value, duration_max_s) for field, value in held.items()}


def absent(value: Any) -> bool:
    """Whether a value says nothing: None, blank or `N/A`."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _ABSENT)


def _written(field: Field, value: Any, duration_max_s: int) -> str:
    match field:
        case Field.BPM:
            return str(_whole(field, value, BPM_MIN, BPM_MAX, "beats per minute"))
        case Field.DURATION:
            return str(_whole(field, value, DURATION_MIN_S, duration_max_s, "seconds"))
        case Field.KEYSCALE:
            text = str(value).strip()
            return text if text in KEYSCALES else key_name(*parse_key(text))
        case Field.LANGUAGE:
            return check_language(str(value).strip())
        case Field.TIMESIGNATURE:
            text = metre(str(value))
            if text not in TIME_SIGNATURES:
                raise RequestError(
                    f"time_signature {value!r} is not one that the planner writes; use 2/4, 3/4, 4/4 or 6/8.",
                    field="time_signature",
                    value=value,
                )
            return text
        case _:
            return " ".join(check_text(field.value, str(value)).split())


def _whole(field: Field, value: Any, least: int, most: int, unit: str) -> int:
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not least <= number <= most:
        raise RequestError(
            f"{field.value} {value!r} is not a number of {unit} from {least} to {most}, which the planner can write.",
            field=field.value,
            value=value,
        )
    return number


def wanted_language(language: str | None) -> str | None:
    """The language that a user settled on, or None where it is open (blank or `unknown`)."""
    text = (language or "").strip()
    return None if not text or text.lower() == UNKNOWN else text
