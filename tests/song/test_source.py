import pytest
from hypothesis import given, strategies as st

from partita.song.source import GRIDS, SAMPLE_RATE_HZ, grid_of_channels

grids = st.sampled_from(list(GRIDS.values()))


@given(grids, st.integers(0, 20_000))
def test_a_frame_is_found_by_its_first_sample(grid, frame):
    first = grid.samples(frame)
    assert grid.within(first) == frame
    assert frame == 0 or grid.within(first - 1) == frame - 1


@given(grids, st.integers(1, SAMPLE_RATE_HZ * 600))
def test_the_frames_around_samples_hold_them_and_no_frame_too_many(grid, samples):
    frames = grid.around(samples)
    assert grid.samples(frames) >= samples > grid.samples(frames - 1) - 1
    assert frames - grid.within(samples) in (0, 1)


def test_frames_are_as_long_as_the_families_have_them():
    assert GRIDS["acestep-1.5"].frame_s == 1 / 25
    assert GRIDS["acestep-v1"].frame_s == pytest.approx(4096 / 44_100)


def test_a_width_tells_the_grid():
    assert grid_of_channels(64) == GRIDS["built-in"] == GRIDS["acestep-1.5"]
    assert grid_of_channels(128) == GRIDS["acestep-v1"]
    assert grid_of_channels(63) is None
