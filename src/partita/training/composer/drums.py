"""Drums: a groove for each kind of section, small variations, fills before a change, crashes after it.

Grooves come from `patterns`. Knows nothing of harmony beyond where sections begin and end.
"""

from __future__ import annotations

from partita.training.composer.context import FULL_SECTIONS, SECTION_LEVEL, Context, Event, bars_of
from partita.training.composer.patterns import ACCENTS, DRUM_KEYS, FILLS, GROOVES, drum_hits

_CRASH, _KICK, _RIDE = DRUM_KEYS["Y"], DRUM_KEYS["K"], DRUM_KEYS["R"]
_HANDS = (DRUM_KEYS["S"], DRUM_KEYS["T"], DRUM_KEYS["L"], DRUM_KEYS["C"])
_BALANCE = {42: 0.82, 46: 0.8, 51: 0.84, 54: 0.78, 49: 0.95}


def play_drums(context: Context) -> list[Event]:
    """Every drum hit of the piece, one pitch to an event."""
    rng, metre, genre = context.rng, context.metre, context.genre
    grooves = GROOVES[rng.choice(genre.drums)][context.spec.time_signature]
    chosen = sorted(
        (rng.randrange(len(grooves)), rng.randrange(len(grooves))), key=lambda place: _fullness(grooves[place])
    )
    main, full = grooves[chosen[0]], grooves[chosen[1]]
    loud = context.spec.energy != "low" and genre.name not in ("bossa nova", "ambient")
    events: list[Event] = []
    playing = context.playing()
    for section in playing:
        groove = full if section.kind in FULL_SECTIONS else main
        level = SECTION_LEVEL[section.kind]
        thin = section.kind in ("intro", "bridge", "outro") and rng.random() < 0.5
        bars = bars_of(section, metre)
        last_bar = bars[-1] if bars else section.start
        fills = rng.random() < genre.fill and len(bars) >= 2
        for number, bar in enumerate(bars):
            events += _bar(context, groove, bar, level, thin)
            if number % 4 == 3 and bar != last_bar and rng.random() < 0.4:
                events.append(Event(bar + metre.bar - 2, 1, (_KICK,), 0.7 * level))
        if fills:
            events = _fill(context, events, last_bar, level)
        if loud and section.start > 0 and section.kind in FULL_SECTIONS and rng.random() < 0.75:
            events.append(Event(section.start, 4, (_CRASH,), 0.9 * level))
    if context.plays_last():
        events.append(Event(context.harmony.end, 4, (_KICK,), 0.9))
        events.append(Event(context.harmony.end, 4, (_CRASH if loud else _RIDE,), 0.85 if loud else 0.6))
    return events


def _fullness(groove: str) -> float:
    """How much happens in a groove: the sum of its accents."""
    return sum(ACCENTS[mark] for _, _, mark in drum_hits(groove))


def _bar(context: Context, groove: str, bar: int, level: float, thin: bool) -> list[Event]:
    rng = context.rng
    events = []
    for step, key, mark in drum_hits(groove):
        if mark == "?" and rng.random() < 0.5:
            continue
        if thin and key in _HANDS:
            continue
        # Sixteenths of one hand become a roll, not a groove, when they come faster than about ten a second.
        if step % 2 and context.step_s < 0.095 and key not in (_KICK, *_HANDS):
            continue
        events.append(Event(bar + step, 1, (key,), ACCENTS[mark] * _BALANCE.get(key, 1.0) * level))
    return events


def _fill(context: Context, events: list[Event], bar: int, level: float) -> list[Event]:
    """`events` with a fill in the bar at `bar`."""
    hits = drum_hits(context.rng.choice(FILLS[context.spec.time_signature]))
    begin = bar + min(step for step, key, _ in hits if key in _HANDS)
    end = bar + context.metre.bar
    kept = [event for event in events if not begin <= event.start < end]
    rise = 0.8 if context.spec.energy == "low" else 1.0
    return kept + [
        Event(bar + step, 1, (key,), ACCENTS[mark] * level * rise) for step, key, mark in hits if bar + step >= begin
    ]
