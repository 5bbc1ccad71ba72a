"""What is wrong with audio as a signal: clipping, silence, drop-outs, DC, NaN, a missing top of the band.

Knows nothing of music: a rest in the piece is silence here. Numbers are facts; what is too much is the reader's choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partita.measure.signal import as_channels, finite_channels, mono, spectra

# A flat top: at least so many equal samples, so near the peak, entered or left with a jump. The top of a soft low tone
# in 16 bits is flat as well, but is entered by less than a few steps.
CLIP_SAMPLES = 3
CLIP_SHARE_OF_PEAK = 0.98
CLIP_JUMP = 8 / 32768
QUIETEST_CLIP = 0.05

SILENCE_DBFS = -60.0
SILENCE_BLOCK_S = 0.05
DROPOUT_DBFS = -80.0
DROPOUT_BLOCK_S = 0.001
DROPOUT_SHORTEST_S, DROPOUT_LONGEST_S = 0.002, 0.2
DROPOUT_SURROUND_S, DROPOUT_SURROUND_DBFS = 0.02, -45.0

SPECTRUM_WINDOW = 4096
# A bin counts as part of the band while its power is within this much of the strongest bin's.
BAND_FLOOR_DB = -90.0


@dataclass(frozen=True)
class Span:
    """A stretch of time."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Bandwidth:
    """Where the energy lies: below `rolloff_95_hz` are 95 % of it. Above
    `upper_limit_hz`, which is read within 300 Hz, there is next to nothing."""

    rolloff_95_hz: float
    rolloff_99_hz: float
    upper_limit_hz: float


@dataclass(frozen=True)
class Defects:
    """Findings over all channels.

    clipped_runs, clipped_share: flat tops of at least three samples, and the share of samples in them.
    longest_clip_ms: the longest flat top.
    silence_share: share of 50 ms blocks under -60 dBFS; longest_silence_s and where it is; leading and trailing.
    dropouts: holes of 2 to 200 ms under -80 dBFS with sound on both sides.
    dc_offset: the largest mean of a channel, linear.
    nan_samples, infinite_samples: counts; they are taken for 0 elsewhere.
    bandwidth: none for silence.
    """

    clipped_runs: int
    clipped_share: float
    longest_clip_ms: float
    silence_share: float
    longest_silence_s: float
    longest_silence_at_s: float
    leading_silence_s: float
    trailing_silence_s: float
    dropouts: tuple[Span, ...]
    dc_offset: float
    nan_samples: int
    infinite_samples: int
    bandwidth: Bandwidth | None


def defects(audio: np.ndarray, sample_rate_hz: int) -> Defects:
    """The findings for `audio` `[N]` or `[N, C]`."""
    raw = as_channels(audio)
    channels = finite_channels(audio)
    runs = np.concatenate([_clipped_runs(channel) for channel in channels.T])
    quiet, block_s = _quiet_blocks(channels, sample_rate_hz)
    starts, ends = _true_runs(quiet)
    lengths_s = (ends - starts) * block_s
    longest = int(np.argmax(lengths_s)) if len(starts) else None
    return Defects(
        clipped_runs=len(runs),
        clipped_share=float(runs.sum() / channels.size),
        longest_clip_ms=float(runs.max(initial=0) / sample_rate_hz * 1000),
        silence_share=float(quiet.mean()),
        longest_silence_s=0.0 if longest is None else float(lengths_s[longest]),
        longest_silence_at_s=0.0 if longest is None else float(starts[longest] * block_s),
        leading_silence_s=float(lengths_s[0]) if len(starts) and starts[0] == 0 else 0.0,
        trailing_silence_s=float(lengths_s[-1]) if len(ends) and ends[-1] == len(quiet) else 0.0,
        dropouts=_dropouts(channels, sample_rate_hz),
        dc_offset=float(np.abs(channels.mean(axis=0, dtype=np.float64)).max()),
        nan_samples=int(np.isnan(raw).sum()),
        infinite_samples=int(np.isinf(raw).sum()),
        bandwidth=bandwidth(audio, sample_rate_hz),
    )


