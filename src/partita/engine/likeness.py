"""Whether a sound file still holds a song as it was made: a coarse envelope of the song, kept, against the file's.

What a lossy codec does passes; a cut, another level, another balance or another passage does not. Plain arrays; knows
no files.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ

BANDS_HZ: Final = (50, 250, 1000, 3000, 8000)
"""Edges of the bands. What lies outside of them codecs leave out: Opus below, all of them above at low rates."""
MOST_SHORTER_FRAMES: Final = 48
MOST_LONGER_FRAMES: Final = 2400
"""Codecs fill their last block with silence."""
_FRAMES_A_BLOCK: Final = 500

# Measured with this package's own encoders on music at 64 kbit/s and more: levels within 0.2 dB, but -0.45 dB with
# LAME, which turns down what it encodes to 0.95; deviations of a second up to 0.1. Lossless files are off by the
# numbers of the envelope alone.
_LEVEL_DB: Final = {False: (-0.48, 0.35), True: (-0.02, 0.02)}
_DEVIATION: Final = {False: 0.18, True: 0.005}
_WINDOW_FRAMES: Final = 25
_FLOOR: Final = 1e-3


def envelope(samples: np.ndarray) -> np.ndarray:
    """RMS of each 40 ms of `samples` `[N, 2]` in each band, float16 `[ceil(N / 1920), 2, 4]`; silence fills the end."""
    frames = -(-len(samples) // FRAME_SAMPLES)
    edges = [round(hz * FRAME_SAMPLES / SAMPLE_RATE_HZ) for hz in BANDS_HZ]
    out = np.zeros((frames, samples.shape[1], len(edges) - 1), np.float16)
    for first in range(0, frames, _FRAMES_A_BLOCK):
        block = samples[first * FRAME_SAMPLES : (first + _FRAMES_A_BLOCK) * FRAME_SAMPLES]
        block = np.pad(block, ((0, -len(block) % FRAME_SAMPLES), (0, 0))).reshape(-1, FRAME_SAMPLES, samples.shape[1])
        power = np.abs(np.fft.rfft(block, axis=1)) ** 2
        sums = np.add.reduceat(power, edges, axis=1)[:, :-1]  # what lies above the last edge is left out
        out[first : first + len(block)] = np.sqrt(2 * sums.transpose(0, 2, 1)) / FRAME_SAMPLES
    return out


def level_db(kept: np.ndarray, heard: np.ndarray) -> float:
    """Level of envelope `heard` above `kept`, both `[T, 2, bands]`; 0 where one of them is silent."""
    a, b = (float(np.square(one, dtype=np.float64).sum()) for one in (kept, heard))
    return 10 * math.log10(b / a) if a > 0 and b > 0 else 0.0


def difference(kept: np.ndarray, heard: np.ndarray, *, lossless: bool) -> str | None:
    """What tells envelope `heard` from `kept`, both `[T, 2, bands]`, or none where they are of the same song.

    `lossless`: `heard` comes from a file that has not been through a lossy codec.
    """
    low, high = _LEVEL_DB[lossless]
    step_db = level_db(kept, heard)
    if not low <= step_db <= high:
        return f"its level is {step_db:+.2f} dB of the song's"
    # A second at a time, over both channels and all bands: single frames of a lossy file may be far off.
    a, b = kept.astype(np.float64), heard.astype(np.float64)
    errors, levels = (_smoothed(np.square(one).sum(axis=(1, 2))) for one in (a - b, a))
    deviation = np.sqrt(errors / (levels + _FLOOR**2))
    worst = int(deviation.argmax())
    if deviation[worst] > _DEVIATION[lossless]:
        return f"it sounds different around {worst * FRAME_SAMPLES / SAMPLE_RATE_HZ:.1f} s"
    return None


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Means over a second around each value; shorter at the ends."""
    width = min(_WINDOW_FRAMES, len(values))
    return np.convolve(values, np.ones(width), "same") / np.convolve(np.ones(len(values)), np.ones(width), "same")
