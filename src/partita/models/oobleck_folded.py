"""The Oobleck codec folded for inference: the numbers of `oobleck.OobleckVAE`, several times faster on a CPU.

Four things make the difference. Weight norm is folded once. Time lies before channels, so that every convolution is a
channels-last one (3 to 30 times the speed of `conv1d` on a CPU with bfloat16 dot products). Each block runs over
stretches of time short enough to stay in cache, each with the margin its convolutions see. And Snake is a few in-place
passes over a scratch buffer. Inference only: no gradients. Activations here are `[time, channels]`, one item at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from partita.models.oobleck import (
    RESIDUAL_DILATIONS,
    RESIDUAL_KERNEL,
    RESIDUAL_REACH,
    DecoderBlock,
    EncoderBlock,
    OobleckConfig,
    OobleckVAE,
    Posterior,
    ResidualUnit,
    Snake,
    WeightNormConv1d,
    WeightNormConvTranspose1d,
    check_audio,
    check_latents,
)

# sin(pi h) = K z ((z + E)^2 + G) with z = h (1 - h), h in [0, 1]: the best quadratic in z for the square of the sine,
# which it meets within 6.2e-6 (Lawson's iteration on 20,000 points). One rounding of bfloat16 is 3.9e-3.
SINE_K, SINE_E, SINE_G = 1.2316325732618756, 1.2671265190150882, 0.9460390133913674
SINE_SQUARED_ERROR = 6.2e-6

# Values in one stretch of a block and in one pass of Snake. On a CPU a stretch with its temporaries (about 12 MB)
# stays in the last level of cache; an accelerator wants few large launches instead.
CPU_STRETCH_VALUES = 1 << 20
DEVICE_STRETCH_VALUES = 1 << 26
SHORTEST_STRETCH = 16384


@dataclass(frozen=True)
class _Scratch:
    """Two flat buffers of the compute format, so that Snake allocates nothing."""

    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, values: int, device: torch.device, dtype: torch.dtype) -> _Scratch:
        return cls(*torch.empty(2, values, device=device, dtype=dtype))


@dataclass(frozen=True)
class _Snake:
    """Snake over `[L, D]`. `rate` is `exp(alpha)`, over pi where the sine is the short polynomial."""

    rate: Tensor
    inverse_beta: Tensor
    polynomial: bool

    @classmethod
    def fold(cls, snake: Snake, dtype: torch.dtype, device: torch.device) -> _Snake:
        compute = torch.promote_types(dtype, torch.float32)
        polynomial = dtype.itemsize < 4
        rate, inverse_beta = (v.detach().flatten().to(device) for v in snake.rates(compute))
        if polynomial:
            rate, inverse_beta = rate / math.pi, inverse_beta * SINE_K**2
        return cls(rate.contiguous(), inverse_beta.contiguous(), polynomial)

    def __call__(self, x: Tensor, scratch: _Scratch, out_dtype: torch.dtype | None = None) -> Tensor:
        """A tensor of the shape of `x`, in `out_dtype` or the format of `x`."""
        out = torch.empty(x.shape, device=x.device, dtype=out_dtype or x.dtype)
        channels = x.shape[1]
        rows = max(1, scratch.first.numel() // channels)
        for start in range(0, x.shape[0], rows):
            part, result = x[start : start + rows], out[start : start + rows]
            if self.polynomial:
                self._short(part, result, scratch)
            else:
                self._precise(part, result, scratch)
        return out

    def _precise(self, x: Tensor, out: Tensor, scratch: _Scratch) -> None:
        wave = scratch.first[: x.numel()].view(x.shape)
        torch.mul(x, self.rate, out=wave).sin_().square_()
        torch.addcmul(x, wave, self.inverse_beta, out=out)

    def _short(self, x: Tensor, out: Tensor, scratch: _Scratch) -> None:
        """The square of the sine has period 1 in `rate x` and is even, so the fraction's magnitude is all it needs."""
        value = scratch.first[: x.numel()].view(x.shape).copy_(x)
        z = scratch.second[: x.numel()].view(x.shape)
        torch.mul(value, self.rate, out=z).frac_().abs_()
        z.addcmul_(z, z, value=-1)
        wave = torch.add(z, SINE_E).square_().add_(SINE_G).mul_(z)
        value.addcmul_(torch.mul(wave, self.inverse_beta, out=z), wave)
        out.copy_(value)


