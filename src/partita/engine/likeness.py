"""Whether a sound file still holds a song as it was made: a coarse envelope of the song, kept, against the file's.

What a lossy codec does passes; a cut, another level, another balance or another passage does not. Plain arrays; knows
no files.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ

BANDS_HZ: Final = (0, 250, 1000, 3000, 8000)
"""Edges of the bands. Above 8 kHz codecs at low rates leave things out."""
MOST_OFFSET_FRAMES: Final = SAMPLE_RATE_HZ // 10
"""Codecs add silence to fill their last block, and may leave some of their delay in."""
_FRAMES_A_BLOCK: Final = 500

_TOTAL_DB: Final = 0.2
_WINDOW_FRAMES: Final = 25
_WINDOW_DEVIATION: Final = 0.25
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


def difference(kept: np.ndarray, heard: np.ndarray) -> str | None:
    """What tells envelope `heard` from `kept`, both `[T, 2, bands]`, or none where they are of the same song."""
    a, b = kept.astype(np.float64), heard.astype(np.float64)
    if a.shape != b.shape:
        return f"it is {len(b) * 0.04:g} s long and the song is {len(a) * 0.04:g} s"
    total = [float(np.sqrt(np.square(one).sum())) for one in (a, b)]
    if min(total) <= 0:
        return None if max(total) <= 0 else "one of them is silent"
    step_db = 20 * np.log10(total[1] / total[0])
    if abs(step_db) > _TOTAL_DB:
        return f"its level is {step_db:+.1f} dB of the song's"
    # A second at a time, over both channels and all bands: single frames of a lossy file may be far off.
    errors, levels = (_smoothed(np.square(one).sum(axis=(1, 2))) for one in (a - b, a))
    deviation = np.sqrt(errors / (levels + _FLOOR**2))
    worst = int(deviation.argmax())
    if deviation[worst] > _WINDOW_DEVIATION:
        return f"it sounds different around {worst * FRAME_SAMPLES / SAMPLE_RATE_HZ:.1f} s"
    return None


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Means over a second around each value; shorter at the ends."""
    width = min(_WINDOW_FRAMES, len(values))
    return np.convolve(values, np.ones(width), "same") / np.convolve(np.ones(len(values)), np.ones(width), "same")
