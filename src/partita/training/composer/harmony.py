"""Harmony: which chord sounds when, section by section, and how each chord is voiced.

Times are steps from the start of the piece. Knows nothing of instruments or rhythm.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from partita.score.keys import Mode, parse_key
from partita.score.types import SectionKind
from partita.training.composer.genres import Genre
from partita.training.composer.spec import PieceSpec
from partita.training.composer.theory import Chord, Metre, build_chord, voice_chord


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
    chooser = _Progressions(rng, genre, mode)
    sections: list[SectionFrame] = []
    seen: dict[SectionKind, int] = {}
    step = 0
    for index, plan in enumerate(spec.sections):
        is_last = index == len(spec.sections) - 1
        end = step + plan.bars * metre.bar
        tokens, bars_per_chord = chooser.of(plan.kind)
        length = max(metre.beat, int(bars_per_chord * metre.bar))
        if spec.bpm * metre.beat / 4 > 150 and length < metre.bar:
            length = metre.bar
        spans = _lay(tokens, length, step, end, tonic, mode, size)
        if plan.bars >= 2 and (is_last or rng.random() < 0.35 * (1 - genre.loop)):
            spans = _cadence(spans, build_chord(tonic, mode, _dominant(rng, genre, mode), size), end - metre.bar)
        repeat = seen.get(plan.kind, 0)
        seen[plan.kind] = repeat + 1
        sections.append(SectionFrame(plan.kind, index, repeat, step, end, tuple(spans), is_last))
        step = end
    final_size = 3 if size == 3 or rng.random() < 0.5 else 4
    final = build_chord(tonic, mode, "1", final_size)
    if mode == "minor" and final_size == 4:
        final = build_chord(tonic, mode, "1", 3)  # a minor seventh hangs in the air; a triad closes
    rootless = spec.program("bass") is not None and rng.random() < 0.6
    return Harmony(tuple(sections), final, step, rootless)


class _Progressions:
    """Draws a progression for each kind of section once, and gives the same again when the kind comes back."""

    def __init__(self, rng: random.Random, genre: Genre, mode: Mode) -> None:
        pool = genre.minor_progressions if mode == "minor" else genre.major_progressions
        first = rng.choice(pool)
        second = first if rng.random() < genre.loop else rng.choice(pool)
        third = first if rng.random() < genre.loop else rng.choice(pool)
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


def _lay(tokens: list[str], length: int, start: int, end: int, tonic: int, mode: Mode, size: int) -> list[Span]:
    """Chords of `length` steps, over and over, from `start` to `end`."""
    spans: list[Span] = []
    step, index = start, 0
    while step < end:
        until = min(end, step + length)
        chord = build_chord(tonic, mode, tokens[index % len(tokens)], size)
        if spans and spans[-1].chord == chord and spans[-1].end - spans[-1].start < 2 * length:
            spans[-1] = Span(spans[-1].start, until, chord)
        else:
            spans.append(Span(step, until, chord))
        step, index = until, index + 1
    return spans


def _dominant(rng: random.Random, genre: Genre, mode: Mode) -> str:
    if mode == "major":
        return rng.choice(("5", "5", "5", "4"))
    if any("V" in progression for progression in genre.minor_progressions):
        return rng.choice(("V", "V", "5", "7"))
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
