"""What every part of the band is told before it plays: the outline, the chords, which sections it plays in, how loud.

A part is a function from a `Context` to events whose times are steps. Knows nothing of seconds or humanising.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from partita.score.instruments import Instrument, instrument
from partita.score.types import Role, SectionKind
from partita.training.composer.genres import Genre
from partita.training.composer.harmony import Harmony, SectionFrame, Span
from partita.training.composer.spec import PieceSpec
from partita.training.composer.theory import Metre


class Event(NamedTuple):
    """Notes struck together: one pitch for a melody or a drum, all of a chord. `level` is loudness, 1 for a plain
    accent at full strength."""

    start: float  # steps from the start of the piece
    length: float  # steps
    pitches: tuple[int, ...]
    level: float


SECTION_LEVEL: dict[SectionKind, float] = {
    "intro": 0.80,
    "verse": 0.87,
    "chorus": 1.0,
    "bridge": 0.83,
    "solo": 0.96,
    "outro": 0.78,
}

FULL_SECTIONS = ("chorus", "solo")


@dataclass(frozen=True, slots=True)
class Context:
    """One part's view of the piece. `active[i]` says whether it plays in section `i`."""

    role: Role
    rng: random.Random
    spec: PieceSpec
    genre: Genre
    metre: Metre
    harmony: Harmony
    active: tuple[bool, ...]
    step_s: float

    @property
    def instrument(self) -> Instrument:
        return instrument(self.role, self.spec.program(self.role) or 0)

    def playing(self) -> list[SectionFrame]:
        """The sections this part plays in."""
        return [section for section, on in zip(self.harmony.sections, self.active, strict=True) if on]

    def plays_last(self) -> bool:
        """Whether the part joins the final chord."""
        return not self.active or self.active[-1]


def span_at(section: SectionFrame, step: float) -> Span:
    """The chord in force at `step`."""
    index = bisect_right(section.spans, step, key=lambda span: span.start) - 1
    return section.spans[max(0, index)]


def bars_of(section: SectionFrame, metre: Metre) -> range:
    """First steps of the section's bars."""
    return range(section.start, section.end, metre.bar)
