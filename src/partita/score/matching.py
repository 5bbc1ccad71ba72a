"""How alike two scores are: the share of notes that agree in track, pitch and start.

Knows nothing of codecs or models; the codec's tests and bench and anyone who compares transcriptions use it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from partita.score.types import Role, Score

ONSET_TOLERANCE_S = 0.025


def matched_notes(wanted: Score, got: Score, tolerance_s: float = ONSET_TOLERANCE_S) -> int:
    """Notes of `wanted` that have a note of the same role and pitch within `tolerance_s` in `got`, each used once."""
    starts: dict[tuple[Role, int], list[float]] = defaultdict(list)
    for track in got.tracks:
        for note in track.notes:
            starts[track.role, note.pitch].append(note.start_s)
    matched = 0
    for track in wanted.tracks:
        for note in track.notes:
            candidates = starts[track.role, note.pitch]
            if not candidates:
                continue
            nearest = min(candidates, key=lambda start_s, at_s=note.start_s: abs(start_s - at_s))
            if abs(nearest - note.start_s) <= tolerance_s:
                candidates.remove(nearest)
                matched += 1
    return matched


def note_f1(wanted: Iterable[Score], got: Iterable[Score], tolerance_s: float = ONSET_TOLERANCE_S) -> float:
    """F1 over the notes of all pairs of scores, 0..1; 1 where neither side has notes."""
    matched = total = 0
    for one, other in zip(wanted, got, strict=True):
        matched += matched_notes(one, other, tolerance_s)
        total += sum(len(track.notes) for track in (*one.tracks, *other.tracks))
    return 2 * matched / total if total else 1.0
