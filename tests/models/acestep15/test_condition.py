"""Packing, references, the class token of XL models, context."""

from __future__ import annotations

import pytest
import torch

from partita.models.acestep15.condition import (
    ConditionEncoder,
    PackedCondition,
    TimbreEncoder,
    context_latents,
    pack,
    unpack_references,
)
from partita.models.acestep15.layers import run_encoder
from tests.models.acestep15.small import draw, small_config


def labelled(rows: list[list[int]], masks: list[list[int]]) -> PackedCondition:
    return PackedCondition(torch.tensor(rows).unsqueeze(-1), torch.tensor(masks))


def test_packing_puts_valid_positions_first_in_their_order():
    first = labelled([[1, 2, 3], [1, 2, 3]], [[1, 1, 0], [1, 0, 1]])
    second = labelled([[4, 5], [4, 5]], [[1, 1], [0, 1]])
    packed = pack(first, second)
    assert packed.hidden.squeeze(-1).tolist() == [[1, 2, 4, 5, 3], [1, 3, 5, 2, 4]]
    assert packed.mask.tolist() == [[True] * 4 + [False], [True] * 3 + [False] * 2]


def test_references_go_to_their_owners_in_their_order():
    unpacked = unpack_references(torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([1, 0, 1, 1]), 3)
    assert unpacked.hidden.squeeze(-1).tolist() == [[2, 0, 0], [1, 3, 4], [0, 0, 0]]
    assert unpacked.mask.tolist() == [[True, False, False], [True] * 3, [False] * 3]


@torch.no_grad()
@pytest.mark.parametrize("class_token", [False, True])
def test_the_class_token_has_a_part_only_in_xl_models(class_token: bool):
    torch.manual_seed(0)
    encoder = TimbreEncoder(small_config(timbre_class_token=class_token))
    references = draw(3, 13, 8)
    before = encoder(references)
    encoder.special_token += draw(1, 1, 32, seed=5)
    assert torch.allclose(before, encoder(references)) is not class_token


@torch.no_grad()
@pytest.mark.parametrize("class_token", [False, True])
def test_the_timbre_is_the_first_position_of_a_full_run(class_token: bool):
    torch.manual_seed(0)
    config = small_config(timbre_class_token=class_token)
    encoder = TimbreEncoder(config)
    references = draw(2, 200, 8)
    x = encoder.embed_tokens(references)
    if class_token:
        x = torch.cat((encoder.special_token.expand(2, 1, -1), x), dim=1)
    everything = run_encoder(
        encoder.layers, x, [config.window(layer) for layer in range(4)], config.rope_theta, config.head_dim
    )
    torch.testing.assert_close(encoder(references), encoder.norm(everything)[:, 0], atol=2e-6, rtol=0)


@torch.no_grad()
def test_an_item_is_encoded_the_same_alone_and_padded_in_a_batch():
    torch.manual_seed(0)
    encoder = ConditionEncoder(small_config())
    text, lyrics = draw(2, 5, 16, seed=1), draw(2, 9, 16, seed=2)
    references, owner = draw(3, 13, 8, seed=3), torch.tensor([0, 1, 0])
    text_mask = torch.arange(5)[None] < torch.tensor([[5], [3]])
    lyric_mask = torch.arange(9)[None] < torch.tensor([[9], [4]])
    both = encoder(text, text_mask, lyrics, lyric_mask, references, owner)
    assert both.hidden.shape == (2, 9 + 2 + 5, 32)
    assert both.mask.sum(1).tolist() == [16, 4 + 1 + 3]
    ones = torch.ones(1, 9)
    alone = encoder(text[1:, :3], ones[:, :3], lyrics[1:, :4], ones[:, :4], references[1:2], torch.tensor([0]))
    torch.testing.assert_close(both.hidden[1:, :8], alone.hidden, atol=2e-6, rtol=0)


def test_context_takes_the_hint_for_covers_alone():
    source, hint = torch.zeros(2, 4, 3), torch.ones(2, 6, 3)
    chunk_mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    context = context_latents(source, chunk_mask, hint, torch.tensor([False, True]))
    assert context.shape == (2, 4, 6)
    assert context[..., :3].mean((1, 2)).tolist() == [0, 1]
    assert context[..., 3:].mean(-1).tolist() == chunk_mask.tolist()
