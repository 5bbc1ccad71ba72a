"""What every network of ACE-Step 1.5 is made of: norm, rotary positions, attention, gated MLP, encoder layer.

These are the layers of Qwen3 without causality. They know shapes and masks, nothing of music, files or checkpoints.
Shapes: `[B, S, D]` between layers, `[B, heads, S, head_dim]` inside attention. Parameter names are the published ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.models.acestep15.config import BlockSize

QUERY_BLOCK = 128  # queries per block on a CPU: the scores of one block stay in the cache


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last axis: float32 inside, cast to the input's format, then the weight."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # Without a weight F.rms_norm casts back first, which is the published order of rounding.
        return F.rms_norm(x, (x.shape[-1],), None, self.eps) * self.weight


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines of positions, `[S, head_dim]` or `[B, S, head_dim]`, in the number format of the queries."""

    cos: Tensor
    sin: Tensor

    def rotate(self, x: Tensor) -> Tensor:
        """Rotate `[B, S, heads, head_dim]` in the half-split layout."""
        cos, sin = self.cos.unsqueeze(-2), self.sin.unsqueeze(-2)
        first, second = x.chunk(2, dim=-1)
        return torch.addcmul(x * cos, torch.cat((-second, first), dim=-1), sin)


def rotary(length: int, head_dim: int, theta: float, like: Tensor) -> Rotary:
    """Rotary positions 0..length-1, computed in float32 and cast to the format of `like`."""
    exponent = torch.arange(0, head_dim, 2, dtype=torch.float32, device=like.device) / head_dim
    angle = torch.arange(length, dtype=torch.float32, device=like.device)[:, None] * theta**-exponent
    angle = torch.cat((angle, angle), dim=-1)
    return Rotary(angle.cos().to(like.dtype), angle.sin().to(like.dtype))


@dataclass(frozen=True)
class AttentionBlock:
    """Queries `start:stop` look at keys `key_start:key_stop`, plus `mask` (additive, broadcast over heads) if any."""

    start: int
    stop: int
    key_start: int
    key_stop: int
    mask: Tensor | None


def attention_plan(
    length: int, window: int | None, like: Tensor, key_mask: Tensor | None = None, *, causal: bool = False
) -> Sequence[AttentionBlock]:
    """Blocks that cover self-attention over `length` positions; computed once and shared by all layers of a kind.

    `window`: keep `|i-j| <= window`, or everything if `None`. `key_mask`: `[B, length]`, true where a key may be seen.
    Keys out of reach of a whole block are left out instead of masked, save where `key_mask` is given: a padded row
    whose window holds only padding then sees every key alike, as in the reference with its finite mask value.
    """
    if window is not None and window >= length - 1:
        window = None
    if window is None and not causal:
        return cross_attention_plan(length, length, like, key_mask)
    block = max(QUERY_BLOCK, window or 0)
    if block >= length:
        block = length
    back = length if window is None else window
    ahead = 0 if causal else back
    plan = []
    for start in range(0, length, block):
        stop = min(start + block, length)
        key_start, key_stop = (0, length) if key_mask is not None else (max(0, start - back), min(length, stop + ahead))
        query = torch.arange(start, stop, device=like.device)[:, None]
        key = torch.arange(key_start, key_stop, device=like.device)[None, :]
        seen = ((key - query <= ahead) & (query - key <= back))[None]
        if key_mask is not None:
            seen = seen & key_mask[:, None, :]
        plan.append(AttentionBlock(start, stop, key_start, key_stop, additive_mask(seen, like.dtype)))
    return plan


