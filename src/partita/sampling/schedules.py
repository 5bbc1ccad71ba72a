"""Flow-matching time grids: at which noise levels the velocity is evaluated, and where the path ends.

A schedule is plain numbers, already rounded to the number format that the model runs in, because the original
keeps its times in a tensor of that format and both the step sizes and the time embedding follow the rounded
values. Knows nothing of models; which grid suits a checkpoint is its card's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from partita.errors import RequestError

TURBO_STEPS = 8
TURBO_SHIFTS = (1.0, 2.0, 3.0)
TURBO_MAX_TIMESTEPS = 20
TRAINING_LEVELS = 1000  # of ACE-Step v1: its noise levels in training are u = 1/1000, 2/1000, ... 1, shifted


@dataclass(frozen=True)
class Schedule:
    """Times from noise (1) to music (0): step k goes from `times[k]` to `times[k + 1]`."""

    times: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.times) < 2:
            raise RequestError(
                f"A schedule needs a start and an end, got {len(self.times)} time(s): give at least two timesteps.",
                field="timesteps",
                value=list(self.times),
            )

    @property
    def steps(self) -> int:
        """How many times the model is evaluated by a first-order solver."""
        return len(self.times) - 1

    def nearest(self, level: float) -> int:
        """Index of the step whose start lies nearest to `level`, the first of equals; the end point never counts."""
        return min(range(self.steps), key=lambda k: abs(self.times[k] - level))

    def starting_at(self, index: int) -> Schedule:
        """The rest of the schedule from step `index` on, as when a source takes the place of the first steps."""
        return Schedule(self.times[index:])


def shifted(u: float, shift: float) -> float:
    """`s u / (1 + (s - 1) u)`: moves times towards noise for `shift` > 1 (SD3, arXiv:2403.03206, section 5.3.2)."""
    return shift * u / (1.0 + (shift - 1.0) * u)


def turbo_table(shift: float) -> tuple[float, ...]:
    """The eight start times that the turbo checkpoints are distilled on, for a shift of 1, 2 or 3."""
    return tuple(shifted(1.0 - i / TURBO_STEPS, shift) for i in range(TURBO_STEPS))


def turbo_timesteps() -> tuple[float, ...]:
    """The twenty distinct times of the three tables, largest first."""
    return tuple(sorted({t for shift in TURBO_SHIFTS for t in turbo_table(shift)}, reverse=True))


def turbo_schedule(
    dtype: torch.dtype, *, shift: float = 3.0, timesteps: Sequence[float] | None = None, snap: bool = True
) -> Schedule:
    """Schedule of a distilled (turbo) checkpoint, ending at 0.

    Without `timesteps` it is the eight-step table of the nearest trained shift (ties go to the smaller). With them,
    trailing zeros are dropped, at most twenty are kept, and each is moved to the nearest of the twenty trained times,
    or kept as it is where `snap` is off. Timesteps that are all zero count as none given, as in the original.
    """
    _check_shift(shift)
    start = _without_trailing_zeros(_checked(timesteps)) if timesteps is not None else ()
    if start:
        start = start[:TURBO_MAX_TIMESTEPS]
        if snap:
            start = tuple(_nearest(t, turbo_timesteps()) for t in start)
    else:
        start = turbo_table(_nearest(shift, TURBO_SHIFTS))
    return Schedule((*_rounded(start, dtype), 0.0))


def continuous_schedule(steps: int, shift: float, dtype: torch.dtype) -> Schedule:
    """Any number of steps at any shift, computed in double and rounded once.

    For the checkpoints that are trained for it: turbo-continuous (shift 1 to 5) and XL turbo, which is asked for a
    number of steps.
    """
    _check_steps(steps)
    _check_shift(shift)
    return Schedule((*_rounded([shifted(1.0 - i / steps, shift) for i in range(steps)], dtype), 0.0))


def linear_schedule(steps: int, shift: float, dtype: torch.dtype, *, clamp: bool = True) -> Schedule:
    """Schedule of the base and SFT checkpoints: an even grid, then the shift, both computed in `dtype`.

    In bfloat16 the grid itself is coarse (multiples of 2^-8 near 1), and the original's numbers follow that. For some
    shifts rounding puts the first time just above 1, outside a guidance interval that ends at 1; the original then
    leaves out guidance in that step. `clamp` moves it to 1; off, it is the original's.
    """
    _check_steps(steps)
    _check_shift(shift)
    t = torch.linspace(1.0, 0.0, steps + 1, dtype=dtype)
    if shift != 1.0:
        t = shift * t / (1 + (shift - 1) * t)
    return Schedule(tuple((t.clamp_max(1.0) if clamp else t).tolist()))


def training_levels(shift: float, top: float = 1.0) -> tuple[float, ...]:
    """The thousand noise levels that ACE-Step v1 is trained on, largest first: an even line from `top` to 1/1000,
    shifted, computed in float32 as the original does."""
    _check_shift(shift)
    levels = torch.tensor(_line(TRAINING_LEVELS * top, 1.0, TRAINING_LEVELS)) / TRAINING_LEVELS
    return tuple((shift * levels / (1.0 + (shift - 1.0) * levels)).tolist())


def shifted_twice_schedule(steps: int, shift: float, *, start: float = 1.0) -> Schedule:
    """ACE-Step v1's schedule, in float32: an even line from `start` to the last training level, shifted.

    The line's end is shifted already, and so it stops well before the music: with shift 3 the last step begins at
    0.0089. The original, where it begins part-way at u (`training_levels`' `top`), gives the line a shifted start too,
    and its first time is u shifted twice. With `start` u itself, the first time is u shifted once, and the steps are
    as dense as the whole schedule's.
    """
    _check_steps(steps)
    _check_shift(shift)
    line = _line(start, training_levels(shift)[-1], steps)
    return Schedule((*_rounded([shifted(u, shift) for u in line], torch.float32), 0.0))


def picked_schedule(picks: Sequence[int], shift: float, dtype: torch.dtype = torch.float32) -> Schedule:
    """Steps picked from ACE-Step v1's schedule of `max(picks)` steps, counted from 1: few steps, each where it counts.

    They are shifted a third time. The original keeps the picked times in the number format of the model, `dtype`, and
    in bfloat16 that moves them by up to 1/500. Raises RequestError unless the picks rise from 1 or more.
    """
    if not picks or picks[0] < 1 or any(later <= earlier for earlier, later in pairwise(picks)):
        raise RequestError(
            f"oss_steps is {list(picks)}; give whole numbers from 1 on, each larger than the one before.",
            field="oss_steps",
            value=list(picks),
        )
    whole = torch.tensor(shifted_twice_schedule(picks[-1], shift).times) * 1000.0
    stored = whole[[pick - 1 for pick in picks]].to(dtype)
    levels = (stored / 1000.0).float()
    return Schedule((*(shift * levels / (1.0 + (shift - 1.0) * levels)).tolist(), 0.0))


def doubled(schedule: Schedule) -> Schedule:
    """Every time between the two ends twice: the schedule on which `solvers.heun_in_turns` looks once a step."""
    start, *inner, end = schedule.times
    return Schedule((start, *(t for t in inner for _ in range(2)), end))


def verbatim_schedule(timesteps: Sequence[float], dtype: torch.dtype) -> Schedule:
    """The given times as they are; the last is the end point, so 0 belongs in the list unless noise is to be left."""
    return Schedule(_rounded(_checked(timesteps), dtype))


def _rounded(times: Sequence[float], dtype: torch.dtype) -> tuple[float, ...]:
    return tuple(torch.tensor(times, dtype=torch.float64).to(dtype).tolist())


def _line(start: float, end: float, count: int) -> list[float]:
    return [start + (end - start) * i / max(count - 1, 1) for i in range(count)]


def _nearest(value: float, choices: Sequence[float]) -> float:
    return min(choices, key=lambda choice: abs(choice - value))


def _without_trailing_zeros(times: tuple[float, ...]) -> tuple[float, ...]:
    end = len(times)
    while end and times[end - 1] == 0:
        end -= 1
    return times[:end]


def _checked(timesteps: Sequence[float]) -> tuple[float, ...]:
    times = tuple(float(t) for t in timesteps)
    for t in times:
        if not 0.0 <= t <= 1.0:  # also false for NaN
            raise RequestError(
                f"timesteps holds {t}; every value must lie between 0 (music) and 1 (noise).",
                field="timesteps",
                value=list(times),
            )
    return times


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise RequestError(f"steps is {steps}; give 1 or more.", field="steps", value=steps)


def _check_shift(shift: float) -> None:
    if not (math.isfinite(shift) and shift > 0):
        raise RequestError(f"shift is {shift}; give a number above 0, such as 1 or 3.", field="shift", value=shift)
