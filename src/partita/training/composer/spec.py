"""What a piece is to be before a note is written: genre, tempo, metre, key, instruments and form, drawn from a seed.

Tempo, metre, key and instruments are usually the genre's own, and now and then anything at all, so that a model trained
on the pieces learns to follow each of them apart from the others. Knows nothing of notes.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Literal

from partita.errors import RequestError
from partita.score.instruments import programs_for
from partita.score.keys import key_name
from partita.score.types import ROLES, Role, SectionKind
from partita.training.composer.genres import GENRES, Genre
from partita.training.composer.theory import METRES

Energy = Literal["low", "medium", "high"]

SHORTEST_S = 4.0
"""The shortest piece, in seconds: a bar and a chord to end on."""

_RELEASE_S = 0.34
"""Silence after the last note is released."""


@dataclass(frozen=True, slots=True)
class SectionPlan:
    """A part of the form and how many bars it has. The final chord comes after the last bar."""

    kind: SectionKind
    bars: int


@dataclass(frozen=True, slots=True)
class PieceSpec:
    """A piece in outline. `programs` holds `(role, program)` of the roles that take part, in the order of `ROLES`.

    `bpm` counts beats as `Grid.bpm` does. `sections` fill `duration_s` up to the final chord.
    """

    genre: str
    bpm: float
    time_signature: str
    key: str
    moods: tuple[str, ...]
    energy: Energy
    programs: tuple[tuple[Role, int], ...]
    sections: tuple[SectionPlan, ...]
    duration_s: float

    @property
    def roles(self) -> tuple[Role, ...]:
        return tuple(role for role, _ in self.programs)

    def program(self, role: Role) -> int | None:
        """The program of `role`, or none where it is absent."""
        return dict(self.programs).get(role)

    @property
    def bars(self) -> int:
        """Bars before the final chord."""
        return sum(section.bars for section in self.sections)


def sample_spec(seed: int, duration_s: float | None = None) -> PieceSpec:
    """The outline of piece `seed`; `duration_s` (at least `SHORTEST_S`) is drawn from 20 to 44 s where not given."""
    rng = random.Random(seed * 2 + 1)
    genre = GENRES[rng.choice(tuple(GENRES))]
    time_signature = rng.choice(genre.metres) if rng.random() < 0.93 else rng.choice(tuple(METRES))
    bpm = _sample_bpm(rng, genre, time_signature)
    mode_minor = rng.random() < (genre.minor_share if rng.random() < 0.8 else 0.5)
    key = key_name(rng.randrange(12), "minor" if mode_minor else "major")
    energy: Energy = rng.choices(("low", "medium", "high"), genre.energy)[0]
    moods = tuple(rng.sample(genre.moods, rng.choice((1, 1, 2, 2, 3))))
    if duration_s is None:
        duration_s = round(rng.uniform(20.0, 44.0) * 25) / 25
    bars = bars_before_end(bpm, time_signature, duration_s)
    return PieceSpec(
        genre.name,
        bpm,
        time_signature,
        key,
        moods,
        energy,
        _sample_programs(rng, genre, energy),
        plan_sections(rng, bars),
        duration_s,
    )


def fit(spec: PieceSpec, duration_s: float) -> PieceSpec:
    """`spec` at another length: the same sections in the same order where the bars allow, each shorter or longer."""
    bars = bars_before_end(spec.bpm, spec.time_signature, duration_s)
    if bars == spec.bars and duration_s == spec.duration_s:
        return spec
    sections = spec.sections or (SectionPlan("verse", 1),)
    kept = sections[: max(1, bars)]
    share = bars / max(1, sum(section.bars for section in kept))
    fitted, placed, ideal = [], 0, 0.0
    for index, section in enumerate(kept):
        ideal += section.bars * share
        left = len(kept) - index - 1
        size = bars - placed if left == 0 else max(1, min(round(ideal) - placed, bars - placed - left))
        fitted.append(SectionPlan(section.kind, max(0, size)))
        placed += size
    return replace(spec, sections=tuple(fitted), duration_s=duration_s)


def bars_before_end(bpm: float, time_signature: str, duration_s: float) -> int:
    """How many bars fit before the final chord, which takes at least 1.2 s.

    Raises `RequestError` for a duration below `SHORTEST_S` and for a metre that is not one of `METRES`.
    """
    if time_signature not in METRES:
        raise RequestError(
            f"time_signature {time_signature!r} is not one the composer writes: use one of {', '.join(METRES)}.",
            field="time_signature",
            value=time_signature,
        )
    if duration_s < SHORTEST_S:
        raise RequestError(
            f"duration_s {duration_s} is too short for a piece with an ending: ask for {SHORTEST_S} s or more.",
            field="duration_s",
            value=duration_s,
        )
    metre = METRES[time_signature]
    return max(0, math.floor((duration_s - _RELEASE_S - 1.2) / (metre.step_s(bpm) * metre.bar)))


def last_release_s(duration_s: float) -> float:
    """When the last note of a piece of `duration_s` is let go."""
    return duration_s - _RELEASE_S


def plan_sections(rng: random.Random, bars: int) -> tuple[SectionPlan, ...]:
    """A form of `bars` bars: an introduction, verses and choruses in turn, at times a bridge or solo, an ending."""
    if bars <= 5:
        return (SectionPlan(rng.choice(("verse", "chorus", "verse", "solo", "intro")), bars),)
    plan: list[SectionPlan] = []
    left = bars
    if rng.random() < 0.7:
        intro = rng.choice((2, 4)) if bars >= 12 else 2
        plan.append(SectionPlan("intro", intro))
        left -= intro
    outro = rng.choice((0, 2, 4)) if bars >= 14 else rng.choice((0, 0, 2)) if bars >= 8 else 0
    left -= outro
    cycle: tuple[SectionKind, ...] = rng.choice(
        (
            ("verse", "chorus", "verse", "chorus", "bridge", "chorus"),
            ("verse", "chorus", "solo", "chorus", "bridge", "chorus"),
            ("chorus", "verse", "chorus", "bridge", "solo", "chorus"),
            ("verse", "chorus", "bridge", "chorus", "solo", "verse"),
            ("verse", "verse", "chorus", "solo", "verse", "chorus"),
        )
    )
    size = rng.choice((4, 8, 8)) if bars >= 16 else 4
    index = 0
    while left > 0:
        part = left if left < size + 2 else size
        plan.append(SectionPlan(cycle[index % len(cycle)], part))
        left -= part
        index += 1
    if outro:
        plan.append(SectionPlan("outro", outro))
    return tuple(plan)


def _sample_bpm(rng: random.Random, genre: Genre, time_signature: str) -> float:
    low, high = genre.bpm
    quarters = rng.randint(low, high) if rng.random() < 0.8 else rng.randint(60, 180)
    if time_signature == "6/8":
        # A dotted quarter at two thirds of the quarter's tempo keeps the eighths as fast.
        return float(min(130, max(50, round(quarters * 2 / 3) if rng.random() < 0.8 else rng.randint(50, 130))))
    return float(quarters)


def _sample_programs(rng: random.Random, genre: Genre, energy: Energy) -> tuple[tuple[Role, int], ...]:
    lift = {"low": -0.08, "medium": 0.0, "high": 0.08}[energy]
    present = [role for role in ROLES if rng.random() < genre.presence[role] + (lift if role != "lead" else 0.0)]
    if energy == "low" and rng.random() < 0.12:  # a soloist, a duo: textures no genre's likelihoods would give
        present = list(rng.choice((("chords", "lead"), ("arp", "lead"), ("chords",), ("pad", "lead"), ("arp", "pad"))))
    harmonic = [role for role in present if role in ("chords", "pad", "arp")]
    if not harmonic:
        present.append("chords" if genre.presence["chords"] >= genre.presence["arp"] else "arp")
    chosen: list[tuple[Role, int]] = []
    for role in ROLES:
        if role not in present:
            continue
        pool = genre.programs[role] if rng.random() < 0.9 else programs_for(role)
        chosen.append((role, rng.choice(pool)))
    return tuple(chosen)
