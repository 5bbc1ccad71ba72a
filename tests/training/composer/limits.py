"""The limits that every composed score keeps, as a checker the tests share: it returns what is broken, in words."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from partita.score.instruments import programs_for
from partita.score.keys import parse_key, scale_pitch_classes
from partita.score.types import Note, Score, Track

DRUM_KEYS = {36, 38, 39, 42, 46, 45, 50, 49, 51, 54}
RANGES = {"bass": (24, 60), "arp": (24, 108), "lead": (24, 108)}
GAP_S = 0.08
EPS = 1e-6


def faults(score: Score) -> list[str]:
    found = []
    for track in score.tracks:
        if track.program not in programs_for(track.role):
            found.append(f"{track.role}: program {track.program}")
        if list(track.notes) != sorted(track.notes, key=lambda note: (note.start_s, note.pitch)):
            found.append(f"{track.role}: not sorted")
        for note in track.notes:
            if note.start_s < 0 or note.start_s + note.duration_s > score.duration_s + EPS:
                found.append(f"{track.role}: {note} outside the piece")
            if note.duration_s < 0.06 - EPS:
                found.append(f"{track.role}: {note} too short")
            if not 30 <= note.velocity <= 127:
                found.append(f"{track.role}: {note} velocity")
        if track.role == "drums":
            found += _drum_faults(track)
        elif track.role in RANGES:
            found += _line_faults(track)
        else:
            found += _chord_faults(track)
    return found


def _drum_faults(track: Track) -> list[str]:
    found = []
    last: dict[int, float] = {}
    onsets = sorted({note.start_s for note in track.notes})
    found += [f"drums: {a} and {b} share a frame" for a, b in pairwise(onsets) if b - a < 0.04]
    for note in track.notes:
        if note.pitch not in DRUM_KEYS:
            found.append(f"drums: key {note.pitch}")
        if note.start_s - last.get(note.pitch, -1.0) < GAP_S - EPS:
            found.append(f"drums: {note} too soon")
        last[note.pitch] = note.start_s
    return found


def _line_faults(track: Track) -> list[str]:
    low, high = RANGES[track.role]
    found = [f"{track.role}: pitch {note.pitch}" for note in track.notes if not low <= note.pitch <= high]
    for one, two in pairwise(track.notes):
        if two.start_s - one.start_s < GAP_S - EPS:
            found.append(f"{track.role}: {two} too soon after {one}")
        if one.start_s + one.duration_s > two.start_s + EPS:
            found.append(f"{track.role}: {one} overlaps {two}")
    return found


def _chord_faults(track: Track) -> list[str]:
    chords: dict[float, list[Note]] = defaultdict(list)
    for note in track.notes:
        chords[note.start_s].append(note)
    found = []
    previous: list[Note] | None = None
    for start_s, notes in chords.items():
        pitches = [note.pitch for note in notes]
        if not 43 <= min(pitches) <= 67 or max(pitches) - min(pitches) > 11:
            found.append(f"{track.role}: spread {pitches}")
        if not 3 <= len({pitch % 12 for pitch in pitches}) == len(pitches) <= 5:
            found.append(f"{track.role}: tones {pitches}")
        if len({note.duration_s for note in notes}) > 1 or len({note.velocity for note in notes}) > 1:
            found.append(f"{track.role}: uneven chord at {start_s}")
        if previous is not None:
            if start_s - previous[0].start_s < GAP_S - EPS:
                found.append(f"{track.role}: chord at {start_s} too soon")
            if previous[0].start_s + previous[0].duration_s > start_s + EPS:
                found.append(f"{track.role}: chord at {start_s} overlaps")
        previous = notes
    return found


def in_scale_share(score: Score) -> float:
    """Share of pitched notes in the key's scale, the raised seventh of minor included."""
    tonic, mode = parse_key(score.key)
    classes = set(scale_pitch_classes(tonic, mode)) | ({(tonic + 11) % 12} if mode == "minor" else set())
    pitches = [note.pitch for track in score.tracks if not track.is_drums for note in track.notes]
    return sum(pitch % 12 in classes for pitch in pitches) / max(1, len(pitches))
