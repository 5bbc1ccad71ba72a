"""The lyric encoder against its formulas, written out; masks, weakened queries, dropout."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from partita.errors import ModelError
from partita.models.acestepv1 import lyric_encoder
from partita.models.acestepv1.config import LyricEncoderConfig, Weaken
from partita.models.acestepv1.lyric_encoder import LyricEncoder, RelativeAttention, relative_positions
from tests.golden.runner import Status, check_file

RECORDED = Path(__file__).parents[2] / "golden" / "data" / "v1"
SMALL = LyricEncoderConfig(input_size=12, output_size=16, attention_heads=2, linear_units=24, num_blocks=3)


def encoder(seed: int = 0) -> LyricEncoder:
    torch.manual_seed(seed)
    return LyricEncoder(SMALL).eval()


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seen(*rows: list[int]) -> Tensor:
    return torch.tensor(rows)


def attention_by_loops(layer: RelativeAttention, x: Tensor, mask: list[int]) -> Tensor:
    """One item `[L, D]`, query by query and key by key, with the sinusoids of each distance i - j in float64."""
    length, width = x.shape
    heads, dim = layer.heads, width // layer.heads
    query, key, value = (one(x).double() for one in (layer.linear_q, layer.linear_k, layer.linear_v))
    out = torch.zeros(length, width, dtype=torch.float64)
    for head in range(heads):
        part = slice(head * dim, (head + 1) * dim)
        u, v = layer.pos_bias_u[head].double(), layer.pos_bias_v[head].double()
        for i in range(length):
            scores = []
            for j in range(length):
                angles = [(i - j) * math.exp(-2 * n * math.log(1e4) / width) for n in range(width // 2)]
                table = torch.tensor([f(angle) for angle in angles for f in (math.sin, math.cos)], dtype=torch.float64)
                place = (layer.linear_pos.weight.double() @ table)[part]
                total = (query[i, part] + u) @ key[j, part] + (query[i, part] + v) @ place
                scores.append(total / math.sqrt(dim) if mask[j] else total * 0 - math.inf)
            if any(mask):
                out[i, part] = torch.stack(scores).softmax(0) @ value[:, part]
    return F.linear(out, layer.linear_out.weight.double(), layer.linear_out.bias.double())


@pytest.mark.parametrize("block", [1, 3, 100])
@pytest.mark.parametrize("mask", [[1] * 7, [1, 1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 1, 1, 1], [0] * 7])
def test_attention_scores_content_and_distance(block: int, mask: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lyric_encoder, "QUERY_BLOCK", block)
    torch.manual_seed(0)
    layer, x = RelativeAttention(16, 2).eval(), draw(7, 16)
    with torch.inference_mode():
        hidden = ~seen(mask).bool()[:, None, None, :]
        got = layer(x[None], hidden, relative_positions(7, 16, x))[0]
        assert torch.allclose(got.double(), attention_by_loops(layer, x, mask), atol=1e-5)


def test_what_is_masked_at_the_end_changes_nothing_before_it() -> None:
    network, x = encoder(), draw(1, 5, 12)
    longer = torch.cat((x, draw(1, 4, 12, seed=2)), dim=1)
    with torch.inference_mode():
        alone = network(x, seen([1] * 5))
        padded = network(longer, seen([1] * 5 + [0] * 4))
    assert torch.allclose(alone, padded[:, :5], atol=1e-5)


def test_an_item_without_lyrics_is_finite_and_leaves_its_neighbour_alone() -> None:
    network, x = encoder(), draw(2, 5, 12)
    with torch.inference_mode():
        both = network(x, seen([1] * 5, [0] * 5))
        alone = network(x[:1], seen([1] * 5))
    assert both.isfinite().all()
    assert torch.allclose(both[:1], alone, atol=1e-5)


def test_gradients_are_finite_where_all_is_masked() -> None:
    network = encoder()
    network(draw(1, 4, 12), seen([0] * 4)).square().sum().backward()
    assert all(one.grad is None or one.grad.isfinite().all() for one in network.parameters())


def test_weakened_queries_are_those_of_scaled_weights() -> None:
    network, x, mask = encoder(), draw(1, 6, 12), seen([1] * 6)
    with torch.inference_mode():
        got = network(x, mask, weaken=Weaken(0.1, 1, 3))
        plain = network(x, mask)
        for block in network.blocks[1:3]:
            block.self_attn.linear_q.weight *= 0.1
            block.self_attn.linear_q.bias *= 0.1
        assert torch.allclose(got, network(x, mask), atol=1e-5)
    assert (got - plain).abs().max() > 1e-3


def test_every_stage_is_shown() -> None:
    network, stages = encoder(), dict[str, Tensor]()
    with torch.inference_mode():
        out = network(draw(1, 3, 12), seen([1] * 3), see=stages.__setitem__)
        assert list(stages) == ["embed", "block_0", "block_1", "block_2"]
        assert torch.equal(network.after_norm(stages["block_2"]), out)


def test_dropout_is_for_training() -> None:
    network, x, mask = encoder(), draw(1, 6, 12), seen([1] * 6)
    with torch.inference_mode():
        assert torch.equal(network(x, mask), network(x, mask))
        network.train()
        assert not torch.equal(network(x, mask), network(x, mask))


def test_half_precision_stays_what_it_is_and_near() -> None:
    network, x, mask = encoder(), draw(1, 9, 12), seen([1] * 9)
    with torch.inference_mode():
        whole = network(x, mask)
        half = network.bfloat16()(x.bfloat16(), mask)
    assert half.dtype == torch.bfloat16
    assert (half.float() - whole).abs().max() < 0.1


@pytest.mark.parametrize("name", ["output_size", "num_blocks", "attention_heads"])
def test_sizes_that_are_no_sizes_are_refused_by_name(name: str) -> None:
    with pytest.raises(ModelError) as raised:
        replace(SMALL, **{name: 0})
    assert raised.value.key == f"lyric_encoder.{name}"


def test_recorded_numbers_of_the_original_are_met() -> None:
    rows = check_file(RECORDED / "lyric_encoder.safetensors")
    assert rows
    assert [row.line() for row in rows if row.status is not Status.PASS] == []
