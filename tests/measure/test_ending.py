import numpy as np
import pytest

from partita.measure.ending import ending_of
from partita.score.types import Grid, Note, Score, Track

GRID = Grid(120.0, "4/4")
RATE = 8000
FADED = np.concatenate([np.ones(RATE * 7), np.zeros(RATE)]) * np.sin(np.arange(RATE * 8))


def song(*last, duration_s=8.0):
    """Four beats of a tune, then the given notes (beat, beats, pitch)."""
    notes = [Note(beat * GRID.beat_s, 0.4, pitch, 90) for beat, pitch in enumerate((67, 65, 64, 62))]
    notes += [Note(beat * GRID.beat_s, beats * GRID.beat_s, pitch, 90) for beat, beats, pitch in last]
    return Score(GRID, "C major", duration_s, (Track("chords", 0, tuple(notes)),))


def test_a_held_chord_at_home_is_an_ending():
    assert ending_of(song((12, 3, 48), (12, 3, 64), (12, 3, 67)), FADED, RATE).is_natural


@pytest.mark.parametrize(
    ("last", "fault"),
    [
        (((12, 3, 50), (12, 3, 65)), "home"),
        (((15.5, 0.3, 60),), "rests"),
        (((12.5, 3, 60),), "rests"),
        (((12, 6, 60),), "released"),
        (((4, 2, 60),), "released"),
    ],
)
def test_what_merely_stops_is_told(last, fault):
    found = ending_of(song(*last), FADED, RATE)
    assert not getattr(found, fault)
    assert not found.is_natural


def test_sound_that_is_cut_is_told():
    assert not ending_of(song((12, 3, 60)), np.sin(np.arange(RATE * 8)), RATE).faded


def test_drums_alone_end_nowhere():
    drums = Score(GRID, "C major", 8.0, (Track("drums", 0, (Note(0.0, 0.1, 36, 90),)),))
    assert not ending_of(drums, FADED, RATE).is_natural
