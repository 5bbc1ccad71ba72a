"""Whether a place where audio was joined can be heard: a click, a change of colour, a step in level.

Each is compared with what the music around does by itself, so that a drum hit is not taken for a seam unless it stands
out of its neighbours. A score is the distance from the median in units of the spread around it, the larger of two
robust estimates of a deviation: 1.4826 MAD, and the 98th percentile's distance over 2.05, which counts the beats in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partita.errors import AudioError
from partita.measure.signal import finite_channels

NEIGHBOURHOOD_S = 2.0
CLICK_BLOCK_S = 0.002
FLUX_WINDOW_S = 0.02
FLUX_HOP_S = (
    0.005  # a fraction of the window, so that the windows on either side of the joint are among those looked at
)
HEARD_AS_ONE_S = 0.05
LEVEL_S = 0.15
AUDIBLE_Z = 5.0
# Where the 98th percentile of a normal distribution lies.
TAIL_QUANTILE, TAIL_DEVIATIONS = 0.98, 2.054
# Natural spread of log energies in decibels, taken where a neighbourhood is so even that its own is smaller.
LEAST_CLICK_SPREAD_DB, LEAST_FLUX_SPREAD_DB, LEAST_LEVEL_SPREAD_DB = 1.0, 0.5, 0.4
SILENT_POWER = 1e-14
_WINDOWS_AT_ONCE = 2000  # of a long song, whose spectra would not all fit in memory


@dataclass(frozen=True)
class Seam:
    """The joint at `time_s`.

    click_z: energy of the signal's sharpest part (third difference) in the 4 ms around it.
    flux_z: change of the spectrum from the 20 ms before to the 20 ms after.
    flux_percentile: 0 to 100, of the song's own joints the share that this one's flux exceeds. These are the strongest
        such change of every 50 ms, all over the audio: what follows closer is heard as one sound, and a window that
        happens to begin with a drum hit is compared with those that begin with the others. In songs that nobody cut
        19 of 20 bar lines are at 99 or less, and of moments elsewhere as good as all.
    level_z: step of level from the 150 ms before to the 150 ms after; level_step_db is the step itself.
    audible: one of the three is above 5.
    """

    time_s: float
    click_z: float
    flux_z: float
    flux_percentile: float
    level_z: float
    level_step_db: float
    audible: bool


def seam(audio: np.ndarray, sample_rate_hz: int, time_s: float) -> Seam:
    """How the joint at `time_s` of `audio` `[N]` or `[N, C]` stands out of the two seconds on either side.

    Raises:
        AudioError: `time_s` is within 0.25 s of either end, where there is nothing to compare with.
    """
    channels = finite_channels(audio)
    at = round(time_s * sample_rate_hz)
    least = round(0.25 * sample_rate_hz)
    if not least <= at <= len(channels) - least:
        raise AudioError(
            f"A seam at {time_s:g} s cannot be judged in {len(channels) / sample_rate_hz:g} s of audio: "
            "a quarter of a second is needed on either side."
        )
    reach = round(NEIGHBOURHOOD_S * sample_rate_hz)
    start, end = max(0, at - reach), min(len(channels), at + reach)
    part, centre = channels[start:end].astype(np.float64), at - start
    click = _click_z(part, centre, sample_rate_hz)
    flux, others = _flux(part, centre, sample_rate_hz)
    flux_z = _robust_z(flux, others, LEAST_FLUX_SPREAD_DB)
    level, step = _level_z(part, centre, sample_rate_hz)
    return Seam(
        time_s=time_s,
        click_z=click,
        flux_z=flux_z,
        flux_percentile=100.0 * float(np.mean(_strongest_fluxes(channels, at, sample_rate_hz) < flux)),
        level_z=level,
        level_step_db=step,
        audible=max(click, flux_z, level) > AUDIBLE_Z,
    )


def _robust_z(value: float, others: np.ndarray, least_spread: float) -> float:
    """How far `value` is above the median of `others`."""
    median = float(np.median(others))
    deviation = 1.4826 * float(np.median(np.abs(others - median)))
    tail = (float(np.quantile(others, TAIL_QUANTILE)) - median) / TAIL_DEVIATIONS
    spread = max(deviation, tail, least_spread)
    return (value - median) / spread


def _power_db(power: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(power + SILENT_POWER)


def _blocks(values: np.ndarray, centre: int, size: int) -> tuple[np.ndarray, int]:
    """`values` `[n, C]` in blocks `[blocks, size, C]` one of which begins at `centre`, and that one's index."""
    first = centre % size
    count = (len(values) - first) // size
    return values[first : first + count * size].reshape(count, size, values.shape[1]), centre // size


