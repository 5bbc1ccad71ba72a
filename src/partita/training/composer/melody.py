"""Melody: motifs that come back, chord tones on strong beats, phrases that breathe and close.

A theme (two rhythm cells, their contours and a cadence) is drawn once for each kind of section, so that a chorus that
returns is the same chorus. Knows nothing of the other parts but the chords.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from partita.score.keys import parse_key
from partita.score.types import SectionKind
from partita.training.composer.context import SECTION_LEVEL, Context, Event, bars_of, span_at
from partita.training.composer.harmony import SectionFrame, Span
from partita.training.composer.patterns import ACCENTS, CELLS, hits
from partita.training.composer.theory import nearest_pitch

_FIVE = {"major": (0, 1, 2, 4, 5), "minor": (0, 2, 3, 4, 6)}
"""Degrees of the pentatonic scale."""

_FORMS = ("AABC", "ABAC", "AABC", "ABBC", "ABAC", "A.AC", "AAAC")


@dataclass(frozen=True, slots=True)
class _Motif:
    """A bar of melody without a key: rhythm, and steps along the scale from note to note."""

    rhythm: tuple[tuple[int, int, str], ...]
    moves: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Theme:
    form: str
    motifs: dict[str, _Motif]
    answer: _Motif  # the cadence that closes every second phrase
    start: int  # semitones from the middle of the register where phrases begin


def play_lead(context: Context) -> list[Event]:
    """The tune, ending on a note of the final chord."""
    rng = context.rng
    _, mode = parse_key(context.spec.key)
    five = rng.random() < context.genre.pentatonic
    singer = _Singer(context, _FIVE[mode] if five else tuple(range(7)))
    themes: dict[SectionKind, _Theme] = {}
    events: list[Event] = []
    for section in context.playing():
        if section.kind not in themes:
            themes[section.kind] = _theme(context, section.kind)
        events += singer.sing(section, themes[section.kind])
    if context.plays_last():
        events.append(singer.close())
    return events


def _theme(context: Context, kind: SectionKind) -> _Theme:
    rng = context.rng
    density = rng.choice(context.genre.melody)
    if kind == "solo" and density != "busy":
        density = "busy" if density == "medium" else "medium"
    beat_s = context.step_s * 4
    if beat_s < 0.4 and density == "busy":
        density = "medium"
    if beat_s > 0.8 and density == "sparse" and rng.random() < 0.5:
        density = "medium"
    signature = context.spec.time_signature
    first, second = rng.choice(CELLS[density][signature]), rng.choice(CELLS[density][signature])
    closes = CELLS["cadence"][signature]
    motifs = {"A": _motif(rng, first), "B": _motif(rng, second), "C": _motif(rng, rng.choice(closes))}
    start = rng.choice((-4, -2, 0, 2)) + (3 if kind in ("chorus", "solo") else 0)
    return _Theme(rng.choice(_FORMS), motifs, _motif(rng, rng.choice(closes)), start)


def _motif(rng: random.Random, cell: str) -> _Motif:
    rhythm = hits(cell)
    moves, drift = [], 0
    for _ in rhythm:
        move = rng.choices((-3, -2, -1, 0, 1, 2, 3, 4), (3, 8, 26, 9, 26, 10, 4, 2))[0]
        if moves and abs(moves[-1]) > 2:
            move = -1 if moves[-1] > 0 else 1  # a leap is answered by a step back
        if abs(drift + move) > 5:
            move = -move
        drift += move
        moves.append(move)
    return _Motif(rhythm, tuple(moves))


class _Singer:
    """Turns themes into pitches within one instrument's register, carrying the line from bar to bar."""

    def __init__(self, context: Context, degrees: tuple[int, ...]) -> None:
        voice = context.instrument
        middle = 0.7 * context.genre.melody_octave + 0.3 * (voice.low + voice.high) / 2
        self._middle = int(min(max(middle, voice.low + 9), voice.high - 10))
        self._low, self._high = max(voice.low, self._middle - 9), min(voice.high, self._middle + 12)
        self._context = context
        self._degrees = degrees
        self._tonic = parse_key(context.spec.key)[0]
        self._pitch = self._middle
        self._ladders: dict[tuple[int, ...], list[int]] = {}

    def sing(self, section: SectionFrame, theme: _Theme) -> list[Event]:
        """The theme over a section's chords, phrase after phrase."""
        bars = bars_of(section, self._context.metre)
        events: list[Event] = []
        number = phrase = 0
        while number < len(bars):
            length = min(4, len(bars) - number)
            if len(bars) - number == 5:
                length = 3
            form = {4: theme.form, 3: "ABC", 2: "AC", 1: "C"}[length]
            self._pitch = self._middle + theme.start
            closing = phrase % 2 == 1 or number + length >= len(bars)
            for place, name in enumerate(form):
                if name == ".":
                    continue
                motif = theme.answer if name == "C" and closing else theme.motifs[name]
                arc = 0.94 + 0.06 * (place in (1, 2))
                ends = name == "C" and closing
                events += self._bar(section, motif, bars[number + place], arc, ends)
            number += length
            phrase += 1
        return events

    def close(self) -> Event:
        """The last note: the tonic, or the third above it, whichever is nearer."""
        final = self._context.harmony.final
        pitch = nearest_pitch((final.tones[0], final.tones[0], final.tones[1]), self._pitch, self._low, self._high)
        return Event(self._context.harmony.end, self._context.metre.bar, (pitch,), 0.9)

    def _bar(self, section: SectionFrame, motif: _Motif, bar: int, arc: float, ends: bool) -> list[Event]:
        context = self._context
        events = []
        last = len(motif.rhythm) - 1
        for index, ((step, length, mark), move) in enumerate(zip(motif.rhythm, motif.moves, strict=True)):
            if context.step_s < 0.1 and step % 2:
                continue
            start = bar + step
            span = span_at(section, start)
            weighty = step in context.metre.strong or length >= context.metre.beat or index == last
            self._pitch = self._step(span, move, weighty)
            if ends and index == last and self._tonic in span.chord.tones:
                self._pitch = nearest_pitch((self._tonic,), self._pitch, self._low, self._high)
            # A note that would hang over a chord it does not belong to is let go at the change.
            stop = start + length
            if stop > span.end and span.end < section.end:
                after = span_at(section, span.end)
                if self._pitch % 12 not in after.chord.tones:
                    stop = span.end
            level = SECTION_LEVEL[section.kind] * arc * (0.86 + 0.14 * ACCENTS[mark])
            level *= 1.0 if weighty else 0.9
            events.append(Event(start, max(0.8, (stop - start) * 0.93), (self._pitch,), level))
        return events

    def _step(self, span: Span, move: int, weighty: bool) -> int:
        """The next pitch: `move` steps along the scale, onto a chord tone where the note has weight."""
        ladder = self._ladder(span)
        if self._pitch > self._high - 3:
            move = -abs(move)
        elif self._pitch < self._low + 3:
            move = abs(move)
        here = min(range(len(ladder)), key=lambda rung: abs(ladder[rung] - self._pitch))
        target = ladder[min(max(here + move, 0), len(ladder) - 1)]
        if not weighty:
            return target
        return nearest_pitch(span.chord.tones[:3], target, self._low, self._high, lean=move)

    def _ladder(self, span: Span) -> list[int]:
        """The melody's pitches over a chord, low to high: the scale's degrees and the chord's own tones."""
        scale = span.chord.scale
        found = self._ladders.get(scale)
        if found is None:
            raised = (
                scale[6] - scale[5]
            ) % 12 == 3  # harmonic minor: skip the sixth, an awkward step below the leading tone
            classes = {scale[degree] for degree in self._degrees if not (raised and degree == 5)}
            if raised:
                classes.add(scale[6])
            found = [pitch for pitch in range(self._low, self._high + 1) if pitch % 12 in classes]
            self._ladders[scale] = found
        return found
