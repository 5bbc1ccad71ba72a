"""Change of sample rate, with libsoxr at its very high quality. Samples are [N, C] or [N]; knows no files."""

from __future__ import annotations

import numpy as np
import soxr

from partita.errors import AudioError

QUALITY = "VHQ"
_BLOCK_FRAMES = 1 << 18


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
    given = np.ascontiguousarray(samples, np.float32)
    out = np.zeros((frames, *given.shape[1:]), np.float32)  # soxr rounds its length in its own way; one sample at most
    channels = given.shape[1] if given.ndim == 2 else 1
    # By blocks, with the same result: at once, soxr keeps several copies in float64.
    stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality=QUALITY)
    made = 0
    for start in range(0, len(given), _BLOCK_FRAMES):
        end = start + _BLOCK_FRAMES
        block = stream.resample_chunk(given[start:end], last=end >= len(given))[: frames - made]
        out[made : made + len(block)] = block
        made += len(block)
    return out
