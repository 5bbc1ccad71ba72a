"""What the transformer of ACE-Step v1 is made of: packed projections, its rotary positions, linear and cross attention,
the gated convolution.

Layers know shapes and masks, nothing of latents, times or files. Shapes: `[B, T, D]` between layers, `[B, T, N, d]`
where heads are apart. Parameter names and shapes are the published ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["none", "swish"]
PACKED_ROWS = 512  # what oneDNN is told to lay packed weights out for: tokens of half a minute and more
TINY = 1e-15  # added to the denominator of linear attention
LARGEST_HALF = 65504.0  # linear attention is clipped to what float16 holds, whatever the number format


class Packed:
    """A weight `[N, K]` that can also be held in oneDNN's blocks, which spares laying it out again at every product.

    The copy is used only for the very tensor that it was made of, on a CPU, without gradients: a weight that is
    replaced (by an adapter, say) is simply not packed.
    """

    _packed: tuple[Tensor, Tensor] | None = None  # a weight and its blocks

    def pack_weight(self, weight: Tensor) -> None:
        """Keep a packed copy of `weight` where oneDNN multiplies its number format natively; else do nothing."""
        native = weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and torch.backends.mkldnn.is_available()
        if native and torch.ops.mkldnn._is_mkldnn_bf16_supported():
            self._packed = weight, torch.ops.mkldnn._reorder_linear_weight(weight.detach().flatten(1), PACKED_ROWS)

    def project(self, x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation = "none") -> Tensor:
        """`activation(x W^T + b)`."""
        if self._packed is not None and self._packed[0] is weight and _plain_bfloat16(x):
            return torch.ops.mkldnn._linear_pointwise(x, self._packed[1], bias, activation, [], "")
        y = F.linear(x, weight.flatten(1), bias)
        return y if activation == "none" else F.silu(y)


def _plain_bfloat16(x: Tensor) -> bool:
    return x.dtype == torch.bfloat16 and x.device.type == "cpu" and not torch.is_grad_enabled()


class Linear(nn.Linear, Packed):
    """A linear layer that can be packed."""

    def pack(self) -> None:
        self.pack_weight(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return self.project(input, self.weight, self.bias)


class Pointwise(nn.Module, Packed):
    """A convolution of kernel 1, kept as published, `[N, K, 1]`, and computed as the linear layer that it is."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool, activation: Activation = "none") -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 1, bias=bias)
        self.activation: Activation = activation

    def pack(self) -> None:
        self.pack_weight(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, K]` -> `[B, T, N]`."""
        return self.project(x, self.conv.weight, self.conv.bias, self.activation)


class Depthwise(nn.Module):
    """A convolution of kernel 3 for each channel alone, with zeros beyond both ends."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, C]` -> `[B, T, C]`. As a flat picture whose channels lie last, so that nothing is transposed."""
        picture = x.transpose(1, 2).unsqueeze(2)
        weight = self.conv.weight.unsqueeze(2)
        return F.conv2d(picture, weight, self.conv.bias, padding=(0, 1), groups=x.shape[-1]).squeeze(2).transpose(1, 2)


class GatedConvolution(nn.Module):
    """Up by a linear layer and SiLU, along time by a depthwise convolution, gated, down by a linear layer."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inverted_conv = Pointwise(width, 2 * hidden, bias=True, activation="swish")
        self.depth_conv = Depthwise(2 * hidden)
        self.point_conv = Pointwise(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, D]` -> `[B, T, D]`."""
        value, gate = self.depth_conv(self.inverted_conv(x)).chunk(2, dim=-1)
        return self.point_conv(value * F.silu(gate))


@dataclass(frozen=True, slots=True)
class Rotary:
    """Positions 0..T-1 as float32 tables `[T, 1, d]`: what a channel is multiplied by, and what its partner is."""

    own: Tensor
    partner: Tensor

    def rotate(self, x: Tensor) -> Tensor:
        """`[B, T, N, d]` -> the same, in the same number format; computed in float32."""
        wide = x.float()
        swapped = wide.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        return torch.addcmul(wide * self.own, swapped, self.partner).to(x.dtype)


def rotary_tables(
    length: int, head_dim: int, theta: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Cosines and sines `[length, head_dim]`, float32: column c turns by `theta ** (-2 (c mod d/2) / d)` a position."""
    place = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    angle = torch.arange(length, dtype=torch.float32, device=device)[:, None] * (1.0 / theta**place)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def rotary(length: int, head_dim: int, theta: float, like: Tensor) -> Rotary:
    """The tables rounded to the number format of `like`.

    Frequencies are laid out in halves, but neighbours (2m, 2m + 1) turn together, so that the members of a pair turn
    by different angles. That is no rotation, but it is how the published weights were trained.
    """
    cos, sin = (table.to(like.dtype).float() for table in rotary_tables(length, head_dim, theta, like.device))
    sign = torch.ones(head_dim, device=like.device)
    sign[::2] = -1
    return Rotary(cos[:, None], (sin * sign)[:, None])


class LinearAttention(nn.Module):
    """Self-attention with ReLU in place of softmax: every frame reads one sum over all frames."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = Linear(width, width)
        self.to_k = Linear(width, width)
        self.to_v = Linear(width, width)
        self.to_out = nn.ModuleList([Linear(width, width)])

    def forward(
        self, x: Tensor, positions: Rotary | None, frame_mask: Tensor | None = None, factor: float | Tensor = 1.0
    ) -> Tensor:
        """`[B, T, D]` -> `[B, T, D]`. `frame_mask` `[B, T, 1]`: 0 where a frame is padding, else 1.

        `factor` multiplies the queries, a number or `[B, 1, 1]`; but for rounding it cancels.
        """
        query, key, value = weakened(self.to_q(x), factor), self.to_k(x), self.to_v(x)
        query, key, value = (one.unflatten(-1, (self.heads, -1)) for one in (query, key, value))
        if positions is not None:
            query, key = positions.rotate(query), positions.rotate(key)
        if frame_mask is not None:
            key = key * frame_mask.unsqueeze(-1).to(key.dtype)
        out = relu_attention(query, key, value)
        if frame_mask is not None:
            out = out * frame_mask.to(out.dtype)
        return self.to_out[0](out).clamp(-LARGEST_HALF, LARGEST_HALF)


def relu_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Sum over s of v_s (k_s . q_t) over sum of (k_s . q_t), with ReLU on q and k: `[B, T, N, d]` -> `[B, T, N * d]`.

    In float32 whatever the number format, as two products of a head's size: no `[T, T]` is made.
    """
    batch, length, heads, dim = query.shape
    dtype = query.dtype
    query, key, value = (one.transpose(1, 2).flatten(0, 1) for one in (query.relu(), key.relu(), value))
    query, key, value = query.float(), key.float(), value.float()
    total = key.sum(dim=1).unsqueeze(-1)  # [B * N, d, 1]
    out = torch.bmm(query, torch.bmm(key.transpose(1, 2), value)) / (torch.bmm(query, total) + TINY)
    return out.to(dtype).view(batch, heads, length, dim).transpose(1, 2).flatten(2)


def weakened(query: Tensor, factor: float | Tensor) -> Tensor:
    """Queries `[B, T, D]` times a factor, a number or float32 `[B, 1, 1]`; rounded once to their number format."""
    return query if isinstance(factor, float) and factor == 1.0 else (query * factor).to(query.dtype)


class CrossAttention(nn.Module):
    """Softmax attention of frames over a context, with positions on both sides."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.ModuleList([Linear(width, width)])

    def keys_values(self, context: Tensor, positions: Rotary | None) -> tuple[Tensor, Tensor]:
        """Context `[B, S, D]` -> rotated keys and values `[B, N, S, d]`."""
        key = self.to_k(context).unflatten(-1, (self.heads, -1))
        value = self.to_v(context).unflatten(-1, (self.heads, -1))
        key = key if positions is None else positions.rotate(key)
        return key.transpose(1, 2).contiguous(), value.transpose(1, 2).contiguous()

    def forward(
        self,
        x: Tensor,
        key: Tensor,
        value: Tensor,
        positions: Rotary | None,
        seen: Tensor | None = None,
        frame_mask: Tensor | None = None,
        factor: float | Tensor = 1.0,
    ) -> Tensor:
        """`x` `[B, T, D]`, key and value `[B, N, S, d]` -> `[B, T, D]`.

        `seen` bool `[B, S]`: positions of the context that count, at least one in each row. A frame that `frame_mask`
        `[B, T, 1]` masks reads nothing, which is zeros.
        """
        query = weakened(self.to_q(x), factor).unflatten(-1, (self.heads, -1))
        query = query if positions is None else positions.rotate(query)
        # Queries and keys are not normalised, so scores can be large: they must not be rounded to bfloat16, as they
        # would be between plain products. This kernel keeps them in float32.
        mask = None if seen is None else seen[:, None, None, :]
        out = F.scaled_dot_product_attention(query.transpose(1, 2), key, value, attn_mask=mask)
        out = out.transpose(1, 2).flatten(2)
        if frame_mask is not None:
            out = out * frame_mask.to(out.dtype)
        return self.to_out[0](out)


def time_features(time: Tensor, dtype: torch.dtype, count: int = 256) -> Tensor:
    """Times `[B]` on 0..1000 -> cosines, then sines, `[B, count]`, computed in float32."""
    half = count // 2
    place = torch.arange(half, dtype=torch.float32, device=time.device)
    angle = time.float()[:, None] * torch.exp(-math.log(10000.0) * place / half)
    return torch.cat((angle.cos(), angle.sin()), dim=-1).to(dtype)
