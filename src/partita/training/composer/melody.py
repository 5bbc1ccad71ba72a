"""Melody: themes whose motifs come back varied, chord tones on strong beats, phrases that breathe and close.

Each kind of section has a theme, drawn once: a chorus that returns is the same chorus, but for a bar that is varied.
The chorus repeats its hook, the bridge contrasts, a solo plays around the chorus, both ends of the piece quote it.
Motifs come from `motifs`. Knows nothing of the other parts but the chords.
"""

from __future__ import annotations

from dataclasses import dataclass

from partita.score.keys import parse_key
from partita.score.types import SectionKind
from partita.training.composer.context import Context, Event, bars_of, span_at
from partita.training.composer.harmony import SectionFrame, Span
from partita.training.composer.motifs import (
    FLIGHTS,
    FORMS,
    FRAGMENTS,
    HOOKS,
    Motif,
    draw_close,
    draw_motif,
    ornament,
    varied,
)
from partita.training.composer.patterns import ACCENTS, CELLS
from partita.training.composer.theory import nearest_pitch

_FIVE = {"major": (0, 1, 2, 4, 5), "minor": (0, 1, 2, 3, 4)}
"""Degrees that a tune of five notes keeps to."""
_DENSITIES = ("sparse", "medium", "busy")
_ARC = (0.95, 0.98, 1.0, 0.96)
"""How loud the bars of a phrase are."""
_WIDEST_LEAP = 9
_PHRASE = 4  # bars
_SHORT_FORMS: dict[int, tuple[int, ...]] = {3: (0, 1, 3), 2: (0, 3), 1: (3,)}
"""Which bars of a form are left of it in a shorter phrase."""


@dataclass(frozen=True, slots=True)
class _Theme:
    form: tuple[str, ...]
    motifs: dict[str, Motif]
    half_close: Motif  # leaves the question open
    full_close: Motif  # comes home
    start: int  # semitones from the middle of the register where motifs begin
    pickup: int  # eighths that lead into a phrase


def play_lead(context: Context) -> list[Event]:
    """The tune, ending on a note of the final chord."""
    themes = _themes(context)
    _, mode = parse_key(context.spec.key)
    five = context.rng.random() < context.genre.pentatonic
    singer = _Singer(context, _FIVE[mode] if five else tuple(range(7)))
    for section in context.playing():
        singer.sing(section, themes[section.kind])
    if context.plays_last():
        singer.close()
    return singer.events


def _themes(context: Context) -> dict[SectionKind, _Theme]:
    """A theme for every kind of section; those of both ends and of a solo are made of the chorus's."""
    rng = context.rng
    density = _density(context)
    other = _DENSITIES[max(0, _DENSITIES.index(density) - 1)] if density != "sparse" else "medium"
    verse = _theme(context, density, rng.choice(FORMS), rng.choice((-4, -2, 0)))
    chorus = _theme(context, density, rng.choice(HOOKS), rng.choice((2, 3, 5)))
    bridge = _theme(context, other, rng.choice(FORMS), rng.choice((-5, 0, 4)))
    quick = "busy" if context.step_s * 4 >= 0.4 else "medium"
    run = draw_motif(rng, rng.choice(CELLS[quick][context.spec.time_signature]))
    quoted = chorus if rng.random() < 0.6 else verse
    ends = _Theme(rng.choice(FRAGMENTS), quoted.motifs, quoted.half_close, quoted.full_close, quoted.start, pickup=0)
    solo_motifs = {**chorus.motifs, "B": run}
    solo = _Theme(rng.choice(FLIGHTS), solo_motifs, chorus.half_close, chorus.full_close, chorus.start, chorus.pickup)
    return {"verse": verse, "chorus": chorus, "bridge": bridge, "solo": solo, "intro": ends, "outro": ends}


def _density(context: Context) -> str:
    rng = context.rng
    density = rng.choice(context.genre.melody)
    beat_s = context.step_s * 4
    if beat_s < 0.4 and density == "busy":
        return "medium"
    if beat_s > 0.8 and density == "sparse" and rng.random() < 0.5:
        return "medium"
    return density


def _theme(context: Context, density: str, form: tuple[str, ...], start: int) -> _Theme:
    rng, signature = context.rng, context.spec.time_signature
    cells, closes = CELLS[density][signature], CELLS["cadence"][signature]
    motifs = {letter: draw_motif(rng, rng.choice(cells)) for letter in "AB"}
    pickup = rng.choice((0, 0, 1, 2, 3)) if context.step_s >= 0.09 else rng.choice((0, 1))
    half_close, full_close = (draw_close(rng, rng.choice(closes)) for _ in range(2))
    return _Theme(form, motifs, half_close, full_close, start, pickup)


