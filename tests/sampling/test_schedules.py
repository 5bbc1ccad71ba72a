"""Time grids: trained tables, snapping, rounding to the model's number format."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies as st

from partita.errors import RequestError
from partita.sampling import schedules
from partita.sampling.schedules import Schedule

F32, BF16 = torch.float32, torch.bfloat16


@pytest.mark.parametrize(
    ("shift", "table"),
    [
        (1.0, (1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125)),
        (2.0, (1, 0.9333333333333333, 0.8571428571428571, 0.7692307692307693, 0.6666666666666666,
               0.5454545454545454, 0.4, 0.2222222222222222)),
        (3.0, (1, 0.9545454545454546, 0.9, 0.8333333333333334, 0.75, 0.6428571428571429, 0.5, 0.3)),
    ],
)  # fmt: skip
def test_turbo_tables_are_the_trained_ones(shift: float, table: tuple[float, ...]) -> None:
    assert schedules.turbo_table(shift) == pytest.approx(table, rel=0, abs=1e-15)


def test_the_three_tables_have_twenty_distinct_times() -> None:
    times = schedules.turbo_timesteps()
    assert len(times) == 20
    assert list(times) == sorted(times, reverse=True)


@pytest.mark.parametrize(("asked", "used"), [(0.2, 1.0), (1.5, 1.0), (2.4, 2.0), (2.5, 2.0), (2.6, 3.0), (7.0, 3.0)])
def test_turbo_takes_the_nearest_trained_shift(asked: float, used: float) -> None:
    assert schedules.turbo_schedule(F32, shift=asked) == schedules.turbo_schedule(F32, shift=used)


def test_turbo_in_bfloat16_uses_the_rounded_times() -> None:
    times = schedules.turbo_schedule(BF16, shift=3.0).times
    assert times == (1.0, 0.953125, 0.8984375, 0.83203125, 0.75, 0.64453125, 0.5, 0.30078125, 0.0)


def test_custom_turbo_timesteps_snap_to_trained_times() -> None:
    given_times = [0.97, 0.76, 0.0, 0.0]
    assert schedules.turbo_schedule(F32, timesteps=given_times).times == pytest.approx(
        (0.954545, 0.769231, 0.0), abs=1e-6
    )
    assert schedules.turbo_schedule(F32, timesteps=given_times, snap=False).times == pytest.approx((0.97, 0.76, 0.0))


def test_a_time_half_way_between_two_trained_ones_goes_to_the_larger() -> None:
    assert schedules.turbo_schedule(F32, timesteps=[0.1875]).times[0] == pytest.approx(0.2222222)
    assert schedules.turbo_schedule(F32, timesteps=[0.3125, 0.0625]).times == pytest.approx((0.3, 0.125, 0.0))


def test_at_most_twenty_custom_timesteps_are_used() -> None:
    assert schedules.turbo_schedule(F32, timesteps=[1 - i / 30 for i in range(25)]).steps == 20


def test_timesteps_that_are_all_zero_count_as_none() -> None:
    assert schedules.turbo_schedule(F32, shift=2.0, timesteps=[0.0, 0.0]) == schedules.turbo_schedule(F32, shift=2.0)


def test_continuous_schedule_honours_any_shift_and_step_count() -> None:
    assert schedules.continuous_schedule(8, 3.0, F32) == schedules.turbo_schedule(F32, shift=3.0)
    schedule = schedules.continuous_schedule(5, 2.5, F32)
    assert schedule.times == pytest.approx((1.0, 0.9090909, 0.7894737, 0.625, 0.3846154, 0.0))


def test_linear_schedule_in_bfloat16_is_computed_in_bfloat16() -> None:
    expected = torch.linspace(1, 0, 21, dtype=BF16)
    assert schedules.linear_schedule(20, 1.0, BF16).times == tuple(expected.tolist())
    times = schedules.linear_schedule(50, 3.0, BF16).times
    assert times != tuple(torch.tensor(schedules.linear_schedule(50, 3.0, F32).times).to(BF16).tolist())


@given(st.integers(1, 120), st.floats(0.3, 5.0))
def test_grids_fall_from_one_to_zero(steps: int, shift: float) -> None:
    for schedule in (schedules.linear_schedule(steps, shift, F32), schedules.continuous_schedule(steps, shift, F32)):
        assert schedule.steps == steps
        assert 1.0 - 2e-7 < schedule.times[0] <= 1.0
        assert schedule.times[-1] == 0.0
        assert all(a > b for a, b in zip(schedule.times, schedule.times[1:], strict=False))


def test_rounding_above_one_is_the_original_s_and_is_kept_only_on_request() -> None:
    shift = 1.9505895022213473
    assert schedules.linear_schedule(1, shift, F32).times[0] == 1.0
    assert schedules.linear_schedule(1, shift, F32, clamp=False).times[0] > 1.0


def test_verbatim_schedule_ends_where_it_is_told() -> None:
    schedule = schedules.verbatim_schedule([0.95, 0.8, 0.5, 0.1], F32)
    assert schedule.steps == 3
    assert schedule.times[-1] == pytest.approx(0.1)


def test_nearest_never_chooses_the_end_point() -> None:
    schedule = Schedule((1.0, 0.5, 0.0))
    assert schedule.nearest(0.0) == 1
    assert schedule.nearest(0.75) == 0
    assert schedule.starting_at(1).times == (0.5, 0.0)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: schedules.linear_schedule(0, 1.0, F32), "steps"),
        (lambda: schedules.turbo_schedule(F32, shift=0.0), "shift"),
        (lambda: schedules.continuous_schedule(8, math.nan, F32), "shift"),
        (lambda: schedules.verbatim_schedule([1.0, 1.2], F32), "timesteps"),
        (lambda: schedules.verbatim_schedule([1.0, math.nan], F32), "timesteps"),
        (lambda: schedules.verbatim_schedule([1.0], F32), "timesteps"),
    ],
)
def test_impossible_settings_name_their_field(call: object, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        call()  # type: ignore[operator]
    assert caught.value.field == field


def test_v1_s_schedule_is_shifted_twice() -> None:
    times = schedules.shifted_twice_schedule(60, 3.0).times
    known = [1000, 994.3030, 988.4747, 982.5105, 976.4056, 970.1549]
    assert [1000 * t for t in times[:6]] == pytest.approx(known, abs=1e-4)
    assert [1000 * t for t in times[-4:]] == pytest.approx([102.8077, 57.3939, 8.9286, 0], abs=1e-4)


def test_v1_s_schedule_can_begin_part_way_and_be_a_single_step() -> None:
    whole = schedules.shifted_twice_schedule(60, 3.0)
    half = schedules.shifted_twice_schedule(30, 3.0, start=0.5)
    assert half.times[0] == pytest.approx(0.75)
    assert half.times[-2:] == whole.times[-2:]
    original = schedules.shifted_twice_schedule(30, 3.0, start=schedules.shifted(0.5, 3.0))
    assert [1000 * t for t in original.times[:2]] == pytest.approx([900.0, 887.376], abs=1e-3)
    assert schedules.shifted_twice_schedule(1, 3.0).times == (1.0, 0.0)


def test_picked_steps_are_stored_in_the_number_format_of_the_model() -> None:
    picks = (16, 29, 52, 96, 129, 158, 172, 183, 189, 200)
    coarse = schedules.picked_schedule(picks, 3.0, torch.bfloat16)
    # The times of the original on its own machine, in bfloat16.
    known = [990.716, 982.480, 962.185, 909.231, 835.640, 708.247, 600.703, 464.960, 357.143, 26.265]
    assert [1000 * t for t in coarse.times[:-1]] == pytest.approx(known, abs=1e-3)
    fine = schedules.picked_schedule(picks, 3.0)
    assert fine.times != coarse.times
    assert fine.times == pytest.approx(coarse.times, abs=2e-3)


def test_doubled_times_stand_twice_but_for_the_ends() -> None:
    assert schedules.doubled(Schedule((1.0, 0.6, 0.3, 0.0))).times == (1.0, 0.6, 0.6, 0.3, 0.3, 0.0)
    assert schedules.doubled(Schedule((1.0, 0.0))).times == (1.0, 0.0)


@pytest.mark.parametrize("picks", [(), (0, 3), (5, 5), (8, 3)])
def test_picks_that_do_not_rise_are_refused(picks: tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match="oss_steps"):
        schedules.picked_schedule(picks, 3.0)
