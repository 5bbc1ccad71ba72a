"""The key of a piece, from sound or from notes, and how two keys are related.

Spectral peaks are folded to the twelve pitch classes, after the tuning of the recording is found, and compared with the
tonal profiles of major and minor (D. Temperley's revision of Krumhansl's). Knows no chords and hears no modulation: one
key is given for the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from partita.measure.signal import mono, spectra
from partita.score.keys import Mode, key_name, parse_key

Relation = Literal["same", "relative", "fifth", "parallel", "other"]

# Temperley, "What's Key for Key?", Music Perception 17 (1999), table 2; rows are major and minor from the tonic up.
PROFILES = np.array(
    [
        [5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0],
        [5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0],
    ]
)
MODES: tuple[Mode, Mode] = ("major", "minor")
WINDOW_S, HOP_S = 0.34, 0.1
LOWEST_HZ, HIGHEST_HZ = 55.0, 2000.0
# A peak this far under the loudest of its frame is taken for noise.
PEAK_FLOOR = 0.02
# Partials 2 to 6 of a tone are counted for its fundamental too, each a step weaker.
PARTIALS, PARTIAL_DECAY = 6, 0.6
SILENCE = 1e-4


@dataclass(frozen=True)
class KeyEstimate:
    """A key and how clear it is.

    name: `C major`, `F# minor`; none for silence or noise without pitch.
    confidence: 0 to 1, how far the profile's correlation is above that of the next best key.
    correlation: of the key's profile, -1 to 1.
    runner_up: the next best key.
    chroma: share of each pitch class from C up, summing to 1 (all 0 for silence).
    tuning_cents: of the recording against A = 440 Hz, -50 to 50; 0 for notes.
    """

    name: str | None
    confidence: float
    correlation: float
    runner_up: str | None
    chroma: tuple[float, ...]
    tuning_cents: float = 0.0


def key(audio: np.ndarray, sample_rate_hz: int) -> KeyEstimate:
    """The key of `audio` `[N]` or `[N, C]`."""
    classes, weights = _pitches(mono(audio), sample_rate_hz)
    if not len(weights):
        return _of_chroma(np.zeros(12), 0.0)
    angle = np.angle(np.sum(weights * np.exp(2j * np.pi * classes)))
    tuning = float(angle / (2 * np.pi))
    nearest = np.round(classes - tuning)
    # A peak between two pitch classes says little of either.
    inside = np.cos(np.pi * (classes - tuning - nearest)) ** 2
    chroma = np.bincount(nearest.astype(int) % 12, weights * inside, minlength=12)
    return _of_chroma(chroma, 100 * tuning)


def key_of_notes(pitches: Sequence[int], durations_s: Sequence[float]) -> KeyEstimate:
    """The key of notes given as MIDI pitches and lengths (leave out drums); each counts by its length."""
    counted = np.bincount(np.asarray(pitches, int) % 12, np.asarray(durations_s, float), minlength=12)
    return _of_chroma(counted, 0.0)


def relation(a: str, b: str) -> Relation:
    """How key `b` lies to key `a`: same notes and tonic, same notes, a fifth apart, same tonic, or none of these.

    Raises:
        RequestError: one of them is not a key.
    """
    (tonic_a, mode_a), (tonic_b, mode_b) = parse_key(a), parse_key(b)
    apart = (tonic_b - tonic_a) % 12
    if mode_a == mode_b:
        return "same" if apart == 0 else "fifth" if apart in (5, 7) else "other"
    if apart == 0:
        return "parallel"
    return "relative" if apart == (9 if mode_a == "major" else 3) else "other"


def _pitches(samples: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """MIDI pitches (fractional) of all spectral peaks and their partial-folded weights."""
    window = 1 << int(np.ceil(np.log2(WINDOW_S * sample_rate_hz)))
    low = max(2, int(LOWEST_HZ * window / sample_rate_hz))
    high = min(window // 2 - 1, int(HIGHEST_HZ * window / sample_rate_hz))
    pitches, weights = [], []
    for part in spectra(samples, window, round(HOP_S * sample_rate_hz)):
        part = part[:, low - 1 : high + 2]
        loudest = part.max(axis=1, keepdims=True)
        here, before, after = part[:, 1:-1], part[:, :-2], part[:, 2:]
        frames, bins = np.nonzero(
            (here > before) & (here >= after) & (here > PEAK_FLOOR * loudest) & (loudest > SILENCE)
        )
        left, top, right = (np.log(v[frames, bins] + 1e-12) for v in (before, here, after))
        shift = 0.5 * (left - right) / np.minimum(left - 2 * top + right, -1e-9)
        pitches.append(69 + 12 * np.log2((bins + low + np.clip(shift, -0.5, 0.5)) * sample_rate_hz / window / 440.0))
        # The root makes soft and loud parts of a piece count more alike.
        weights.append(np.sqrt(here[frames, bins]))
    return _with_partials(np.concatenate(pitches), np.concatenate(weights))


def _with_partials(pitches: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every peak counted as itself and, more weakly, as partial 2 to 6 of a lower tone."""
    offsets = 12 * np.log2(np.arange(1, PARTIALS + 1))
    shares = PARTIAL_DECAY ** np.arange(PARTIALS)
    return (pitches[:, None] - offsets).ravel(), (weights[:, None] * shares).ravel()


def _of_chroma(chroma: np.ndarray, tuning_cents: float) -> KeyEstimate:
    """The key whose profile correlates best with `chroma` `[12]`."""
    if chroma.sum() <= 0 or np.ptp(chroma) <= 1e-9 * chroma.sum():
        return KeyEstimate(None, 0.0, 0.0, None, (0.0,) * 12, 0.0)
    rotated = np.stack([np.roll(profile, tonic) for profile in PROFILES for tonic in range(12)])
    scores = np.array([np.corrcoef(chroma, row)[0, 1] for row in rotated])
    best, second = (int(i) for i in np.argsort(-scores)[:2])
    return KeyEstimate(
        name=_name(best),
        confidence=float(np.clip((scores[best] - scores[second]) / 0.3, 0.0, 1.0)),
        correlation=float(scores[best]),
        runner_up=_name(second),
        chroma=tuple(float(v) for v in chroma / chroma.sum()),
        tuning_cents=tuning_cents,
    )


def _name(index: int) -> str:
    return key_name(index % 12, MODES[index // 12])
