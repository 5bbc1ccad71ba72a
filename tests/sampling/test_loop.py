"""The loop, its solvers and its phases, on velocities whose solution is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from partita.errors import RequestError
from partita.sampling.flow import Phase, cover_step_count, predict_in_phases, predict_with, start_from_source
from partita.sampling.guidance import Guidance, Window
from partita.sampling.loop import State, StepDone, denoise, take_step
from partita.sampling.noise import Stream, batch_noise, noise
from partita.sampling.schedules import Schedule, linear_schedule, turbo_schedule
from partita.sampling.solvers import Solver, euler, heun, sde

SHAPE = (2, 7, 3)
NOISE = batch_noise([1, 2], SHAPE[1:])
MUSIC = batch_noise([3, 4], SHAPE[1:])
STRAIGHT = predict_with(lambda x, t: NOISE - MUSIC)


def last(steps: list[StepDone]) -> Tensor:
    return steps[-1].after.x


def draw(k: int) -> Tensor:
    return batch_noise([1, 2], SHAPE[1:], Stream.STEP, index=k)


@pytest.mark.parametrize("solver", [euler, heun()])
def test_a_straight_flow_arrives_in_any_number_of_steps(solver: Solver) -> None:
    for steps in (1, 3, 8):
        schedule = linear_schedule(steps, 3.0, torch.float32)
        assert torch.allclose(last(list(denoise(State(NOISE), schedule, STRAIGHT, solver=solver))), MUSIC, atol=1e-5)


def test_every_step_of_a_straight_flow_previews_the_music() -> None:
    for done in denoise(State(NOISE), turbo_schedule(torch.float32), STRAIGHT):
        assert torch.allclose(done.preview(), MUSIC, atol=1e-5)


def test_heun_is_of_second_order_and_euler_of_first() -> None:
    def error(solver: Solver, steps: int) -> float:
        schedule = linear_schedule(steps, 1.0, torch.float64)
        x = torch.ones(1, 1, 1, dtype=torch.float64)
        end = last(list(denoise(State(x), schedule, predict_with(lambda x, t: x), solver=solver)))
        return abs(float(end) - math.exp(-1.0))

    assert error(euler, 20) / error(euler, 40) == pytest.approx(2.0, abs=0.1)
    whole = heun(direct_end=False)
    assert error(whole, 20) / error(whole, 40) == pytest.approx(4.0, abs=0.2)


def test_sde_ends_on_the_clean_estimate_and_draws_by_step() -> None:
    asked: list[int] = []

    def counted(k: int) -> Tensor:
        asked.append(k)
        return draw(k)

    schedule = turbo_schedule(torch.float32)
    done = list(denoise(State(NOISE), schedule, STRAIGHT, solver=sde(counted)))
    assert asked == list(range(7))
    expected = schedule.times[1] * draw(0) + (1 - schedule.times[1]) * MUSIC
    assert torch.allclose(done[0].after.x, expected, atol=1e-6)


def test_sde_of_the_original_ignores_the_shift() -> None:
    schedule = linear_schedule(4, 3.0, torch.float32)
    first = take_step(State(NOISE), schedule, STRAIGHT, solver=sde(draw, unshifted=True))
    assert torch.allclose(first.after.x, 0.75 * draw(0) + 0.25 * MUSIC, atol=1e-6)


@pytest.mark.parametrize("solver", [euler, heun(), sde(draw)])
def test_stepping_by_hand_gives_the_bits_of_the_loop(solver: Solver) -> None:
    schedule = turbo_schedule(torch.float32)
    guidance = Guidance("apg", 5.0)
    predict = predict_with(lambda x, t: torch.sin(3 * x) * t[:, None, None])
    whole = list(denoise(State(NOISE), schedule, predict, guidance=guidance, solver=solver))
    state = State(NOISE)
    for done in whole:
        state = take_step(state, schedule, predict, guidance=guidance, solver=solver).after
        assert torch.equal(state.x, done.after.x)
    resumed = list(denoise(whole[3].after, schedule, predict, guidance=guidance, solver=solver))
    assert [done.index for done in resumed] == [4, 5, 6, 7]
    assert torch.equal(last(resumed), last(whole))


def test_nothing_runs_until_it_is_asked_for() -> None:
    calls: list[float] = []

    def predict(x: Tensor, t: float, index: int) -> Tensor:
        calls.append(t)
        return x

    steps = denoise(State(NOISE), turbo_schedule(torch.float32), predict)
    assert calls == []
    next(steps)
    assert calls == [1.0]


def test_guidance_doubles_the_batch_and_shows_both_halves() -> None:
    sizes: list[int] = []

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        sizes.append(len(x))
        assert t.shape == (len(x),)
        return torch.cat([torch.ones_like(x[:2]), torch.zeros_like(x[2:])]) if len(x) == 4 else x

    schedule = Schedule((1.0, 0.5, 0.0))
    done = take_step(State(NOISE), schedule, predict_with(velocity), guidance=Guidance("cfg", 3.0))
    assert done.raw.shape == (4, *SHAPE[1:])
    assert torch.equal(done.velocity, torch.full(SHAPE, 3.0))
    take_step(State(NOISE), schedule, predict_with(velocity), guidance=Guidance("cfg", 1.0))
    assert sizes == [4, 2]


def test_the_velocity_may_change_between_steps() -> None:
    schedule = linear_schedule(4, 1.0, torch.float32)
    phases = [Phase(0, lambda x, t: torch.ones_like(x)), Phase(cover_step_count(4, 0.5), lambda x, t: 0 * x)]
    done = list(denoise(State(NOISE), schedule, predict_in_phases(phases)))
    assert [float(step.velocity.mean()) for step in done] == [1.0, 1.0, 0.0, 0.0]
    never = predict_in_phases([Phase(0, lambda x, t: x), Phase(0, lambda x, t: 0 * x)])
    assert float(never(NOISE, 1.0, 0).abs().max()) == 0.0
    with pytest.raises(RequestError, match="step 0"):
        predict_in_phases([Phase(1, lambda x, t: x)])


def test_a_state_can_be_changed_after_each_step() -> None:
    seen: list[tuple[int, float]] = []

    def keep_first_frame(x: Tensor, k: int, t_next: float) -> Tensor:
        seen.append((k, t_next))
        return torch.cat([MUSIC[:, :1], x[:, 1:]], dim=1)

    schedule = Schedule((1.0, 0.5, 0.0))
    done = list(denoise(State(NOISE), schedule, predict_with(lambda x, t: x), after_step=keep_first_frame))
    assert seen == [(0, 0.5), (1, 0.0)]
    assert torch.equal(last(done)[:, :1], MUSIC[:, :1])


def test_starting_from_a_source_skips_the_noisy_steps() -> None:
    schedule, x = start_from_source(turbo_schedule(torch.float32), NOISE, MUSIC, 0.3)
    assert schedule.times[0] == 0.75
    assert torch.allclose(x, 0.75 * NOISE + 0.25 * MUSIC)
    assert start_from_source(turbo_schedule(torch.float32), NOISE, MUSIC, 0.0) == (turbo_schedule(torch.float32), NOISE)


def test_a_batch_gives_each_item_the_bits_it_has_alone() -> None:
    schedule = turbo_schedule(torch.float32)
    predict = predict_with(lambda x, t: torch.sin(x) * t[:, None, None])
    whole = last(list(denoise(State(NOISE), schedule, predict)))
    alone = last(list(denoise(State(noise(2, SHAPE[1:])[None]), schedule, predict)))
    assert torch.equal(whole[1:], alone)


def test_step_sizes_round_as_the_model_s_number_format_does() -> None:
    schedule = turbo_schedule(torch.bfloat16)
    x, v = NOISE.bfloat16(), MUSIC.bfloat16()
    done = take_step(State(x, index=1), schedule, predict_with(lambda x, t: v))
    step = torch.tensor(0.953125 - 0.8984375).bfloat16()
    assert torch.equal(done.after.x, x - v * step)


def test_a_step_beyond_the_schedule_is_refused() -> None:
    with pytest.raises(RequestError, match="2 steps"):
        take_step(State(NOISE, index=2), Schedule((1.0, 0.5, 0.0)), STRAIGHT)


def test_outside_a_window_one_prediction_is_asked_for_and_memory_stands_still() -> None:
    asked: list[int] = []

    def predict(x: Tensor, t: float, index: int) -> Tensor:
        asked.append(len(x) // len(NOISE))
        return torch.cat([part + k for k, part in enumerate(x.chunk(asked[-1]))])

    guidance = Guidance("apg", 5.0, window=Window(1, 3))
    done = list(denoise(State(NOISE), linear_schedule(5, 1.0, torch.float32), predict, guidance=guidance))
    assert asked == [1, 2, 2, 1, 1]
    assert done[0].after.average is None
    assert done[3].after.average is done[2].after.average
    assert torch.equal(done[4].velocity, done[4].before.x)


def test_a_second_look_asks_as_the_step_does() -> None:
    asked: list[int] = []

    def predict(x: Tensor, t: float, index: int) -> Tensor:
        asked.append(len(x) // len(NOISE))
        return x

    guidance = Guidance("cfg", 5.0, window=Window(1, 2), double=(5.0, 1.5))
    list(denoise(State(NOISE), linear_schedule(3, 1.0, torch.float32), predict, guidance=guidance, solver=heun()))
    assert asked == [1, 1, 3, 3, 1]
