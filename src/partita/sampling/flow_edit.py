"""Editing along the flow (FlowEdit, arXiv:2412.08629): moves a source by the difference of two velocities.

Two predictions, one with the condition that describes the source and one with the condition that is wanted, are made
at the same noise; their difference carries the latents from the one to the other without inverting anything. Works on
callables over latents [B, T, D] and knows no model; noise is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from partita.errors import RequestError
from partita.sampling.guidance import Guidance
from partita.sampling.loop import Predict, State, guided_velocity, take_step
from partita.sampling.schedules import Schedule
from partita.sampling.solvers import Move, Solver, euler, mix


@dataclass(frozen=True)
class FlowEdit:
    """Which part of the schedule edits, and how many noises are averaged.

    Steps before `n_min` (a share of all steps, 0..1) are left out: the more, the closer to the source. Steps from there
    to `n_max` move the source by the difference of the two velocities, each the mean of `n_avg` noises. Those from
    `n_max` on follow the wanted condition alone.
    """

    n_min: float
    n_max: float
    n_avg: int = 1

    def __post_init__(self) -> None:
        for name, value in (("n_min", self.n_min), ("n_max", self.n_max)):
            if not 0.0 <= value <= 1.0:  # also false for NaN
                raise RequestError(f"{name} is {value}; give a share of the steps, 0 to 1.", field=name, value=value)
        if self.n_avg < 1:
            raise RequestError(f"n_avg is {self.n_avg}; give 1 or more.", field="n_avg", value=self.n_avg)

    def phases(self, steps: int) -> tuple[int, int]:
        """(first step that runs, first step that follows the wanted condition alone) of a schedule of `steps`."""
        first = int(steps * self.n_min)
        return first, max(first, int(steps * self.n_max))


@dataclass(frozen=True)
class EditStep:
    """One step as the caller sees it: index of count, among the steps that run, and latents [B, T, D]: the music as
    far as it is known, and after the last step the result."""

    index: int
    count: int
    latents: Tensor


def flow_edit(
    source: Tensor,
    schedule: Schedule,
    predict_source: Predict,
    predict_target: Predict,
    settings: FlowEdit,
    draw: Callable[[int, int], Tensor],
    *,
    guidance: Guidance | None = None,
    solver: Solver = euler,
    averaged: Solver = euler,
    memory_of_source_only: bool = False,
) -> Iterator[EditStep]:
    """Every step of an edit of the latents `source` [B, T, D]; the last one's `latents` is the result.

    `predict_source` and `predict_target` are `sampling.loop.Predict`s: under guidance they get the batch twice.
    `draw(step, repeat)` gives noise [B, T, D] for a step of the schedule and one of its `n_avg` repeats. Each branch
    has its own APG memory; all draws of a step start from the same one. `averaged` follows the difference, and `solver`
    the wanted condition. `memory_of_source_only` is how ACE-Step v1 has it: before `n_max` the target remembers
    nothing, and the source's memory goes on from draw to draw.

    Raises RequestError, before any prediction, where no step would run, and for angle-domain guidance, which needs a
    state of its own for each velocity.
    """
    first, alone = settings.phases(schedule.steps)
    count = schedule.steps - first
    if count < 1:
        raise RequestError(
            f"n_min {settings.n_min} leaves out all {schedule.steps} steps, and the source would stay as it is; "
            "give less than 1.",
            field="n_min",
            value=settings.n_min,
        )
    if guidance is not None and guidance.kind not in ("cfg", "apg"):
        raise RequestError(
            f"guidance {guidance.kind!r} does not work in an edit along the flow; use apg or cfg.",
            field="guidance",
            value=guidance.kind,
        )
    run = _Edit(schedule, predict_source, predict_target, settings.n_avg, draw, guidance, solver, averaged)
    return _steps(source, run, first, alone, memory_of_source_only)


@dataclass(frozen=True)
class _Edit:
    schedule: Schedule
    predict_source: Predict
    predict_target: Predict
    repeats: int
    draw: Callable[[int, int], Tensor]
    guidance: Guidance | None
    solver: Solver
    averaged: Solver


def _steps(source: Tensor, run: _Edit, first: int, alone: int, memory_of_source_only: bool) -> Iterator[EditStep]:
    schedule, guidance, draw = run.schedule, run.guidance, run.draw
    count = schedule.steps - first
    z = source
    memory_source: Tensor | None = None
    memory_target: Tensor | None = None
    for k in range(first, alone):
        t, t_next = schedule.times[k], schedule.times[k + 1]
        at_source = [mix(draw(k, repeat), source, t) for repeat in range(run.repeats)]
        # The difference first: where nothing has moved, the two states are the same to the bit.
        at_target = [state + (z - source) for state in at_source]
        if memory_of_source_only:
            v_source, memory_source = _velocity_in_turn(run.predict_source, at_source, t, k, guidance, memory_source)
            v_target, _ = _mean_velocity(run.predict_target, at_target, t, k, guidance, None)
        else:
            v_source, memory_source = _mean_velocity(run.predict_source, at_source, t, k, guidance, memory_source)
            v_target, memory_target = _mean_velocity(run.predict_target, at_target, t, k, guidance, memory_target)
        z = run.averaged(Move(z, v_target - v_source, t, t_next, k, schedule.steps, _never_again))
        yield EditStep(k - first, count, z)
    if alone == schedule.steps:
        return
    noised = mix(draw(alone, 0), source, schedule.times[alone])
    state = State(noised + (z - source), alone, memory_target)
    while state.index < schedule.steps:
        done = take_step(state, schedule, run.predict_target, guidance=guidance, solver=run.solver)
        state = done.after
        last = state.index == schedule.steps
        yield EditStep(done.index - first, count, state.x if last else done.preview())


def _mean_velocity(
    predict: Predict, states: list[Tensor], t: float, k: int, guidance: Guidance | None, memory: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Mean guided velocity over the states of one step, and the branch's APG memory after it.

    The memory is linear in the difference of the two predictions: the mean of what the draws would each remember is
    the memory moved on once by their mean difference.
    """
    velocities, memories = [], []
    for state in states:
        _, velocity, after = guided_velocity(predict, state, t, k, guidance, memory)
        velocities.append(velocity)
        memories.append(after)
    kept = [after for after in memories if after is not None]
    return _mean(velocities), _mean(kept) if kept else None


def _velocity_in_turn(
    predict: Predict, states: list[Tensor], t: float, k: int, guidance: Guidance | None, memory: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Mean guided velocity, each state's guided with the memory that the one before it left."""
    velocities = []
    for state in states:
        _, velocity, memory = guided_velocity(predict, state, t, k, guidance, memory)
        velocities.append(velocity)
    return _mean(velocities), memory


def _never_again(x: Tensor, t: float) -> Tensor:
    raise RequestError("A solver that looks twice does not work in an edit along the flow; use euler.", field="solver")


def _mean(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).mean(0)
