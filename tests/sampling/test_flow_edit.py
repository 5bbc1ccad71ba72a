"""Editing along the flow, between Gaussians whose velocities are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from partita.errors import RequestError
from partita.sampling.flow import predict_with
from partita.sampling.flow_edit import EditStep, FlowEdit, flow_edit
from partita.sampling.guidance import Guidance, apg
from partita.sampling.loop import Predict, State, denoise
from partita.sampling.noise import Stream, batch_noise
from partita.sampling.schedules import Schedule, linear_schedule
from partita.sampling.solvers import heun, sde

SHAPE = (2, 5, 3)
OLD, WANTED, DEVIATION = -1.0, 2.0, 0.4
SOURCE = OLD + DEVIATION * batch_noise([1, 2], SHAPE[1:]).double()
F64 = torch.float64
EVEN = linear_schedule(40, 1.0, F64)


def draw(step: int, repeat: int) -> Tensor:
    return batch_noise([7, 8], SHAPE[1:], Stream.FLOW_EDIT, 1000 * step + repeat).double()


def gaussian(mean: float) -> Predict:
    def velocity(x: Tensor, t: Tensor) -> Tensor:
        time = t[:, None, None]
        slope = (time - (1 - time) * DEVIATION**2) / (time**2 + (1 - time) ** 2 * DEVIATION**2)
        return slope * (x - (1 - time) * mean) - mean

    return predict_with(velocity)


def result(steps: list[EditStep]) -> Tensor:
    return steps[-1].latents


def edit(settings: FlowEdit, source: Predict, target: Predict, schedule: Schedule = EVEN) -> list[EditStep]:
    return list(flow_edit(SOURCE, schedule, source, target, settings, draw))


def never(x: Tensor, t: float, index: int) -> Tensor:
    raise AssertionError("this branch is not to be asked")


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("guidance", [None, Guidance("apg", 15.0), Guidance("cfg", 3.0)])
def test_the_same_condition_twice_leaves_the_source_to_the_bit(repeats: int, guidance: Guidance | None) -> None:
    predict = predict_with(lambda x, t: torch.sin(5 * x) + t[:, None, None])
    steps = list(flow_edit(SOURCE, EVEN, predict, predict, FlowEdit(0.0, 1.0, repeats), draw, guidance=guidance))
    assert len(steps) == EVEN.steps
    assert all(torch.equal(step.latents, SOURCE) for step in steps)


def test_an_edit_moves_the_mean_and_keeps_each_place() -> None:
    moved = result(edit(FlowEdit(0.0, 1.0), gaussian(OLD), gaussian(WANTED)))
    assert torch.allclose(moved, SOURCE + WANTED - OLD, atol=1e-9)


def test_steps_left_out_keep_the_edit_nearer_to_the_source() -> None:
    distance = [
        float((result(edit(FlowEdit(n_min, 1.0), gaussian(OLD), gaussian(WANTED))) - SOURCE).mean())
        for n_min in (0.0, 0.3, 0.6, 0.9)
    ]
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] > 0


def test_without_an_editing_phase_the_target_is_followed_from_the_noised_source() -> None:
    done = edit(FlowEdit(0.5, 0.0), never, gaussian(WANTED))
    start = 0.5 * draw(20, 0) + 0.5 * SOURCE
    plain = list(denoise(State(start), EVEN.starting_at(20), gaussian(WANTED)))
    assert torch.allclose(result(done), plain[-1].after.x, atol=1e-12)
    assert [step.index for step in done] == list(range(20))
    assert {step.count for step in done} == {20}


def test_from_nothing_but_noise_the_target_alone_makes_music_of_its_own() -> None:
    done = edit(FlowEdit(0.0, 0.0), never, gaussian(WANTED), linear_schedule(400, 1.0, F64))
    assert torch.allclose(result(done), WANTED + DEVIATION * draw(0, 0), atol=0.05)


def test_the_second_phase_begins_where_the_first_ends() -> None:
    asked: list[tuple[int, int]] = []

    def counted(step: int, repeat: int) -> Tensor:
        asked.append((step, repeat))
        return draw(step, repeat)

    schedule = linear_schedule(10, 1.0, F64)
    settings = FlowEdit(0.25, 0.55, 2)  # whole steps: 2 and 5
    done = list(flow_edit(SOURCE, schedule, gaussian(OLD), gaussian(WANTED), settings, counted))
    assert asked == [(2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1), (5, 0)]
    assert [(step.index, step.count) for step in done] == [(k, 8) for k in range(8)]
    z = done[2].latents
    start = z + 0.5 * draw(5, 0) + 0.5 * SOURCE - SOURCE
    plain = list(denoise(State(start), schedule.starting_at(5), gaussian(WANTED)))
    assert torch.allclose(result(done), plain[-1].after.x, atol=1e-12)
    assert all(torch.isfinite(step.latents).all() for step in done)


def test_each_step_previews_clean_music() -> None:
    done = edit(FlowEdit(0.2, 0.5), gaussian(OLD), gaussian(WANTED))
    errors = [float((step.latents - WANTED).mean().abs()) for step in done]
    assert errors[-1] < 0.5 < errors[0]
    assert max(float(step.latents.std()) for step in done) < 1.0  # no preview is noise


def test_a_schedule_that_does_not_end_at_music_gives_the_state_it_reaches() -> None:
    schedule = Schedule((1.0, 0.6, 0.2))
    done = edit(FlowEdit(0.0, 0.0), never, gaussian(WANTED), schedule)
    plain = list(denoise(State(draw(0, 0)), schedule, gaussian(WANTED)))
    assert torch.allclose(result(done), plain[-1].after.x)


def test_averaging_over_noises_quietens_what_they_add() -> None:
    def rough(mean: float) -> Predict:
        return predict_with(lambda x, t: torch.sin(7 * x) * mean - mean)

    def roughness(repeats: int) -> float:
        return float((result(edit(FlowEdit(0.0, 1.0, repeats), rough(OLD), rough(WANTED))) - SOURCE).std())

    assert roughness(16) < roughness(1)


def test_draws_share_a_memory_that_moves_on_once_by_their_mean_difference() -> None:
    # The conditional half of the prediction depends on the state, so every draw has its own difference.
    def predict(x: Tensor, t: float, index: int) -> Tensor:
        cond, null = x.chunk(2)
        return torch.cat([torch.cos(cond), 0.5 * null])

    schedule, guidance, repeats = Schedule((1.0, 0.5, 0.0)), Guidance("apg", 4.0), 3
    done = list(
        flow_edit(SOURCE, schedule, predict, predict_twice(predict), FlowEdit(0, 1, repeats), draw, guidance=guidance)
    )

    def by_hand(change: float) -> Tensor:
        memory, z, velocities = None, SOURCE, []
        for k, (t, at) in enumerate(zip(schedule.times[:2], (SOURCE, done[0].latents), strict=True)):
            z = at if change else SOURCE
            found, differences = [], []
            for repeat in range(repeats):
                state = t * draw(k, repeat) + (1 - t) * SOURCE + (z - SOURCE)
                cond, null = (predict(torch.cat([state, state]), t, k) * (1 + change)).chunk(2)
                found.append(apg(cond, null, 4.0, memory)[0])
                differences.append(cond - null)
            mean = torch.stack(differences).mean(0)
            memory = mean if memory is None else mean - 0.75 * memory
            velocities.append(torch.stack(found).mean(0))
        return torch.stack(velocities)

    followed = -0.5 * (by_hand(1.0) - by_hand(0.0))
    assert torch.allclose(done[0].latents, SOURCE + followed[0], atol=1e-9)
    assert torch.allclose(result(done), done[0].latents + followed[1], atol=1e-9)


def predict_twice(predict: Predict) -> Predict:
    return lambda x, t, index: 2.0 * predict(x, t, index)


def test_the_target_s_memory_goes_on_into_the_second_phase() -> None:
    def predict(x: Tensor, t: float, index: int) -> Tensor:
        cond, null = x.chunk(2)
        return torch.cat([torch.cos(cond), 0.5 * null])

    schedule, guidance = Schedule((1.0, 0.5, 0.0)), Guidance("apg", 4.0)
    done = list(flow_edit(SOURCE, schedule, predict, predict, FlowEdit(0, 0.5), draw, guidance=guidance))
    first, second = draw(0, 0), 0.5 * draw(1, 0) + 0.5 * SOURCE
    memory = apg(torch.cos(first), 0.5 * first, 4.0)[1]
    velocity, _ = apg(torch.cos(second), 0.5 * second, 4.0, memory)
    assert torch.allclose(result(done), second - 0.5 * velocity, atol=1e-9)


def test_outside_the_interval_the_condition_is_followed_alone() -> None:
    def predict(x: Tensor, t: float, index: int) -> Tensor:
        cond, null = x.chunk(2)
        return torch.cat([cond + 1, null * 100])

    def plain(x: Tensor, t: float, index: int) -> Tensor:
        return x + 1

    schedule = Schedule((1.0, 0.5, 0.0))
    outside = Guidance("apg", 4.0, interval=(0.6, 0.9))
    guided = flow_edit(SOURCE, schedule, predict, predict_twice(predict), FlowEdit(0, 1), draw, guidance=outside)
    alone = edit(FlowEdit(0, 1), plain, predict_twice(plain), schedule)
    assert torch.allclose(result(list(guided)), result(alone))


def test_nothing_is_predicted_before_it_is_asked_for() -> None:
    flow_edit(SOURCE, EVEN, never, never, FlowEdit(0.0, 1.0), draw)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: FlowEdit(-0.1, 1.0), "n_min"),
        (lambda: FlowEdit(0.0, 1.1), "n_max"),
        (lambda: FlowEdit(0.0, float("nan")), "n_max"),
        (lambda: FlowEdit(0.0, 1.0, 0), "n_avg"),
        (lambda: flow_edit(SOURCE, EVEN, never, never, FlowEdit(1.0, 1.0), draw), "n_min"),
        (
            lambda: flow_edit(SOURCE, EVEN, never, never, FlowEdit(0, 1), draw, guidance=Guidance("adg", 5.0)),
            "guidance",
        ),
    ],
)
def test_impossible_edits_name_their_field(call: object, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        call()  # type: ignore[operator]
    assert caught.value.field == field


def test_the_two_parts_of_an_edit_have_solvers_of_their_own() -> None:
    schedule, settings = linear_schedule(10, 1.0, F64), FlowEdit(0.0, 0.5)
    noises = [batch_noise([3, 4], SHAPE[1:], Stream.STEP, k).double() for k in range(10)]
    steps = list(
        flow_edit(
            SOURCE, schedule, gaussian(OLD), gaussian(WANTED), settings, draw,
            solver=sde(noises.__getitem__), averaged=lambda move: move.x,
        )
    )  # fmt: skip
    assert torch.equal(steps[4].latents, SOURCE)  # what `averaged` gives back
    start = State(0.5 * draw(5, 0) + 0.5 * SOURCE, 5)
    plain = list(denoise(start, schedule, gaussian(WANTED), solver=sde(noises.__getitem__)))
    assert torch.allclose(result(steps), plain[-1].after.x, atol=1e-12)


def test_v1_s_memory_is_the_source_s_alone_and_goes_from_draw_to_draw() -> None:
    def predict(x: Tensor, t: float, index: int) -> Tensor:
        cond, null = x.chunk(2)
        return torch.cat([torch.cos(cond), 0.5 * null])

    schedule, guidance = Schedule((1.0, 0.0)), Guidance("apg", 4.0)
    done = list(
        flow_edit(
            SOURCE, schedule, predict, predict_twice(predict), FlowEdit(0, 1, 2), draw,
            guidance=guidance, memory_of_source_only=True,
        )
    )  # fmt: skip
    states = [draw(0, 0), draw(0, 1)]
    first, memory = apg(torch.cos(states[0]), 0.5 * states[0], 4.0)
    second, _ = apg(torch.cos(states[1]), 0.5 * states[1], 4.0, memory)
    wanted = [apg(2 * torch.cos(state), state, 4.0)[0] for state in states]
    followed = (wanted[0] + wanted[1] - first - second) / 2
    assert torch.allclose(result(done), SOURCE - followed, atol=1e-9)


def test_a_solver_that_looks_twice_is_refused_where_a_difference_is_followed() -> None:
    with pytest.raises(RequestError, match="looks twice"):
        list(flow_edit(SOURCE, EVEN, gaussian(OLD), gaussian(WANTED), FlowEdit(0, 1), draw, averaged=heun()))
