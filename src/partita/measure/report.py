"""Every meter at once, as one value that can be written as JSON: what `partita probe` and the pages show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from partita.measure.defects import Defects, defects
from partita.measure.key import KeyEstimate, key
from partita.measure.loudness import Loudness, loudness
from partita.measure.seams import Seam, seam
from partita.measure.signal import as_channels
from partita.measure.tempo import Tempo, tempo


@dataclass(frozen=True)
class Report:
    """What the meters say of one piece of audio."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    tempo: Tempo
    key: KeyEstimate
    loudness: Loudness
    defects: Defects
    seams: tuple[Seam, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same as dictionaries, lists and numbers; nothing in it is NaN or infinite."""
        return asdict(self)


def measure(audio: np.ndarray, sample_rate_hz: int, *, seams_s: Sequence[float] = ()) -> Report:
    """Measure `audio`, float `[N]` or `[N, C]`; `seams_s` are times where it was joined.

    Raises:
        AudioError: no samples, another shape, or a seam too near an end.
    """
    channels = as_channels(audio)
    return Report(
        duration_s=len(channels) / sample_rate_hz,
        sample_rate_hz=sample_rate_hz,
        channels=channels.shape[1],
        tempo=tempo(channels, sample_rate_hz),
        key=key(channels, sample_rate_hz),
        loudness=loudness(channels, sample_rate_hz),
        defects=defects(channels, sample_rate_hz),
        seams=tuple(seam(channels, sample_rate_hz, time_s) for time_s in seams_s),
    )
