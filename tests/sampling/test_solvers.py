"""Solvers on Gaussian data, whose flow from noise to music is known exactly.

Data are normal with mean MEAN and deviation DEVIATION in each channel; the state at time t then is normal with mean
(1 - t) MEAN and variance t^2 + (1 - t)^2 DEVIATION^2, and the flow keeps every state's place in it.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from partita.sampling.flow import predict_with
from partita.sampling.guidance import Guidance
from partita.sampling.loop import State, denoise, take_step
from partita.sampling.noise import Stream, batch_noise
from partita.sampling.schedules import Schedule, doubled, linear_schedule, verbatim_schedule
from partita.sampling.solvers import (
    Look,
    Move,
    Solver,
    by_estimate,
    dpmpp_2m,
    euler,
    granular,
    heun,
    heun_in_turns,
    sde,
)

F64 = torch.float64
MEAN = torch.tensor([-1.0, 0.0, 0.5, 2.0], dtype=F64)
DEVIATION = torch.tensor([0.3, 0.5, 0.8, 1.5], dtype=F64)
NOISE = batch_noise([1, 2], (50, 4)).double()
EXACT = MEAN + DEVIATION * NOISE
WHOLE_HEUN = heun(direct_end=False)


def velocity(x: Tensor, t: Tensor) -> Tensor:
    time = t[:, None, None]
    slope = (time - (1 - time) * DEVIATION**2) / (time**2 + (1 - time) ** 2 * DEVIATION**2)
    return slope * (x - (1 - time) * MEAN) - MEAN


def arrive(solver: Solver, schedule: Schedule, start: Tensor = NOISE) -> Tensor:
    return list(denoise(State(start), schedule, predict_with(velocity), solver=solver))[-1].after.x


def error(solver: Solver, schedule: Schedule) -> float:
    return float((arrive(solver, schedule) - EXACT).pow(2).mean().sqrt())


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize(
    ("solver", "least", "most"),
    [(euler, 1.9, 2.1), (WHOLE_HEUN, 3.8, 4.2), (heun(), 3.4, 4.2), (dpmpp_2m, 3.2, 4.2)],
    ids=["euler", "heun", "heun with a direct end", "dpmpp 2m"],
)
def test_the_error_falls_with_the_order(solver: Solver, least: float, most: float, shift: float) -> None:
    # The end of the flow costs the last two a logarithm: 4 is what their gain tends to.
    coarse, fine = (error(solver, linear_schedule(steps, shift, F64)) for steps in (100, 200))
    assert least < coarse / fine < most
    assert fine < 0.02


def test_looking_back_is_of_second_order_on_steps_of_any_length() -> None:
    def uneven(steps: int) -> Schedule:
        u = torch.linspace(1, 0, steps + 1, dtype=F64)
        return verbatim_schedule((u + 0.15 * torch.sin(6 * u * torch.pi) / torch.pi / 1.2).clamp(0, 1).tolist(), F64)

    coarse, fine = error(dpmpp_2m, uneven(120)), error(dpmpp_2m, uneven(240))
    assert coarse / fine == pytest.approx(4.0, rel=0.2)


def test_looking_back_beats_euler_at_the_steps_that_songs_are_made_with() -> None:
    for steps in (8, 16, 32, 64):
        for shift in (1.0, 3.0):
            schedule = linear_schedule(steps, shift, F64)
            assert error(dpmpp_2m, schedule) < 0.75 * error(euler, schedule)


def test_every_deterministic_solver_arrives_at_the_same_music() -> None:
    schedule = linear_schedule(2000, 1.0, F64)
    for solver in (euler, heun(), WHOLE_HEUN, dpmpp_2m):
        assert torch.allclose(arrive(solver, schedule), EXACT, atol=5e-3)


def test_the_stochastic_solver_keeps_the_mean_and_narrows_the_rest() -> None:
    items = 4000

    def made(steps: int) -> Tensor:
        start = batch_noise([8], (items, 4)).double()
        return arrive(
            sde(lambda k: batch_noise([7], (items, 4), Stream.STEP, index=k).double()),
            linear_schedule(steps, 1.0, F64),
            start,
        )[0]

    few, many = made(4), made(128)
    for end in (few, many):
        assert torch.allclose(end.mean(0), MEAN, atol=0.06)
    # Its estimate is the mean of all music that fits, not one draw of it: half of the variance is the limit.
    assert torch.allclose(many.std(0) / DEVIATION, torch.full((4,), 0.5**0.5, dtype=F64), atol=0.04)
    assert (few.std(0) < many.std(0)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_looking_back_keeps_the_number_format(dtype: torch.dtype) -> None:
    schedule = linear_schedule(8, 3.0, dtype)
    predict = predict_with(lambda x, t: velocity(x.double(), t.double()).to(dtype))
    made = list(denoise(State(NOISE.to(dtype)), schedule, predict, solver=dpmpp_2m))[-1].after.x
    assert made.dtype == dtype
    wide = arrive(dpmpp_2m, schedule)
    assert torch.allclose(made.double(), wide, atol=1e-5 if dtype == torch.float32 else 0.1)


def test_looking_back_starts_again_where_there_is_nothing_behind() -> None:
    first = take_step(State(NOISE), Schedule((1.0, 0.5, 0.0)), predict_with(velocity), solver=dpmpp_2m)
    plain = take_step(State(NOISE), Schedule((1.0, 0.5, 0.0)), predict_with(velocity))
    assert torch.equal(first.after.x, plain.after.x)

    def move(t: float, t_next: float, last: float) -> Move:
        v = velocity(NOISE, torch.full((2,), t, dtype=F64))
        return Move(NOISE, v, t, t_next, 1, 3, lambda x, t: x, Look(NOISE * 2, v, last))

    for t, t_next, before in ((0.5, 0.2, 0.5), (0.5, 0.2, 0.4), (0.0, 0.0, 0.4)):
        assert torch.equal(dpmpp_2m(move(t, t_next, before)), euler(move(t, t_next, before)))
    assert torch.allclose(dpmpp_2m(move(0.5, 0.5, 0.9)), NOISE)


def test_repeated_times_do_no_harm() -> None:
    schedule = verbatim_schedule([1.0, 0.8, 0.8, 0.5, 0.5, 0.5, 0.2, 0.0], F64)
    assert torch.isfinite(arrive(dpmpp_2m, schedule)).all()
    once = verbatim_schedule([1.0, 0.8, 0.5, 0.2, 0.0], F64)
    assert error(dpmpp_2m, schedule) < 1.5 * error(euler, once)


def test_looking_back_stepped_by_hand_or_resumed_gives_the_bits_of_the_loop() -> None:
    schedule = linear_schedule(6, 2.0, torch.float32)
    predict = predict_with(lambda x, t: torch.sin(3 * x) * t[:, None, None])
    guidance = Guidance("apg", 5.0)
    start = State(NOISE.float())
    whole = list(denoise(start, schedule, predict, guidance=guidance, solver=dpmpp_2m))
    resumed = list(denoise(whole[2].after, schedule, predict, guidance=guidance, solver=dpmpp_2m))
    assert torch.equal(resumed[-1].after.x, whole[-1].after.x)


def test_an_item_does_not_depend_on_its_batch() -> None:
    schedule = linear_schedule(6, 2.0, F64)
    assert torch.allclose(arrive(dpmpp_2m, schedule)[1:], arrive(dpmpp_2m, schedule, NOISE[1:]), atol=1e-12)


def test_heun_in_turns_is_heun_with_each_look_a_step() -> None:
    schedule = linear_schedule(7, 3.0, F64)
    in_turns = arrive(heun_in_turns, doubled(schedule))
    assert torch.allclose(in_turns, arrive(heun(direct_end=True), schedule), atol=1e-12)
    assert not torch.allclose(in_turns, arrive(euler, schedule), atol=1e-3)


def test_velocities_taken_back_from_the_estimate_are_the_same() -> None:
    schedule = doubled(linear_schedule(7, 3.0, F64))
    assert torch.allclose(arrive(by_estimate(heun_in_turns), schedule), arrive(heun_in_turns, schedule), atol=1e-12)


def one_step(solver: Solver, v: Tensor) -> Tensor:
    return take_step(State(NOISE), Schedule((1.0, 0.5)), predict_with(lambda x, t: v), solver=solver).after.x - NOISE


@pytest.mark.parametrize(("omega", "factor"), [(-10, 0.953788), (0, 1.0), (10, 1.046212), (20, 1.076159)])
def test_granularity_stretches_a_velocity_about_its_mean(omega: float, factor: float) -> None:
    v = EXACT + 3.0
    plain, stretched = one_step(euler, v), one_step(granular(euler, omega), v)
    assert torch.allclose(stretched.mean((1, 2)), plain.mean((1, 2)))
    assert torch.allclose(stretched.std((1, 2)) / plain.std((1, 2)), torch.tensor(factor, dtype=F64), atol=1e-6)


def test_granularity_of_an_item_depends_on_the_others_over_the_batch_alone() -> None:
    v = EXACT + torch.tensor([0.0, 5.0], dtype=F64)[:, None, None]
    wilder = v * torch.tensor([1.0, 9.0], dtype=F64)[:, None, None]

    def first(v: Tensor, over_batch: bool) -> Tensor:
        return one_step(granular(euler, 10.0, over_batch=over_batch), v)[0]

    assert torch.equal(first(v, False), first(wilder, False))
    assert not torch.allclose(first(v, True), first(wilder, True), atol=1e-3)


@pytest.mark.parametrize("solver", [heun(direct_end=True), heun_in_turns])
def test_granularity_reaches_both_looks_of_a_solver(solver: Solver) -> None:
    # A constant velocity, stretched at both looks, is followed as by one stretched step.
    v = EXACT + 3.0
    schedule = Schedule((1.0, 0.5, 0.5, 0.0)) if solver is heun_in_turns else Schedule((1.0, 0.5, 0.0))
    twice = list(denoise(State(NOISE), schedule, predict_with(lambda x, t: v), solver=granular(solver, 10.0)))
    assert torch.allclose(twice[-1].after.x - NOISE, 2 * one_step(granular(euler, 10.0), v), atol=1e-12)
