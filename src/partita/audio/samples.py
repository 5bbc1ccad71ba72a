"""Checks and identity of sample arrays: [N, C] float32 in, plain answers out. Knows no files."""

from __future__ import annotations

import hashlib

import numpy as np

from partita.errors import AudioError


def check_samples(samples: np.ndarray, *, max_channels: int | None = None) -> np.ndarray:
    """`samples` as C-ordered float32 [N, C]; [N] becomes [N, 1].

    Raises AudioError where the array is empty, of another shape, not real numbers, or holds NaN or infinity.
    """
    array = np.asarray(samples)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise AudioError(f"Samples must be numbers [N, C]; got shape {np.shape(samples)} of {array.dtype}.")
    if array.dtype.kind != "f":
        raise AudioError(f"Samples must be floats within [-1, 1]; got {array.dtype}: divide by its full scale first.")
    frames, channels = array.shape
    if frames == 0 or channels == 0:
        raise AudioError(f"There is no audio: the samples have shape {array.shape}.")
    if max_channels is not None and channels > max_channels:
        raise AudioError(
            f"Samples have {channels} channels and at most {max_channels} fit; is the array [C, N]? It must be [N, C]."
        )
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        bad = int(np.size(array) - np.isfinite(array).sum())
        raise AudioError(f"The audio holds {bad} samples that are NaN or infinite; what made it is at fault.")
    return array


def samples_sha256(samples: np.ndarray) -> str:
    """SHA-256 in hex of the samples as raw interleaved little-endian float32, which is how a record names its audio."""
    return hashlib.sha256(np.ascontiguousarray(samples, "<f4").data).hexdigest()


def to_stereo(samples: np.ndarray) -> np.ndarray:
    """[N] or [N, C] as [N, 2]: mono becomes two equal channels; of more, the first two (front left and right) stay."""
    array = samples[:, None] if samples.ndim == 1 else samples
    if array.shape[1] == 1:
        return np.repeat(array, 2, axis=1)
    return np.ascontiguousarray(array[:, :2])
