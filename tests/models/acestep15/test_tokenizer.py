"""Finite scalar quantisation and the audio tokenizer around it."""

from __future__ import annotations

import torch

from partita.models.acestep15.model import AceStepModel
from partita.models.acestep15.tokenizer import fsq_levels, index_to_levels, levels_to_index, levels_to_values
from tests.models.acestep15.small import draw, small_config

LEVELS = (8, 8, 8, 5, 5, 5)


def test_every_one_of_the_64000_codes_survives_decoding_and_encoding():
    indices = torch.arange(64000)
    values = levels_to_values(index_to_levels(indices, LEVELS), LEVELS)
    assert len(values.unique(dim=0)) == 64000
    limit = 1 + 1 / (torch.tensor(LEVELS) - 1)
    before_clamp = limit * torch.atanh(values / limit)
    assert torch.equal(levels_to_index(fsq_levels(before_clamp, LEVELS), LEVELS), indices)


def test_the_bound_is_soft_before_it_is_hard():
    # 3.5 * tanh(1.2) + 4 = 6.92 would be level 6; with the soft bound of 8/7 it is 7.13, level 7.
    projected = torch.tensor([[1.2, -1.2, 50.0, -50.0, 0.0, 0.0]])
    assert fsq_levels(projected, (8, 8, 8, 8, 5, 5)).tolist() == [[7, 0, 7, 0, 2, 2]]


def test_ends_of_the_code_range():
    assert index_to_levels(torch.tensor([0, 63999]), LEVELS).tolist() == [[0] * 6, [7, 7, 7, 4, 4, 4]]


@torch.no_grad()
def test_a_broken_window_is_filled_with_silence():
    torch.manual_seed(0)
    model = AceStepModel(small_config()).eval()
    latents, silence = draw(2, 23, 8), draw(1, 40, 8, seed=1)
    filled = torch.cat((latents, silence[:, :2].expand(2, -1, -1)), dim=1)
    codes = model.tokenizer(latents, silence)
    assert codes.shape == (2, 5)
    assert torch.equal(codes, model.tokenizer(filled, silence))
    assert model.hint_from_latents(latents, silence).shape == (2, 23, 8)


@torch.no_grad()
def test_each_code_is_detokenized_on_its_own():
    torch.manual_seed(0)
    model = AceStepModel(small_config()).eval()
    codes = torch.tensor([[0, 63999, 1234]])
    whole = model.hint_from_codes(codes)
    for place in range(3):
        alone = model.hint_from_codes(codes[:, place : place + 1])
        torch.testing.assert_close(whole[:, 5 * place : 5 * place + 5], alone, atol=2e-6, rtol=0)


@torch.no_grad()
def test_codes_do_not_depend_on_the_number_format_of_the_projection():
    torch.manual_seed(0)
    quantizer = AceStepModel(small_config()).tokenizer.quantizer.bfloat16()
    pooled = draw(50, 32).bfloat16()
    codes = quantizer.encode(pooled)
    assert torch.equal(codes, quantizer.float().encode(pooled.float()))