@dataclass(frozen=True)
class _Conv:
    """A convolution over time, `[L, in]` to `[L', out]`, as a channels-last one over an image one row high."""

    weight: Tensor
    bias: Tensor | None
    stride: int
    padding: int
    dilation: int
    transposed: bool = False

    @classmethod
    def fold(
        cls, conv: WeightNormConv1d | WeightNormConvTranspose1d, dtype: torch.dtype, device: torch.device
    ) -> _Conv:
        weight = conv.kernel().detach().to(device, dtype).unsqueeze(2).contiguous(memory_format=torch.channels_last)
        bias = None if conv.bias is None else conv.bias.detach().to(device, dtype)
        if isinstance(conv, WeightNormConvTranspose1d):
            return cls(weight, bias, conv.stride, conv.padding, 1, transposed=True)
        return cls(weight, bias, conv.stride, conv.padding, conv.dilation)

    def __call__(self, x: Tensor) -> Tensor:
        image = x.unsqueeze(0).unsqueeze(0).permute(0, 3, 1, 2)
        if self.transposed:
            y = F.conv_transpose2d(image, self.weight, self.bias, (1, self.stride), (0, self.padding))
        else:
            y = F.conv2d(
                image, self.weight, self.bias, (1, self.stride), (0, self.padding), dilation=(1, self.dilation)
            )
        return y.permute(0, 2, 3, 1).reshape(y.shape[3], y.shape[1])


@dataclass(frozen=True)
class _Unit:
    """One residual unit."""

    snake1: _Snake
    conv1: _Conv
    snake2: _Snake
    conv2: _Conv

    @classmethod
    def fold(cls, unit: ResidualUnit, dtype: torch.dtype, device: torch.device) -> _Unit:
        return cls(
            _Snake.fold(unit.snake1, dtype, device),
            _Conv.fold(unit.conv1, dtype, device),
            _Snake.fold(unit.snake2, dtype, device),
            _Conv.fold(unit.conv2, dtype, device),
        )

    def __call__(self, x: Tensor, scratch: _Scratch) -> Tensor:
        y = self.conv2(self.snake2(self.conv1(self.snake1(x, scratch)), scratch))
        return y.add_(x)


@dataclass(frozen=True)
class _Block:
    """Residual units with the change of rate before (decoder) or after them (encoder)."""

    snake: _Snake
    resample: _Conv
    units: tuple[_Unit, ...]

    @classmethod
    def fold(cls, block: EncoderBlock | DecoderBlock, dtype: torch.dtype, device: torch.device) -> _Block:
        resample = block.conv_t1 if isinstance(block, DecoderBlock) else block.conv1
        units = (block.res_unit1, block.res_unit2, block.res_unit3)
        assert len(units) == len(RESIDUAL_DILATIONS)
        return cls(
            _Snake.fold(block.snake1, dtype, device),
            _Conv.fold(resample, dtype, device),
            tuple(_Unit.fold(unit, dtype, device) for unit in units),
        )

    @property
    def stride(self) -> int:
        return self.resample.stride

    def __call__(self, x: Tensor, scratch: _Scratch) -> Tensor:
        if self.resample.transposed:
            x = self.resample(self.snake(x, scratch))
            for unit in self.units:
                x = unit(x, scratch)
            return x
        for unit in self.units:
            x = unit(x, scratch)
        return self.resample(self.snake(x, scratch))


