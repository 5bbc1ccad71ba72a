"""The transformer: lengths, caches, masks, captured attention."""

from __future__ import annotations

import pytest
import torch

from partita.errors import ModelError
from partita.models.acestep15.dit import DiT
from tests.models.acestep15.small import draw, small_config


@pytest.fixture
def dit() -> DiT:
    torch.manual_seed(0)
    return DiT(small_config()).eval()


def inputs(frames: int, batch: int = 2, length: int = 6) -> tuple[torch.Tensor, ...]:
    return (
        draw(batch, frames, 8, seed=1),
        torch.tensor([0.9, 0.3])[:batch],
        draw(batch, length, 32, seed=2),
        draw(batch, frames, 16, seed=3),
    )


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 19])
def test_every_length_comes_back_as_given(dit: DiT, frames: int):
    x, t, condition, context = inputs(frames)
    assert dit(x, t, None, condition, context).shape == (2, frames, 8)


@torch.no_grad()
def test_an_odd_length_equals_an_appended_frame_of_zeros(dit: DiT):
    x, t, condition, context = inputs(19)
    odd = dit(x, t, None, condition, context)
    pad = torch.nn.functional.pad
    even = dit(pad(x, (0, 0, 0, 1)), t, None, condition, pad(context, (0, 0, 0, 1)))
    assert torch.equal(odd, even[:, :19])


@torch.no_grad()
def test_a_cached_condition_gives_the_same_bits(dit: DiT):
    x, t, condition, context = inputs(16)
    assert torch.equal(dit(x, t, None, dit.cross_cache(condition), context), dit(x, t, None, condition, context))


@torch.no_grad()
def test_r_left_out_is_t_and_the_second_time_matters(dit: DiT):
    x, t, condition, context = inputs(16)
    plain = dit(x, t, None, condition, context)
    torch.testing.assert_close(plain, dit(x, t, t, condition, context), atol=2e-6, rtol=0)
    assert not torch.allclose(plain, dit(x, t, t / 2, condition, context), atol=1e-3)


@torch.no_grad()
def test_items_of_a_batch_do_not_see_each_other(dit: DiT):
    x, t, condition, context = inputs(19)
    together = dit(x, t, None, condition, context)
    for item in range(2):
        one = slice(item, item + 1)
        alone = dit(x[one], t[one], None, condition[one], context[one])
        torch.testing.assert_close(together[one], alone, atol=2e-6, rtol=0)


@torch.no_grad()
def test_masked_padding_equals_a_condition_without_it(dit: DiT):
    x, t, condition, context = inputs(16)
    mask = torch.arange(6)[None] < torch.tensor([[6], [4]])
    masked = dit(x, t, None, condition, context, mask_condition_padding=mask)
    short = dit(x[1:], t[1:], None, condition[1:, :4], context[1:])
    torch.testing.assert_close(masked[1:], short, atol=2e-6, rtol=0)
    assert not torch.allclose(dit(x, t, None, condition, context)[1:], short, atol=1e-4)


@torch.no_grad()
def test_captured_maps_are_distributions_and_leave_the_velocity_alone(dit: DiT):
    x, t, condition, context = inputs(19)
    mask = torch.arange(6)[None] < torch.tensor([[6], [4]])
    heads = [(0, 1), (3, 0), (3, 3)]
    velocity, maps = dit(x, t, None, condition, context, mask_condition_padding=mask, capture=heads)
    assert list(maps) == heads
    for weights in maps.values():
        assert weights.shape == (2, 10, 6)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 10))
        assert weights[1, :, 4:].abs().max() == 0
    assert torch.equal(velocity, dit(x, t, None, condition, context, mask_condition_padding=mask))


@torch.no_grad()
def test_maps_alone_equal_the_captured_ones_and_run_no_layer_above_them(dit: DiT):
    x, t, condition, context = inputs(19)
    heads = [(0, 1), (2, 0), (2, 3)]
    _, captured = dit(x, t, None, condition, context, capture=heads)
    ran = []
    for index, layer in enumerate(dit.layers):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    maps = dit.attention_maps(x, t, None, condition, context, heads)
    assert list(maps) == heads
    assert all(torch.equal(maps[head], captured[head]) for head in heads)
    assert ran == [0, 1, 2]


def test_with_and_without_gradients_the_numbers_agree(dit: DiT):
    x, t, condition, context = inputs(300)
    velocity = dit(x, t, None, condition, context)
    with torch.no_grad():
        torch.testing.assert_close(velocity, dit(x, t, None, condition, context), atol=5e-6, rtol=0)


def test_every_weight_has_a_gradient(dit: DiT):
    x, t, condition, context = inputs(19)
    dit(x, t, t / 2, condition, context).square().mean().backward()
    lacking = [name for name, weight in dit.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert lacking == []


@torch.no_grad()
def test_time_is_multiplied_in_the_models_number_format():
    torch.manual_seed(0)
    embed = DiT(small_config()).bfloat16().time_embed
    # 1000 * 0.953125 = 953.125 rounds to 952 in bfloat16.
    angle = torch.tensor(952.0) * torch.exp(-torch.log(torch.tensor(10000.0)) * torch.arange(128) / 128)
    features = torch.cat((angle.cos(), angle.sin())).bfloat16()[None]
    expected = embed.linear_2(torch.nn.functional.silu(embed.linear_1(features)))
    got, _ = embed(torch.tensor([0.953125], dtype=torch.bfloat16))
    torch.testing.assert_close(got, expected, atol=2e-3, rtol=0)


def test_channels_that_do_not_fit_are_named(dit: DiT):
    x, t, condition, context = inputs(16)
    with pytest.raises(ModelError, match=r"24 channels.*15 \+ 8"):
        dit(x, t, None, condition, context[..., :15])
