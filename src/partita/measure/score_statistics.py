"""What a collection of scores is like, in numbers: pitch classes, intervals, density, rhythm, polyphony, loudness.

`score_features` describes one score, `frechet_distance` says how far apart two collections are. Knows nothing of who
made the scores; keys are taken as the scores name them, so that the same music in another key is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partita.score.keys import parse_key
from partita.score.types import ROLES, Note, Score, Track

_SLOTS = 16
_WIDEST_INTERVAL = 12
_LENGTH_EDGES_BEATS = (0.3, 0.6, 1.2, 2.4, 4.8)
_RIDGE = 1e-3


def score_features(score: Score) -> np.ndarray:
    """Features of one score, float `[F]`; the same F for every score, and no feature depends on its key or length.

    By role: does it play, notes a beat, mean and spread of velocity, mean pitch, mean length in beats. Of all pitched
    notes: shares of pitch classes above the tonic, of lengths. Of the lead: shares of intervals. Of drums and of all
    else: shares of places within the bar. Of the whole: mean and spread of how many notes sound at once.
    """
    pitched = [track for track in score.tracks if not track.is_drums]
    notes = [note for track in pitched for note in track.notes]
    lead = score.track("lead")
    drums = score.track("drums")
    groups = [
        np.concatenate([_role(score, score.track(role)) for role in ROLES]),
        _pitch_classes(score, notes),
        _lengths(score, notes),
        _intervals(lead.notes if lead is not None else ()),
        _places(score, drums.notes if drums is not None else ()),
        _places(score, notes),
        _polyphony(score, notes),
    ]
    return np.concatenate(groups)


def frechet_distance(first: np.ndarray, second: np.ndarray, scale: np.ndarray) -> float:
    """Squared Fréchet distance of two normal distributions fitted to features `[N, F]` and `[M, F]`, each feature
    divided by `scale` `[F]` (0 leaves it out).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), as for images (Heusel et al., arXiv:1706.08500). It falls with the
    number of samples: compare only distances between as many.
    """
    kept = scale > 0
    a, b = first[:, kept] / scale[kept], second[:, kept] / scale[kept]
    gap = a.mean(axis=0) - b.mean(axis=0)
    one, other = (np.cov(x, rowvar=False) + _RIDGE * np.eye(x.shape[1]) for x in (a, b))
    # tr((C1 C2)^(1/2)) is the sum of the roots of the eigenvalues of the symmetric C1^(1/2) C2 C1^(1/2).
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ other @ root)
    return float(gap @ gap + np.trace(one) + np.trace(other) - 2 * np.sqrt(np.maximum(inner, 0.0)).sum())


def _role(score: Score, track: Track | None) -> np.ndarray:
    if track is None or not track.notes:
        return np.zeros(6)
    velocities = np.array([note.velocity for note in track.notes]) / 127
    beats = score.duration_s / score.grid.beat_s
    plain = [1.0, len(track.notes) / beats, velocities.mean(), velocities.std()]
    if track.is_drums:  # pitch and length say nothing of a drum
        return np.array([*plain, 0.0, 0.0])
    pitch = float(np.mean([note.pitch for note in track.notes])) / 12
    length = float(np.mean([note.duration_s for note in track.notes])) / score.grid.beat_s
    return np.array([*plain, pitch, min(length, 8.0)])


def _pitch_classes(score: Score, notes: Sequence[Note]) -> np.ndarray:
    tonic, _ = parse_key(score.key)
    counts = np.zeros(12)
    np.add.at(counts, [(note.pitch - tonic) % 12 for note in notes], [note.duration_s for note in notes])
    return _shares(counts)


def _lengths(score: Score, notes: Sequence[Note]) -> np.ndarray:
    beats = [note.duration_s / score.grid.beat_s for note in notes]
    return _shares(np.bincount(np.digitize(beats, _LENGTH_EDGES_BEATS), minlength=len(_LENGTH_EDGES_BEATS) + 1))


def _intervals(notes: Sequence[Note]) -> np.ndarray:
    steps = np.diff([note.pitch for note in notes]) if len(notes) > 1 else np.zeros(0, int)
    clipped = np.clip(steps, -_WIDEST_INTERVAL, _WIDEST_INTERVAL) + _WIDEST_INTERVAL
    return _shares(np.bincount(clipped, minlength=2 * _WIDEST_INTERVAL + 1))


def _places(score: Score, notes: Sequence[Note]) -> np.ndarray:
    bars = [(note.start_s - score.grid.offset_s) / score.grid.bar_s for note in notes]
    slots = np.round(np.array(bars) * _SLOTS).astype(int) % _SLOTS
    return _shares(np.bincount(slots, minlength=_SLOTS))


def _polyphony(score: Score, notes: Sequence[Note]) -> np.ndarray:
    times = np.arange(0.0, score.duration_s, score.grid.beat_s / 4)
    edges = np.zeros(len(times) + 1)
    for note in notes:
        first, end = np.searchsorted(times, (note.start_s, note.start_s + note.duration_s))
        edges[first] += 1
        edges[end] -= 1
    sounding = np.cumsum(edges)[:-1]
    return np.array([sounding.mean(), sounding.std(), float(np.mean(sounding == 0))])


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum()
    return counts / total if total > 0 else counts.astype(float)
