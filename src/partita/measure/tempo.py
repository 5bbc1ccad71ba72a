"""Tempo, beats and how steady they are, heard from the sound alone.

Onset strength (log-compressed spectral flux in bands), its autocorrelation, a log-normal prior over tempi, and the beat
positions by dynamic programming (D. Ellis, "Beat Tracking by Dynamic Programming", 2007). A meter that hears a bar of
three at 180 beats a minute as one at 60 is not wrong as music goes; `candidates` holds the other readings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from partita.measure.signal import mono, spectra

ENVELOPE_RATE_HZ = 200
WINDOW_S = 0.032
BANDS = 36
LOWEST_BPM, HIGHEST_BPM = 40.0, 240.0
PRIOR_BPM = 110.0
PRIOR_OCTAVES = 0.7
MULTIPLES = 4
# Steady hi-hats give every multiple of theirs a high autocorrelation; the power lets the beat stand out of them.
SHARPNESS = 4
TIGHTNESS = 100.0
SHORTEST_S = 3.0
# A pulse whose autocorrelation is below this share of the envelope's power is not a beat: noise stays under 0.05.
LEAST_STRENGTH = 0.08


@dataclass(frozen=True)
class TempoCandidate:
    """One reading of the pulse: beats a minute, and its share (0 to 1) of the best reading's score."""

    bpm: float
    score: float


@dataclass(frozen=True)
class Tempo:
    """The pulse of a piece.

    bpm: beats a minute, none where no pulse was found (silence, noise, less than 3 s).
    strength: mean autocorrelation (0 to 1) at the beat and its multiples; a click track has about 1.
    beats_s: times of the beats.
    beat_deviation_ms: standard deviation of the intervals between beats; none with fewer than 4 beats.
    beat_deviation: the same over the mean interval; below 0.02 sounds machine-steady.
    candidates: other readings, best first.
    """

    bpm: float | None
    strength: float
    beats_s: tuple[float, ...]
    beat_deviation_ms: float | None
    beat_deviation: float | None
    candidates: tuple[TempoCandidate, ...]


NO_TEMPO = Tempo(None, 0.0, (), None, None, ())


def tempo(audio: np.ndarray, sample_rate_hz: int) -> Tempo:
    """The tempo of `audio` `[N]` or `[N, C]`; see `Tempo`.

    A steady pulse of 60 to 180 beats a minute is found within 1 %, at its own, half or double rate.
    """
    samples = mono(audio)
    if len(samples) < SHORTEST_S * sample_rate_hz:
        return NO_TEMPO
    envelope = onset_strength(samples, sample_rate_hz)
    correlation = _autocorrelation(envelope)
    if correlation is None:
        return NO_TEMPO
    periods, scores, strengths = _score_periods(correlation)
    best = int(np.argmax(scores))
    strength = float(strengths[best])
    if strength < LEAST_STRENGTH:
        return Tempo(None, max(0.0, strength), (), None, None, ())
    period = _refine_period(correlation, float(periods[best]))
    beats = _track_beats(envelope, period)
    deviation_ms = deviation = None
    if len(beats) >= 4:
        intervals = np.diff(beats)
        deviation_ms = float(intervals.std() * 1000)
        deviation = float(intervals.std() / intervals.mean())
    return Tempo(
        bpm=60.0 * ENVELOPE_RATE_HZ / period,
        strength=min(1.0, strength),
        beats_s=tuple(float(b) for b in beats),
        beat_deviation_ms=deviation_ms,
        beat_deviation=deviation,
        candidates=_candidates(correlation, periods, scores, best),
    )


def same_tempo(heard_bpm: float, asked_bpm: float, *, tolerance: float = 0.04, octaves: bool = True) -> bool:
    """Whether two tempi agree within `tolerance` (a share), allowing half and double with `octaves`."""
    factors = (0.5, 1.0, 2.0) if octaves else (1.0,)
    return any(abs(heard_bpm / (asked_bpm * factor) - 1.0) <= tolerance for factor in factors)


