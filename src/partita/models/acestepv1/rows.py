"""Layers on rows, time first and channels last, as the folded networks of the codec run them.

On a CPU a convolution over channels-last tensors is up to ten times as fast as one over `[B, channels, time]`, and all
else then works along contiguous rows. Signals are `[B, time, channels]`, mels and what becomes of them
`[B, time, band, channels]`. Inference only. A layer is folded once from its module, into a format and onto a device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.models.oobleck import WeightNormConv1d, WeightNormConvTranspose1d

# Values in one stretch of a stage. Larger tensors are returned to the system and fetched again at every step by the
# allocator of a CPU, which costs as much as the arithmetic; an accelerator wants few large launches instead.
CPU_STRETCH_VALUES = 1 << 22
DEVICE_STRETCH_VALUES = 1 << 27
# A stretch is at least this many times as long as what it computes twice on one side.
REACHES_IN_A_STRETCH = 16


@dataclass(frozen=True)
class Format:
    """Where folded weights live: `inner` for most layers, `edge` where rounding would be heard in mels or audio."""

    inner: torch.dtype
    device: torch.device
    stretch_values: int

    @classmethod
    def of(cls, stored: Tensor, dtype: torch.dtype | None, device: torch.device | str | None) -> Format:
        """That of `stored`, unless another format or device is asked for."""
        where = torch.device(device) if device is not None else stored.device
        return cls(dtype or stored.dtype, where, CPU_STRETCH_VALUES if where.type == "cpu" else DEVICE_STRETCH_VALUES)

    @property
    def edge(self) -> torch.dtype:
        return torch.promote_types(self.inner, torch.float32)

    def put(self, tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return tensor.detach().to(self.device, dtype or self.inner)

    def stretch(self, values_in_a_row: int, reach: int) -> int:
        """Output rows to compute at once, `reach` of which on either side are computed twice."""
        return max(self.stretch_values // values_in_a_row, REACHES_IN_A_STRETCH * reach, 1)


@dataclass(frozen=True)
class Conv:
    """A convolution of `[B, time, band, in]` to `[B, time, band, out]`; `weight` is `[out, in, time, band]`."""

    weight: Tensor
    bias: Tensor | None
    stride: int
    padding: tuple[int, int]
    groups: int

    @classmethod
    def fold(cls, conv: nn.Conv2d, form: Format, dtype: torch.dtype | None = None) -> Conv:
        """The layer of a network whose images have bands before time."""
        weight = form.put(conv.weight.transpose(2, 3), dtype).contiguous(memory_format=torch.channels_last)
        kernel_bands, kernel_time = conv.kernel_size
        bias = None if conv.bias is None else form.put(conv.bias, dtype)
        return cls(weight, bias, conv.stride[0], (kernel_time // 2, kernel_bands // 2), conv.groups)

    def __call__(self, x: Tensor) -> Tensor:
        y = F.conv2d(x.permute(0, 3, 1, 2), self.weight, self.bias, self.stride, self.padding, groups=self.groups)
        return y.permute(0, 2, 3, 1)


@dataclass(frozen=True)
class SignalConv:
    """A convolution of signals `[B, L, in]` to `[B, L', out]`, run over an image one row high."""

    weight: Tensor
    bias: Tensor | None
    stride: int
    padding: int
    dilation: int
    groups: int
    transposed: bool = False

    @classmethod
    def fold(
        cls,
        conv: nn.Conv1d | WeightNormConv1d | WeightNormConvTranspose1d,
        form: Format,
        dtype: torch.dtype | None = None,
    ) -> SignalConv:
        """The layer with its weight norm, if any, folded in float32 and rounded once. Its padding is zeros."""
        kernel = conv.weight if isinstance(conv, nn.Conv1d) else conv.kernel()
        weight = form.put(kernel, dtype).unsqueeze(2).contiguous(memory_format=torch.channels_last)
        bias = None if conv.bias is None else form.put(conv.bias, dtype)
        if isinstance(conv, nn.Conv1d):
            return cls(weight, bias, conv.stride[0], int(conv.padding[0]), conv.dilation[0], conv.groups)
        if isinstance(conv, WeightNormConv1d):
            return cls(weight, bias, conv.stride, conv.padding, conv.dilation, 1)
        return cls(weight, bias, conv.stride, conv.padding, 1, 1, transposed=True)

    def __call__(self, x: Tensor) -> Tensor:
        image = x.unsqueeze(1).permute(0, 3, 1, 2)
        stride, padding, dilation = (1, self.stride), (0, self.padding), (1, self.dilation)
        if self.transposed:
            y = F.conv_transpose2d(image, self.weight, self.bias, stride, padding)
        else:
            y = F.conv2d(image, self.weight, self.bias, stride, padding, dilation, self.groups)
        return y.permute(0, 2, 3, 1).squeeze(1)


@dataclass(frozen=True)
class Linear:
    """`[..., in]` to `[..., out]`."""

    weight: Tensor
    bias: Tensor | None = None

    @classmethod
    def fold(cls, linear: nn.Linear | nn.Conv1d | nn.Conv2d, form: Format) -> Linear:
        """The layer; a convolution is one of a single tap."""
        return cls(form.put(linear.weight).flatten(1), None if linear.bias is None else form.put(linear.bias))

    def __call__(self, x: Tensor) -> Tensor:
        # As one matrix: with more dimensions torch may multiply image by image, with a copy of the weight for each.
        return F.linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias).view(*x.shape[:-1], -1)


@dataclass(frozen=True)
class RootMeanSquareNorm:
    """`x / rms(x) * weight + bias` over the last dimension, rounded where the network as published rounds."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        compute = torch.promote_types(x.dtype, torch.float32)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=compute)
        scale = torch.rsqrt(length.square_().div_(x.shape[-1]).add_(self.eps))
        return torch.addcmul(self.bias, x.to(compute).mul(scale).to(self.weight.dtype), self.weight)
