"""The parts that play chords: comping, pads that hold, arpeggios that spread them.

Patterns come from `patterns`, voicings from `harmony`. Knows nothing of melody or bass but whether there is a bass.
"""

from __future__ import annotations

from partita.training.composer.context import FULL_SECTIONS, SECTION_LEVEL, Context, Event, bars_of
from partita.training.composer.harmony import SectionFrame, Span, voice
from partita.training.composer.patterns import ACCENTS, ARPS, COMPING, hits
from partita.training.composer.theory import Chord


def play_chords(context: Context) -> list[Event]:
    """Struck chords in the genre's manner, and the final chord."""
    rng, genre, metre = context.rng, context.genre, context.metre
    style, other = sorted(
        (rng.choice(genre.comping), rng.choice(genre.comping)),
        key=lambda name: len(hits(COMPING[name][context.spec.time_signature][0])),
    )
    centre = 57.0 if context.spec.program("bass") is None else 60.0
    rootless = context.harmony.rootless
    previous: tuple[int, ...] | None = None
    events: list[Event] = []
    for section in context.playing():
        options = COMPING[other if section.kind in FULL_SECTIONS else style][context.spec.time_signature]
        if section.kind in ("intro", "outro") and genre.name not in ("reggae", "waltz") and rng.random() < 0.4:
            options = COMPING["hold"][context.spec.time_signature]
        pattern, turn = rng.choice(options), rng.choice(options)
        spread = rng.random() < 0.5
        voicings = voice(section.spans, previous, centre, rootless)
        level = SECTION_LEVEL[section.kind]
        for number, bar in enumerate(bars_of(section, metre)):
            chosen = turn if spread and number % 2 else pattern
            events += _strike(section, voicings, chosen, bar, level, context.step_s)
        previous = voicings[-1] if voicings else previous
    if context.plays_last():
        final = voice((Span(0, 1, context.harmony.final),), previous, centre, rootless)[0]
        events.append(Event(context.harmony.end, metre.bar, final, 0.85))
    return events


def _strike(
    section: SectionFrame, voicings: list[tuple[int, ...]], pattern: str, bar: int, level: float, step_s: float
) -> list[Event]:
    events = []
    index = max(0, sum(span.start <= bar for span in section.spans) - 1)
    spans = section.spans
    for step, length, mark in hits(pattern):
        if step_s < 0.09 and step % 2:
            continue
        start, end = bar + step, bar + step + length
        while spans[index].end <= start and index + 1 < len(spans):
            index += 1
        gate = 0.97 if length > 2 else 0.9 if length == 2 else 0.75
        stop = min(end, spans[index].end)
        loudness = level * ACCENTS[mark]
        events.append(Event(start, (stop - start) * gate, voicings[index], loudness))
        if end > stop and index + 1 < len(spans) and end - stop >= 2:
            events.append(Event(stop, (end - stop) * gate, voicings[index + 1], loudness * 0.92))
    return events


def play_pad(context: Context) -> list[Event]:
    """Each chord held for as long as it lasts."""
    # Beside struck chords a pad lies under or over them, or the two are one sound.
    centre = context.rng.choice((55.0, 66.0) if context.spec.program("chords") is not None else (58.0, 62.0))
    previous: tuple[int, ...] | None = None
    events: list[Event] = []
    for section in context.playing():
        voicings = voice(section.spans, previous, centre, context.harmony.rootless)
        level = SECTION_LEVEL[section.kind]
        for span, pitches in zip(section.spans, voicings, strict=True):
            events.append(Event(span.start, (span.end - span.start) * 0.985, pitches, level))
        previous = voicings[-1] if voicings else previous
    if context.plays_last():
        final = voice((Span(0, 1, context.harmony.final),), previous, centre, context.harmony.rootless)[0]
        events.append(Event(context.harmony.end, context.metre.bar, final, 0.8))
    return events


def play_arp(context: Context) -> list[Event]:
    """Chord tones one by one in an unchanging figure, which starts again with every bar and every chord."""
    rng, genre, metre = context.rng, context.genre, context.metre
    figure = ARPS[rng.choice(genre.arps)]
    rate = rng.choice(genre.arp_rates)
    while rate * context.step_s < 0.105:
        rate *= 2
    rate = min(rate, metre.beat)
    low = _arp_floor(context)
    gate = 0.62 if context.spec.program("arp") in (28, 45, 80, 81) and rng.random() < 0.6 else 0.95
    rests = 0.18 if genre.name in ("ambient", "lofi", "hip hop") else 0.0
    events: list[Event] = []
    for section in context.playing():
        level = SECTION_LEVEL[section.kind]
        for span in section.spans:
            ladder = _ladder(span.chord, low)
            for start in range(span.start, span.end, rate):
                place = ((start - section.start) % metre.bar) // rate
                if place and rests and rng.random() < rests:
                    continue
                rung = 0 if start == span.start else figure[place % len(figure)]
                accent = 1.0 if place == 0 else 0.9 if (start - section.start) % metre.beat == 0 else 0.8
                length = min(rate, span.end - start) * gate
                events.append(Event(start, length, (ladder[min(rung, len(ladder) - 1)],), level * accent))
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