def onset_strength(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """How much begins at each moment: float `[frames]` at `ENVELOPE_RATE_HZ`, 0 where nothing does.

    The rise of the log magnitude in bands of equal width in musical pitch, summed, less its local mean over a second.
    """
    hop_s = 1.0 / ENVELOPE_RATE_HZ
    window = 1 << int(np.ceil(np.log2(WINDOW_S * sample_rate_hz)))
    count = int(len(samples) / sample_rate_hz * ENVELOPE_RATE_HZ)
    bands = _band_matrix(window, sample_rate_hz)
    hop = max(1, round(sample_rate_hz * hop_s))
    levels = np.concatenate([part @ bands for part in spectra(samples, window, hop)])
    reference = float(levels.max())
    if reference <= 0:
        return np.zeros(count)
    levels = np.log1p(levels * (1000.0 / reference))
    rise = np.maximum(levels[2:] - levels[:-2], 0.0).sum(axis=1)
    strength = np.concatenate([[0.0], rise, [0.0]])
    # Rates that are no multiple of the envelope's make frames of a slightly other length: put them on its clock.
    times = np.arange(count) * hop_s
    strength = np.interp(times, np.arange(len(strength)) * (hop / sample_rate_hz), strength)
    strength = np.maximum(strength - uniform_filter1d(strength, ENVELOPE_RATE_HZ), 0.0)
    return gaussian_filter1d(strength, 1.5)


def _band_matrix(window: int, sample_rate_hz: int) -> np.ndarray:
    """Triangular bands `[window / 2 + 1, BANDS]`, centres equally far apart in log frequency from 30 Hz up."""
    bins_hz = np.arange(window // 2 + 1) * sample_rate_hz / window
    edges = np.geomspace(30.0, min(16_000.0, 0.48 * sample_rate_hz), BANDS + 2)
    edges = np.maximum(edges, np.arange(BANDS + 2) * sample_rate_hz / window)  # at least one bin apart
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins_hz[:, None] - lower) / (centre - lower)
    falling = (upper - bins_hz[:, None]) / (upper - centre)
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def _autocorrelation(envelope: np.ndarray) -> np.ndarray | None:
    """Unbiased autocorrelation `[lags]`, 1 at lag 0, up to half the length; none for an empty envelope."""
    centred = envelope - envelope.mean()
    size = 1 << int(np.ceil(np.log2(2 * len(centred))))
    power = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2, size)[: len(centred) // 2 + 1]
    if power[0] <= 1e-12:
        return None
    unbiased = power / (len(centred) - np.arange(len(power)))
    return unbiased / unbiased[0]


def _score_periods(correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Periods (in frames) on a fine log grid, their scores with the prior, and their strengths without."""
    bpm = np.geomspace(LOWEST_BPM, HIGHEST_BPM, 720)
    periods = 60.0 * ENVELOPE_RATE_HZ / bpm
    lags = np.arange(len(correlation))
    heights, counts = np.zeros_like(periods), np.zeros_like(periods)
    for k in range(1, MULTIPLES + 1):
        inside = periods * k < lags[-1]
        heights += np.where(inside, np.interp(periods * k, lags, correlation), 0.0)
        counts += inside
    strengths = heights / np.maximum(counts, 1)
    prior = np.exp(-0.5 * (np.log2(bpm / PRIOR_BPM) / PRIOR_OCTAVES) ** 2)
    return periods, np.maximum(strengths, 0.0) ** SHARPNESS * prior, strengths


def _refine_period(correlation: np.ndarray, period: float) -> float:
    """`period` made precise on ever longer multiples, as long as these still show a peak."""
    first = _peak_near(correlation, period, 0.03 * period)
    if first is None:
        return period
    best, height = first
    k = 2
    while best * k < len(correlation) - 2:
        found = _peak_near(correlation, best * k, min(0.03 * best * k, 0.12 * best))
        if found is None or found[1] < 0.5 * height:
            break
        best = found[0] / k
        k *= 2
    return best


def _peak_near(correlation: np.ndarray, lag: float, reach: float) -> tuple[float, float] | None:
    """(lag, height) of the highest local maximum within `reach` of `lag`, by a parabola; none if there is none."""
    low, high = max(1, int(lag - reach)), min(len(correlation) - 2, int(np.ceil(lag + reach)))
    if high < low:
        return None
    at = low + int(np.argmax(correlation[low : high + 1]))
    before, here, after = correlation[at - 1 : at + 2]
    if here < before or here < after:
        return None
    curvature = before - 2 * here + after
    shift = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return at + shift, float(here)


def _candidates(
    correlation: np.ndarray, periods: np.ndarray, scores: np.ndarray, best: int
) -> tuple[TempoCandidate, ...]:
    """Up to four local maxima of the score other than `best`, best first."""
    inner = scores[1:-1]
    peaks = np.flatnonzero((inner > scores[:-2]) & (inner >= scores[2:]) & (inner > 0.1 * scores[best])) + 1
    ordered = [int(i) for i in peaks[np.argsort(-scores[peaks])] if i != best][:4]
    return tuple(
        TempoCandidate(
            bpm=60.0 * ENVELOPE_RATE_HZ / _refine_period(correlation, float(periods[i])),
            score=float(scores[i] / scores[best]),
        )
        for i in ordered
    )


def _track_beats(envelope: np.ndarray, period: float) -> np.ndarray:
    """Beat times in seconds: the path with the most onset strength whose steps stay near `period` frames."""
    local = envelope / (envelope.std() + 1e-12)
    steps = np.arange(round(period / 2), round(period * 2) + 1)
    penalty = -TIGHTNESS * np.log(steps / period) ** 2
    count, widest = len(local), int(steps[-1])
    total = np.concatenate([np.full(widest, -np.inf), np.zeros(count)])
    came_from = np.full(count, -1)
    for i in range(count):
        window = total[widest + i - steps] + penalty
        j = int(np.argmax(window))
        # Any frame may be the first beat; a predecessor is taken where it adds.
        if window[j] > 0:
            total[widest + i] = local[i] + window[j]
            came_from[i] = i - steps[j]
        else:
            total[widest + i] = local[i]
    tail = total[widest + max(0, count - int(period)) :]
    at = max(0, count - int(period)) + int(np.argmax(tail))
    path = []
    while at >= 0:
        path.append(at)
        at = int(came_from[at])
    beats = np.array(path[::-1])
    heard = np.flatnonzero(local[beats] > 0.1 * np.median(local[beats]) if len(beats) else [])
    beats = beats[heard[0] : heard[-1] + 1] if len(heard) else beats[:0]
    return np.array([_sharpen(envelope, int(b)) for b in beats]) / ENVELOPE_RATE_HZ


def _sharpen(envelope: np.ndarray, at: int) -> float:
    """The top of the parabola through the envelope's maximum within 15 ms of frame `at`."""
    low = max(1, at - 3)
    high = min(len(envelope) - 2, at + 3)
    if high < low:
        return float(at)
    top = low + int(np.argmax(envelope[low : high + 1]))
    before, here, after = envelope[top - 1 : top + 2]
    curvature = before - 2 * here + after
    if curvature >= 0 or here <= 0:
        return float(at)
    return float(top + np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))