def bandwidth(audio: np.ndarray, sample_rate_hz: int) -> Bandwidth | None:
    """Where in frequency the energy of `audio` `[N]` or `[N, C]` lies; none for silence."""
    samples = mono(audio)
    power, frames = np.zeros(SPECTRUM_WINDOW // 2 + 1), 0
    # Without padding: where sound is cut off at an end, the cut would look like a wide band.
    for part in spectra(samples, SPECTRUM_WINDOW, SPECTRUM_WINDOW // 2, padded=False):
        power += np.square(part, dtype=np.float64).sum(axis=0)
        frames += len(part)
    if power.max() / frames <= 1e-18:
        return None
    bin_hz = sample_rate_hz / SPECTRUM_WINDOW
    share = np.cumsum(power) / power.sum()
    inside = np.flatnonzero(power >= power.max() * 10 ** (BAND_FLOOR_DB / 10))
    return Bandwidth(
        rolloff_95_hz=float(np.searchsorted(share, 0.95) * bin_hz),
        rolloff_99_hz=float(np.searchsorted(share, 0.99) * bin_hz),
        upper_limit_hz=float(inside[-1] * bin_hz),
    )


def _true_runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and past-the-end indices of the stretches where `mask` `[n]` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]


def _clipped_runs(samples: np.ndarray) -> np.ndarray:
    """Lengths in samples of the flat tops of one channel `[N]`."""
    peak = float(np.abs(samples).max())
    if peak < QUIETEST_CLIP:
        return np.zeros(0, int)
    equal = (np.diff(samples) == 0) & (np.abs(samples[1:]) >= CLIP_SHARE_OF_PEAK * peak)
    starts, ends = _true_runs(equal)  # equal[i] joins samples i and i + 1
    lengths = ends - starts + 1
    padded = np.pad(samples, 1, mode="edge")
    jump = np.maximum(np.abs(padded[starts] - samples[starts]), np.abs(padded[ends + 2] - samples[ends]))
    return lengths[(lengths >= CLIP_SAMPLES) & (jump > CLIP_JUMP)]


def _block_rms(channels: np.ndarray, size: int) -> np.ndarray:
    """RMS of the loudest channel in blocks of `size` samples; the last may be shorter."""
    starts = np.arange(0, len(channels), size)
    sums = np.add.reduceat(np.square(channels, dtype=np.float64), starts, axis=0)
    counts = np.diff(np.append(starts, len(channels)))[:, None]
    return np.sqrt(sums / counts).max(axis=1)


def _quiet_blocks(channels: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, float]:
    """Which blocks are silent, and how long a block is in seconds."""
    size = max(1, round(SILENCE_BLOCK_S * sample_rate_hz))
    return _block_rms(channels, size) < 10 ** (SILENCE_DBFS / 20), size / sample_rate_hz


def _dropouts(channels: np.ndarray, sample_rate_hz: int) -> tuple[Span, ...]:
    size = max(1, round(DROPOUT_BLOCK_S * sample_rate_hz))
    rms = _block_rms(channels, size)
    block_s = size / sample_rate_hz
    around = max(1, round(DROPOUT_SURROUND_S / block_s))
    loud = 10 ** (DROPOUT_SURROUND_DBFS / 20)
    found = []
    for start, end in zip(*_true_runs(rms < 10 ** (DROPOUT_DBFS / 20)), strict=True):
        if not DROPOUT_SHORTEST_S <= (end - start) * block_s <= DROPOUT_LONGEST_S:
            continue
        before, after = rms[max(0, start - around) : start], rms[end : end + around]
        if len(before) and len(after) and before.max() > loud and after.max() > loud:
            found.append(Span(float(start * block_s), float(end * block_s)))
    return tuple(found)
