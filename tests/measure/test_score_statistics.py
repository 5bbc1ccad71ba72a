import numpy as np
import pytest

from partita.measure.score_statistics import frechet_distance, score_features
from partita.score.types import Grid, Note, Score, Track


def song(tonic=60, key="C major", bpm=120.0, times=2):
    grid = Grid(bpm, "4/4")
    steps = (0, 4, 7, 4) * 4 * times
    notes = tuple(Note(i * grid.beat_s, grid.beat_s * 0.9, tonic + step, 90) for i, step in enumerate(steps))
    drums = tuple(Note(i * grid.beat_s, 0.1, 36, 100) for i in range(len(steps)))
    return Score(grid, key, len(steps) * grid.beat_s, (Track("drums", 0, drums), Track("arp", 46, notes)))


def test_no_feature_of_the_notes_depends_on_key_tempo_or_length_but_the_mean_pitch():
    plain, other = score_features(song()), score_features(song(62, "D major", 90.0, times=4))
    different = np.flatnonzero(~np.isclose(plain, other))
    assert len(different) == 1
    assert other[different[0]] - plain[different[0]] == pytest.approx(2 / 12)


def test_a_score_without_notes_has_features():
    assert np.isfinite(score_features(Score(Grid(100.0, "3/4"), "A minor", 10.0, ()))).all()


def test_the_distance_is_that_of_two_normal_distributions():
    rng = np.random.default_rng(1)
    first = rng.normal(0.0, 1.0, (20_000, 2))
    second = rng.normal((3.0, 0.0), (2.0, 1.0), (20_000, 2))
    # (3 - 0)^2 + (1 - 2)^2
    assert frechet_distance(first, second, np.ones(2)) == pytest.approx(10.0, rel=0.02)
    assert frechet_distance(first, first, np.ones(2)) == pytest.approx(0.0, abs=1e-6)


def test_a_feature_that_never_varies_is_left_out():
    rng = np.random.default_rng(2)
    first, second = (np.column_stack([rng.normal(size=100), np.full(100, value)]) for value in (0.0, 9.0))
    assert frechet_distance(first, second, np.array([1.0, 0.0])) < 1.0
