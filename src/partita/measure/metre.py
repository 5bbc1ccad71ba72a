"""The metre of a score, heard from its notes: how beats divide, and after how many of them the music comes round.

Tempo and the place of the beats are taken from the score's grid, its metre is not. Two in a bar and four are not told
apart: they differ in writing more than in sound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partita.score.types import Score

SLOTS = 12
"""Places within a beat that onsets are put to: halves, thirds and quarters are all among them."""
FEWEST_BEATS = 8
# How far apart, in beats, music is compared with itself: bars and pairs of bars of three and of four.
_LAGS = {3: (3, 6, 9), 4: (4, 8)}
_CHANGE_WEIGHT = 1.5
# Of swung and straight music in two, three and four nearly all stays under this, of music in 6/8 little does.
_LEAST_THIRDS = 0.29


@dataclass(frozen=True, slots=True)
class MetreEstimate:
    """`name`: `4/4`, `3/4` or `6/8`; none where there is too little music. `threes`, `fours`: how like itself the music
    is after so many beats, -1 to 1. `divides_in_three`: share of the onsets between beats that lie on thirds."""

    name: str | None
    threes: float
    fours: float
    divides_in_three: float


def metre_of(score: Score) -> MetreEstimate:
    """The metre that the notes of `score` have on its beats."""
    beats = round((score.duration_s - score.grid.offset_s) / score.grid.beat_s)
    onsets = _onsets(score, beats)
    if beats < FEWEST_BEATS or not onsets.any():
        return MetreEstimate(None, 0.0, 0.0, 0.0)
    thirds = _thirds(onsets)
    salience = _salience(score, onsets)
    threes, fours = (
        float(np.mean([_likeness(salience, lag) for lag in lags if lag < beats])) for lags in _LAGS.values()
    )
    name = "6/8" if thirds > _LEAST_THIRDS else "3/4" if threes > fours else "4/4"
    return MetreEstimate(name, threes, fours, thirds)


def _onsets(score: Score, beats: int) -> np.ndarray:
    """How much begins, `[roles, beats, SLOTS]`: velocities, put to the nearest slot."""
    found = np.zeros((len(score.tracks), max(beats, 1), SLOTS))
    for index, track in enumerate(score.tracks):
        for note in track.notes:
            beat, slot = divmod(round((note.start_s - score.grid.offset_s) / score.grid.beat_s * SLOTS), SLOTS)
            if 0 <= beat < beats:
                found[index, beat, slot] += note.velocity / 127
    return found


def _thirds(onsets: np.ndarray) -> float:
    """Share of onsets on thirds among those on thirds, halves and quarters. A swung beat has only the second third, so
    the rarer third counts for both."""
    slots = onsets.sum(axis=(0, 1))
    third = 2 * min(slots[4], slots[8])
    other = slots[6] + min(slots[3], slots[9]) + 0.5 * abs(slots[4] - slots[8])
    return float(third / (third + other)) if third + other > 0 else 0.0


def _salience(score: Score, onsets: np.ndarray) -> np.ndarray:
    """What each beat is like, `[beats, features]`, each feature without its mean: its onsets, role by role, whether the
    bass moves, whether the harmony changes."""
    beats = onsets.shape[1]
    patterns = onsets.transpose(1, 0, 2).reshape(beats, -1)
    chroma = np.zeros((beats, 12))
    for track in score.tracks:
        if track.is_drums:
            continue
        for note in track.notes:
            first = max(0, int((note.start_s - score.grid.offset_s) / score.grid.beat_s + 0.25))
            end = (note.start_s + note.duration_s - score.grid.offset_s) / score.grid.beat_s
            chroma[first : max(first + 1, int(np.ceil(end - 0.25))), note.pitch % 12] += 1.0
    norms = np.linalg.norm(chroma, axis=1, keepdims=True)
    chroma = np.divide(chroma, norms, out=np.zeros_like(chroma), where=norms > 0)
    change = np.append(0.0, 1.0 - np.sum(chroma[1:] * chroma[:-1], axis=1))[:, None]
    longest = np.zeros((beats, 1))
    for track in score.tracks:
        for note in track.notes if not track.is_drums else ():
            beat = round((note.start_s - score.grid.offset_s) / score.grid.beat_s)
            if 0 <= beat < beats:
                longest[beat] = max(longest[beat, 0], min(note.duration_s / score.grid.beat_s, 4.0))
    features = [_centred(patterns), _CHANGE_WEIGHT * _centred(change), _centred(longest)]
    return np.concatenate(features, axis=1)


def _centred(values: np.ndarray) -> np.ndarray:
    """Each group of features without its mean and with one unit of power a beat."""
    centred = values - values.mean(axis=0)
    power = np.sqrt((centred**2).sum(axis=1).mean())
    return centred / power if power > 1e-9 else centred


def _likeness(salience: np.ndarray, lag: int) -> float:
    """Correlation of the music with itself `lag` beats later."""
    first, second = salience[:-lag], salience[lag:]
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / scale) if scale > 0 else 0.0
