import pytest

from partita.measure.metre import metre_of
from partita.score.types import Grid, Note, Score, Track


def pulse(time_signature, accents, beats=24, divided=2):
    """A bass on the first beat of every bar and a voice on every division of the beat."""
    grid = Grid(100.0, time_signature)
    bass = [
        Note(b * grid.beat_s, grid.beat_s * accents * 0.9, 40 + (b // accents) % 2 * 5, 100)
        for b in range(0, beats, accents)
    ]
    arp = [
        Note((b + part / divided) * grid.beat_s, 0.2, 60 + (4, 7, 9, 12)[(b % accents) % 4], 80)
        for b in range(beats)
        for part in range(divided)
    ]
    return Score(grid, "C major", beats * grid.beat_s, (Track("bass", 33, tuple(bass)), Track("arp", 46, tuple(arp))))


# The grid's own time signature is not looked at: it is wrong here in every case.
@pytest.mark.parametrize(
    ("written", "accents", "divided", "name"),
    [("4/4", 3, 2, "3/4"), ("3/4", 4, 2, "4/4"), ("3/4", 4, 4, "4/4"), ("4/4", 2, 3, "6/8"), ("4/4", 4, 1, "4/4")],
)
def test_the_metre_is_heard_from_the_notes(written, accents, divided, name):
    assert metre_of(pulse(written, accents, divided=divided)).name == name


def test_swung_beats_are_no_thirds():
    grid = Grid(120.0, "4/4")
    notes = tuple(Note((b + part) * grid.beat_s, 0.1, 60 + b % 4, 90) for b in range(32) for part in (0, 2 / 3))
    found = metre_of(Score(grid, "C major", 16.0, (Track("lead", 0, notes),)))
    assert found.name != "6/8"
    assert found.divides_in_three == 0


@pytest.mark.parametrize("tracks", [(), (Track("lead", 0, (Note(0.0, 1.0, 60, 90),)),)])
def test_too_little_music_has_no_metre(tracks):
    assert metre_of(Score(Grid(120.0, "4/4"), "C major", 2.0, tracks)).name is None
