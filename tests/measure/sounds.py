"""Sounds whose tempo, key, level and faults are known because they are made here."""

from __future__ import annotations

import numpy as np

RATE_HZ = 48_000

# Beats to a bar and what is struck at which beat: k(ick), s(nare), h(i-hat), c(lick).
PATTERNS: dict[str, tuple[int, dict[float, str]]] = {
    "click": (1, {0: "c"}),
    "rock 4/4": (4, {0: "kh", 0.5: "h", 1: "sh", 1.5: "h", 2: "kh", 2.5: "kh", 3: "sh", 3.5: "h"}),
    "house 4/4": (4, {0: "kh", 0.5: "h", 1: "ksh", 1.5: "h", 2: "kh", 2.5: "h", 3: "ksh", 3.5: "h"}),
    "sixteenths 4/4": (4, {i / 4: {0: "kh", 4: "sh", 6: "kh", 10: "kh", 12: "sh"}.get(i, "h") for i in range(16)}),
    "waltz 3/4": (3, {0: "kh", 0.5: "h", 1: "sh", 1.5: "h", 2: "sh", 2.5: "h"}),
    "jig 6/8": (2, {0: "kh", 1 / 3: "h", 2 / 3: "h", 1: "sh", 4 / 3: "h", 5 / 3: "h"}),
}


def drums(
    pattern: str, bpm: float, seconds: float = 16.0, *, jitter_s: float = 0.0, rate_hz: int = RATE_HZ
) -> np.ndarray:
    """A drum machine, float32 `[N]`; `jitter_s` moves every beat by a normal draw of that deviation."""
    random = np.random.default_rng(1)
    beats_in_bar, events = PATTERNS[pattern]
    beat_s = 60.0 / bpm
    out = np.zeros(round(seconds * rate_hz))
    for bar in range(int(seconds / beat_s / beats_in_bar) + 1):
        for position, struck in events.items():
            at_s = 0.3 + (bar * beats_in_bar + position) * beat_s + jitter_s * random.standard_normal()
            for kind in struck:
                sound = _struck(kind, random, rate_hz)
                start = round(at_s * rate_hz)
                length = min(len(sound), len(out) - start)
                if length > 0:
                    out[start : start + length] += 0.3 * sound[:length]
    return out.astype(np.float32)


def _struck(kind: str, random: np.random.Generator, rate_hz: int) -> np.ndarray:
    t = np.arange(round(0.15 * rate_hz)) / rate_hz
    noise = random.standard_normal(len(t))
    return {
        "k": np.sin(2 * np.pi * (50 * t + 2 * (1 - np.exp(-30 * t)))) * np.exp(-20 * t),
        "s": 0.5 * noise * np.exp(-30 * t),
        "h": 0.15 * np.diff(noise, append=0.0) * np.exp(-80 * t),
        "c": np.sin(2 * np.pi * 1000 * t) * np.exp(-150 * t),
    }[kind]


def note(pitch: float, seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Six harmonics that decay, the high ones faster; float `[N]`."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    hz = 440.0 * 2 ** ((pitch - 69) / 12)
    partials = [np.sin(2 * np.pi * hz * k * t) * np.exp(-(0.8 + 0.7 * k) * t) / k for k in range(1, 7)]
    return np.sum(partials, axis=0)


def cadence(tonic: int, mode: str, *, cents: float = 0.0, loops: int = 1) -> np.ndarray:
    """I IV V I (minor: i iv v i) with a bass, in the key of pitch class `tonic`; float32 `[N]`, 4 s a loop."""
    third = 4 if mode == "major" else 3
    chords = []
    for degree in (0, 5, 7, 0):
        root = 60 + (tonic + degree) % 12 + cents / 100
        bass = note(36 + (tonic + degree) % 12 + cents / 100, 1.0)
        chords.append(bass + np.sum([note(root + step, 1.0) for step in (0, third, 7)], axis=0))
    return (0.08 * np.concatenate(chords * loops)).astype(np.float32)


def noise(seconds: float, level: float = 0.1, *, seed: int = 0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """White noise of RMS `level`, float32 `[N]`."""
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))).astype(np.float32)


def sine(hz: float, seconds: float, peak: float = 1.0, *, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A sine, float32 `[N]`."""
    return (peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)
