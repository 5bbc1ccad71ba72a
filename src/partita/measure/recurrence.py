"""What comes again: in one score, whether sections of a kind return; between scores, how long a run of notes is shared.

Tunes are compared without key and tempo: as intervals, and as sixteenths between one start and the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from partita.score.keys import parse_key
from partita.score.types import Note, Role, Score, Section

Token = tuple[int, int]
_SLOTS = 16
_HASH_STEP = 1_000_003
_HASH_SIZE = (1 << 61) - 1


@dataclass(frozen=True, slots=True)
class Returns:
    """How like each other sections are, 0 to 1: the mean over pairs of the same kind, and over pairs of others; none
    where there is no such pair."""

    same: float | None
    other: float | None


def section_returns(score: Score) -> Returns:
    """How much of a section's music is there again when its kind returns, beside how much in one of another kind.

    A section is what is played in each sixteenth of the bar, role by role: pitch classes, or drums. Two are alike by
    the cosine between them, over as many bars as the shorter has.
    """
    laid = [(section.kind, _lay(score, section)) for section in score.sections]
    laid = [(kind, music) for kind, music in laid if len(music)]
    same, other = [], []
    for (kind, one), (another, two) in combinations(laid, 2):
        (same if kind == another else other).append(_cosine(one, two))
    return Returns(float(np.mean(same)) if same else None, float(np.mean(other)) if other else None)


def tokens_of(score: Score, role: Role) -> tuple[Token, ...]:
    """The tune of a role: (semitones from the note before, sixteenths from its start), without the first note."""
    track = score.track(role)
    notes: Sequence[Note] = track.notes if track is not None else ()
    slot_s = score.grid.beat_s / (6 if score.grid.time_signature == "6/8" else 4)
    return tuple(
        (second.pitch - first.pitch, round((second.start_s - first.start_s) / slot_s))
        for first, second in pairwise(notes)
    )


class SharedRuns:
    """Which runs of notes a collection of tunes holds. Built once, asked often."""

    def __init__(self, tunes: Iterable[Sequence[Token]]) -> None:
        self._tunes = [tuple(tune) for tune in tunes]
        self._known: dict[int, set[int]] = {}

    def longest(self, tune: Sequence[Token]) -> int:
        """Length in notes of the longest run of `tune` that any tune of the collection has; 0 where none is shared."""
        low, high = 0, len(tune)
        while low < high:
            middle = (low + high + 1) // 2
            if any(run in self._runs(middle) for run in _hashes(tune, middle)):
                low = middle
            else:
                high = middle - 1
        return low + 1 if low else 0

    def _runs(self, length: int) -> set[int]:
        if length not in self._known:
            self._known[length] = {run for tune in self._tunes for run in _hashes(tune, length)}
        return self._known[length]


def _hashes(tune: Sequence[Token], length: int) -> Iterable[int]:
    """A number for every run of `length` tokens, the same for the same run."""
    if length < 1 or length > len(tune):
        return
    codes = [(interval + 200) * 4096 + min(gap, 4095) + 1 for interval, gap in tune]
    drop = pow(_HASH_STEP, length - 1, _HASH_SIZE)
    value = 0
    for index, code in enumerate(codes):
        if index >= length:
            value = (value - codes[index - length] * drop) % _HASH_SIZE
        value = (value * _HASH_STEP + code) % _HASH_SIZE
        if index >= length - 1:
            yield value


def _lay(score: Score, section: Section) -> np.ndarray:
    """A section's music, `[bars * 16, features]`."""
    slot_s = score.grid.bar_s / _SLOTS
    slots = int((section.end_s - section.start_s) / score.grid.bar_s + 1e-3) * _SLOTS
    tonic, _ = parse_key(score.key)
    parts = []
    for track in score.tracks:
        laid = np.zeros((slots, 128 if track.is_drums else 12))
        for note in track.notes:
            slot = round((note.start_s - section.start_s) / slot_s)
            if 0 <= slot < slots:
                laid[slot, note.pitch if track.is_drums else (note.pitch - tonic) % 12] = 1.0
        norm = np.linalg.norm(laid)
        parts.append(laid / norm if norm > 0 else laid)
    return np.concatenate(parts, axis=1) if parts else np.zeros((0, 1))


def _cosine(one: np.ndarray, two: np.ndarray) -> float:
    slots = min(len(one), len(two))
    one, two = one[:slots], two[:slots]
    scale = np.linalg.norm(one) * np.linalg.norm(two)
    return float((one * two).sum() / scale) if scale > 0 else 0.0