def _upsample_in_stretches(run: Callable[[Tensor], Tensor], x: Tensor, stride: int, reach: int, stretch: int) -> Tensor:
    """`run(x)` for `run` that makes `stride` rows of one, computed `stretch` input rows at a time.

    `reach` is how many input rows on either side of a stretch its output depends on.
    """
    length = x.shape[0]
    if length <= stretch + reach:
        return run(x)
    # An odd stride makes a block one row short in all, for its padding is rounded up.
    total = length * stride - stride % 2
    out: Tensor | None = None
    for start in range(0, length, stretch):
        window_start = max(0, start - reach)
        y = run(x[window_start : start + stretch + reach])
        first, last = start * stride, min((start + stretch) * stride, total)
        if out is None:
            out = torch.empty(total, y.shape[1], device=y.device, dtype=y.dtype)
        skip = first - window_start * stride
        out[first:last] = y[skip : skip + last - first]
    assert out is not None
    return out


def _downsample_in_stretches(
    run: Callable[[Tensor], Tensor], x: Tensor, stride: int, reach: int, stretch: int
) -> Tensor:
    """`run(x)` for `run` that makes one row of `stride`, computed `stretch` output rows at a time.

    `reach` is how many input rows on either side of a stretch's own its output depends on.
    """
    total = (x.shape[0] + stride % 2) // stride
    margin = math.ceil(reach / stride)
    if total <= stretch + margin:
        return run(x)
    out: Tensor | None = None
    for start in range(0, total, stretch):
        end = min(start + stretch, total)
        window_start = max(0, start - margin)
        y = run(x[window_start * stride : (end + margin) * stride])
        if out is None:
            out = torch.empty(total, y.shape[1], device=y.device, dtype=y.dtype)
        out[start:end] = y[start - window_start : end - window_start]
    assert out is not None
    return out


