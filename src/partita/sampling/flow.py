"""What a run is made of besides its steps: a model as a `Predict`, phases with different conditions, a source as start.

Works on callables; what a phase's velocity closes over (a network, a condition, a context) is the renderer's
business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from partita.errors import RequestError
from partita.sampling.loop import Predict
from partita.sampling.schedules import Schedule
from partita.sampling.solvers import mix

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(state [B, T, D], time of each item [B] in the state's number format) -> velocity [B, T, D]."""


@dataclass(frozen=True)
class Phase:
    """From step `first_step` on the velocity is this one, until the next phase begins."""

    first_step: int
    velocity: Velocity


def predict_in_phases(phases: Sequence[Phase]) -> Predict:
    """One `Predict` from phases in the order of their first steps. A phase that starts where the next one starts
    never runs; the first phase that runs must start at step 0.

    Raises RequestError if no phase covers step 0 or the order is wrong.
    """
    starts = [phase.first_step for phase in phases]
    if not starts or starts[0] != 0 or starts != sorted(starts):
        raise RequestError(f"Phases must begin at step 0 and be in order; they begin at steps {starts}.")

    def predict(x: Tensor, t: float, index: int) -> Tensor:
        phase = [candidate for candidate in phases if candidate.first_step <= index][-1]
        return phase.velocity(x, x.new_full((len(x),), t))

    return predict


def predict_with(velocity: Velocity) -> Predict:
    """A `Predict` that is the same velocity at every step."""
    return predict_in_phases([Phase(0, velocity)])


def cover_step_count(steps: int, strength: float) -> int:
    """How many steps follow the source before the plain condition takes over; `strength` in [0, 1], 1 is all."""
    return int(steps * strength)


def start_from_source(schedule: Schedule, noise: Tensor, source: Tensor, strength: float) -> tuple[Schedule, Tensor]:
    """Begin part-way, from the source latents with noise on them, instead of from noise alone.

    `strength` in (0, 1] is how much of the source is kept: the run begins at the step whose time is nearest to
    1 - strength. Returns what is left of the schedule, and the state it begins with. 0 keeps nothing.
    """
    if strength <= 0:
        return schedule, noise
    first = schedule.nearest(1.0 - strength)
    return schedule.starting_at(first), mix(noise, source, schedule.times[first])
