"""The lyric encoder of ACE-Step v1: a Conformer without its convolution, over embedded lyric tokens.

Attention sees everything, with relative positions after Transformer-XL (https://arxiv.org/abs/1901.02860, section
3.3). It knows neither text nor tokenizer. Shapes: `[B, L, D]`; sizes from `LyricEncoderConfig`, parameter names as
published.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.models.acestepv1.config import LyricEncoderConfig, Weaken

DROPOUT = 0.1  # in training
QUERY_BLOCK = 512  # queries at once, so that scores of long lyrics stay small


def relative_positions(length: int, width: int, like: Tensor) -> Tensor:
    """Sinusoids of the distances length - 1 down to 1 - length, `[2 * length - 1, width]`, computed in float32."""
    distance = torch.arange(length - 1, -length, -1, dtype=torch.float32, device=like.device)
    place = torch.arange(0, width, 2, dtype=torch.float32, device=like.device)
    angle = distance[:, None] * torch.exp(place * -(math.log(10000.0) / width))
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).to(like.dtype)


class RelativeAttention(nn.Module):
    """Attention whose scores are of content, and of the distance from query to key."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.randn(heads, width // heads) / width**0.5)
        self.pos_bias_v = nn.Parameter(torch.randn(heads, width // heads) / width**0.5)

    def forward(self, x: Tensor, hidden: Tensor, positions: Tensor, factor: float = 1.0) -> Tensor:
        """`x` `[B, L, D]` -> the same shape. `hidden` bool `[B, 1, 1, L]`: keys not to be seen; a row that sees none
        gets zeros. `positions` `[2 L - 1, D]`. `factor` multiplies the queries before the biases are added."""
        query = self.linear_q(x)
        query = (query if factor == 1.0 else query * factor).unflatten(-1, (self.heads, -1))
        key = self.linear_k(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        value = self.linear_v(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        place = self.linear_pos(positions).unflatten(-1, (self.heads, -1)).transpose(0, 1)
        by_content = (query + self.pos_bias_u).transpose(1, 2)
        by_place = (query + self.pos_bias_v).transpose(1, 2)
        length = x.shape[1]
        parts = []
        for start in range(0, length, QUERY_BLOCK):
            stop = min(start + QUERY_BLOCK, length)
            near = place[:, length - stop : 2 * length - 1 - start]  # the distances that these queries have to a key
            scores = torch.matmul(by_content[:, :, start:stop], key.transpose(-2, -1))
            scores = scores + _by_distance(torch.matmul(by_place[:, :, start:stop], near.transpose(-2, -1)), length)
            scores = (scores / math.sqrt(value.shape[-1])).masked_fill(hidden, -torch.inf)
            weights = scores.softmax(dim=-1).masked_fill(hidden, 0.0)
            parts.append(torch.matmul(weights, value))
        out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return self.linear_out(out.transpose(1, 2).flatten(2))


def _by_distance(products: Tensor, length: int) -> Tensor:
    """Products `[B, N, c, c + length - 1]` of c queries with falling distances -> `[B, N, c, length]` with keys.

    Query a has its distance to key j in column `c - 1 - a + j`: rows of the same memory that begin one earlier each.
    """
    batch, heads, count, columns = products.shape
    products = products.contiguous()
    strides = (heads * count * columns, count * columns, columns - 1, 1)
    return products.as_strided((batch, heads, count, length), strides, products.storage_offset() + count - 1)


class FeedForward(nn.Module):
    """`w_2(silu(w_1(x)))`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, hidden)
        self.w_2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(self.dropout(F.silu(self.w_1(x))))


class EncoderBlock(nn.Module):
    """Attention and feed-forward, each normalised before and added to the stream."""

    def __init__(self, config: LyricEncoderConfig) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(config.output_size, config.attention_heads)
        self.feed_forward = FeedForward(config.output_size, config.linear_units)
        self.norm_ff = nn.LayerNorm(config.output_size, eps=1e-5)
        self.norm_mha = nn.LayerNorm(config.output_size, eps=1e-5)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, hidden: Tensor, positions: Tensor, factor: float = 1.0) -> Tensor:
        x = x + self.dropout(self.self_attn(self.norm_mha(x), hidden, positions, factor))
        return x + self.dropout(self.feed_forward(self.norm_ff(x)))


class InputLayer(nn.Module):
    """A linear layer and a norm; what comes out is scaled by the root of its width."""

    def __init__(self, config: LyricEncoderConfig) -> None:
        super().__init__()
        width = config.output_size
        self.out = nn.Sequential(nn.Linear(config.input_size, width), nn.LayerNorm(width, eps=1e-5))
        self.scale = math.sqrt(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.out(x), DROPOUT, self.training) * self.scale


class LyricEncoder(nn.Module):
    """Input layer, blocks, last norm."""

    def __init__(self, config: LyricEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = InputLayer(config)
        self.encoders = nn.ModuleList(EncoderBlock(config) for _ in range(config.num_blocks))
        self.after_norm = nn.LayerNorm(config.output_size, eps=1e-5)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        *,
        weaken: Weaken | None = None,
        see: Callable[[str, Tensor], None] | None = None,
    ) -> Tensor:
        """`x` `[B, L, input]` and `mask` `[B, L]`, true or 1 where a token stands -> `[B, L, D]`.

        An item that is masked throughout gets finite states: its attention adds nothing. `weaken` multiplies queries.
        `see` is handed what comes out of each stage: `embed`, `block_<i>`.
        """
        x = self.embed(x)
        _show(see, "embed", x)
        x = F.dropout(x, DROPOUT, self.training)
        positions = F.dropout(relative_positions(x.shape[1], x.shape[2], x), DROPOUT, self.training)
        hidden = ~mask.bool()[:, None, None, :]
        for index, block in enumerate(self.blocks):
            x = block(x, hidden, positions, 1.0 if weaken is None else weaken.factor_of(index))
            _show(see, f"block_{index}", x)
        return self.after_norm(x)

    @property
    def blocks(self) -> list[EncoderBlock]:
        """The blocks, with their type."""
        return [cast(EncoderBlock, block) for block in self.encoders]


def _show(see: Callable[[str, Tensor], None] | None, name: str, value: Tensor) -> None:
    if see is not None:
        see(name, value)
