"""Bass lines: patterns that name chord tones, or a line that walks. One note at a time, from low E up.

Patterns come from `patterns`. Knows nothing of other parts.
"""

from __future__ import annotations

from partita.training.composer.context import FULL_SECTIONS, Context, Event, bars_of, span_at
from partita.training.composer.harmony import SectionFrame, Span
from partita.training.composer.patterns import BASS, hits
from partita.training.composer.theory import Chord, nearest_pitch

_LOWEST = 28
_HIGHEST = 55
_LEADING = 0.4
"""How often a long note gives way to a step into the next root."""


def play_bass(context: Context) -> list[Event]:
    """The bass part, ending on the final root."""
    rng, genre, metre, signature = context.rng, context.genre, context.metre, context.spec.time_signature
    style = rng.choice(genre.bass)
    other = style if rng.random() < 0.5 else rng.choice(genre.bass)
    if "walk" not in (style, other):  # the fuller line is for fuller sections
        style, other = sorted((style, other), key=lambda name: len(hits(BASS[name][signature][0])))
    events: list[Event] = []
    for section in context.playing():
        options = BASS[other if section.kind in FULL_SECTIONS else style][signature]
        if section.kind in ("intro", "bridge", "outro") and rng.random() < 0.4:
            options = BASS["long"][signature]
        if context.is_steady(section) and options != BASS["walk"][signature]:
            options = BASS["roots4"][signature]
        pattern, turn = rng.choice(options), rng.choice(options)
        if pattern == "walk":
            events += _walk(context, section)
            continue
        for number, bar in enumerate(bars_of(section, metre)):
            events += _bar(section, context, turn if number % 4 == 3 and turn != "walk" else pattern, bar)
    if context.plays_last():
        events.append(Event(context.harmony.end, metre.bar, (bass_root(context.harmony.final),), 0.9))
    return events


def bass_root(chord: Chord) -> int:
    """The chord's root in the octave from low G, where a bass speaks clearly."""
    return 31 + (chord.root - 31) % 12


def _bar(section: SectionFrame, context: Context, pattern: str, bar: int) -> list[Event]:
    events = []
    level = context.level(section, bar)
    for step, length, token in hits(pattern):
        if context.step_s < 0.09 and step % 2:
            continue
        start, end = bar + step, bar + step + length
        span = span_at(section, start)
        # A note held over a change of chord gives way to the next root.
        accent = 1.0 if step == 0 else 0.9 * context.touch(step)
        stop = min(end, span.end)
        gate = 0.95 if length > 1 else 0.8
        pitch = _pitch(section, context, span, token, end)
        events.append(Event(start, (stop - start) * gate, (pitch,), level * accent))
        if end - span.end >= 2 and span.end < section.end:
            after = span_at(section, span.end)
            events.append(Event(span.end, (end - span.end) * gate, (bass_root(after.chord),), level * accent))
    return _lead_on(section, context, events, bar + context.metre.bar)


def _lead_on(section: SectionFrame, context: Context, events: list[Event], end: int) -> list[Event]:
    """`events` of a bar, its last long note at times cut short by a step into another chord at `end`."""
    if not events or context.step_s < 0.09 or context.rng.random() > _LEADING:
        return events
    last, target = events[-1], _next_root(section, context, end)
    here = span_at(section, end - 1).chord
    if end - last.start < 6 or target % 12 == here.root or last.length < 3:
        return events
    held = Event(last.start, min(last.length, (end - 2 - last.start) * 0.95), last.pitches, last.level)
    return [*events[:-1], held, Event(end - 2, 1.8, (_approach(context, here, target),), last.level * 0.9)]


def _pitch(section: SectionFrame, context: Context, span: Span, token: str, end: int) -> int:
    chord, root = span.chord, bass_root(span.chord)
    if token == "8":
        return min(root + 12, _HIGHEST)
    if token == "5":
        return root + (chord.scale[(chord.degree + 3) % 7] - chord.root) % 12
    if token == "3":
        return root + (chord.scale[(chord.degree + 1) % 7] - chord.root) % 12
    if token == "7":
        return root + (chord.scale[(chord.degree + 5) % 7] - chord.root) % 12
    if token == "a":
        return _approach(context, span.chord, _next_root(section, context, end))
    return root


def _next_root(section: SectionFrame, context: Context, step: int) -> int:
    if step < section.end:
        return bass_root(span_at(section, step).chord)
    sections = context.harmony.sections
    if section.index + 1 < len(sections) and sections[section.index + 1].spans:
        return bass_root(sections[section.index + 1].spans[0].chord)
    return bass_root(context.harmony.final)


def _approach(context: Context, chord: Chord, target: int) -> int:
    """A step into `target`: of the scale mostly, a semitone below at times where the style allows."""
    if context.genre.name in ("jazz", "bossa nova", "funk") and context.rng.random() < 0.25:
        return target - 1
    side = context.rng.choice((-2, -2, 2))
    return nearest_pitch(tuple(tone for tone in chord.scale if tone != target % 12), target + side, 26, _HIGHEST)


def _walk(context: Context, section: SectionFrame) -> list[Event]:
    """A note a beat: the root, chord tones and steps between, then a step into the next root."""
    rng, beat = context.rng, context.metre.beat
    events: list[Event] = []
    pitch = bass_root(section.spans[0].chord) if section.spans else _LOWEST
    for span in section.spans:
        count = max(1, (span.end - span.start) // beat)
        for number in range(count):
            start = span.start + number * beat
            level = context.level(section, start)
            if number % context.metre.beats_per_bar == 0 and (number == 0 or rng.random() < 0.5):
                roots = (span.chord.root,)
                pitch = nearest_pitch(roots, pitch, _LOWEST, 45)
            elif number == count - 1:
                target = _next_root(section, context, span.end)
                target += 12 if pitch - target > 8 and target + 12 <= 45 else 0
                pitch = _approach(context, span.chord, target)
            else:
                direction = 3 if pitch < 36 or (pitch < 42 and rng.random() < 0.5) else -3
                tones = tuple(tone for tone in span.chord.tones[:3] if tone != pitch % 12)
                pitch = nearest_pitch(tones, pitch + direction, _LOWEST, 50)
            accent = 1.0 if number % 2 == 0 else 0.93
            events.append(Event(start, beat * 0.92, (pitch,), level * accent))
            if beat == 4 and rng.random() < 0.08 and context.step_s > 0.1:
                events[-1] = Event(start, 1.9, (pitch,), level * accent)
                events.append(Event(start + 2, 1.5, (pitch,), level * 0.7))
    return events
