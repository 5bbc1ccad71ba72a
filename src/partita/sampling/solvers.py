"""One step along the flow: a state and a velocity in, the next state out.

A solver is a function of one `Move`. It sees the velocity at the start of the step and may ask for another one
inside it; it does not know where velocities come from. x_t = t noise + (1 - t) music, v = noise - music.

Error over `euler`'s at 8, 16, 32 evaluations of the built-in model (benches/solvers.py): `dpmpp_2m` 0.54, 0.30, 0.19;
`heun` 1.58, 0.92, 0.44, the best of the three only on flows that turn sharply. With 4, `euler` is the safe one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Look:
    """What was seen at the start of a step: state x [B, T, D], guided velocity v there, time t."""

    x: Tensor
    v: Tensor
    t: float


@dataclass(frozen=True)
class Move:
    """What one step starts from.

    x: state [B, T, D] at time `t`; v: guided velocity there; t_next: where the step ends; index and count: which
    step of how many; again: guided velocity at another state and time, for solvers that look twice; last: what the
    step before started from, for solvers that look back, none at the first step.
    """

    x: Tensor
    v: Tensor
    t: float
    t_next: float
    index: int
    count: int
    again: Callable[[Tensor, float], Tensor]
    last: Look | None = None


Solver = Callable[[Move], Tensor]
Draw = Callable[[int], Tensor]


def estimate(x: Tensor, v: Tensor, t: float) -> Tensor:
    """The clean latents that state `x` points at, `x - t v`: the preview of a running song."""
    return x - v * _scalar(t, x)


def euler(move: Move) -> Tensor:
    """`x - (t - t') v`: the deterministic solver ("ode") of the original."""
    return move.x - move.v * _scalar(move.t - move.t_next, move.x)


def heun(*, direct_end: bool = True) -> Solver:
    """Averages the velocities at both ends of the step: two evaluations, second order.

    `direct_end` makes the last step Euler's, as the original does for turbo; off, the model is also asked at the end
    point, as for base and SFT.
    """

    def solve(move: Move) -> Tensor:
        ahead = euler(move)
        if direct_end and move.index == move.count - 1:
            return ahead
        mean = (move.v + move.again(ahead, move.t_next)) / 2
        return move.x - mean * _scalar(move.t - move.t_next, move.x)

    return solve


def heun_in_turns(move: Move) -> Tensor:
    """Heun's method with each look at the model a step of its own, on a schedule whose inner times stand twice
    (`schedules.doubled`).

    A step of length zero corrects the one before it: from where that began, along the mean of the two velocities.
    Guidance and its memory act at both looks. All other steps are Euler's, the last among them.
    """
    last = move.last
    if last is None or move.t_next != move.t:
        return euler(move)
    return last.x - (last.v + move.v) / 2 * _scalar(last.t - move.t, move.x)


def by_estimate(solver: Solver) -> Solver:
    """A solver whose velocities are taken back from the clean estimate, `(x - (x - t v)) / t`, as in v1's Heun.

    They are the same but for rounding, which counts near the music: the original's numbers follow it.
    """

    def taken_back(x: Tensor, v: Tensor, t: float) -> Tensor:
        return (x - estimate(x, v, t)) / _scalar(t, x)

    def solve(move: Move) -> Tensor:
        last = move.last and replace(move.last, v=taken_back(move.last.x, move.last.v, move.last.t))
        return solver(replace(move, v=taken_back(move.x, move.v, move.t), last=last))

    return solve


def granular(solver: Solver, omega: float, *, over_batch: bool = False) -> Solver:
    """ACE-Step v1's "granularity": stretches what sets a velocity apart from its own mean, by 0.9 to 1.1.

    The factor is `0.9 + 0.2 / (1 + exp(-omega / 10))`: 1 at 0, 1.046 at 10. For solvers that are linear in their
    velocities. The mean is that of each item, or with `over_batch`, as in the original, of the whole batch, so that
    every song depends on its neighbours.
    """
    factor = 0.9 + 0.2 / (1.0 + math.exp(-0.1 * omega))
    if factor == 1.0:
        return solver

    def stretched(v: Tensor) -> Tensor:
        mean = v.mean() if over_batch else v.mean(dim=tuple(range(1, v.dim())), keepdim=True)
        return (v - mean) * factor + mean

    def solve(move: Move) -> Tensor:
        last = move.last and replace(move.last, v=stretched(move.last.v))
        return solver(replace(move, v=stretched(move.v), last=last, again=lambda x, t: stretched(move.again(x, t))))

    return solve


def dpmpp_2m(move: Move) -> Tensor:
    """DPM-Solver++ 2M (arXiv:2211.01095) for this flow: one evaluation a step, second order on unequal steps.

    The clean estimate D = x - t v is carried on to the middle of the step along the line through the last two,
    `D + (t - t') / (2 (t_last - t)) (D - D_last)`, and the state goes towards that. The line runs over t, and so holds
    at both ends of this flow, where the paper's log((1 - t) / t) is infinite and leaves only first order. The first
    step is Euler's, and so is one that does not follow a step in the same direction.
    """
    last = move.last
    if last is None or not last.t > move.t > 0:
        return euler(move)
    clean = estimate(move.x, move.v, move.t)
    reach = (move.t - move.t_next) / (2 * (last.t - move.t))
    ahead = clean + (clean - estimate(last.x, last.v, last.t)) * _scalar(reach, clean)
    return mix(move.x, ahead, move.t_next / move.t)


def sde(draw: Draw, *, unshifted: bool = False) -> Solver:
    """Stochastic solver: jump to the clean estimate, then add fresh noise up to the next time.

    Elsewhere it is called ping-pong. It is made for distilled models, whose estimate is one piece of music. An
    undistilled model's is the mean of all that fit, and what comes out varies too little, however many the steps: of
    Gaussian data's variance at most half is left.

    `draw(k)` gives the noise [B, T, D] of step k. `unshifted` noises to `1 - (k + 1) / count` whatever the schedule,
    which is what the original does for base and SFT; off, it noises to the schedule's own next time.
    """

    def solve(move: Move) -> Tensor:
        clean = estimate(move.x, move.v, move.t)
        level = 1.0 - (move.index + 1) / move.count if unshifted else move.t_next
        return clean if level == 0 else mix(draw(move.index), clean, level)

    return solve


def mix(noise: Tensor, clean: Tensor, level: float) -> Tensor:
    """The state at time `level` between `clean` (0) and `noise` (1)."""
    return noise * _scalar(level, clean) + clean * _scalar(1.0 - level, clean)


def _scalar(value: float, like: Tensor) -> Tensor:
    # The original holds step sizes in a tensor of the model's number format, and its products round accordingly.
    # A tensor without dimensions may stay on the CPU: it joins those of any device without a copy.
    return torch.tensor(value, dtype=like.dtype)
