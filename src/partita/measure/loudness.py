"""How loud audio is and how much room its peaks leave: LUFS, true peak, sample peak, RMS, crest.

The measures of ITU-R BS.1770 are those of `partita.audio`, which also uses them to bring a song to a target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partita.audio.loudness import integrated_lufs
from partita.audio.true_peak import true_peak_db
from partita.measure.signal import decibels, finite_channels


@dataclass(frozen=True)
class Loudness:
    """Levels of a whole piece; each is none for silence.

    integrated_lufs: gated loudness in LUFS, for stereo the sum over both channels.
    true_peak_dbtp: highest value of the band-limited signal between the samples.
    sample_peak_dbfs, rms_dbfs: over all channels; a full-scale sine has an RMS of -3.01 dBFS.
    crest_db: sample peak above RMS.
    """

    integrated_lufs: float | None
    true_peak_dbtp: float | None
    sample_peak_dbfs: float | None
    rms_dbfs: float | None
    crest_db: float | None


def loudness(audio: np.ndarray, sample_rate_hz: int) -> Loudness:
    """The levels of `audio` `[N]` or `[N, C]`, C at most 5."""
    channels = np.ascontiguousarray(finite_channels(audio))
    peak = decibels(float(np.abs(channels).max()))
    rms = decibels(float(np.sqrt(np.mean(np.square(channels, dtype=np.float64)))))
    return Loudness(
        integrated_lufs=integrated_lufs(channels, sample_rate_hz),
        true_peak_dbtp=true_peak_db(channels),
        sample_peak_dbfs=peak,
        rms_dbfs=rms,
        crest_db=None if peak is None or rms is None else peak - rms,
    )
