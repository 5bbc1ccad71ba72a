import pytest
from hypothesis import given, strategies as st

from partita.measure.recurrence import SharedRuns, section_returns, tokens_of
from partita.score.types import Grid, Note, Score, Section, Track

GRID = Grid(120.0, "4/4")
tunes = st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 4)), max_size=30)


def naive(tune, others):
    runs = {tuple(o[i:j]) for o in others for i in range(len(o)) for j in range(i + 1, len(o) + 1)}
    lengths = [j - i for i in range(len(tune)) for j in range(i + 1, len(tune) + 1) if tuple(tune[i:j]) in runs]
    return max(lengths) + 1 if lengths else 0


@given(tunes, st.lists(tunes, max_size=3))
def test_the_longest_shared_run_is_that_of_trying_all(tune, others):
    assert SharedRuns(others).longest(tune) == naive(tune, others)


def test_a_tune_is_the_same_in_another_key_and_tempo():
    def tokens(grid, tonic):
        notes = tuple(Note(beat * grid.beat_s, 0.2, tonic + step, 80) for beat, step in ((0, 0), (1, 4), (1.5, 2)))
        return tokens_of(Score(grid, "C major", 4.0, (Track("lead", 0, notes),)), "lead")

    assert tokens(GRID, 60) == tokens(Grid(90.0, "4/4"), 67) == ((4, 4), (-2, 2))
    assert tokens_of(Score(GRID, "C major", 4.0, ()), "lead") == ()


def song(*bars):
    """One bar a section: `(kind, pitches)`, a pitch a beat."""
    notes = tuple(
        Note((4 * bar + beat) * GRID.beat_s, 0.4, pitch, 90)
        for bar, (_, pitches) in enumerate(bars)
        for beat, pitch in enumerate(pitches)
    )
    sections = tuple(Section(kind, bar * GRID.bar_s, (bar + 1) * GRID.bar_s) for bar, (kind, _) in enumerate(bars))
    return Score(GRID, "C major", len(bars) * GRID.bar_s, (Track("lead", 0, notes),), sections)


def test_a_chorus_that_returns_is_told_from_a_verse_that_is_other():
    one, two = (60, 62, 64, 65), (67, 69, 71, 61)
    found = section_returns(song(("chorus", one), ("verse", two), ("chorus", one)))
    assert found.same == pytest.approx(1.0)
    assert found.other == pytest.approx(0.0)


def test_one_section_has_nothing_to_return_to():
    found = section_returns(song(("verse", (60, 62, 64, 65))))
    assert (found.same, found.other) == (None, None)