def _click_z(part: np.ndarray, centre: int, sample_rate_hz: int) -> float:
    sharp = np.square(np.diff(part, n=3, axis=0, prepend=part[:1].repeat(3, axis=0)))
    blocks, index = _blocks(sharp, centre, round(CLICK_BLOCK_S * sample_rate_hz))
    energy = _power_db(blocks.mean(axis=(1, 2)))
    beside = np.delete(energy, [index - 1, index])
    return _robust_z(float(energy[index - 1 : index + 1].max()), beside, LEAST_CLICK_SPREAD_DB)


def _flux(part: np.ndarray, centre: int, sample_rate_hz: int) -> tuple[float, np.ndarray]:
    """Distance of the log spectra, smoothed to a few bands, of the windows on either side of `centre`, in decibels;
    and the same of all other neighbouring windows of `part` `[n, C]`, counted from there."""
    blocks, index = _blocks(part, centre, round(FLUX_WINDOW_S * sample_rate_hz))
    change = _changes(_bands_db(blocks), 1)  # change[i]: from block i to i + 1
    return float(change[index - 1]), np.delete(change, index - 1)


def _strongest_fluxes(channels: np.ndarray, centre: int, sample_rate_hz: int) -> np.ndarray:
    """The greatest flux of every 50 ms of `channels` `[N, C]`, looked for every 5 ms, but for that at `centre`."""
    size, hop = round(FLUX_WINDOW_S * sample_rate_hz), round(FLUX_HOP_S * sample_rate_hz)
    windows = np.lib.stride_tricks.sliding_window_view(channels[(centre - size) % hop :], size, axis=0)[::hop]
    bands = np.concatenate(
        [
            _bands_db(windows[i : i + _WINDOWS_AT_ONCE].transpose(0, 2, 1).astype(np.float64))
            for i in range(0, len(windows), _WINDOWS_AT_ONCE)
        ]
    )
    apart = round(FLUX_WINDOW_S / FLUX_HOP_S)
    change = _changes(bands, apart)
    index = (centre - size) // hop
    change[max(0, index - apart + 1) : index + apart] = -np.inf  # these windows reach over the joint that is judged
    together = round(HEARD_AS_ONE_S / FLUX_HOP_S)
    strongest = change[: len(change) // together * together].reshape(-1, together).max(axis=1)
    return strongest[np.isfinite(strongest)]


def _changes(bands_db: np.ndarray, apart: int) -> np.ndarray:
    """Root mean square difference of rows of `[n, bands]` that lie `apart`, `[n - apart]`."""
    return np.sqrt(np.mean(np.square(bands_db[apart:] - bands_db[:-apart]), axis=1))


def _bands_db(blocks: np.ndarray) -> np.ndarray:
    """Power of `[blocks, size, C]` in bands that are even in pitch, `[blocks, bands]`."""
    size = blocks.shape[1]
    power = np.square(np.abs(np.fft.rfft(blocks * np.hanning(size)[None, :, None], axis=1))).mean(axis=2)
    edges = np.unique(np.geomspace(2, power.shape[1] - 1, 16).astype(int))
    return _power_db(np.add.reduceat(power, edges, axis=1) / size)


def _level_z(part: np.ndarray, centre: int, sample_rate_hz: int) -> tuple[float, float]:
    """The step of level at `centre` against such steps elsewhere that do not reach over it."""
    size = round(LEVEL_S * sample_rate_hz)
    running = np.concatenate([[0.0], np.cumsum(np.square(part).mean(axis=1))])

    def step(at: np.ndarray) -> np.ndarray:
        before = (running[at] - running[np.maximum(at - size, 0)]) / np.minimum(size, np.maximum(at, 1))
        after_end = np.minimum(at + size, len(part))
        after = (running[after_end] - running[at]) / np.maximum(after_end - at, 1)
        return _power_db(after) - _power_db(before)

    here = float(step(np.array([centre]))[0])
    places = np.arange(size, len(part) - size, max(1, size // 10))
    places = places[np.abs(places - centre) >= size]
    others = np.abs(step(places)) if len(places) else np.zeros(1)
    return _robust_z(abs(here), others, LEAST_LEVEL_SPREAD_DB), here
