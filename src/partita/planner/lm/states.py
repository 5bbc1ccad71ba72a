"""The values of the planner's automaton: where a row stands, what may come next, and the rules of one run.

All are frozen. The transitions between them are `grammar`'s; what they do to logits is `masks`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from partita.planner.lm.fields import DURATION_MAX_S, Field
from partita.planner.lm.trees import GenreVocabulary


class Place(Enum):
    """Where in an answer a row stands.

        OPEN -> LINE -> NAME -> VALUE -> NAME -> ... -> CLOSE -> CODES | TEXT | END

    OPEN writes `<think>`, LINE its line feed, NAME and VALUE one field each, CLOSE the end of the thought.
    """

    OPEN = "open"
    LINE = "line"
    NAME = "name"
    VALUE = "value"
    CLOSE = "close"
    CODES = "codes"
    TEXT = "text"
    END = "end"


class Then(Enum):
    """What follows the metadata: the end of the turn in place of `</think>`, audio codes, or free text (lyrics)."""

    STOP = "stop"
    CODES = "codes"
    TEXT = "text"


class Wide(Enum):
    """A set of tokens too large to list, held as a mask. Those below the blank line are the original's."""

    CAPTION = "anything visible or blank: no codes, no marks, no backtick"
    CAPTION_BEGIN = "the same without a line feed"
    CAPTION_LINE = "an indented line of a caption, or the first token of the next field's name"
    GENRES = "the rest of one line, or its end"
    GENRES_BEGIN = "the beginning of one line"
    CODES = "audio codes"
    CODES_OR_END = "audio codes and the end of the turn"
    TEXT = "free text and the end of the turn: no codes, no marks"

    ANY = "everything"
    NOT_NEWLINE = "everything but a line feed"
    NOT_CODES = "everything but audio codes"
    NOT_CODES_NOR_BACKTICK = "everything but audio codes and the backtick"


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Tokens that may come next: a few `ids` (ascending), or a `wide` set. `best_only` narrows it to the one with the
    largest logit, whatever the temperature."""

    ids: tuple[int, ...] = ()
    wide: Wide | None = None
    best_only: bool = False

    @property
    def only(self) -> int | None:
        """The one token that there is, or None where there is a choice (or nothing at all)."""
        return self.ids[0] if self.wide is None and len(self.ids) == 1 else None


@dataclass(frozen=True, slots=True)
class Rules:
    """What one run is asked to write.

    `given` are values to be written as they stand (`fields.given_values`), `skipped` fields to leave out (bpm,
    duration, keyscale and timesignature cannot be). `thought_done` starts at the codes: the thought is in the prompt.
    `target_codes` is the exact number of codes; without one, ours takes it from the duration that was written, and the
    original lets the planner end where it likes. `forced_duration_s` is a quirk of the original: a duration to be
    written without a blank. `genres` holds genre values to a vocabulary.
    """

    then: Then
    given: Mapping[Field, str] = field(default_factory=lambda: MappingProxyType({}))
    skipped: frozenset[Field] = frozenset()
    thought_done: bool = False
    target_codes: int | None = None
    forced_duration_s: float | None = None
    duration_max_s: int = DURATION_MAX_S
    genres: GenreVocabulary | None = None
    original: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Where one row stands. Which fields count depends on `place`.

    `position` is in characters of a fixed string. `ids` and `text` are the value so far, `tokens` their number. `queue`
    is what is left of a given value. `line_start` says that a caption's token held a line feed. `codes` counts audio
    codes, of `target`. `leaving`, `pending` and `only` serve the original alone: a caption that is being left, the
    field name that is being written, and a token that must be next although the state has moved on.
    """

    place: Place
    field: Field | None = None
    position: int = 0
    ids: tuple[int, ...] = ()
    text: str = ""
    tokens: int = 0
    queue: tuple[int, ...] = ()
    line_start: bool = False
    codes: int = 0
    target: int | None = None
    leaving: bool = False
    pending: str = ""
    only: int | None = None
