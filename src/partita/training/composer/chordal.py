"""The parts that play chords: comping, pads that hold, arpeggios that spread them.

Patterns come from `patterns`, voicings from `harmony`. Knows nothing of melody or bass but whether there is a bass.
"""

from __future__ import annotations

from partita.training.composer.context import FULL_SECTIONS, Context, Event, bars_of
from partita.training.composer.harmony import SectionFrame, Span, voice
from partita.training.composer.patterns import ACCENTS, ARPS, COMPING, STEADY, STEADY_FULL, hits
from partita.training.composer.theory import Chord

_PHRASE = 4  # bars
_LONGEST_PAD_BARS = 2
_QUICK_WALTZ_S = 0.5
"""Beats shorter than this need more than their first in three to be heard."""
_PLUCKED = (28, 45, 80, 81)


def play_chords(context: Context) -> list[Event]:
    """Struck chords in the genre's manner, and the final chord."""
    rng, genre, signature = context.rng, context.genre, context.spec.time_signature
    style, other = sorted(
        (rng.choice(genre.comping), rng.choice(genre.comping)),
        key=lambda name: len(hits(COMPING[name][signature][0])),
    )
    quick_waltz = signature == "3/4" and context.step_s * context.metre.beat < _QUICK_WALTZ_S
    keeping, busier = ("quarters", "quarters") if quick_waltz else (rng.choice(STEADY), rng.choice(STEADY_FULL))
    if quick_waltz and style == other == "oompah":
        other = style = keeping
    centre = 57.0 if context.spec.program("bass") is None else 60.0
    rootless = context.harmony.rootless
    previous: tuple[int, ...] | None = None
    events: list[Event] = []
    for section in context.playing():
        options = COMPING[other if section.kind in FULL_SECTIONS else style][signature]
        if section.kind in ("intro", "outro") and genre.name not in ("reggae", "waltz") and rng.random() < 0.3:
            options = COMPING["hold"][signature]
        if context.is_steady(section):
            options = COMPING[busier if section.kind in FULL_SECTIONS else keeping][signature]
        pattern, second, turn = rng.choice(options), rng.choice(options), rng.choice(options)
        voicings = voice(section.spans, previous, centre, rootless)
        for number, bar in enumerate(bars_of(section, context.metre)):
            place = number % _PHRASE
            chosen = turn if place == _PHRASE - 1 else second if place % 2 else pattern
            events += _strike(context, section, voicings, chosen, bar)
        previous = voicings[-1] if voicings else previous
    if context.plays_last():
        final = voice((Span(0, 1, context.harmony.final),), previous, centre, rootless)[0]
        events.append(Event(context.harmony.end, context.metre.bar, final, 0.85))
    return events


def _strike(
    context: Context, section: SectionFrame, voicings: list[tuple[int, ...]], pattern: str, bar: int
) -> list[Event]:
    """A bar of `pattern`; a chord that is held over a change moves on to the next."""
    events = []
    index = max(0, sum(span.start <= bar for span in section.spans) - 1)
    spans = section.spans
    level = context.level(section, bar)
    for step, length, mark in hits(pattern):
        if context.step_s < 0.09 and step % 2:
            continue
        start, end = bar + step, bar + step + length
        while spans[index].end <= start and index + 1 < len(spans):
            index += 1
        gate = 0.97 if length > 2 else 0.9 if length == 2 else 0.75
        stop = min(end, spans[index].end)
        loudness = level * ACCENTS[mark] * context.touch(step)
        events.append(Event(start, (stop - start) * gate, voicings[index], loudness))
        if end > stop and index + 1 < len(spans) and end - stop >= 2:
            events.append(Event(stop, (end - stop) * gate, voicings[index + 1], loudness * 0.92))
    return events


def play_pad(context: Context) -> list[Event]:
    """Each chord held for as long as it lasts, and begun again where that is long."""
    # Beside struck chords a pad lies under or over them, or the two are one sound.
    centre = context.rng.choice((55.0, 66.0) if context.spec.program("chords") is not None else (58.0, 62.0))
    longest = _LONGEST_PAD_BARS * context.metre.bar
    previous: tuple[int, ...] | None = None
    events: list[Event] = []
    for section in context.playing():
        voicings = voice(section.spans, previous, centre, context.harmony.rootless)
        step = context.metre.beat if context.is_steady(section) else longest
        for span, pitches in zip(section.spans, voicings, strict=True):
            for start in range(span.start, span.end, step):
                length = min(step, span.end - start) * 0.985
                events.append(Event(start, length, pitches, context.level(section, start)))
        previous = voicings[-1] if voicings else previous
    if context.plays_last():
        final = voice((Span(0, 1, context.harmony.final),), previous, centre, context.harmony.rootless)[0]
        events.append(Event(context.harmony.end, context.metre.bar, final, 0.8))
    return events


def play_arp(context: Context) -> list[Event]:
    """Chord tones one by one in a figure that starts again with every bar and every chord, and turns at phrase ends."""
    rng, genre, metre = context.rng, context.genre, context.metre
    figures = ARPS[context.spec.time_signature]
    figure, turn = figures[rng.choice(genre.arps)], figures[rng.choice(genre.arps)]
    rate = rng.choice(genre.arp_rates)
    while rate * context.step_s < 0.105:
        rate *= 2
    rate = min(rate, metre.beat) if metre.beat % rate == 0 else 2 * (1 + (2 * context.step_s < 0.105))
    low = _arp_floor(context)
    gate = 0.62 if context.spec.program("arp") in _PLUCKED and rng.random() < 0.6 else 0.95
    rests = 0.18 if genre.name in ("ambient", "lofi", "hip hop") else 0.0
    events: list[Event] = []
    for section in context.playing():
        steady = context.is_steady(section)
        for span in section.spans:
            ladder = _ladder(span.chord, low)
            for start in range(span.start, span.end, rate):
                bar, place = divmod(start - section.start, metre.bar)
                on_beat = place % metre.beat == 0
                if rests and not on_beat and rng.random() < rests:
                    continue
                chosen = turn if bar % _PHRASE == _PHRASE - 1 else figure
                rung = 0 if start == span.start else chosen[place // rate % len(chosen)]
                accent = 1.0 if place == 0 else (0.96 if steady else 0.9) if on_beat else 0.72 if steady else 0.8
                accent *= context.touch(place)
                length = min(rate, span.end - start) * gate
                pitch = ladder[min(rung, len(ladder) - 1)]
                events.append(Event(start, length, (pitch,), context.level(section, start) * accent))
    if context.plays_last():
        events.append(Event(context.harmony.end, metre.bar, (_ladder(context.harmony.final, low)[0],), 0.8))
    return events


def _arp_floor(context: Context) -> int:
    """The lowest note of the arpeggio: under everything where nobody else plays low, else above the chords."""
    lowest = context.instrument.low
    alone = not {"bass", "chords", "pad"} & set(context.spec.roles)
    leaves_room = "lead" in context.spec.roles
    wanted = 48 if alone else context.rng.choice((50, 53, 57) if leaves_room else (55, 57, 60, 64))
    return max(wanted, lowest if lowest < 60 else lowest + 6)


def _ladder(chord: Chord, low: int) -> list[int]:
    """Chord tones upward from the first root or fifth at or above `low`: an octave and a half of them."""
    tones = chord.tones[:4] if len(chord.tones) < 5 else (chord.tones[0], *chord.tones[2:5])
    base = low + min((chord.root - low) % 12, (chord.tones[2 if len(chord.tones) > 2 else 0] - low) % 12)
    return sorted(base + (tone - base) % 12 + octave for tone in tones for octave in (0, 12))
