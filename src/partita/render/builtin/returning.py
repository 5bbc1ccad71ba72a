"""Music that returns: a section whose kind was there before is written from it, so that a chorus is known again.

The earlier notes are moved by whole bars and encoded again, so that latents lie on their frames as those of the model.
Sampling then walks along them until a level of noise, at which the model goes on by itself. Knows no networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from partita.score.codec import encode
from partita.score.grid import BARS_PER_PHRASE, FRAME_RATE_HZ
from partita.score.types import Grid, Note, Score, Section, SectionKind, Track

LEVELS: Mapping[SectionKind, float] = {
    "chorus": 0.5,
    "intro": 0.65,
    "verse": 0.65,
    "bridge": 0.7,
    "outro": 0.7,
    "solo": 0.8,
}
"""From which level of noise on (1 is noise alone) the model is free: a chorus returns nearly as it was."""
LAST_BAR_LEVEL = 0.8
"""Of a section's last bar, which leads to what comes next."""
FREE = 1.0
_EARLY_S = 0.02  # a note is played as early as this before the beat that it is meant for


@dataclass(frozen=True, slots=True)
class Piece:
    """The stretch `[start_s, end_s)`, which is what was `shift_s` before it, from noise of `level` on."""

    start_s: float
    end_s: float
    shift_s: float
    level: float


@dataclass(frozen=True, slots=True, eq=False)
class Echo:
    """Latents `[T, 64]` to begin from, and for each frame the level of noise `[T]` at which it is let go of; where that
    is `FREE` there is nothing to begin from."""

    latents: np.ndarray
    levels: np.ndarray


def pieces_of(sections: Sequence[Section], grid: Grid, known: np.ndarray, wanted: np.ndarray) -> list[Piece]:
    """What of the `wanted` frames `[T]` (bool) lies in a section of a kind that is `known` `[T]` (bool) elsewhere.

    Of several such sections that one returns of which most is known, the earliest of equals. A longer section is filled
    by going over the other's phrases again.
    """
    pieces: list[Piece] = []
    for section in sections:
        if not _some(wanted, section):
            continue
        best, most = None, 0
        for other in sections:
            bars = 0 if other is section or other.kind != section.kind else _known_bars(other, grid, known)
            if bars > most:
                best, most = other, bars
        if best is not None:
            pieces += _filled(section, best, most, grid)
    return pieces


def cuts_of(sections: Sequence[Section]) -> list[tuple[int, int]]:
    """For sections written in order: (frame until which one is needed, frame at which it returns)."""
    cuts = []
    for index, section in enumerate(sections):
        earlier = [other for other in sections[:index] if other.kind == section.kind]
        if earlier:
            longest = max(earlier, key=lambda one: one.end_s - one.start_s)
            cuts.append((_frame(longest.end_s), _frame(section.start_s)))
    return cuts


def echo_of(score: Score, pieces: Sequence[Piece]) -> Echo:
    """The notes of `score` where the pieces put them again."""
    tracks = []
    for track in score.tracks:
        notes = [moved for piece in pieces for moved in _moved(track.notes, piece)]
        tracks.append(Track(track.role, track.program, tuple(sorted(notes, key=lambda n: (n.start_s, n.pitch)))))
    latents = encode(replace(score, tracks=tuple(tracks)))
    levels = np.full(len(latents), FREE, dtype=np.float32)
    for piece in pieces:
        levels[_frame(piece.start_s) : _frame(piece.end_s)] = piece.level
    return Echo(latents, levels)


def _filled(section: Section, other: Section, bars: int, grid: Grid) -> list[Piece]:
    """`section` from the first `bars` of `other`, again and again in whole phrases."""
    phrases = bars // BARS_PER_PHRASE * BARS_PER_PHRASE
    period_s = (phrases or bars) * grid.bar_s
    pieces, at_s = [], section.start_s
    first_shift_s = round((section.start_s - other.start_s) / grid.bar_s) * grid.bar_s
    while at_s < section.end_s - _EARLY_S:
        end_s = min(at_s + period_s, section.end_s)
        shift_s = first_shift_s + len(pieces) * period_s
        pieces.append(Piece(at_s, end_s, shift_s, LEVELS[section.kind]))
        at_s = end_s
    last = pieces.pop()
    line_s = max(last.start_s, last.end_s - grid.bar_s)
    if line_s > last.start_s + _EARLY_S:
        pieces.append(replace(last, end_s=line_s))
    return [*pieces, replace(last, start_s=line_s, level=max(last.level, LAST_BAR_LEVEL))]


def _known_bars(section: Section, grid: Grid, known: np.ndarray) -> int:
    """Whole bars of a section that are known, from its start on."""
    first, stop = _frame(section.start_s), min(_frame(section.end_s), len(known))
    gaps = np.flatnonzero(~known[first:stop])
    frames = int(gaps[0]) if len(gaps) else max(stop - first, 0)
    return math.floor(frames / FRAME_RATE_HZ / grid.bar_s + 0.05)


def _moved(notes: Sequence[Note], piece: Piece) -> list[Note]:
    low_s, high_s = piece.start_s - piece.shift_s, piece.end_s - piece.shift_s
    moved = []
    for note in notes:
        if low_s - _EARLY_S <= note.start_s < high_s - _EARLY_S:
            end_s = min(note.start_s + note.duration_s, high_s)
            start_s = max(note.start_s + piece.shift_s, 0.0)
            moved.append(replace(note, start_s=start_s, duration_s=max(end_s + piece.shift_s - start_s, 0.04)))
    return moved


def _some(frames: np.ndarray, section: Section) -> bool:
    return bool(frames[_frame(section.start_s) : _frame(section.end_s)].any())


def _frame(time_s: float) -> int:
    return max(0, round(time_s * FRAME_RATE_HZ))
