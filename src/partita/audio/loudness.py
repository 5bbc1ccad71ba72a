"""The loudness stage: the last thing that is done to a finished song. Arrays [N, C] in and out; knows no files.

Loudness is integrated loudness of ITU-R BS.1770 in LUFS, by pyloudnorm; true peak and limiter are `true_peak`'s.
"""

from __future__ import annotations

import math
import warnings
from typing import Literal

import numpy as np
import pyloudnorm

from partita.audio.samples import check_samples
from partita.audio.true_peak import limit, true_peak_db
from partita.errors import AudioError
from partita.song.record import LoudnessRecord

BLOCK_S = 0.4
_NO_PEAK = 1e-6  # below this the peak mode leaves the audio alone


def integrated_lufs(samples: np.ndarray, sample_rate_hz: int) -> float | None:
    """Integrated loudness of [N, C], C at most 5; none where all of it is under the gate of −70 LUFS.

    Audio shorter than the meter's block of 0.4 s is measured as one block.
    """
    block_s = min(BLOCK_S, len(samples) / sample_rate_hz)
    if block_s * sample_rate_hz > len(samples):  # the meter refuses a block that rounding made longer than the audio
        block_s = math.nextafter(block_s, 0.0)
    meter = pyloudnorm.Meter(sample_rate_hz, block_size=block_s)
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the logarithm of silence
        lufs = float(meter.integrated_loudness(samples))
    return lufs if math.isfinite(lufs) else None


def master(
    samples: np.ndarray,
    sample_rate_hz: int,
    *,
    mode: Literal["loudness", "peak", "off"],
    target_lufs: float | None = None,
    true_peak_db: float = -1.0,
) -> tuple[np.ndarray, LoudnessRecord]:
    """`samples` [N, C] float32 made ready to be written, and what was done.

    - loudness: one gain to `target_lufs`; where that puts the true peak over `true_peak_db`, a limiter.
    - peak: as the original program (its output step): divide by the peak where it is over 1, then bring the sample peak
      to `true_peak_db` dBFS; audio with a peak under 1e-6 stays.
    - off: nothing is changed.

    Silence stays silence. Raises AudioError where the mode or the samples are unusable.
    """
    array = check_samples(samples, max_channels=5)
    before = integrated_lufs(array, sample_rate_hz)
    if mode == "loudness":
        if target_lufs is None:
            raise AudioError("The mode loudness needs a target in LUFS, and none was given.")
        gain = 1.0 if before is None else 10.0 ** ((target_lufs - before) / 20.0)
    elif mode == "peak":
        gain = _peak_gain(array, true_peak_db)
    elif mode == "off":
        gain = 1.0
    else:
        raise AudioError(f"There is no loudness mode {mode!r}: choose loudness, peak or off.")
    scaled = array if gain == 1.0 else (array * np.float64(gain)).astype(np.float32)
    if mode == "loudness":
        out, peak = limit(scaled, sample_rate_hz, true_peak_db)
        peak_db = 20.0 * math.log10(peak) if peak > 0 else None
    else:
        out, peak_db = scaled, _true_peak_db(scaled)
    limited = out is not scaled
    return out, LoudnessRecord(
        mode=mode,
        gain_db=20.0 * math.log10(gain),
        limited=limited,
        before_lufs=before,
        after_lufs=before if out is array else integrated_lufs(out, sample_rate_hz),
        after_true_peak_db=peak_db,
    )


def _peak_gain(samples: np.ndarray, peak_db: float) -> float:
    peak = float(np.abs(samples).max())
    if peak < _NO_PEAK:
        return 1.0
    return 10.0 ** (peak_db / 20.0) / peak


_true_peak_db = true_peak_db
