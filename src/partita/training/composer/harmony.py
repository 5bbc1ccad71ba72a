"""Harmony: which chord sounds when, section by section, and how each chord is voiced.

Times are steps from the start of the piece. Knows nothing of instruments or rhythm.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cache

from partita.measure.key import key_of_notes
from partita.score.keys import Mode, key_name, parse_key
from partita.score.types import SectionKind
from partita.training.composer.genres import Genre
from partita.training.composer.spec import PieceSpec
from partita.training.composer.theory import Chord, Metre, build_chord, voice_chord

_CLEAR, _CLEAR_WITHOUT_BASS = 0.12, 0.3
"""How sure the key of a progression must be, 0 to 1, for a verse or a chorus. Others contrast, in a bridge."""
_QUICKEST_CHORD_S = 0.8
_SLOWEST_CHORD_S = 4.3


@dataclass(frozen=True, slots=True)
class Span:
    """A chord in force during `[start, end)` steps."""

    start: int
    end: int
    chord: Chord


@dataclass(frozen=True, slots=True)
class SectionFrame:
    """A section in steps, `[start, end)`, with its chords. `index` counts sections, `repeat` those of its kind."""

    kind: SectionKind
    index: int
    repeat: int
    start: int
    end: int
    spans: tuple[Span, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Harmony:
    """The chords of a whole piece: its sections, and the final chord from `end` on.

    `rootless` leaves the root of a ninth to the bass, in every part that plays chords.
    """

    sections: tuple[SectionFrame, ...]
    final: Chord
    end: int  # the final chord's step
    rootless: bool


def plan_harmony(rng: random.Random, spec: PieceSpec, genre: Genre, metre: Metre) -> Harmony:
    """Chords for every section. Sections of one kind share a progression; the last bar before the end is a dominant."""
    tonic, mode = parse_key(spec.key)
    size = rng.choice(genre.chord_sizes)
    grounded = spec.program("bass") is not None
    chooser = _Progressions(rng, genre, mode, size, _CLEAR if grounded else _CLEAR_WITHOUT_BASS)
    longest = int(_SLOWEST_CHORD_S / metre.step_s(spec.bpm))
    sections: list[SectionFrame] = []
    seen: dict[SectionKind, int] = {}
    step = 0
    for index, plan in enumerate(spec.sections):
        is_last = index == len(spec.sections) - 1
        end = step + plan.bars * metre.bar
        tokens, bars_per_chord = chooser.of(plan.kind)
        length = _chord_steps(bars_per_chord, metre, metre.step_s(spec.bpm))
        chords = [build_chord(tonic, mode, token, size) for token in _cut(tokens, math.ceil((end - step) / length))]
        home = build_chord(tonic, mode, "1", size)
        away = build_chord(tonic, mode, "4", size)
        before = sections[-1].spans[-1] if sections and sections[-1].spans else None
        spans = _lay(chords, length, step, end, before, max(longest, length), (home, away))
        if plan.bars >= 2 and (is_last or rng.random() < 0.45 * (1 - genre.loop)):
            spans = _cadence(spans, build_chord(tonic, mode, _dominant(rng, genre, mode), size), end - metre.bar)
        repeat = seen.get(plan.kind, 0)
        seen[plan.kind] = repeat + 1
        sections.append(SectionFrame(plan.kind, index, repeat, step, end, tuple(spans), is_last))
        step = end
    final = build_chord(tonic, mode, "1", min(size, 4) if grounded and rng.random() < 0.5 else 3)
    rootless = grounded and rng.random() < 0.6
    return Harmony(tuple(sections), final, step, rootless)


class _Progressions:
    """Draws a progression for each kind of section once, and gives the same again when the kind comes back."""

    def __init__(self, rng: random.Random, genre: Genre, mode: Mode, size: int, least: float) -> None:
        pool = genre.minor_progressions if mode == "minor" else genre.major_progressions
        clear = [name for name in pool if clarity(name, mode, size) >= least] or list(pool)
        at_home = [name for name in clear if name[0] == "1"] or clear
        first = rng.choice(at_home if rng.random() < 0.6 else clear)
        second = first if rng.random() < genre.loop else rng.choice(clear)
        third = first if rng.random() < genre.loop * 0.6 else rng.choice(pool)
        rate = rng.choice(genre.bars_per_chord)
        other = rate if rng.random() < 0.7 else rng.choice(genre.bars_per_chord)
        self._table: dict[SectionKind, tuple[list[str], float]] = {
            "verse": (first.split(), rate),
            "intro": (first.split(), rate),
            "solo": (first.split(), rate),
            "outro": (rng.choice((first, second)).split(), rate),
            "chorus": (second.split(), other),
            "bridge": (third.split(), other),
        }

    def of(self, kind: SectionKind) -> tuple[list[str], float]:
        return self._table[kind]


@cache
def clarity(progression: str, mode: Mode, size: int) -> float:
    """How clearly chords and their roots in the bass say the key: 0 to 1, less than 0 where they say another."""
    pitches: list[int] = []
    for token in progression.split():
        chord = build_chord(0, mode, token, size)
        pitches += [*chord.tones, chord.root]
    heard = key_of_notes(pitches, [1.0] * len(pitches))
    return heard.confidence if heard.name == key_name(0, mode) else -heard.confidence


def _chord_steps(bars_per_chord: float, metre: Metre, step_s: float) -> int:
    """How long a chord lasts: never so short that it is a blur, nor so long that nothing moves."""
    length = max(metre.beat, int(bars_per_chord * metre.bar))
    while length * step_s < _QUICKEST_CHORD_S and length < metre.bar:
        length = metre.bar
    while length * step_s > _SLOWEST_CHORD_S and length > metre.bar // 2:
        length //= 2
    return length


def _cut(tokens: list[str], count: int) -> list[str]:
    """A progression for a section that has room for `count` chords: where that is too few, its end is kept."""
    return tokens if count >= len(tokens) or count < 2 else [*tokens[: count - 1], tokens[-1]]


def _lay(
    chords: list[Chord],
    length: int,
    start: int,
    end: int,
    before: Span | None,
    longest: int,
    instead: tuple[Chord, Chord],
) -> list[Span]:
    """Chords of `length` steps, over and over, from `start` to `end`, behind the span `before`.

    A chord that would stay for more than `longest` steps gives way to one of `instead`.
    """
    spans: list[Span] = []
    stayed, last = (before.end - before.start, before.chord) if before is not None else (0, None)
    for index, step in enumerate(range(start, end, length)):
        until = min(end, step + length)
        chord = chords[index % len(chords)]
        if chord == last and stayed + length > longest:
            chord = instead[1] if chord == instead[0] else instead[0]
        if chord == last and spans:
            spans[-1] = Span(spans[-1].start, until, chord)
        else:
            spans.append(Span(step, until, chord))
        stayed = stayed + length if chord == last else length
        last = chord
    return spans


def _dominant(rng: random.Random, genre: Genre, mode: Mode) -> str:
    if mode == "major":
        return rng.choice(("5", "5", "5", "4"))
    if any("V" in progression for progression in genre.minor_progressions):
        return rng.choice(("V", "V", "5", "4"))
    return rng.choice(("5", "7", "4"))


def _cadence(spans: list[Span], chord: Chord, start: int) -> list[Span]:
    """`spans` with `chord` in place of whatever sounds from `start` on."""
    kept = [Span(span.start, min(span.end, start), span.chord) for span in spans if span.start < start]
    return [*kept, Span(start, spans[-1].end, chord)]


def voice(
    spans: list[Span] | tuple[Span, ...], previous: tuple[int, ...] | None, centre: float, rootless: bool
) -> list[tuple[int, ...]]:
    """A close voicing for each span, each moving little from the one before. `rootless` leaves the root of a ninth to
    the bass."""
    voicings: list[tuple[int, ...]] = []
    for span in spans:
        tones = span.chord.tones
        if len(tones) == 5:
            # Five tones within an octave are a cluster; without the root (or the fifth) they are a colour.
            tones = tones[1:] if rootless else (*tones[:2], *tones[3:])
        previous = voice_chord(tones, previous, centre)
        voicings.append(previous)
    return voicings
