"""The built-in model's ear for captions: a linear model of a text's tokens and of pairs of them.

Says how likely each style, energy and instrument is. Words such as "no drums" or "fretless bass" decide here, not
meaning, and a linear model learns them in seconds (Joulin et al., arXiv:1607.01759) where a small transformer, tried,
took hours for less. Knows nothing of tokenizers or music. Shapes: tokens `[B, S]`; R roles of at most P programs each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

ROLE_COUNT = 6
PROGRAM_COUNT = 16
STYLE_COUNT = 21
ENERGY_COUNT = 3
PAIR_ROWS = 32768
"""Usual rows of the table that pairs of tokens share, by hashing."""

_SIZES = (STYLE_COUNT, ENERGY_COUNT, ROLE_COUNT, ROLE_COUNT * PROGRAM_COUNT)


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """Logits of styles `[B, 21]`, energies `[B, 3]`, whether a role plays `[B, R]`, and its programs `[B, R, P]`."""

    style: Tensor
    energy: Tensor
    presence: Tensor
    programs: Tensor


class CaptionReader(nn.Module):
    """Logits are sums of table rows: one a token, one a pair of tokens next, or next but one, to each other."""

    def __init__(self, vocab_size: int, pair_rows: int = PAIR_ROWS) -> None:
        super().__init__()
        self.vocab_size, self.pair_rows = vocab_size, pair_rows
        self.table = nn.Embedding(vocab_size + pair_rows, sum(_SIZES))
        self.bias = nn.Parameter(torch.zeros(sum(_SIZES)))

    def forward(self, tokens: Tensor, mask: Tensor) -> Likelihoods:
        """Read tokens `[B, S]`, of which those are text where `mask` `[B, S]` (bool) is true."""
        logits = self.bias + (self.table(tokens) * mask[..., None]).sum(dim=1)
        for distance in (1, 2):
            first, second = tokens[:, :-distance], tokens[:, distance:]
            rows = self.vocab_size + (first * 31 + second * 1009 + distance * 7919) % self.pair_rows
            logits = logits + (self.table(rows) * mask[:, distance:, None]).sum(dim=1)
        style, energy, presence, programs = logits.split(_SIZES, dim=-1)
        return Likelihoods(style, energy, presence, programs.unflatten(-1, (ROLE_COUNT, PROGRAM_COUNT)))
