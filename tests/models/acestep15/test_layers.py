"""Attention in blocks against one dense matrix, and the norm's order of rounding."""

from __future__ import annotations

import pytest
import torch

from partita.models.acestep15.layers import (
    AttentionBlock,
    RMSNorm,
    Rotary,
    attend,
    attention_plan,
    cross_attention_plan,
    rotary,
)
from tests.models.acestep15.small import draw


def dense(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Attention of `[B, S, N, d]` by definition, in float64; `seen` `[B or 1, S, L]`."""
    group = query.shape[2] // key.shape[2]
    key, value = key.repeat_interleave(group, 2).double(), value.repeat_interleave(group, 2).double()
    scores = torch.einsum("bsnd,blnd->bnsl", query.double(), key) / query.shape[-1] ** 0.5
    weights = scores.masked_fill(~seen[:, None], torch.finfo(torch.float64).min).softmax(-1)
    return torch.einsum("bnsl,blnd->bsnd", weights, value).flatten(2)


def random_heads(length: int, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        draw(batch, length, 4, 16, seed=1),
        draw(batch, length, 2, 16, seed=2),
        draw(batch, length, 2, 16, seed=3),
    )


@pytest.fixture(params=[True, False], ids=["products", "fused kernel"])
def with_gradients(request: pytest.FixtureRequest):
    """Without gradients a CPU takes matrix products; with them the fused kernel."""
    with torch.set_grad_enabled(not request.param):
        yield


@pytest.mark.usefixtures("with_gradients")
@pytest.mark.parametrize("length", [1, 5, 128, 129, 130, 300, 385])
def test_a_band_sees_exactly_the_window_to_each_side(length: int):
    query, key, value = random_heads(length)
    place = torch.arange(length)
    seen = ((place[:, None] - place[None, :]).abs() <= 128)[None]
    got = attend(query, key, value, attention_plan(length, 128, query))
    torch.testing.assert_close(got, dense(query, key, value, seen).float(), atol=2e-6, rtol=0)


@pytest.mark.usefixtures("with_gradients")
@pytest.mark.parametrize("length", [1, 128, 300])
def test_causal_attention_sees_no_later_position(length: int):
    query, key, value = random_heads(length)
    place = torch.arange(length)
    seen = (place[:, None] >= place[None, :])[None]
    got = attend(query, key, value, attention_plan(length, None, query, causal=True))
    torch.testing.assert_close(got, dense(query, key, value, seen).float(), atol=2e-6, rtol=0)


@pytest.mark.usefixtures("with_gradients")
@pytest.mark.parametrize("window", [3, None])
def test_padded_keys_are_not_seen_and_a_row_without_keys_is_uniform(window: int | None):
    length = 300
    query, key, value = random_heads(length)
    mask = torch.arange(length)[None] < torch.tensor([[length], [40]])
    place = torch.arange(length)
    near = (place[:, None] - place[None, :]).abs() <= (length if window is None else window)
    got = attend(query, key, value, attention_plan(length, window, query, mask))
    expected = dense(query, key, value, near[None] & mask[:, None, :]).float()
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=0)


@pytest.mark.usefixtures("with_gradients")
@pytest.mark.parametrize("key_length", [1, 7, 2500])
def test_cross_attention_in_blocks_sees_all_keys(key_length: int):
    query, _, _ = random_heads(150)
    _, key, value = random_heads(key_length)
    got = attend(query, key, value, cross_attention_plan(150, key_length, query))
    expected = dense(query, key, value, torch.ones(1, 150, key_length, dtype=torch.bool)).float()
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=0)


def test_a_long_band_leaves_out_keys_beyond_the_window():
    plan = attention_plan(2000, 128, torch.zeros(1))
    assert max(part.key_stop - part.key_start for part in plan) <= 3 * 128
    assert [part.start for part in plan[1:]] == [part.stop for part in plan[:-1]]
    assert all(isinstance(part, AttentionBlock) for part in plan)


def test_the_norm_is_rounded_before_the_weight_multiplies():
    norm = RMSNorm(64, 1e-6).bfloat16()
    norm.weight.data = draw(64, seed=1).bfloat16()
    x = draw(5, 64, seed=2).bfloat16()
    wide = x.float()
    expected = (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).bfloat16() * norm.weight
    assert torch.equal(norm(x), expected)


def test_rotation_turns_halves_against_each_other():
    positions = rotary(3, 4, 100.0, torch.zeros(1))
    angle = torch.tensor([2.0, 2.0 * 100.0**-0.5])
    x = draw(1, 3, 1, 4)
    first, second = x[0, 2, 0, :2], x[0, 2, 0, 2:]
    expected = torch.cat((first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()))
    torch.testing.assert_close(positions.rotate(x)[0, 2, 0], expected)
    assert isinstance(positions, Rotary)