class _Singer:
    """Turns themes into pitches within one instrument's register, carrying the line from bar to bar in `events`."""

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
        self.events: list[Event] = []

    def sing(self, section: SectionFrame, theme: _Theme) -> None:
        """The theme over a section's chords, phrase after phrase."""
        bars = bars_of(section, self._context.metre)
        number = phrase = 0
        while number < len(bars):
            length = min(_PHRASE, len(bars) - number)
            if len(bars) - number == _PHRASE + 1:
                length = _PHRASE - 1
            closing = phrase % 2 == 1 or number + length >= len(bars)
            self._phrase(section, theme, bars[number : number + length], closing, again=section.repeat + phrase // 2)
            number += length
            phrase += 1

    def close(self) -> None:
        """The last note: the tonic, or the third above it, whichever is nearer."""
        final = self._context.harmony.final
        pitch = nearest_pitch((final.tones[0], final.tones[0], final.tones[1]), self._pitch, self._low, self._high)
        self.events.append(Event(self._context.harmony.end, self._context.metre.bar, (pitch,), 0.9))

    def _phrase(self, section: SectionFrame, theme: _Theme, bars: range, closing: bool, again: int) -> None:
        first = len(self.events)
        places = _SHORT_FORMS.get(len(bars), range(_PHRASE))
        for place, bar in zip(places, bars, strict=True):
            name = theme.form[place]
            if name == ".":
                continue
            arc = _ARC[place]
            if name == "C":
                self._cadence(section, theme.full_close if closing else theme.half_close, bar, arc, home=closing)
                continue
            motif = varied(theme.motifs[name[0]], name[1:])
            if place == 2 and again % 2:  # what returns is not quite what it was
                motif = ornament(motif)
            self._motif(section, motif, theme.start + (2 if place == 2 and again > 1 else 0), bar, arc)
        if theme.pickup and first < len(self.events):
            self._pick_up(section, first, theme.pickup, bars[0])

    def _motif(self, section: SectionFrame, motif: Motif, start: int, bar: int, arc: float) -> None:
        """A motif from the chord tone nearest to where its theme starts, drawn a little towards the line before it."""
        opening = span_at(section, bar + motif.rhythm[0][0])
        wanted = self._middle + start
        anchor = nearest_pitch(opening.chord.tones[:3], 0.75 * wanted + 0.25 * self._pitch, self._low, self._high)
        last = len(motif.rhythm) - 1
        for index, ((step, length, mark), height) in enumerate(zip(motif.rhythm, motif.heights, strict=True)):
            span = span_at(section, bar + step)
            weighty = step in self._context.metre.strong or length >= self._context.metre.beat or index == last
            pitch = self._climb(span, anchor, height)
            if weighty:
                pitch = nearest_pitch(span.chord.tones[:3], pitch, self._low, self._high, lean=height)
            self._sound(section, bar + step, length, mark, pitch, arc, weighty)

    def _cadence(self, section: SectionFrame, motif: Motif, bar: int, arc: float, home: bool) -> None:
        """A close on the tonic (`home`) or on another tone of the chord, each note a step nearer."""
        step, _, _ = motif.rhythm[-1]
        chord = span_at(section, bar + step).chord
        open_tones = tuple(tone for tone in chord.tones[:3] if tone != self._tonic)
        goals = (self._tonic,) if home and self._tonic in chord.tones else open_tones
        goal = nearest_pitch(goals, self._pitch, self._low, self._high)
        for (step, length, mark), height in zip(motif.rhythm, motif.heights, strict=True):
            pitch = self._climb(span_at(section, bar + step), goal, height) if height else goal
            self._sound(section, bar + step, length, mark, pitch, arc, weighty=height == 0)

    def _pick_up(self, section: SectionFrame, first: int, count: int, bar: int) -> None:
        """Eighths that lead by step into the phrase whose first event is number `first`, where there is room."""
        opening = self.events[first]
        begin = opening.start - 2 * count
        before = self.events[first - 1] if first else None
        if opening.start != bar or begin < 0 or (before is not None and before.start + 2 > begin):
            return
        if before is not None and before.start + before.length > begin:
            self.events[first - 1] = before._replace(length=begin - before.start)
        span = span_at(section, bar)
        side = -1 if before is None or before.pitches[0] <= opening.pitches[0] else 1
        pitches = [self._climb(span, opening.pitches[0], side * place) for place in range(count, 0, -1)]
        level = opening.level * 0.8
        self.events[first:first] = [
            Event(begin + 2 * place, 1.9, (pitch,), level * (1 + 0.04 * place)) for place, pitch in enumerate(pitches)
        ]

    def _sound(
        self, section: SectionFrame, start: int, length: int, mark: str, pitch: int, arc: float, weighty: bool
    ) -> None:
        context = self._context
        if context.step_s < 0.1 and start % 2:
            return
        if self.events and abs(pitch - self._pitch) > _WIDEST_LEAP:
            nearer = pitch - 12 if pitch > self._pitch else pitch + 12
            pitch = nearer if self._low <= nearer <= self._high else pitch
        self._pitch = pitch
        # A note that would hang over a chord it does not belong to is let go at the change.
        stop = start + length
        span = span_at(section, start)
        if stop > span.end and span.end < section.end and pitch % 12 not in span_at(section, span.end).chord.tones:
            stop = span.end
        level = context.level(section, start) * arc * (0.86 + 0.14 * ACCENTS[mark])
        level *= (1.0 if weighty else 0.9) * (1.0 + 0.004 * (pitch - self._middle))
        self.events.append(Event(start, max(0.8, (stop - start) * 0.93), (pitch,), level))

    def _climb(self, span: Span, pitch: int, steps: int) -> int:
        """The pitch `steps` along the melody's ladder from `pitch`; where the ladder ends, back the other way."""
        ladder = self._ladder(span)
        here = min(range(len(ladder)), key=lambda rung: abs(ladder[rung] - pitch))
        there = here + steps
        if not 0 <= there < len(ladder):
            there = here - steps
        return ladder[min(max(there, 0), len(ladder) - 1)]

    def _ladder(self, span: Span) -> list[int]:
        """The melody's pitches over a chord, low to high: the scale's degrees and the chord's own tones."""
        scale = span.chord.scale
        found = self._ladders.get(scale)
        if found is None:
            # Harmonic minor: without the sixth, an awkward step below the leading tone.
            raised = (scale[6] - scale[5]) % 12 == 3
            classes = {scale[degree] for degree in self._degrees if not (raised and degree == 5)}
            if raised:
                classes.add(scale[6])
            found = [pitch for pitch in range(self._low, self._high + 1) if pitch % 12 in classes]
            self._ladders[scale] = found
        return found
