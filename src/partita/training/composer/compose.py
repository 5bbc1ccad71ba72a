"""Composing a piece: outline, chords, who plays where, the parts, the performance.

`compose(seed)` is the whole of it. The same seed gives the same piece on every machine: only `random.Random` with
integer seeds is used, and no order of a set or a dictionary of strings decides anything.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from partita.errors import RequestError
from partita.score.grid import TAIL_S
from partita.score.types import Grid, Role, Score, Section
from partita.training.composer.arrange import arrange
from partita.training.composer.bass import play_bass
from partita.training.composer.chordal import play_arp, play_chords, play_pad
from partita.training.composer.context import Context, Event
from partita.training.composer.drums import play_drums
from partita.training.composer.genres import GENRES, Genre
from partita.training.composer.harmony import plan_harmony
from partita.training.composer.melody import play_lead
from partita.training.composer.perform import Feel, Hand, perform
from partita.training.composer.spec import PieceSpec, fit, sample_spec
from partita.training.composer.theory import METRES, Metre

_PARTS: dict[Role, Callable[[Context], list[Event]]] = {
    "drums": play_drums,
    "bass": play_bass,
    "chords": play_chords,
    "pad": play_pad,
    "arp": play_arp,
    "lead": play_lead,
}

_GROUP: dict[Role, str] = {
    "drums": "drums",
    "bass": "ground",
    "chords": "ground",
    "pad": "ground",
    "lead": "tune",
    "arp": "tune",
}

_STRENGTH = {"low": 0.84, "medium": 0.95, "high": 1.06}


@dataclass(frozen=True, slots=True)
class Piece:
    """A composed piece: its outline and its notes."""

    spec: PieceSpec
    score: Score


def compose(seed: int, *, duration_s: float | None = None, spec: PieceSpec | None = None) -> Piece:
    """Compose piece `seed` (0 or more).

    `spec` fixes the outline, drawn from the seed where not given; `duration_s` stretches the form to another length.
    Raises `RequestError` for a duration under 4 s, a genre not in `GENRES`, or a metre other than 4/4, 3/4 and 6/8.
    """
    outline = sample_spec(seed, duration_s) if spec is None else spec
    outline = fit(outline, duration_s if duration_s is not None else outline.duration_s)
    if outline.genre not in GENRES:
        raise RequestError(
            f"genre {outline.genre!r} is not one the composer knows: use one of {', '.join(GENRES)}.",
            field="genre",
            value=outline.genre,
        )
    genre, metre = GENRES[outline.genre], METRES[outline.time_signature]
    rng = random.Random(seed * 2)
    harmony = plan_harmony(rng, outline, genre, metre)
    arrangement = arrange(rng, outline, genre, harmony)
    feel = _feel(rng, outline, genre, metre)
    parts: dict[Role, list[Event]] = {}
    for role in outline.roles:
        own = random.Random(rng.getrandbits(64))
        context = Context(
            role,
            own,
            outline,
            genre,
            metre,
            harmony,
            arrangement.plays[role],
            arrangement.steady[role],
            arrangement.swells,
            metre.step_s(outline.bpm),
        )
        parts[role] = _PARTS[role](context)
    _start_at_once(parts, metre)
    # The score's latents keep one offset within a frame for each of these groups: they play as one.
    hands = {group: Hand(rng.getrandbits(64), feel.jitter_s) for group in ("drums", "ground", "tune")}
    tracks = tuple(
        perform(role, program, parts[role], feel, hands[_GROUP[role]], harmony.end, rng.getrandbits(64))
        for role, program in outline.programs
    )
    score = Score(
        Grid(outline.bpm, outline.time_signature),
        outline.key,
        outline.duration_s,
        tuple(track for track in tracks if track.notes),
        _sections(outline, metre),
    )
    return Piece(outline, score)


def _feel(rng: random.Random, spec: PieceSpec, genre: Genre, metre: Metre) -> Feel:
    swing = rng.uniform(*genre.swing)
    compound = spec.time_signature == "6/8"
    step_s = metre.step_s(spec.bpm)
    if compound and genre.swing_unit == 2:
        swing = 0.5  # compound time lilts by itself
    if step_s * genre.swing_unit < 0.16:
        swing = 0.5 + (swing - 0.5) * 0.6  # fast notes even out
    if step_s * genre.swing_unit < 0.1:
        swing = 0.5
    return Feel(
        step_s,
        swing,
        genre.swing_unit,
        genre.humanise_ms / 1000 / 2,
        _STRENGTH[spec.energy],
        spec.duration_s - TAIL_S,
    )


def _start_at_once(parts: dict[Role, list[Event]], metre: Metre) -> None:
    """Let a struck part begin on the first beat where none does: a piece starts when it starts, and a pad is slow."""
    struck = {role: part for role, part in parts.items() if part and role not in ("pad", "drums")}
    if any(min(part).start == 0 for part in struck.values()):
        return
    role = next((role for role in ("arp", "chords", "bass", "lead") if role in struck), None)
    part = struck[role] if role is not None else next(part for part in parts.values() if part)
    first = min(part)
    if first.start < metre.bar:
        part.append(Event(0, max(1, min(first.start, metre.beat)), first.pitches, first.level))
    else:
        part[part.index(first)] = Event(0, max(first.length, metre.beat), first.pitches, first.level)


def _sections(spec: PieceSpec, metre: Metre) -> tuple[Section, ...]:
    """The sections in seconds; the last one takes the final chord and the silence after it."""
    bar_s = metre.step_s(spec.bpm) * metre.bar
    sections, bar = [], 0
    for index, plan in enumerate(spec.sections):
        last = index == len(spec.sections) - 1
        end_s = spec.duration_s if last else round((bar + plan.bars) * bar_s, 6)
        sections.append(Section(plan.kind, round(bar * bar_s, 6), end_s))
        bar += plan.bars
    return tuple(sections)
