"""Change of sample rate, with libsoxr at its very high quality. Samples are [N, C] or [N]; knows no files."""

from __future__ import annotations

import numpy as np
import soxr

from partita.errors import AudioError

QUALITY = "VHQ"


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """`samples` [N, C] or [N] float32 at `from_hz` as float32 at `to_hz`, round(N · to_hz / from_hz) long.

    Equal rates give the input itself. Raises AudioError where a rate is not a positive number.
    """
    if from_hz <= 0 or to_hz <= 0:
        raise AudioError(f"Cannot resample from {from_hz} Hz to {to_hz} Hz: both rates must be positive.")
    if from_hz == to_hz:
        return samples
    frames = round(len(samples) * to_hz / from_hz)
    if len(samples) == 0 or frames == 0:
        return np.zeros((frames, *samples.shape[1:]), np.float32)
    out = soxr.resample(np.ascontiguousarray(samples, np.float32), from_hz, to_hz, quality=QUALITY)
    missing = frames - len(out)
    if missing > 0:  # soxr rounds its length in its own way; one sample at most
        out = np.concatenate([out, np.zeros((missing, *out.shape[1:]), np.float32)])
    return out[:frames]
