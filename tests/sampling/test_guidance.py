"""Guidance: properties that hold for any prediction. The recorded numbers are checked under tests/golden."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from partita.errors import RequestError
from partita.sampling import guidance
from partita.sampling.guidance import ApgSettings, Guidance, Window
from partita.sampling.noise import noise

SHAPE = (2, 13, 8)
COND, NULL, X = (noise(seed, SHAPE) for seed in (1, 2, 3))
STEP = 5


@pytest.mark.parametrize("kind", ["cfg", "apg"])
def test_a_scale_of_one_is_the_conditional_prediction(kind: guidance.Kind) -> None:
    guided, _ = guidance.guide(Guidance(kind, 1.0), (COND, NULL), X, 0.5, STEP, None)
    assert torch.allclose(guided, COND, atol=1e-6)


@pytest.mark.parametrize("kind", guidance.KINDS)
def test_equal_predictions_are_left_alone(kind: guidance.Kind) -> None:
    guided, _ = guidance.guide(Guidance(kind, 7.0), (COND, COND.clone()), X, 0.5, STEP, None)
    assert torch.allclose(guided, COND, atol=2e-3)


@pytest.mark.parametrize("kind", guidance.KINDS)
def test_an_item_does_not_depend_on_its_batch(kind: guidance.Kind) -> None:
    settings = Guidance(kind, 4.0)
    both, _ = guidance.guide(settings, (COND, NULL), X, 0.7, STEP, None)
    alone, _ = guidance.guide(settings, (COND[1:], NULL[1:]), X[1:], 0.7, STEP, None)
    assert torch.allclose(both[1:], alone, atol=1e-6)


@pytest.mark.parametrize("kind", guidance.KINDS)
def test_the_number_format_stays_and_the_result_is_near(kind: guidance.Kind) -> None:
    settings = Guidance(kind, 4.0)
    wide, _ = guidance.guide(settings, (COND, NULL), X, 0.7, STEP, None)
    narrow, average = guidance.guide(settings, (COND.bfloat16(), NULL.bfloat16()), X.bfloat16(), 0.7, STEP, None)
    assert narrow.dtype == torch.bfloat16
    assert average is None or average.dtype == torch.bfloat16
    assert torch.allclose(narrow.float(), wide, atol=0.05 * float(wide.abs().max()))


def test_projection_splits_into_parallel_and_orthogonal() -> None:
    parallel, orthogonal = guidance.project(NULL, COND, (1,))
    assert torch.allclose(parallel + orthogonal, NULL, atol=1e-6)
    assert (orthogonal * COND).sum(1).abs().max() < 1e-4
    assert torch.allclose(parallel / COND, (parallel / COND).mean(1, keepdim=True).expand(SHAPE), atol=1e-3)


def test_apg_limits_the_length_of_the_difference() -> None:
    far, _ = guidance.apg(COND, NULL * 100, 2.0, settings=ApgSettings(eta=1.0))
    assert torch.allclose((far - COND).norm(dim=1), torch.full((2, 8), 2.5), atol=1e-4)


def test_apg_remembers_only_through_the_value_it_returns() -> None:
    first, average = guidance.apg(COND, NULL, 7.0)
    again, _ = guidance.apg(COND, NULL, 7.0)
    second, later = guidance.apg(COND, NULL, 7.0, average)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert later is not None
    assert torch.allclose(later, 0.25 * (COND - NULL), atol=1e-6)
    assert guidance.apg(COND, NULL, 7.0, None, ApgSettings(momentum=None))[1] is None


def test_outside_the_interval_apg_s_memory_stands_still() -> None:
    settings = Guidance("apg", 7.0, interval=(0.3, 0.8))
    average = torch.ones(SHAPE)
    for t, applies in ((0.9, False), (0.8, True), (0.3, True), (0.29, False)):
        guided, after = guidance.guide(settings, (COND, NULL), X, t, STEP, average)
        assert torch.equal(guided, COND) is not applies
        assert (after is average) is not applies


def test_adg_turns_the_estimate_by_no_more_than_its_clip() -> None:
    t = 0.6
    guided, _ = guidance.guide(Guidance("adg", 100.0), (COND, NULL), X, t, STEP, None)
    assert _angle(X - t * guided, X - t * COND).max() < guidance.ADG_CLIP + _angle(X - t * COND, X - t * NULL).max()
    kept, _ = guidance.guide(Guidance("adg_w_norm", 100.0), (COND, NULL), X, t, STEP, None)
    assert torch.allclose((X - t * kept).norm(dim=1), (X - t * COND).norm(dim=1), rtol=1e-4)


def test_a_second_look_is_plain_guidance_where_the_first_cannot_be() -> None:
    plain = guidance.cfg(COND, NULL, 7.0)
    assert torch.equal(guidance.guide_again(Guidance("apg", 7.0), (COND, NULL), X, 0.5, STEP), plain)
    assert torch.equal(guidance.guide_again(Guidance("adg", 7.0), (COND, NULL), X, 0.0, STEP), plain)
    inside = guidance.guide_again(Guidance("adg", 7.0), (COND, NULL), X, 0.5, STEP)
    assert torch.equal(inside, guidance.guide(Guidance("adg", 7.0), (COND, NULL), X, 0.5, STEP, None)[0])
    outside = Guidance("apg", 7.0, interval=(0.6, 1.0))
    assert torch.equal(guidance.guide_again(outside, (COND, NULL), X, 0.5, STEP), COND)


def test_the_null_half_has_the_shape_of_the_condition() -> None:
    null = torch.zeros(1, 1, 8)
    both = guidance.with_null(COND, null)
    assert torch.equal(both[:2], COND)
    assert torch.equal(both[2:], torch.zeros(SHAPE))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(RequestError, match="adg_w_norm"):
        Guidance("magic")  # type: ignore[arg-type]


def _angle(a: Tensor, b: Tensor) -> Tensor:
    cosine = torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)
    return torch.acos(cosine.clamp(-1, 1))


@pytest.mark.parametrize(
    ("share", "steps", "expected"),
    [(0.5, 60, (15, 45)), (1.0, 60, (0, 60)), (0.0, 60, (30, 30)), (0.5, 7, (1, 5)), (0.7, 7, (1, 5))],
)
def test_the_middle_window_is_rounded_as_the_original_rounds_it(
    share: float, steps: int, expected: tuple[int, int]
) -> None:
    window = guidance.middle_window(share, steps)
    assert (window.first, window.end) == expected
    assert [k for k in range(steps) if window.covers(k)] == list(range(*expected))
    twice = guidance.middle_window(share, steps, looks=2)
    assert [k for k in range(2 * steps) if twice.covers(k)] == [k for k in range(2 * steps) if window.covers(k // 2)]


def test_a_falling_scale_goes_from_all_of_it_to_the_floor() -> None:
    window = Window(2, 6, decay=1.0, floor=3.0)
    assert [window.scale_at(k, 15.0) for k in range(2, 6)] == pytest.approx([15, 11, 7, 3])
    half = Window(2, 6, decay=0.5, floor=3.0)
    assert half.scale_at(5, 15.0) == pytest.approx(9.0)


def test_a_falling_scale_in_a_window_of_one_step_is_the_whole_scale() -> None:
    assert Window(4, 5, decay=1.0, floor=3.0).scale_at(4, 15.0) == 15.0


def test_a_window_asks_for_as_many_predictions_as_a_step_needs() -> None:
    plain, double = Guidance("cfg", window=Window(1, 3)), Guidance("cfg", window=Window(1, 3), double=(5.0, 1.5))
    assert [plain.branches(k) for k in range(4)] == [1, 2, 2, 1]
    assert [double.branches(k) for k in range(4)] == [1, 3, 3, 1]
    assert [Guidance("cfg").branches(k) for k in range(4)] == [2, 2, 2, 2]


def test_two_strengths_lead_from_nothing_over_the_text_to_everything() -> None:
    text = noise(4, SHAPE)
    assert torch.allclose(guidance.cfg_double(COND, NULL, text, 1.0, 1.0), COND)
    assert torch.allclose(guidance.cfg_double(COND, NULL, text, 1.0, 0.0), text)
    assert torch.allclose(guidance.cfg_double(COND, NULL, COND, 4.0, 4.0), guidance.cfg(COND, NULL, 4.0), atol=1e-5)
    # Whatever the kind, two strengths take its place.
    both = Guidance("apg", 15.0, window=Window(0, 9), double=(5.0, 1.5))
    guided, average = guidance.guide(both, (COND, NULL, text), X, 0.5, STEP, None)
    assert torch.equal(guided, guidance.cfg_double(COND, NULL, text, 5.0, 1.5))
    assert average is None


def test_cfg_star_does_not_depend_on_the_length_of_the_unconditional_prediction() -> None:
    reference = guidance.cfg_star(COND, NULL, 6.0)
    lengths = torch.tensor([0.1, 30.0])[:, None, None]
    assert torch.allclose(guidance.cfg_star(COND, NULL * lengths, 6.0), reference, atol=1e-4)
    assert torch.allclose(guidance.cfg_star(COND, 0.3 * COND, 6.0), COND, atol=1e-5)


def test_cfg_star_stands_still_in_its_first_steps() -> None:
    star = Guidance("cfg_star", 6.0)
    moved = [bool(guidance.guide(star, (COND, NULL), X, 0.5, k, None)[0].any()) for k in range(4)]
    assert moved == [False, False, True, True]
