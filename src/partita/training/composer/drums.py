"""Drums: three grooves a piece, small turns at the ends of phrases, fills before a change, crashes after it.

Grooves come from `grooves`. Knows nothing of harmony beyond where sections begin and end.
"""

from __future__ import annotations

from dataclasses import dataclass

from partita.training.composer.context import FULL_SECTIONS, Context, Event, bars_of
from partita.training.composer.grooves import DRUM_KEYS, FILLS, GROOVES, drum_hits
from partita.training.composer.harmony import SectionFrame
from partita.training.composer.patterns import ACCENTS

_KICK, _SNARE, _CLOSED, _OPEN, _CRASH, _RIDE = (DRUM_KEYS[letter] for letter in "KSHOYR")
_HANDS = (DRUM_KEYS["S"], DRUM_KEYS["T"], DRUM_KEYS["L"], DRUM_KEYS["C"])
_BALANCE = {42: 0.82, 46: 0.8, 51: 0.84, 54: 0.78, 49: 0.95}
_MACHINES = (24, 25)
_QUIET_STYLES = ("soft", "jazz", "bossa", "folk", "ballad", "lofi")
_FASTEST_HAND_S = 0.095
_PHRASE = 4  # bars


@dataclass(frozen=True, slots=True)
class _Kit:
    """What a drummer has ready: grooves of quiet, full and contrasting sections, ghost notes (steps) and fills.

    `crashes` says whether cymbals are crashed at all."""

    quiet: str
    full: str
    contrast: str
    ghosts: tuple[int, ...]
    fills: tuple[str, ...]
    crashes: bool


def play_drums(context: Context) -> list[Event]:
    """Every drum hit of the piece, one pitch to an event."""
    rng, metre = context.rng, context.metre
    kit = _kit(context)
    events: list[Event] = []
    for section in context.playing():
        bars = bars_of(section, metre)
        if not bars:
            continue
        groove = kit.full if section.kind in FULL_SECTIONS else kit.quiet
        if section.kind in ("bridge", "solo"):
            groove = kit.contrast
        thin = section.kind in ("intro", "bridge", "outro") and rng.random() < 0.5
        for number, bar in enumerate(bars):
            events += _bar(context, section, kit, groove, bar, thin)
            if number % _PHRASE == _PHRASE - 1 and bar != bars[-1]:
                events = _turn(context, section, events, bar)
        if len(bars) >= 2 and (rng.random() < context.genre.fill or _grows(context, section)):
            events = _fill(context, section, events, rng.choice(kit.fills), bars[-1])
        events += _crashes(context, section, kit)
    if context.plays_last():
        end, level = context.harmony.end, context.level(context.harmony.sections[-1], context.harmony.end)
        events.append(Event(end, 4, (_KICK,), 0.9 * level))
        events.append(Event(end, 4, (_CRASH if kit.crashes else _RIDE,), (0.85 if kit.crashes else 0.6) * level))
    return events


def _kit(context: Context) -> _Kit:
    rng = context.rng
    style = rng.choice(context.genre.drums)
    grooves = sorted(GROOVES[style][context.spec.time_signature], key=_fullness)
    quiet, contrast, full = sorted(rng.sample(range(len(grooves)), 3))
    if rng.random() < 0.3:
        contrast, full = full, contrast
    machine = context.spec.program("drums") in _MACHINES
    soft = style in _QUIET_STYLES or context.spec.energy == "low"
    weak = [step for step in range(context.metre.bar) if step % 4 in (1, 3)]
    ghosts = () if machine or context.step_s < _FASTEST_HAND_S else tuple(rng.sample(weak, rng.choice((0, 1, 2))))
    fills = FILLS["soft" if soft else "machine" if machine else "kit"][context.spec.time_signature]
    crashes = context.spec.energy != "low" and style not in ("soft", "bossa")
    return _Kit(grooves[quiet], grooves[full], grooves[contrast], ghosts, fills, crashes)


def _fullness(groove: str) -> float:
    """How much happens in a groove: the sum of its accents."""
    return sum(ACCENTS[mark] for _, _, mark in drum_hits(groove))


def _grows(context: Context, section: SectionFrame) -> bool:
    """Whether a louder section follows."""
    swell = context.swells[section.index]
    return swell.end > swell.level + 0.05


def _bar(context: Context, section: SectionFrame, kit: _Kit, groove: str, bar: int, thin: bool) -> list[Event]:
    rng = context.rng
    level = context.level(section, bar)
    events = []
    for step, key, mark in drum_hits(groove):
        if mark == "?" and rng.random() < 0.5:
            continue
        if thin and key in _HANDS:
            continue
        # Sixteenths of one hand become a roll, not a groove, when they come faster than about ten a second.
        if step % 2 and context.step_s < _FASTEST_HAND_S and key not in (_KICK, *_HANDS):
            continue
        touch = context.touch(step) if key in _BALANCE else 1.0
        events.append(Event(bar + step, 1, (key,), ACCENTS[mark] * _BALANCE.get(key, 1.0) * touch * level))
    if section.kind in FULL_SECTIONS and not thin:
        taken = {step for step, key, _ in drum_hits(groove) if key == _SNARE}
        events += [
            Event(bar + step, 1, (_SNARE,), ACCENTS["g"] * level)
            for step in kit.ghosts
            if not {step - 1, step, step + 1} & taken
        ]
    return events


def _turn(context: Context, section: SectionFrame, events: list[Event], bar: int) -> list[Event]:
    """`events` with a small turn at the end of the bar that closes a phrase, if the drummer feels like one."""
    rng, length = context.rng, context.metre.bar
    level = context.level(section, bar)
    kind = rng.choice(("open", "open", "kick", "snare", "none"))
    if kind == "open":
        place = bar + length - 2
        kept = [event for event in events if not (event.start >= place and event.pitches[0] == _CLOSED)]
        return [*kept, Event(place, 2, (_OPEN,), 0.66 * level)]
    if kind == "kick":
        return [*events, Event(bar + length - 2, 1, (_KICK,), 0.7 * level)]
    if kind == "snare" and context.step_s >= _FASTEST_HAND_S:
        strokes = ((length - 3, 0.5), (length - 1, 0.62))
        return events + [Event(bar + step, 1, (_SNARE,), share * level) for step, share in strokes]
    return events


def _fill(context: Context, section: SectionFrame, events: list[Event], fill: str, bar: int) -> list[Event]:
    """`events` with a fill in the bar at `bar`, swelling towards what follows."""
    hits = drum_hits(fill)
    begin = bar + min(step for step, key, _ in hits if key in _HANDS)
    end = bar + context.metre.bar
    kept = [event for event in events if not begin <= event.start < end]
    rise = 0.8 if context.spec.energy == "low" else 1.0
    return kept + [
        Event(
            bar + step,
            1,
            (key,),
            ACCENTS[mark] * context.level(section, bar + step) * rise * (0.85 + 0.15 * step / context.metre.bar),
        )
        for step, key, mark in hits
        if bar + step >= begin
    ]


def _crashes(context: Context, section: SectionFrame, kit: _Kit) -> list[Event]:
    """A crash where a section begins, and in the last chorus with every other phrase."""
    if not kit.crashes or not (section.start > 0 or section.kind in FULL_SECTIONS):
        return []
    full = section.kind in FULL_SECTIONS
    if not full and context.rng.random() < 0.5:
        return []
    gap = 2 * _PHRASE * context.metre.bar
    places = range(section.start, section.end, gap) if context.is_peak(section) else (section.start,)
    return [Event(place, 4, (_CRASH,), (0.9 if full else 0.75) * context.level(section, place)) for place in places]
