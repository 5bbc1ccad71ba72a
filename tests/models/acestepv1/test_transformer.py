"""The transformer and its condition: names, positions and attentions written out, batches, masks, packing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from partita.errors import ModelError
from partita.models.acestepv1.conditioner import Conditioner, Context, batch_contexts
from partita.models.acestepv1.config import LyricEncoderConfig, TransformerConfig, Weaken
from partita.models.acestepv1.layers import (
    CrossAttention,
    Depthwise,
    LinearAttention,
    Pointwise,
    relu_attention,
    rotary,
)
from partita.models.acestepv1.transformer import Projectors, Transformer, unused_shapes
from partita.models.adapters import LoRADelta, adapted
from partita.weights.skeleton import skeleton
from tests.golden.runner import Status, check_file

MANIFEST = Path(__file__).parents[4] / "shared" / "manifests" / "ace-step-v1-transformer.json"
RECORDED = Path(__file__).parents[2] / "golden" / "data" / "v1"
SMALL = TransformerConfig(
    num_layers=3,
    num_attention_heads=2,
    attention_head_dim=16,
    speaker_embedding_dim=6,
    text_embedding_dim=10,
    lyric_encoder_vocab_size=30,
    lyric_hidden_size=16,
    lyric_encoder=LyricEncoderConfig(input_size=16, output_size=16, attention_heads=2, linear_units=24, num_blocks=2),
    ssl_latent_dims=(5, 4),
    ssl_encoder_depths=(1, 1),
)
NATIVE_BFLOAT16 = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(SMALL).eval()


def context(length: int, seed: int = 2) -> Context:
    return Context(draw(1, length, SMALL.width, seed=seed), torch.ones(1, length, dtype=torch.bool))


TIME = torch.tensor([640.0])


# Names and sizes


@pytest.mark.skipif(not MANIFEST.is_file(), reason="the manifests of published checkpoints are not here")
def test_every_published_tensor_has_its_place_and_shape() -> None:
    published = {name: tuple(shape) for name, (_, shape) in json.loads(MANIFEST.read_text("utf-8")).items()}
    config = TransformerConfig()
    with skeleton():
        parts = {"": [Conditioner(config), Transformer(config)], "projectors.": [Projectors(config)]}
    ours = unused_shapes(config)
    for prefix, networks in parts.items():
        for one in networks:
            ours |= {prefix + name: tuple(value.shape) for name, value in one.state_dict().items()}
    assert len(ours) == 874
    assert ours == published


PUBLISHED: dict[str, Any] = {
    "_class_name": "ACEStepTransformer2DModel",
    "attention_head_dim": 128,
    "in_channels": 8,
    "inner_dim": 2560,
    "lyric_encoder_vocab_size": 6693,
    "lyric_hidden_size": 1024,
    "max_height": 16,
    "max_position": 32768,
    "max_width": 32768,
    "mlp_ratio": 2.5,
    "num_attention_heads": 20,
    "num_layers": 24,
    "out_channels": 8,
    "patch_size": [16, 1],
    "rope_theta": 1000000.0,
    "speaker_embedding_dim": 512,
    "ssl_encoder_depths": [8, 8],
    "ssl_latent_dims": [1024, 768],
    "ssl_names": ["mert", "m-hubert"],
    "text_embedding_dim": 768,
}


def test_the_published_configuration_is_the_default() -> None:
    config = TransformerConfig.from_json(PUBLISHED)
    assert config == TransformerConfig()
    assert (config.width, config.feed_forward_width) == (2560, 6400)


def test_the_lyric_encoder_takes_the_width_of_its_embedding() -> None:
    config = TransformerConfig.from_json(PUBLISHED | {"lyric_hidden_size": 512})
    assert (config.lyric_encoder.input_size, config.lyric_encoder.output_size) == (512, 512)
    given = {"output_size": 32, "attention_heads": 4, "linear_units": 64}
    config = TransformerConfig.from_json(PUBLISHED | {"lyric_hidden_size": 32, "lyric_encoder": given})
    assert config.lyric_encoder == LyricEncoderConfig(
        input_size=32, output_size=32, attention_heads=4, linear_units=64, num_blocks=6
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_layers", "24"),
        ("num_layers", 0),
        ("num_layers", True),
        ("attention_head_dim", 127),
        ("mlp_ratio", -1),
        ("mlp_ratio", 1e-6),
        ("mlp_ratio", float("inf")),
        ("rope_theta", "large"),
        ("patch_size", [8, 1]),
        ("patch_size", 16),
        ("ssl_names", [1, 2]),
        ("ssl_names", ["mert"]),
        ("lyric_encoder", 6),
        ("in_channels", None),
        ("text_embedding_dim", None),
    ],
)
def test_a_bad_configuration_is_refused_by_its_key(key: str, value: object) -> None:
    values = PUBLISHED | {key: value}
    if value is None:
        del values[key]
    with pytest.raises(ModelError) as raised:
        TransformerConfig.from_json(values)
    assert raised.value.key == key


# Layers, written out


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 12), half=st.integers(1, 8), theta=st.sampled_from([100.0, 1e6]), seed=st.integers(0, 99))
def test_neighbours_turn_together_by_angles_laid_out_in_halves(length: int, half: int, theta: float, seed: int) -> None:
    dim = 2 * half
    x = draw(1, length, 2, dim, seed=seed)
    got = rotary(length, dim, theta, x).rotate(x)

    def angle(position: int, channel: int) -> float:
        return position * theta ** (-2 * (channel % half) / dim)

    for position in range(length):
        for m in range(half):
            own, other = float(x[0, position, 1, 2 * m]), float(x[0, position, 1, 2 * m + 1])
            even = own * math.cos(angle(position, 2 * m)) - other * math.sin(angle(position, 2 * m))
            odd = other * math.cos(angle(position, 2 * m + 1)) + own * math.sin(angle(position, 2 * m + 1))
            assert float(got[0, position, 1, 2 * m]) == pytest.approx(even, abs=1e-5)
            assert float(got[0, position, 1, 2 * m + 1]) == pytest.approx(odd, abs=1e-5)


def test_positions_in_half_precision_are_rounded_tables_and_a_product_in_float32() -> None:
    x = draw(1, 40, 2, 16).bfloat16()
    tables = rotary(40, 16, 1e6, x)
    assert torch.equal(tables.own, tables.own.bfloat16().float())
    exact = rotary(40, 16, 1e6, x.float())
    assert not torch.equal(tables.own, exact.own)
    wide = x.float()
    partner = torch.stack((wide[..., 1::2], wide[..., ::2]), dim=-1).flatten(-2)
    assert torch.equal(tables.rotate(x), (wide * tables.own + partner * tables.partner).bfloat16())


def test_linear_attention_is_a_double_loop() -> None:
    query, key, value = (draw(2, 6, 3, 4, seed=seed) for seed in range(3))
    got = relu_attention(query, key, value).unflatten(-1, (3, 4))
    for b, t, n in ((0, 0, 0), (1, 5, 2), (0, 3, 1)):
        weights = [float(key[b, s, n].relu() @ query[b, t, n].relu()) for s in range(6)]
        expected = sum(w * value[b, s, n] for s, w in enumerate(weights)) / (sum(weights) + 1e-15)
        assert torch.allclose(got[b, t, n], expected, atol=1e-5)


def test_linear_attention_of_half_precision_is_rounded_once() -> None:
    query, key, value = (draw(1, 30, 2, 8, seed=seed).bfloat16() for seed in range(3))
    got = relu_attention(query, key, value)
    assert torch.equal(got, relu_attention(query.float(), key.float(), value.float()).bfloat16())


def test_frames_of_padding_are_neither_read_nor_written() -> None:
    torch.manual_seed(0)
    layer, x = LinearAttention(32, 2).eval(), draw(1, 9, 32)
    mask = torch.tensor([1.0] * 6 + [0.0] * 3)[None, :, None]
    with torch.inference_mode():
        alone = layer(x[:, :6], rotary(6, 16, 1e6, x))
        padded = layer(x, rotary(9, 16, 1e6, x), mask)
        nothing = layer.to_out[0](torch.zeros(32))
    assert torch.allclose(alone, padded[:, :6], atol=1e-5)
    assert torch.equal(padded[:, 6:], nothing.expand(1, 3, 32))


def test_cross_attention_is_a_softmax_over_what_is_seen() -> None:
    torch.manual_seed(0)
    layer, x, other = CrossAttention(32, 2).eval(), draw(1, 4, 32), draw(1, 5, 32, seed=2)
    here, there = rotary(4, 16, 1e6, x), rotary(5, 16, 1e6, x)
    seen = torch.tensor([[True, False, True, True, False]])
    with torch.inference_mode():
        got = layer(x, *layer.keys_values(other, there), here, seen)
        query = here.rotate(layer.to_q(x).unflatten(-1, (2, 16)))[0]
        key = there.rotate(layer.to_k(other).unflatten(-1, (2, 16)))[0]
        value = layer.to_v(other).unflatten(-1, (2, 16))[0]
        out = torch.zeros(4, 2, 16)
        for n in range(2):
            weights = (query[:, n] @ key[seen[0], n].T / 4).softmax(-1)
            out[:, n] = weights @ value[seen[0], n]
        assert torch.allclose(got, layer.to_out[0](out.flatten(1))[None], atol=1e-5)


def test_convolutions_without_transposing_are_convolutions() -> None:
    torch.manual_seed(0)
    depthwise, pointwise, x = Depthwise(6), Pointwise(6, 4, bias=True, activation="swish"), draw(2, 7, 6)
    with torch.inference_mode():
        assert torch.allclose(depthwise(x), depthwise.conv(x.transpose(1, 2)).transpose(1, 2), atol=1e-6)
        expected = F.silu(pointwise.conv(x.transpose(1, 2)).transpose(1, 2))
        assert torch.allclose(pointwise(x), expected, atol=1e-6)


def test_patches_are_the_three_published_layers() -> None:
    embedding, latents = network().proj_in, draw(2, 8, 16, 5)
    with torch.inference_mode():
        expected = embedding.early_conv_layers(latents).flatten(2).transpose(1, 2)
        assert torch.allclose(embedding(latents), expected, atol=1e-5)


def test_the_last_layer_writes_row_by_row() -> None:
    layer = network().final_layer
    with torch.inference_mode():
        layer.linear.weight.zero_()
        layer.linear.bias.copy_(torch.arange(128.0))
        out = layer(draw(1, 3, SMALL.width), draw(1, SMALL.width))
    assert out.shape == (1, 8, 16, 3)
    assert all(float(out[0, c, p, 1]) == 8 * p + c for c in range(8) for p in range(16))


# The whole network


def test_one_cache_serves_all_steps_and_parts_of_a_batch() -> None:
    net, latents = network(), draw(2, 8, 16, 7)
    both = Context(draw(2, 6, SMALL.width), torch.tensor([[True] * 6, [True] * 4 + [False] * 2]))
    times = torch.tensor([900.0, 300.0])
    with torch.inference_mode():
        cache = net.cross_cache(both)
        first = net(latents, times, cache)
        assert torch.equal(net(latents, times, cache), first)
        for row in range(2):
            one = slice(row, row + 1)
            alone = net(latents[one], times[one], net.cross_cache(Context(both.hidden[one], both.mask[one])))
            part = net(latents[one], times[one], cache.rows(row, row + 1))
            assert torch.equal(part, alone)
            assert torch.allclose(first[one], alone, atol=2e-5)


def test_contexts_of_other_lengths_can_share_a_batch() -> None:
    net, latents, contexts = network(), draw(1, 8, 16, 7), [context(4, 3), context(9, 4)]
    with torch.inference_mode():
        both = net(latents.expand(2, -1, -1, -1), TIME.expand(2), net.cross_cache(batch_contexts(contexts)))
        alone = [net(latents, TIME, net.cross_cache(one)) for one in contexts]
    assert torch.allclose(both, torch.cat(alone), atol=2e-5)
    assert (alone[0] - alone[1]).abs().max() > 1e-3


def test_what_is_masked_in_a_context_is_not_seen() -> None:
    net, latents = network(), draw(1, 8, 16, 5)
    hidden = draw(1, 6, SMALL.width)
    mask = torch.tensor([[True, True, False, True, True, True]])
    other = hidden.clone()
    other[:, 2] = 100.0
    with torch.inference_mode():
        one, two = (net(latents, TIME, net.cross_cache(Context(states, mask))) for states in (hidden, other))
    assert torch.equal(one, two)


def test_the_mask_of_a_context_that_is_all_seen_costs_nothing() -> None:
    assert network().cross_cache(context(3)).mask is None


def test_rows_can_be_weakened_apart() -> None:
    net, latents = network(), draw(1, 8, 16, 7)
    weaken = Weaken(0.01, 1, 3)
    with torch.inference_mode():
        cache = net.cross_cache(batch_contexts([context(5), context(5)]))
        both = net(latents.expand(2, -1, -1, -1), TIME.expand(2), cache, weaken=[None, weaken])
        plain = net(latents, TIME, cache.rows(0, 1))
        weak = net(latents, TIME, cache.rows(0, 1), weaken=weaken)
    assert torch.allclose(both, torch.cat((plain, weak)), atol=2e-5)
    assert (plain - weak).abs().max() > 1e-4


def test_weakened_queries_are_those_of_scaled_weights() -> None:
    net, latents = network(), draw(1, 8, 16, 7)
    with torch.inference_mode():
        cache = net.cross_cache(context(5))
        weak = net(latents, TIME, cache, weaken=Weaken(0.1, 0, 2))
        for block in net.blocks[:2]:
            for layer in (block.attn.to_q, block.cross_attn.to_q):
                layer.weight *= 0.1
                layer.bias *= 0.1
        assert torch.allclose(weak, net(latents, TIME, cache), atol=1e-5)


@pytest.mark.parametrize("length", [3, 7, 12])
def test_the_velocity_is_cut_or_padded_on_the_right(length: int) -> None:
    net, latents = network(), draw(1, 8, 16, 7)
    with torch.inference_mode():
        cache = net.cross_cache(context(5))
        whole, got = net(latents, TIME, cache), net(latents, TIME, cache, output_length=length)
    assert got.shape[-1] == length
    shared = min(length, 7)
    assert torch.equal(got[..., :shared], whole[..., :shared])
    assert not got[..., shared:].any()


def test_a_control_is_matched_to_the_tokens_and_counts_by_its_scale() -> None:
    net, latents, control = network(), draw(1, 8, 16, 7), draw(1, 7, SMALL.width)
    with torch.inference_mode():
        cache = net.cross_cache(context(5))
        run = lambda control, scale: net(latents, TIME, cache, control=control, control_scale=scale)  # noqa: E731
        assert torch.equal(run(control, 0.0), net(latents, TIME, cache))
        assert torch.allclose(run(control, 0.5), run(control * 3 + 8, 0.5), atol=1e-4)
        assert (run(control, 0.5) - run(control, 0.0)).abs().max() > 1e-3


def test_latents_and_rows_that_do_not_fit_are_refused() -> None:
    net = network()
    with torch.inference_mode():
        cache = net.cross_cache(context(5))
        with pytest.raises(ModelError, match=r"\[1, 4, 16, 7\]"):
            net(draw(1, 4, 16, 7), TIME, cache)
        with pytest.raises(ModelError, match="2 latents"):
            net(draw(2, 8, 16, 7), TIME.expand(2), cache)


def test_a_condition_is_speaker_text_and_lyrics_in_this_order() -> None:
    torch.manual_seed(0)
    conditioner = Conditioner(SMALL).eval()
    text, speaker, ids = draw(2, 4, 10), draw(2, 6), torch.tensor([[3, 4, 5], [6, 0, 0]])
    text_mask, lyric_mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    with torch.inference_mode():
        whole = conditioner(text, text_mask, speaker, ids, lyric_mask)
        assert torch.equal(whole.hidden[:, 0], conditioner.speaker_embedder(speaker))
        assert torch.equal(whole.hidden[:, 1:5], conditioner.genre_embedder(text))
        other = conditioner(text, text_mask, speaker, ids.flip(0), lyric_mask)
    assert whole.mask.tolist() == [
        [True, True, True, True, False, True, True, True],
        [True, True, True, True, True, True, False, False],
    ]
    assert torch.equal(other.hidden[:, :5], whole.hidden[:, :5])
    assert not torch.equal(other.hidden[:, 5:], whole.hidden[:, 5:])


def test_half_precision_is_near() -> None:
    net, latents = network(), draw(1, 8, 16, 9)
    with torch.inference_mode():
        whole = net(latents, TIME, net.cross_cache(context(5)))
        half = net.bfloat16()
        got = half(latents, TIME, half.cross_cache(context(5)))
    assert got.dtype == torch.bfloat16
    assert (got.float() - whole).norm() / whole.norm() < 0.02


# Packing


@pytest.mark.skipif(not NATIVE_BFLOAT16, reason="this processor does not multiply bfloat16")
def test_packed_weights_give_what_plain_ones_give() -> None:
    net, latents = network().bfloat16().requires_grad_(False), draw(1, 8, 16, 9)
    with torch.inference_mode():
        cache = net.cross_cache(context(5))
        plain, kept = net(latents, TIME, cache).float(), set(net.state_dict())
        packed = net.prepare()(latents, TIME, cache).float()
        assert set(net.state_dict()) == kept
        assert (packed - plain).norm() / plain.norm() < 0.01
        for block in net.blocks:
            block.ff.inverted_conv.conv.weight.zero_()
        assert torch.equal(net(latents, TIME, cache).float(), packed), "the packed copy is what is multiplied"


@pytest.mark.parametrize("merge", [True, False])
def test_an_adapter_changes_a_packed_network(merge: bool) -> None:
    net, latents = network().bfloat16().requires_grad_(False), draw(1, 8, 16, 9)
    names = ("transformer_blocks.1.attn.to_q", "transformer_blocks.0.cross_attn.to_out.0")
    deltas = {name: LoRADelta(draw(2, 32, seed=5), draw(32, 2, seed=6), 0.2) for name in names}
    with torch.inference_mode():
        cache = net.cross_cache(context(5))
        plain = net(latents, TIME, cache).float()
        with adapted(net, [(deltas, 1.0)], merge=merge) as changed:
            expected = changed(latents, TIME, cache).float()
        net.prepare()
        with adapted(net, [(deltas, 1.0)], merge=merge) as changed:
            got = changed(latents, TIME, cache).float()
    assert (got - expected).norm() / expected.norm() < 0.01
    assert (plain - expected).norm() / expected.norm() > 0.05


def test_packing_leaves_other_formats_alone() -> None:
    net, latents = network(), draw(1, 8, 16, 9)
    with torch.inference_mode():
        cache = net.cross_cache(context(5))
        assert torch.equal(net(latents, TIME, cache), net.prepare()(latents, TIME, cache))


# Training


def test_gradients_reach_every_parameter_with_and_without_recomputation() -> None:
    latents, gradients = draw(1, 8, 16, 6), []
    for again in (False, True):
        net = network()
        net.checkpoint_blocks = again
        net(latents, TIME, net.cross_cache(context(5))).square().mean().backward()
        gradients.append({name: one.grad for name, one in net.named_parameters()})
    for name, plain in gradients[0].items():
        assert plain is not None, name
        assert torch.allclose(plain, gradients[1][name], atol=1e-6), name


def test_projections_are_judged_by_their_direction() -> None:
    heads = Projectors(SMALL)
    heads[0] = nn.Identity()
    states = draw(2, 6, 5)
    near = [3 * states[0], 0.5 * states[1]]
    assert float(heads.loss(0, states, near)) == pytest.approx(0, abs=1e-6)
    assert float(heads.loss(0, states, [-one for one in near])) == pytest.approx(2, abs=1e-6)
    assert float(heads.loss(0, states, [near[0], -near[1]])) == pytest.approx(1, abs=1e-6)
    longer = [F.interpolate(states[b].T[None], size=11, mode="linear")[0].T for b in range(2)]
    assert float(heads.loss(0, states, longer)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["attention", "transformer", "pipeline_weights"])
def test_recorded_numbers_of_the_original_are_met(name: str) -> None:
    rows = check_file(RECORDED / f"{name}.safetensors")
    assert rows
    assert [row.line() for row in rows if row.status is not Status.PASS] == []
