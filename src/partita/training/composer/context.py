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


FULL_SECTIONS: tuple[SectionKind, ...] = ("chorus", "solo")
_RISE_BARS = 2
_QUICK_BEAT_S = 0.45
_QUICK_OFF_BEAT = 0.78


@dataclass(frozen=True, slots=True)
class Swell:
    """How loud a section is: `level` through most of it, going to `end` over its last two bars."""

    level: float
    end: float


@dataclass(frozen=True, slots=True)
class Context:
    """One part's view of the piece. By section: `active` says whether it plays, `steady` whether nobody else marks the
    beat, so that it must, `swells` how loud the band is."""

    role: Role
    rng: random.Random
    spec: PieceSpec
    genre: Genre
    metre: Metre
    harmony: Harmony
    active: tuple[bool, ...]
    steady: tuple[bool, ...]
    swells: tuple[Swell, ...]
    step_s: float

    @property
    def instrument(self) -> Instrument:
        return instrument(self.role, self.spec.program(self.role) or 0)

    def playing(self) -> list[SectionFrame]:
        """The sections this part plays in."""
        return [section for section, on in zip(self.harmony.sections, self.active, strict=True) if on]

    def plays_last(self) -> bool:
        """Whether the part joins the final chord; a bass always does, for without it the chord may hang in the air."""
        return not self.active or self.active[-1] or self.role == "bass"

    def is_steady(self, section: SectionFrame) -> bool:
        """Whether the beat of a section is this part's to keep."""
        return self.steady[section.index]

    def is_peak(self, section: SectionFrame) -> bool:
        """Whether a section is a full one that has been heard before: the last chorus is fuller than the first."""
        later = self.harmony.sections[section.index + 1 :]
        return section.kind in FULL_SECTIONS and section.repeat > 0 and all(one.kind != section.kind for one in later)

    @property
    def is_quick(self) -> bool:
        """Whether beats come so fast that what lies between them is played lightly."""
        return self.step_s * self.metre.beat < _QUICK_BEAT_S

    def touch(self, step: int) -> float:
        """How firmly a step of a bar is played, 1 on beats: at a quick tempo eighths alike would blur them."""
        return _QUICK_OFF_BEAT if self.is_quick and step % self.metre.beat else 1.0

    def level(self, section: SectionFrame, step: float) -> float:
        """How loud the band is at `step` of a section."""
        swell = self.swells[section.index]
        length = min(_RISE_BARS * self.metre.bar, section.end - section.start)
        gone = (step - (section.end - length)) / length if length else 0.0
        return swell.level + (swell.end - swell.level) * min(1.0, max(0.0, gone))


def span_at(section: SectionFrame, step: float) -> Span:
    """The chord in force at `step`."""
    index = bisect_right(section.spans, step, key=lambda span: span.start) - 1
    return section.spans[max(0, index)]


def bars_of(section: SectionFrame, metre: Metre) -> range:
    """First steps of the section's bars."""
    return range(section.start, section.end, metre.bar)
