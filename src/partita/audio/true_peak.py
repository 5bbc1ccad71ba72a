"""Peaks between the samples, and a limiter that holds them under a ceiling. Arrays [N, C] in and out; knows no files.

True peak follows ITU-R BS.1770-5 annex 2 (four times oversampled), with a longer interpolation filter than its example
and a parabola through the highest points, so that tones near the top of the band are not read too low.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft
from scipy.ndimage import maximum_filter1d, uniform_filter1d

OVERSAMPLING = 4
LOOKAHEAD_S = 0.004
RELEASE_S = 0.08

_HALF_TAPS = 24
_KAISER_BETA = 7.0
_FFT_SIZE = 4096
_HOP = _FFT_SIZE - 2 * _HALF_TAPS
_HOPS_A_CHUNK = 8
_MOST_GAIN = 3.0  # over the sum of any filter's absolute taps (2.7): quieter surroundings reach no ceiling
_REFINE_ABOVE = (
    0.9  # four points a sample miss a peak by at most 7 % (a tone at half the sampling rate, half a step off)
)

_MARGIN_DB = 0.2  # meters with other filters differ by about this much
_GRID = 16  # samples a step of the gain curve, a third of a millisecond
_FORGOTTEN_DEPTH = 1e-5  # 0.0001 dB: the release ends here
_PASSES = 4


def true_peak(samples: np.ndarray) -> float:
    """Highest absolute value of the band-limited signal through `samples` [N, C]; linear, 1 is full scale."""
    return float(_envelope(samples, 0.0).max(initial=0.0))


def true_peak_db(samples: np.ndarray) -> float | None:
    """`true_peak` in dBTP; none for silence."""
    peak = true_peak(samples)
    return 20.0 * float(np.log10(peak)) if peak > 0 else None


def limit(samples: np.ndarray, sample_rate_hz: int, ceiling_db: float) -> tuple[np.ndarray, float]:
    """`samples` [N, C] float32 with a true peak of at most `ceiling_db` dBTP, and that true peak (linear).

    One gain for all channels falls ahead of a peak and recovers behind it; where it has recovered, samples are left as
    they are, bit for bit. A signal under the ceiling comes back as the same object.
    """
    ceiling = 10.0 ** (ceiling_db / 20.0)
    target = ceiling * 10.0 ** (-_MARGIN_DB / 20.0)
    out = samples
    for _ in range(_PASSES):  # a moving gain shifts the peaks between samples a little, so look again
        envelope = _envelope(out, target)
        peak = float(envelope.max(initial=0.0))
        if peak <= ceiling:
            return out, peak
        out = out * _gain(envelope, sample_rate_hz, target)[:, None]
    peak = true_peak(out)
    if peak > ceiling:
        out = out * np.float32(target / peak)
        peak = true_peak(out)
    return out, peak


def _gain(envelope: np.ndarray, sample_rate_hz: int, target: float) -> np.ndarray:
    """[N] float32, at most target / envelope everywhere, smooth, and exactly 1 away from the peaks.

    Works on depth, 1 − gain, in steps of `_GRID` samples: hold for the look-ahead to both sides, release, then average
    twice over half of it to both sides. What is held over a window cannot, averaged within that window, fall under the
    need in its middle; one step more is held, as the depth runs in a line from step to step.
    """
    steps = -(-len(envelope) // _GRID)
    peaks = np.pad(envelope, (0, steps * _GRID - len(envelope))).reshape(steps, _GRID).max(axis=1)
    need = 1.0 - target / np.maximum(peaks.astype(np.float64), target)
    half = max(1, round(LOOKAHEAD_S * sample_rate_hz / _GRID / 2))
    held = maximum_filter1d(need, 4 * half + 3, mode="constant")
    # d[n] = max over k <= n of held[k] · a^(n − k): in logarithms a running maximum of a tilted line.
    tilt = np.arange(steps) * (_GRID / (RELEASE_S * sample_rate_hz))
    with np.errstate(divide="ignore"):
        released = np.exp(np.maximum.accumulate(np.log(held) + tilt) - tilt)
    depth = np.maximum(held, np.where(released < _FORGOTTEN_DEPTH, 0.0, released))
    for _ in range(2):
        depth = uniform_filter1d(depth, 2 * half + 1, mode="nearest")
    depth[depth < _FORGOTTEN_DEPTH * 1e-3] = 0.0  # what the running sums leave of zero
    slope = np.diff(depth, append=depth[-1:])
    line = depth[:, None] + slope[:, None] * (np.arange(_GRID) / _GRID)
    return (1.0 - line.reshape(-1)[: len(envelope)]).astype(np.float32)


def _envelope(samples: np.ndarray, ceiling: float) -> np.ndarray:
    """[N] float32: the highest |value| of any channel of [N, C] from half a sample before to half a sample after.

    Exact where it is over `ceiling`, and its maximum is exact; elsewhere it may be the sample's own value.
    """
    frames, span = len(samples), _HOP * _HOPS_A_CHUNK
    if not frames:
        return np.zeros(0, np.float32)
    floor = ceiling or float(np.abs(samples).max())
    filters = _interpolators()
    reach = _HALF_TAPS + 1  # a frame more on both sides, whose points belong to the chunk's first and last frame too
    padded = np.pad(samples.T, ((0, 0), (reach, reach + span)))

    def chunk(start: int) -> np.ndarray:
        rows = padded[:, start : start + span + 2 * reach]
        return np.max([_chunk_envelope(row, filters, floor) for row in rows], axis=0)

    starts = range(0, frames, span)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1, len(starts))) as pool:
        return np.concatenate(list(pool.map(chunk, starts)))[:frames]


def _chunk_envelope(row: np.ndarray, filters: np.ndarray, floor: float) -> np.ndarray:
    """Envelope [n] of `row` [n + 2 · (half + 1)], half being the filter's half length."""
    own = np.abs(row[_HALF_TAPS + 1 : -_HALF_TAPS - 1])
    if np.abs(row).max() * _MOST_GAIN <= floor:
        return own
    frames = len(own) + 2
    hops = -(-frames // _HOP)
    tail = hops * _HOP + 2 * _HALF_TAPS - len(row)
    windows = sliding_window_view(np.pad(row, (0, tail)), _FFT_SIZE)[::_HOP]
    spectra = np.asarray(fft.rfft(windows, axis=1))
    points = np.empty((OVERSAMPLING + 2, frames), np.float32)  # [1 + phase, frame], and the neighbours at both ends
    np.abs(row[_HALF_TAPS : _HALF_TAPS + frames], out=points[1])
    for phase in range(1, OVERSAMPLING):
        between = np.asarray(fft.irfft(spectra * filters[phase - 1], _FFT_SIZE, axis=1))
        np.abs(between[:, 2 * _HALF_TAPS :].reshape(-1)[:frames], out=points[1 + phase])
    points[0, 0], points[0, 1:] = 0.0, points[OVERSAMPLING, :-1]
    points[-1, :-1], points[-1, -1] = points[1, 1:], 0.0
    magnitude = points[1:-1].copy()
    for phase in range(OVERSAMPLING):
        _refine(magnitude[phase], points[phase], points[phase + 1], points[phase + 2], _REFINE_ABOVE * floor)
    after = magnitude[: OVERSAMPLING // 2 + 1, 1:-1].max(axis=0)
    before = magnitude[OVERSAMPLING // 2 :, :-2].max(axis=0)
    return np.maximum(after, before)


def _refine(out: np.ndarray, left: np.ndarray, middle: np.ndarray, right: np.ndarray, floor: float) -> None:
    """Raise `out`, where `middle` is a local maximum above `floor`, to the top of the parabola through the three."""
    at = np.flatnonzero(middle > floor)
    a, b, c = left[at], middle[at], right[at]
    top = (b >= a) & (b >= c) & (a + c < 2 * b)
    at, a, b, c = at[top], a[top], b[top], c[top]
    out[at] = b + (a - c) ** 2 / (8 * (2 * b - a - c))


def _interpolators() -> np.ndarray:
    """[3, F] complex64: spectra of the filters for a quarter, a half and three quarters of a sample later."""
    taps = np.arange(-_HALF_TAPS, _HALF_TAPS + 1)
    filters = np.zeros((OVERSAMPLING - 1, _FFT_SIZE), np.float32)
    for phase in range(1, OVERSAMPLING):
        # y(n + p/4) = Σ x(n − k) · h(k + p/4)
        time = taps + phase / OVERSAMPLING
        window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - (time / (_HALF_TAPS + 1)) ** 2)))
        kernel = np.sinc(time) * window
        filters[phase - 1, : len(taps)] = kernel / kernel.sum()
    return np.asarray(fft.rfft(filters, axis=1))
