"""What every meter starts from: audio as an array of channels, its mono mix, its frames and their spectra.

Audio is float `[N, C]` or `[N]`, nominally within -1 to 1. Knows no files and no meters.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal as dsp

from partita.errors import AudioError

_FRAMES_AT_ONCE = 512


def as_channels(audio: np.ndarray) -> np.ndarray:
    """`audio` `[N]` or `[N, C]` as `[N, C]`, NaN and infinities left in.

    Raises:
        AudioError: no samples, more than two dimensions, or more channels than samples.
    """
    array = np.asarray(audio)
    channels = array[:, None] if array.ndim == 1 else array
    if channels.ndim != 2 or channels.size == 0 or channels.shape[1] > channels.shape[0]:
        raise AudioError(f"A meter needs audio [N] or [N, C] with N samples; it was given shape {np.shape(audio)}.")
    if not np.issubdtype(channels.dtype, np.floating):
        raise AudioError(f"A meter needs floating point audio within -1 to 1; it was given {channels.dtype}.")
    return channels


def finite_channels(audio: np.ndarray) -> np.ndarray:
    """`as_channels` in float32 with NaN and infinities set to 0, so that one bad sample does not void a measurement."""
    channels = as_channels(audio).astype(np.float32, copy=False)
    return channels if np.isfinite(channels).all() else np.nan_to_num(channels, nan=0.0, posinf=0.0, neginf=0.0)


def mono(audio: np.ndarray) -> np.ndarray:
    """The mean of the channels, float32 `[N]`, finite."""
    return finite_channels(audio).mean(axis=1)


def spectra(samples: np.ndarray, window: int, hop: int, *, padded: bool = True) -> Iterator[np.ndarray]:
    """Magnitudes `[frames, window / 2 + 1]` of Hann frames of `samples` `[N]`, some hundred frames at a time.

    Frame i is centred on sample `i * hop`, both ends padded with zeros; or begins there, where it is not `padded` and
    there are samples for a whole frame. A full-scale sine has magnitude 1.
    """
    if padded or len(samples) < window:
        samples = np.pad(samples, (window // 2, window // 2))
    frames = sliding_window_view(samples, window)[::hop]
    shape = np.asarray(dsp.get_window("hann", window), np.float32)
    scale = 2.0 / shape.sum()
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        yield np.abs(np.fft.rfft(frames[start : start + _FRAMES_AT_ONCE] * shape, axis=1)) * scale


def decibels(ratio: float) -> float | None:
    """`20 log10(ratio)`; none for 0."""
    return float(20.0 * np.log10(ratio)) if ratio > 0 else None
