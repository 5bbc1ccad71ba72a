"""Sounds for the audio tests: seeded, loud enough to hear a fault in, and long enough for a codec to settle."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

RATE_HZ = 48_000


def music(seconds: float, *, seed: int = 7, peak: float = 0.8, rate_hz: int = RATE_HZ) -> np.ndarray:
    """[N, 2] float32: chords over filtered noise with a beat, so that a codec has both tones and noise to keep."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * rate_hz)
    time = np.arange(frames) / rate_hz
    noise = signal.lfilter([1.0], [1.0, -0.9], rng.standard_normal((frames, 2)), axis=0)
    chord = sum(np.sin(2 * np.pi * hz * time + hz) for hz in (110.0, 220.5, 277.2, 329.6, 659.3))
    beat = 0.4 + 0.6 * np.exp(-8 * (time % 0.5))
    mix = noise * beat[:, None] + 2.0 * np.stack([chord, np.roll(chord, 40)], axis=1)
    return (mix / np.abs(mix).max() * peak).astype(np.float32)


@pytest.fixture(scope="session")
def song() -> np.ndarray:
    return music(6.0)
