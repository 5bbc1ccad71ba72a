"""From events in steps to notes in seconds: swing, touch, loudness, and the limits a score keeps.

The limits: one note at a time in `bass`, `arp` and `lead`, one chord at a time in `chords` and `pad`; onsets of a part,
or of one drum, at least 80 ms apart; notes at least 60 ms long; within a 40 ms frame drums share their onset, and so
do bass, chords and pad, and lead and arp; velocities 30..127. Knows nothing of harmony or form.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from partita.score.types import Note, Role, Track
from partita.training.composer.context import Event

MIN_ONSET_GAP_S = 0.0805
MIN_NOTE_S = 0.06
DRUM_FRAME_S = 0.0405
"""Drum hits nearer than a 40 ms frame are taken as one stroke."""

_NUDGE_S = 0.03
"""How far a note may be moved to keep its distance from the one before; one that would need more is left out."""

_VELOCITY: dict[Role, int] = {"drums": 100, "bass": 94, "chords": 80, "pad": 66, "arp": 76, "lead": 98}


@dataclass(frozen=True, slots=True)
class Feel:
    """How steps become seconds. `swing` is the share of a pair of `swing_unit`-step notes that the first one takes."""

    step_s: float
    swing: float
    swing_unit: int
    jitter_s: float
    strength: float  # of every velocity
    end_s: float  # every note is released by then

    def time_s(self, step: float) -> float:
        """When a step falls, before any human touch."""
        pair = 2 * self.swing_unit
        if self.swing == 0.5:
            return step * self.step_s
        whole, place = divmod(step, pair)
        first = pair * self.swing
        half = self.swing_unit
        bent = place * first / half if place < half else first + (place - half) * (pair - first) / half
        return (whole * pair + bent) * self.step_s


class Hand:
    """How far off the beat each step is played. Parts that share a hand are late and early together."""

    def __init__(self, seed: int, jitter_s: float) -> None:
        self._rng = random.Random(seed)
        self._jitter_s = jitter_s
        self._touches: dict[float, float] = {}

    def touch_s(self, step: float) -> float:
        """Seconds late (or early) at `step`, at most 8 ms; the same whoever asks."""
        if not self._jitter_s:
            return 0.0
        found = self._touches.get(step)
        if found is None:
            found = min(0.008, max(-0.008, self._rng.gauss(0.0, self._jitter_s)))
            self._touches[step] = found
        return found


def perform(role: Role, program: int, events: list[Event], feel: Feel, hand: Hand, final_step: int, seed: int) -> Track:
    """The track of one role. Events at `final_step` are held to the end."""
    rng = random.Random(seed)
    ordered = sorted(events, key=lambda event: (event.start, event.pitches))
    if role == "drums":
        return Track(role, program, _drums(ordered, feel, hand, rng))
    strokes: list[tuple[float, float, tuple[int, ...], int]] = []
    for event in ordered:
        start = max(0.0, feel.time_s(event.start) + hand.touch_s(event.start))
        end = feel.end_s if event.start >= final_step else feel.time_s(event.start + event.length)
        start = round(start, 4)
        if strokes and start - strokes[-1][0] < MIN_ONSET_GAP_S:
            earliest = round(strokes[-1][0] + MIN_ONSET_GAP_S, 4)
            if earliest - start > _NUDGE_S:
                continue
            start = earliest
        if strokes and strokes[-1][1] > start:
            strokes[-1] = (strokes[-1][0], start, *strokes[-1][2:])
        end = min(max(end, start + MIN_NOTE_S + 0.005), feel.end_s)
        if end - start >= MIN_NOTE_S:
            strokes.append((start, round(end, 4), event.pitches, _velocity(role, event.level, feel, rng)))
    notes = tuple(
        Note(start, round(end - start, 4), pitch, velocity)
        for start, end, pitches, velocity in strokes
        for pitch in pitches
    )
    return Track(role, program, notes)


def _drums(ordered: list[Event], feel: Feel, hand: Hand, rng: random.Random) -> tuple[Note, ...]:
    notes: list[Note] = []
    last: dict[int, float] = {}
    step, start = -1.0, -1.0
    for event in ordered:
        if event.start != step:
            step = event.start
            moved = round(max(0.0, feel.time_s(step) + hand.touch_s(step)), 4)
            start = moved if moved - start >= DRUM_FRAME_S or start < 0 else start
        key = event.pitches[0]
        if start - last.get(key, -1.0) < MIN_ONSET_GAP_S:
            continue
        last[key] = start
        length = min(0.1, feel.end_s - start)
        if length >= MIN_NOTE_S:
            notes.append(Note(start, round(length, 4), key, _velocity("drums", event.level, feel, rng)))
    return tuple(sorted(notes, key=lambda note: (note.start_s, note.pitch)))


def _velocity(role: Role, level: float, feel: Feel, rng: random.Random) -> int:
    spread = 3.0 if feel.jitter_s > 0.0005 else 0.0
    return int(min(127, max(30, round(_VELOCITY[role] * level * feel.strength + rng.uniform(-spread, spread)))))
