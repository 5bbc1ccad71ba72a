"""Metres, chords and voicings: the arithmetic of harmony and bars.

Pitch classes are 0 (C) .. 11 (B), pitches are MIDI numbers, time is in steps of a sixteenth note. Knows nothing of
genres, instruments or seconds beyond the length of a step.
"""

from __future__ import annotations

from dataclasses import dataclass

from partita.score.keys import KEYS, SCALE_STEPS, Mode, parse_key

__all__ = ["KEYS", "METRES", "Chord", "Metre", "build_chord", "nearest_pitch", "parse_key", "voice_chord"]


@dataclass(frozen=True, slots=True)
class Metre:
    """A bar in sixteenth steps: `beat` steps to a beat of `Grid.bpm`, `strong` the steps that carry weight."""

    time_signature: str
    bar: int
    beat: int
    strong: frozenset[int]

    @property
    def beats_per_bar(self) -> int:
        return self.bar // self.beat

    def step_s(self, bpm: float) -> float:
        """Seconds of one step at `bpm` beats (of this metre) a minute."""
        return 60.0 / bpm / self.beat


METRES: dict[str, Metre] = {
    "4/4": Metre("4/4", 16, 4, frozenset((0, 8))),
    "3/4": Metre("3/4", 12, 4, frozenset((0,))),
    "6/8": Metre("6/8", 12, 6, frozenset((0, 6))),
}


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord of a key. `tones` are its pitch classes from the root up; `scale` the seven that fit over it."""

    degree: int  # 1..7
    tones: tuple[int, ...]
    scale: tuple[int, ...]
    dominant: bool

    @property
    def root(self) -> int:
        return self.tones[0]


def build_chord(tonic: int, mode: Mode, token: str, size: int) -> Chord:
    """The chord named by `token` in a key.

    A token is a degree `1`..`7` stacked in thirds from the scale, or `V`, the dominant with a raised leading tone in
    minor; a trailing `s` makes it suspended (fourth, else second, in place of the third). `size` is how many tones: 3,
    4 (seventh) or 5 (ninth). A ninth less than a whole tone above the root is left out, for it grates; so is the
    seventh of the minor tonic, for it turns home into the relative's sixth degree.
    """
    suspended = token.endswith("s")
    name = token.rstrip("s")
    degree = 5 if name == "V" else int(name)
    steps = list(SCALE_STEPS[mode])
    if name == "V" and mode == "minor":
        steps[6] = 11
    scale = tuple((tonic + step) % 12 for step in steps)
    tones = [scale[(degree - 1 + 2 * k) % 7] for k in range(size)]
    if size == 5 and (tones[4] - tones[0]) % 12 != 2:
        tones.pop()
    if mode == "minor" and degree == 1 and size > 3:
        del tones[3]
    if suspended:
        fourth, second = scale[(degree + 2) % 7], scale[degree % 7]
        if (fourth - tones[0]) % 12 == 5:
            tones[1] = fourth
        elif (second - tones[0]) % 12 == 2:
            tones[1] = second
        tones = tones[: 3 if len(tones) < 5 else 4]
    return Chord(degree, tuple(tones), scale, dominant=degree == 5)


def voice_chord(
    tones: tuple[int, ...], previous: tuple[int, ...] | None, centre: float, low: int = 48, high: int = 67
) -> tuple[int, ...]:
    """The close voicing of `tones`, lowest note in `low`..`high`, that moves least from `previous`.

    All notes lie within eleven semitones of the lowest. Each voice goes to the nearest note, so what two chords share
    stays where it is, and the top voice counts twice. Without `previous` only the distance of the mean from `centre`
    counts. Seconds at the bottom are avoided where another inversion does.
    """
    best: tuple[float, tuple[int, ...]] | None = None
    for bottom in tones:
        above = sorted((tone - bottom) % 12 for tone in tones)
        first = low + (bottom - low) % 12
        rough = (4.0 if above[1] == 1 else 1.0 if above[1] == 2 else 0.0) + (3.0 if above[-1] == 11 else 0.0)
        for base in range(first, high + 1, 12):
            pitches = tuple(base + interval for interval in above)
            away = abs(sum(pitches) / len(pitches) - centre)
            if previous:
                cost = rough + 0.2 * away + 0.1 * max(0.0, away - 4.0) ** 2
                cost += sum(min(abs(pitch - other) for other in previous) for pitch in pitches)
                cost += abs(pitches[-1] - previous[-1])
            else:
                cost = rough + away
            if best is None or cost < best[0]:
                best = (cost, pitches)
    if best is None:
        raise ValueError(f"no tone of {tones} lies in {low}..{high}; the range must span an octave")
    return best[1]


def nearest_pitch(pitch_classes: tuple[int, ...], target: float, low: int, high: int, lean: int = 0) -> int:
    """The pitch of one of `pitch_classes` in `low`..`high` (at least an octave) nearest `target`.

    Between two equally near, `lean` > 0 takes the upper.
    """
    best, best_distance = low, 1e9
    for pitch_class in pitch_classes:
        pitch = low + (pitch_class - low) % 12
        while pitch <= high:
            distance = abs(pitch - target) - 0.01 * lean * (1 if pitch > target else -1)
            if distance < best_distance:
                best, best_distance = pitch, distance
            pitch += 12
    return best