class FoldedOobleck:
    """The codec with its weights folded into `dtype` on `device`; `encode` and `decode` as `OobleckVAE` has them.

    Half formats keep Snake's parameters, the first and the last convolution of either half, and the results in float32:
    these touch the audio and the latents directly and cost next to nothing.

    Holds the folded weights (337 MB in bfloat16, 675 MB in float32 for the published sizes). Nothing is changed by a
    call, so one object may serve several threads.
    """

    def __init__(
        self,
        vae: OobleckVAE,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        stretch_values: int | None = None,
        shortest_stretch: int = SHORTEST_STRETCH,
    ) -> None:
        """Fold `vae`, which may be discarded afterwards.

        Args:
            vae: the network with its weights.
            dtype: format of the convolutions; by default that of the weights.
            device: where to run; by default where the weights are.
            stretch_values: values of one stretch of a block; the default suits the kind of device.
            shortest_stretch: samples that a stretch has at least, at the block's higher rate: what its margins cost
                is bounded by this.
        """
        stored = vae.decoder.conv1.weight_v
        self.config: OobleckConfig = vae.config
        self.dtype = dtype or stored.dtype
        self.device = torch.device(device) if device is not None else stored.device
        self.edge_dtype = torch.promote_types(self.dtype, torch.float32)
        self.stretch_values = stretch_values or (
            CPU_STRETCH_VALUES if self.device.type == "cpu" else DEVICE_STRETCH_VALUES
        )
        self.shortest_stretch = shortest_stretch
        inner, edge = (self.dtype, self.device), (self.edge_dtype, self.device)
        with torch.no_grad():
            self._encoder_first = _Conv.fold(vae.encoder.conv1, *edge)
            self._encoder_blocks = [_Block.fold(block, *inner) for block in vae.encoder.block]  # pyright: ignore[reportArgumentType]
            self._encoder_snake = _Snake.fold(vae.encoder.snake1, *inner)
            self._encoder_last = _Conv.fold(vae.encoder.conv2, *edge)
            self._decoder_first = _Conv.fold(vae.decoder.conv1, *edge)
            self._decoder_blocks = [_Block.fold(block, *inner) for block in vae.decoder.block]  # pyright: ignore[reportArgumentType]
            self._decoder_snake = _Snake.fold(vae.decoder.snake1, *inner)
            self._decoder_last = _Conv.fold(vae.decoder.conv2, *edge)

    def encode(self, audio: Tensor) -> Posterior:
        """Mean and std `[B, 64, floor(N / 1920)]`, float32 at least, of `audio` `[B, 2, N]` at 48 kHz.

        Items are encoded one by one, so that the batch cannot matter.

        Raises:
            ModelError: another number of channels, or less than one frame of samples.
        """
        check_audio(self.config, audio)
        with torch.no_grad():
            moments = torch.stack([self._encode_item(item) for item in audio])
            return Posterior.from_moments(moments)

    def decode(self, latents: Tensor) -> Tensor:
        """Audio `[B, 2, 1920 T]`, float32 at least, of `latents` `[B, 64, T]`; items are decoded one by one.

        Raises:
            ModelError: another number of channels, or no frames.
        """
        check_latents(self.config, latents)
        with torch.no_grad():
            return torch.stack([self._decode_item(item) for item in latents])

    def _encode_item(self, audio: Tensor) -> Tensor:
        """Moments `[2 D, T]` of `audio` `[2, N]`."""
        scratch = self._scratch()
        x = self._rows(audio)
        for index, block in enumerate(self._encoder_blocks):
            run, reach = _bound(block, scratch), RESIDUAL_REACH + math.ceil(block.stride / 2)
            if index == 0:
                # The first convolution runs inside the stretches: its wide output never exists as a whole.
                run, reach = self._after_first(run), reach + RESIDUAL_KERNEL // 2
            stretch = self._stretch(block.snake.rate.numel(), block.stride)
            x = _downsample_in_stretches(run, x, block.stride, reach, stretch)
        return self._encoder_last(self._encoder_snake(x, scratch, self.edge_dtype)).t()

    def _decode_item(self, latents: Tensor) -> Tensor:
        """Audio `[2, hop T]` of `latents` `[D, T]`."""
        scratch = self._scratch()
        x = self._decoder_first(self._rows(latents)).to(self.dtype)
        for index, block in enumerate(self._decoder_blocks):
            run, outer = _bound(block, scratch), 0
            if index == len(self._decoder_blocks) - 1:
                # The last convolution runs inside the stretches: its wide input never exists as a whole.
                run, outer = self._before_last(run, scratch), RESIDUAL_KERNEL // 2
            reach = math.ceil((outer + RESIDUAL_REACH) / block.stride) + 1
            channels_out = block.units[0].snake1.rate.numel()
            stretch = self._stretch(channels_out, block.stride)
            x = _upsample_in_stretches(run, x, block.stride, reach, stretch)
        return x.t()

    def _stretch(self, channels: int, stride: int) -> int:
        """Rows of a stretch at a block's lower rate; `channels` is its width at the higher one."""
        return max(1, max(self.shortest_stretch, self.stretch_values // channels) // stride)

    def _after_first(self, run: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda audio: run(self._encoder_first(audio).to(self.dtype))

    def _before_last(self, run: Callable[[Tensor], Tensor], scratch: _Scratch) -> Callable[[Tensor], Tensor]:
        return lambda x: self._decoder_last(self._decoder_snake(run(x), scratch, self.edge_dtype))

    def _rows(self, item: Tensor) -> Tensor:
        """`[D, L]` of any format as contiguous `[L, D]` rows in the format of the edges."""
        return item.to(self.device, self.edge_dtype).t().contiguous()

    def _scratch(self) -> _Scratch:
        return _Scratch.of(self.stretch_values, self.device, self.edge_dtype)


def _bound(block: _Block, scratch: _Scratch) -> Callable[[Tensor], Tensor]:
    return lambda x: block(x, scratch)