def cross_attention_plan(
    length: int, key_length: int, like: Tensor, key_mask: Tensor | None = None
) -> Sequence[AttentionBlock]:
    """Blocks for `length` queries that see all `key_length` keys, save where `key_mask` `[B, key_length]` is false."""
    mask = None if key_mask is None else additive_mask(key_mask[:, None, :], like.dtype)
    # A whole number of equal blocks; long key rows get fewer queries so that a block keeps its size.
    block = min(max(length, 1), max(16, QUERY_BLOCK * 1024 // max(key_length, 512)))
    return [AttentionBlock(start, min(start + block, length), 0, key_length, mask) for start in range(0, length, block)]


def additive_mask(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `seen`, else the lowest finite number: a row without any key becomes uniform instead of NaN."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)


def attend(query: Tensor, key: Tensor, value: Tensor, plan: Sequence[AttentionBlock]) -> Tensor:
    """Grouped-query attention. query `[B, S, N, d]`, key and value `[B, L, G, d]` -> `[B, S, N * d]`.

    On a CPU without gradients each block is two batched matrix products and a softmax: with bfloat16 this took 0.4
    of the time of `scaled_dot_product_attention` at S = 375, N = 16, G = 8, d = 128 on two cores. Elsewhere that
    kernel is used.
    """
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    by_products = query.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
    one_block = _attend_by_products if by_products else _attend_fused
    done = [
        one_block(
            query[:, :, part.start : part.stop],
            key[:, :, part.key_start : part.key_stop],
            value[:, :, part.key_start : part.key_stop],
            part.mask,
        )
        for part in plan
    ]
    return done[0] if len(done) == 1 else torch.cat(done, dim=1)


def _attend_fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    mask = None if mask is None else mask.unsqueeze(1)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=query.shape[1] != key.shape[1])
    return out.transpose(1, 2).flatten(2)


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax weights `[B, N, S, L]` of query `[B, N, S, d]` over key `[B, G, L, d]`; `mask` `[B or 1, S or 1, L]`."""
    batch, heads, length, dim = query.shape
    groups = key.shape[1]
    query = query.reshape(batch * groups, heads // groups * length, dim)
    key = key.reshape(batch * groups, -1, dim).transpose(1, 2)
    scale = dim**-0.5
    if mask is None:
        scores = torch.baddbmm(query.new_empty(1), query, key, beta=0, alpha=scale)
        return scores.softmax(dim=-1).view(batch, heads, length, -1)
    wide = mask[:, None].expand(batch, heads, length, mask.shape[-1]).reshape(batch * groups, -1, mask.shape[-1])
    return torch.baddbmm(wide, query, key, alpha=scale).softmax(dim=-1).view(batch, heads, length, -1)


def _attend_by_products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    batch, heads, length, dim = query.shape
    groups = key.shape[1]
    weights = attention_weights(query, key, mask).view(batch * groups, heads // groups * length, -1)
    out = torch.bmm(weights, value.reshape(batch * groups, -1, dim))
    return out.view(batch, heads, length, dim).transpose(1, 2).reshape(batch, length, heads * dim)


class Attention(nn.Module):
    """Grouped-query attention with a norm on every query and key head; no biases."""

    def __init__(self, size: BlockSize) -> None:
        super().__init__()
        self.head_dim = size.head_dim
        inner, kv_inner = size.num_heads * size.head_dim, size.num_kv_heads * size.head_dim
        self.q_proj = nn.Linear(size.hidden_size, inner, bias=False)
        self.k_proj = nn.Linear(size.hidden_size, kv_inner, bias=False)
        self.v_proj = nn.Linear(size.hidden_size, kv_inner, bias=False)
        self.o_proj = nn.Linear(inner, size.hidden_size, bias=False)
        self.q_norm = RMSNorm(size.head_dim, size.eps)
        self.k_norm = RMSNorm(size.head_dim, size.eps)

    def queries(self, x: Tensor) -> Tensor:
        """`[B, S, D]` -> `[B, S, N, d]`, normalised, not rotated."""
        return self.q_norm(self.q_proj(x).unflatten(-1, (-1, self.head_dim)))

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, L, D]` -> keys and values `[B, L, G, d]`, keys normalised, not rotated."""
        key = self.k_norm(self.k_proj(x).unflatten(-1, (-1, self.head_dim)))
        return key, self.v_proj(x).unflatten(-1, (-1, self.head_dim))

    def forward(self, x: Tensor, positions: Rotary, plan: Sequence[AttentionBlock]) -> Tensor:
        """Self-attention over `[B, S, D]`. A plan that covers only the first queries gives only these."""
        asked = plan[-1].stop
        key, value = self.keys_values(x)
        query = self.queries(x[:, :asked])
        first = positions if asked == x.shape[1] else Rotary(positions.cos[:asked], positions.sin[:asked])
        return self.o_proj(attend(first.rotate(query), positions.rotate(key), value, plan))


class GatedMLP(nn.Module):
    """`down(silu(gate(x)) * up(x))` without biases."""

    def __init__(self, size: BlockSize) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(size.hidden_size, size.intermediate_size, bias=False)
        self.up_proj = nn.Linear(size.hidden_size, size.intermediate_size, bias=False)
        self.down_proj = nn.Linear(size.intermediate_size, size.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and MLP, each added to the stream."""

    def __init__(self, size: BlockSize) -> None:
        super().__init__()
        self.self_attn = Attention(size)
        self.input_layernorm = RMSNorm(size.hidden_size, size.eps)
        self.post_attention_layernorm = RMSNorm(size.hidden_size, size.eps)
        self.mlp = GatedMLP(size)

    def forward(self, x: Tensor, positions: Rotary, plan: Sequence[AttentionBlock]) -> Tensor:
        """`[B, S, D]` -> `[B, asked, D]`, where `asked` is the number of queries that the plan covers."""
        x = x[:, : plan[-1].stop] + self.self_attn(self.input_layernorm(x), positions, plan)
        return x + self.mlp(self.post_attention_layernorm(x))


def run_encoder(
    layers: nn.ModuleList,
    x: Tensor,
    windows: Sequence[int | None],
    theta: float,
    head_dim: int,
    *,
    key_mask: Tensor | None = None,
    first_only: bool = False,
) -> Tensor:
    """Run `x` `[B, S, D]` through encoder layers with the given windows, positions starting at 0.

    `key_mask` `[B, S]`: true where a key may be seen. `first_only`: return position 0 alone, `[B, 1, D]`; the last
    layer then computes nothing else.
    """
    length = x.shape[1]
    positions = rotary(length, head_dim, theta, x)
    if key_mask is not None and bool(key_mask.all()):
        key_mask = None
    plans = {window: attention_plan(length, window, x, key_mask) for window in set(windows)}
    for index, (layer, window) in enumerate(zip(layers, windows, strict=True)):
        plan = plans[window]
        if first_only and index == len(layers) - 1:
            plan = [first_query(plan[0])]
        x = layer(x, positions, plan)
    return x[:, :1] if first_only else x


def first_query(part: AttentionBlock) -> AttentionBlock:
    """The block's first query alone."""
    mask = part.mask if part.mask is None else part.mask[:, :1]
    return AttentionBlock(part.start, part.start + 1, part.key_start, part.key_stop, mask)
