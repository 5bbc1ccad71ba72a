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
from partita.score.grid import LAST_CHORD_S, TAIL_S
from partita.score.instruments import programs_for
from partita.score.keys import key_name
from partita.score.types import ROLES, Role, SectionKind
from partita.training.composer.genres import GENRES, Genre
from partita.training.composer.theory import METRES

Energy = Literal["low", "medium", "high"]

SHORTEST_S = 4.0
"""The shortest piece, in seconds: a bar and a chord to end on."""


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
    while bars == 0:  # one chord is no piece
        bpm += 1
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
    """How many bars fit before the final chord, which is held for `LAST_CHORD_S` at least, until `TAIL_S` are left.

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
    return max(0, math.floor((duration_s - TAIL_S - LAST_CHORD_S) / (metre.step_s(bpm) * metre.bar)))


_FORMS: dict[int, tuple[str, ...]] = {
    1: ("V", "C", "V", "S"),
    2: ("V C", "V C", "V C", "V S", "C C", "V V"),
    3: ("V C C", "V V C", "C V C", "V C V", "V B C", "V S C"),
    4: ("V C V C", "V C B C", "V V C C", "C V B C", "V C S C"),
    5: ("V C V B C", "V C S V C", "V V C B C", "C V C B C"),
    6: ("V C V C B C", "V C V C S C", "V V C V B C", "C V C S B C"),
    7: ("V C V C B C C", "V C V C S B C", "V V C V C B C"),
    8: ("V C V C S B C C", "V C V C B V C C", "V V C V C S B C"),
}
"""Orders of verse, chorus, bridge and solo by how many of them a piece has room for."""
_KINDS: dict[str, SectionKind] = {"V": "verse", "C": "chorus", "B": "bridge", "S": "solo"}


def plan_sections(rng: random.Random, bars: int) -> tuple[SectionPlan, ...]:
    """A form of `bars` bars: an introduction, verses and choruses with a bridge or solo, an ending, in phrases of four
    bars where they fit."""
    if bars <= 5:
        return (SectionPlan(rng.choice(("verse", "chorus", "verse", "solo", "intro")), bars),)
    intro = rng.choice((2, 4) if bars >= 12 else (2,)) if rng.random() < 0.7 else 0
    outro = rng.choice((0, 2, 4) if bars >= 14 else (0, 0, 2)) if bars >= 8 else 0
    main = bars - intro - outro
    size = rng.choice((4, 8, 8)) if main >= 24 else rng.choice((4, 4, 8)) if main >= 16 else 4
    count = max(1, main // size)
    while count > max(_FORMS):
        count, size = max(1, main // (2 * size)), 2 * size
    kinds = rng.choice(_FORMS[count]).split()
    spare = main - count * size
    sizes = [size] * count
    if spare >= 2 and outro + spare <= 4:
        outro += spare
    elif spare:
        # What is over makes one section longer, by whole phrases first.
        sizes[-1] += spare
    plan = [SectionPlan("intro", intro)] if intro else []
    plan += [SectionPlan(_KINDS[kind], length) for kind, length in zip(kinds, sizes, strict=True)]
    return (*plan, SectionPlan("outro", outro)) if outro else tuple(plan)


def _sample_bpm(rng: random.Random, genre: Genre, time_signature: str) -> float:
    low, high = genre.bpm
    quarters = rng.randint(low, high) if rng.random() < 0.8 else rng.randint(60, 180)
    if time_signature == "6/8":
        # A dotted quarter at two thirds of the quarter's tempo keeps the eighths as fast.
        beats = round(quarters * 2 / 3) if rng.random() < 0.8 else rng.randint(54, 130)
        return float(min(130, beats if beats >= 54 else rng.randint(54, 72)))
    return float(quarters)


def _sample_programs(rng: random.Random, genre: Genre, energy: Energy) -> tuple[tuple[Role, int], ...]:
    lift = {"low": -0.08, "medium": 0.0, "high": 0.08}[energy]
    present = [role for role in ROLES if rng.random() < genre.presence[role] + (lift if role != "lead" else 0.0)]
    if energy == "low" and rng.random() < 0.12:  # a soloist, a duo: textures no genre's likelihoods would give
        present = list(rng.choice((("chords", "lead"), ("arp", "lead"), ("arp", "pad"))))
    if not any(role in present for role in ("chords", "arp")) and ("drums" not in present or "pad" not in present):
        # Somebody strikes the chords: a pad alone neither begins nor keeps time.
        present.append("chords" if genre.presence["chords"] >= genre.presence["arp"] else "arp")
    if len(present) == 1:  # chords alone are an accompaniment that waits for a tune
        present.append("lead" if "lead" not in present else "chords")
    chosen: list[tuple[Role, int]] = []
    for role in ROLES:
        if role not in present:
            continue
        pool = genre.programs[role] if rng.random() < 0.9 else programs_for(role)
        chosen.append((role, rng.choice(pool)))
    return tuple(chosen)
