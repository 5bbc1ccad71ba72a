"""Repaint: what stays of the source at every step, and how its edges fade. Recorded numbers are under tests/golden."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from partita.sampling.flow import predict_with
from partita.sampling.loop import State, denoise
from partita.sampling.noise import batch_noise
from partita.sampling.repaint import (
    BlendSettings,
    blend,
    blend_settings,
    inject,
    injected_steps,
    injection,
    keep_outside,
    soft_mask,
)
from partita.sampling.schedules import linear_schedule

SHAPE = (2, 12, 3)
NOISE, CLEAN, MADE = (batch_noise(seeds, SHAPE[1:]) for seeds in ([1, 2], [3, 4], [5, 6]))


def mask_of(*rows: str) -> Tensor:
    return torch.tensor([[letter == "x" for letter in row] for row in rows])


MASK = mask_of("...xxxxx....", "xx......xx.x")
INSIDE = MASK[..., None].expand(SHAPE)

masks = st.lists(st.booleans(), min_size=1, max_size=40).map(lambda row: torch.tensor([row]))
frame_counts = st.integers(0, 30)


@pytest.mark.parametrize(
    ("mode", "strength", "expected"),
    [
        ("conservative", 1.0, (1.0, 25, 0.05)),
        ("aggressive", 0.0, (0.0, 0, 0.0)),
        ("balanced", 0.0, (1.0, 25, 0.05)),
        ("balanced", 0.5, (0.5, 12, 0.025)),
        ("balanced", 0.3, (0.7, 18, 0.035)),
        ("balanced", 7.0, (0.0, 0, 0.0)),
        ("balanced", -1.0, (1.0, 25, 0.05)),
    ],
)
def test_modes_say_how_firmly_the_source_is_held(
    mode: str, strength: float, expected: tuple[float, int, float]
) -> None:
    found = blend_settings(mode, strength)
    assert found.latent_crossfade_frames == expected[1]
    assert (found.injection_ratio, found.wave_crossfade_s) == pytest.approx((expected[0], expected[2]))


def test_settings_are_plain_values() -> None:
    assert blend_settings("aggressive", 0.5) == BlendSettings(0.0, 0, 0.0)


@pytest.mark.parametrize(
    ("ratio", "steps", "count"), [(0.5, 8, 4), (0.3125, 8, 2), (0.4375, 8, 4), (0, 8, 0), (1, 7, 7)]
)
def test_the_count_of_injected_steps_goes_to_the_even_number(ratio: float, steps: int, count: int) -> None:
    assert injected_steps(ratio, steps) == count


def test_injection_puts_the_source_back_at_the_time_that_was_reached() -> None:
    after = injection(MASK, CLEAN, NOISE, 0.5, 4)
    held = after(MADE, 1, 0.3)
    assert torch.equal(held[INSIDE], MADE[INSIDE])
    assert torch.allclose(held[~INSIDE], (0.3 * NOISE + 0.7 * CLEAN)[~INSIDE])
    assert after(MADE, 2, 0.2) is MADE


def test_the_last_step_is_left_alone_unless_asked_for() -> None:
    whole = injection(MASK, CLEAN, NOISE, 1.0, 4)
    assert whole(MADE, 3, 0.0) is MADE
    assert not torch.equal(whole(MADE, 2, 0.1), MADE)
    ended = injection(MASK, CLEAN, NOISE, 1.0, 4, last_step=True)(MADE, 3, 0.0)
    assert torch.equal(ended[~INSIDE], CLEAN[~INSIDE])


def test_a_run_that_is_held_all_along_sees_the_source_on_its_own_path() -> None:
    schedule = linear_schedule(5, 2.0, torch.float32)
    seen: list[Tensor] = []

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        seen.append(x)
        return torch.sin(x)

    after = injection(MASK, CLEAN, NOISE, 1.0, schedule.steps)
    list(denoise(State(NOISE), schedule, predict_with(velocity), after_step=after))
    for x, t in zip(seen, schedule.times, strict=False):
        path = t * NOISE + (1 - t) * CLEAN
        assert torch.allclose(x[~INSIDE], path[~INSIDE], atol=1e-6)


def test_every_edge_fades_and_the_original_fades_only_the_outer_ones() -> None:
    two = mask_of("....xx....xx...")
    ours, theirs = soft_mask(two, 2)[0], soft_mask(two, 2, outer_only=True)[0]
    third = 1 / 3
    assert ours.tolist() == pytest.approx(
        [0, 0, third, 2 * third, 1, 1, 2 * third, third, third, 2 * third, 1, 1, 2 * third, third, 0]
    )
    assert theirs.tolist() == pytest.approx([0, 0, third, 2 * third, 1, 1, 0, 0, 0, 0, 1, 1, 2 * third, third, 0])


def test_where_two_ramps_meet_the_larger_counts() -> None:
    assert soft_mask(mask_of("x...x"), 25)[0].tolist() == pytest.approx([1, 0.75, 0.5, 0.75, 1])


@given(masks, frame_counts)
def test_weights_are_one_inside_and_fall_with_distance(mask: Tensor, frames: int) -> None:
    weights, inside = soft_mask(mask, frames)[0], mask[0]
    assert ((weights == 1) == inside).all()
    assert ((weights >= 0) & (weights <= 1)).all()
    spans = torch.nonzero(inside)[:, 0]
    for i, weight in enumerate(weights.tolist()):
        distance = int((spans - i).abs().min()) if len(spans) else frames + 1
        assert (weight > 0) == (distance <= frames)


@given(masks, frame_counts)
def test_a_mirrored_mask_has_mirrored_weights(mask: Tensor, frames: int) -> None:
    assert torch.equal(soft_mask(mask.flip(1), frames), soft_mask(mask, frames).flip(1))


@given(masks.filter(lambda mask: int(torch.diff(mask.int(), prepend=torch.zeros(1, 1)).clamp_min(0).sum()) == 1))
@settings(max_examples=30)
def test_one_span_is_faded_as_the_original_does(mask: Tensor) -> None:
    assert torch.equal(soft_mask(mask, 5), soft_mask(mask, 5, outer_only=True))


def test_without_a_fade_ours_is_a_hard_splice_and_the_original_none() -> None:
    hard = blend(MADE, CLEAN, MASK, 0)
    assert torch.equal(hard[INSIDE], MADE[INSIDE])
    assert torch.equal(hard[~INSIDE], CLEAN[~INSIDE])
    assert blend(MADE, CLEAN, MASK, 0, original=True) is MADE


@pytest.mark.parametrize("original", [False, True])
def test_the_source_is_exact_beyond_the_fade(original: bool) -> None:
    faded = blend(MADE, CLEAN, MASK, 2, original=original)
    beyond = soft_mask(MASK, 2, outer_only=original) == 0
    assert torch.equal(faded[beyond], CLEAN[beyond])
    assert torch.equal(faded[MASK], MADE[MASK])


def test_what_is_not_finite_outside_does_not_come_in() -> None:
    wild = torch.where(INSIDE, MADE, float("nan"))
    assert torch.isfinite(keep_outside(wild, CLEAN, MASK.float())).all()


def test_the_number_format_stays() -> None:
    assert blend(MADE.bfloat16(), CLEAN.bfloat16(), MASK, 3).dtype == torch.bfloat16
    assert injection(MASK, CLEAN.bfloat16(), NOISE.bfloat16(), 1.0, 4)(MADE.bfloat16(), 0, 0.5).dtype == torch.bfloat16


def test_masks_of_whole_numbers_are_read_as_truth() -> None:
    assert torch.equal(soft_mask(MASK.to(torch.uint8), 3), soft_mask(MASK, 3))


def test_a_mask_with_the_latents_dimensions_is_broadcast() -> None:
    frames_last = inject(MADE.mT[:, None], CLEAN.mT[:, None], NOISE.mT[:, None], MASK[:, None, None, :], 0.4)
    assert torch.equal(frames_last[:, 0].mT, inject(MADE, CLEAN, NOISE, MASK, 0.4))
