"""The sampling loop: a generator that takes one step each time it is asked.

Progress, cancelling, previews and streaming are the caller's business: it looks at what a step yields, and stops
asking when it has had enough. `take_step` is the same brick without the loop, so a caller that interleaves songs gets
the same bits. Works on callables only and knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from partita.errors import RequestError
from partita.sampling.guidance import Guidance, guide, guide_again, is_active
from partita.sampling.schedules import Schedule
from partita.sampling.solvers import Look, Move, Solver, estimate, euler

Predict = Callable[[Tensor, float, int], Tensor]
"""(state, t, step index) -> velocity of the same shape. With guidance the state is the batch twice, [2B, T, D], and the
first half is to be predicted with the condition, the second with the null condition; where the guidance has a window,
it is the batch as often as `Guidance.branches` says, [B], [2B] or [3B], the last third with the text alone. What the
prediction depends on besides may change with the step index, as when a cover's condition gives way to the plain one."""

AfterStep = Callable[[Tensor, int, float], Tensor]
"""(state after step k, k, time reached) -> state to go on with: repaint's injection of the source, for one."""


@dataclass(frozen=True)
class State:
    """Everything that the next step depends on: latents x [B, T, D], which step comes, APG's memory, and what the
    step before saw, for solvers that look back."""

    x: Tensor
    index: int = 0
    average: Tensor | None = None
    last: Look | None = None


@dataclass(frozen=True)
class StepDone:
    """One step as the caller sees it.

    index of count; t where it began and t_next where it ended; before and after: the states; raw: what the model
    said (all that was asked of it in one tensor, conditional first); velocity: what was followed [B, T, D].
    """

    index: int
    count: int
    t: float
    t_next: float
    before: State
    raw: Tensor
    velocity: Tensor
    after: State

    def preview(self) -> Tensor:
        """The clean latents that this step points at [B, T, D]; after the last step, the song itself."""
        return self.after.x if self.t_next == 0 else estimate(self.before.x, self.velocity, self.t)


def guided_velocity(
    predict: Predict, x: Tensor, t: float, index: int, guidance: Guidance | None, average: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One look at the model: what it said, the velocity to follow [B, T, D], and APG's memory after it.

    `average` is APG's memory before it. A guidance scale of 1 or less asks for one prediction only.
    """
    if guidance is None or not is_active(guidance):
        raw = predict(x, t, index)
        return raw, raw, average
    branches = guidance.branches(index)
    raw = predict(torch.cat([x] * branches), t, index)
    return raw, *guide(guidance, raw.chunk(branches), x, t, index, average)


def take_step(
    state: State,
    schedule: Schedule,
    predict: Predict,
    *,
    guidance: Guidance | None = None,
    solver: Solver = euler,
    after_step: AfterStep | None = None,
) -> StepDone:
    """Step `state.index` of the schedule. A guidance scale of 1 or less asks for one prediction only."""
    if not 0 <= state.index < schedule.steps:
        raise RequestError(
            f"Step {state.index} was asked for, but the schedule has {schedule.steps} steps.",
            field="steps",
            value=state.index,
        )
    k, x = state.index, state.x
    t, t_next = schedule.times[k], schedule.times[k + 1]

    def again(at: Tensor, time: float) -> Tensor:
        if guidance is None or not is_active(guidance):
            return predict(at, time, k)
        branches = guidance.branches(k)
        return guide_again(guidance, predict(torch.cat([at] * branches), time, k).chunk(branches), at, time, k)

    raw, velocity, average = guided_velocity(predict, x, t, k, guidance, state.average)
    x_next = solver(Move(x, velocity, t, t_next, k, schedule.steps, again, state.last))
    if after_step is not None:
        x_next = after_step(x_next, k, t_next)
    return StepDone(
        k, schedule.steps, t, t_next, state, raw, velocity, State(x_next, k + 1, average, Look(x, velocity, t))
    )


def denoise(
    state: State,
    schedule: Schedule,
    predict: Predict,
    *,
    guidance: Guidance | None = None,
    solver: Solver = euler,
    after_step: AfterStep | None = None,
) -> Iterator[StepDone]:
    """Every remaining step of the schedule, one by one; the last one's `after.x` is the result."""
    while state.index < schedule.steps:
        done = take_step(state, schedule, predict, guidance=guidance, solver=solver, after_step=after_step)
        state = done.after
        yield done
