"""The Oobleck variational autoencoder of ACE-Step 1.5: 48 kHz stereo to 64 channels at 25 Hz and back.

Plain and readable: this file is the definition of the network, under the published key names, on any device and with
gradients. It knows nothing of tiles, files or speed; `oobleck_folded` computes the same numbers faster for inference.
Shapes and formulas: specification of the 1.5 acoustic pipeline, section 19. Tensors are `[B, channels, time]`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.errors import ModelError

RESIDUAL_DILATIONS = (1, 3, 9)
RESIDUAL_KERNEL = 7
# Samples that a block's three residual units see on either side of one: 3 for each unit of dilation.
RESIDUAL_REACH = sum(RESIDUAL_KERNEL // 2 * dilation for dilation in RESIDUAL_DILATIONS)
MINIMUM_STD = 1e-4


@dataclass(frozen=True)
class OobleckConfig:
    """Sizes of the network. Field names are those of the published `config.json`."""

    encoder_hidden_size: int = 128
    downsampling_ratios: tuple[int, ...] = (2, 4, 4, 6, 10)
    channel_multiples: tuple[int, ...] = (1, 2, 4, 8, 16)
    decoder_channels: int = 128
    decoder_input_channels: int = 64
    audio_channels: int = 2
    sampling_rate: int = 48_000

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> OobleckConfig:
        """Read the published dictionary; keys that do not describe the network (`_class_name`) are passed over.

        Raises:
            ModelError: ratios and multiples differ in number, or a size is not positive.
        """
        chosen = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        for name in ("downsampling_ratios", "channel_multiples"):
            if name in chosen:
                chosen[name] = tuple(int(v) for v in chosen[name])
        config = cls(**chosen)
        if len(config.downsampling_ratios) != len(config.channel_multiples):
            raise ModelError(
                f"The VAE configuration has {len(config.downsampling_ratios)} downsampling_ratios and "
                f"{len(config.channel_multiples)} channel_multiples; one is needed for each block.",
                key="channel_multiples",
            )
        sizes = (*config.downsampling_ratios, *config.channel_multiples, config.encoder_hidden_size)
        if min(*sizes, config.decoder_channels, config.decoder_input_channels, config.audio_channels) < 1:
            raise ModelError(f"The VAE configuration has a size below 1: {config}.", key="config.json")
        return config

    @property
    def hop_length(self) -> int:
        """Audio samples to one latent frame (1920 for the published model)."""
        return math.prod(self.downsampling_ratios)

    @property
    def encoder_blocks(self) -> tuple[tuple[int, int, int], ...]:
        """(channels in, channels out, stride) of each encoder block, in order."""
        multiples = (1, *self.channel_multiples)
        widths = [self.encoder_hidden_size * m for m in multiples]
        return tuple(zip(widths[:-1], widths[1:], self.downsampling_ratios, strict=True))

    @property
    def decoder_blocks(self) -> tuple[tuple[int, int, int], ...]:
        """(channels in, channels out, stride) of each decoder block, in order."""
        multiples = (1, *self.channel_multiples)
        widths = [self.decoder_channels * m for m in reversed(multiples)]
        return tuple(zip(widths[:-1], widths[1:], reversed(self.downsampling_ratios), strict=True))

    @property
    def decode_reach_frames(self) -> int:
        """Latent frames that one decoded frame depends on, on either side: the least overlap of exact tiles (9)."""
        reach = RESIDUAL_KERNEL // 2
        for _, _, stride in reversed(self.decoder_blocks):
            reach = math.ceil((reach + RESIDUAL_REACH) / stride) + 1
        return reach + RESIDUAL_KERNEL // 2

    @property
    def encode_reach_frames(self) -> int:
        """Latent frames of audio that one encoded frame depends on, on either side (7)."""
        reach = 1
        for _, _, stride in reversed(self.encoder_blocks):
            reach = reach * stride + math.ceil(stride / 2) + RESIDUAL_REACH
        return math.ceil((reach + RESIDUAL_KERNEL // 2) / self.hop_length)


@dataclass(frozen=True)
class Posterior:
    """A diagonal normal distribution over latents; `mean` and `std` are `[B, D, T]`."""

    mean: Tensor
    std: Tensor

    @classmethod
    def from_moments(cls, moments: Tensor) -> Posterior:
        """Read the encoder's output `[B, 2 D, T]`: the mean, then a scale whose softplus is the deviation."""
        mean, scale = moments.chunk(2, dim=1)
        return cls(mean=mean, std=F.softplus(scale) + MINIMUM_STD)

    def sample(self, noise: Tensor) -> Tensor:
        """Latents for a standard normal draw `noise` of the shape of `mean`."""
        return self.mean + self.std * noise


def kernel_from_weight_norm(weight_g: Tensor, weight_v: Tensor) -> Tensor:
    """The convolution kernel `g * v / ||v||`, the norm taken over all dimensions but the first.

    Computed in float32 at least, whatever the stored format, and returned in that format.
    """
    compute = torch.promote_types(weight_v.dtype, torch.float32)
    v = weight_v.to(compute)
    norm = v.flatten(1).norm(dim=1).view(-1, *([1] * (v.dim() - 1)))
    return v * (weight_g.to(compute) / norm)


class Snake(nn.Module):
    """`x + sin(exp(alpha) x)^2 / (exp(beta) + 1e-9)`, one alpha and beta a channel, computed in float32 at least."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))

    def rates(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """`exp(alpha)` and `1 / (exp(beta) + 1e-9)`, both `[1, D, 1]`, in `dtype`."""
        return self.alpha.to(dtype).exp(), (self.beta.to(dtype).exp() + 1e-9).reciprocal()

    def forward(self, x: Tensor) -> Tensor:
        compute = torch.promote_types(x.dtype, torch.float32)
        alpha, inverse_beta = self.rates(compute)
        y = x.to(compute)
        return (y + inverse_beta * torch.sin(alpha * y).square()).to(x.dtype)


class WeightNormConv1d(nn.Module):
    """A convolution stored as `weight_g` `[out, 1, 1]`, `weight_v` `[out, in, k]` and `bias`."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.weight_g = nn.Parameter(torch.ones(channels_out, 1, 1))
        self.weight_v = nn.Parameter(torch.empty(channels_out, channels_in, kernel))
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None
        _fill_uniform(self.weight_v, fan_in=channels_in * kernel)

    def kernel(self) -> Tensor:
        """The kernel `[out, in, k]` in float32 at least."""
        return kernel_from_weight_norm(self.weight_g, self.weight_v)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.kernel().to(x.dtype), self.bias, self.stride, self.padding, self.dilation)


class WeightNormConvTranspose1d(nn.Module):
    """The transposed convolution of an upsampling block: kernel `2 stride`, padding `ceil(stride / 2)`.

    `weight_g` is `[in, 1, 1]` and `weight_v` `[in, out, k]`: torch keeps the input first here, and so does the norm.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.stride, self.padding = stride, math.ceil(stride / 2)
        self.weight_g = nn.Parameter(torch.ones(channels_in, 1, 1))
        self.weight_v = nn.Parameter(torch.empty(channels_in, channels_out, 2 * stride))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        _fill_uniform(self.weight_v, fan_in=channels_in * 2)

    def kernel(self) -> Tensor:
        """The kernel `[in, out, k]` in float32 at least."""
        return kernel_from_weight_norm(self.weight_g, self.weight_v)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose1d(x, self.kernel().to(x.dtype), self.bias, self.stride, self.padding)


class ResidualUnit(nn.Module):
    """`x + conv1(snake(conv7(snake(x))))`, the wide convolution dilated; length is kept."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        padding = RESIDUAL_KERNEL // 2 * dilation
        self.snake1 = Snake(channels)
        self.conv1 = WeightNormConv1d(channels, channels, RESIDUAL_KERNEL, padding=padding, dilation=dilation)
        self.snake2 = Snake(channels)
        self.conv2 = WeightNormConv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.snake2(self.conv1(self.snake1(x))))


class EncoderBlock(nn.Module):
    """Three residual units, then a strided convolution: `[B, in, N]` to `[B, out, N / stride]`."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.res_unit1, self.res_unit2, self.res_unit3 = (ResidualUnit(channels_in, d) for d in RESIDUAL_DILATIONS)
        self.snake1 = Snake(channels_in)
        self.conv1 = WeightNormConv1d(
            channels_in, channels_out, 2 * stride, stride=stride, padding=math.ceil(stride / 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(self.snake1(self.res_unit3(self.res_unit2(self.res_unit1(x)))))


class DecoderBlock(nn.Module):
    """A transposed convolution, then three residual units: `[B, in, N]` to `[B, out, N stride]`."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.snake1 = Snake(channels_in)
        self.conv_t1 = WeightNormConvTranspose1d(channels_in, channels_out, stride)
        self.res_unit1, self.res_unit2, self.res_unit3 = (ResidualUnit(channels_out, d) for d in RESIDUAL_DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        return self.res_unit3(self.res_unit2(self.res_unit1(self.conv_t1(self.snake1(x)))))


class Encoder(nn.Module):
    """Audio `[B, 2, N]` to moments `[B, 2 D, floor(N / hop)]`."""

    def __init__(self, config: OobleckConfig) -> None:
        super().__init__()
        blocks = config.encoder_blocks
        self.conv1 = WeightNormConv1d(config.audio_channels, blocks[0][0], RESIDUAL_KERNEL, padding=3)
        self.block = nn.ModuleList(EncoderBlock(*sizes) for sizes in blocks)
        self.snake1 = Snake(blocks[-1][1])
        self.conv2 = WeightNormConv1d(blocks[-1][1], config.encoder_hidden_size, 3, padding=1)

    def forward(self, audio: Tensor) -> Tensor:
        x = self.conv1(audio)
        for block in self.block:
            x = block(x)
        return self.conv2(self.snake1(x))


class Decoder(nn.Module):
    """Latents `[B, D, T]` to audio `[B, 2, hop T]`."""

    def __init__(self, config: OobleckConfig) -> None:
        super().__init__()
        blocks = config.decoder_blocks
        self.conv1 = WeightNormConv1d(config.decoder_input_channels, blocks[0][0], RESIDUAL_KERNEL, padding=3)
        self.block = nn.ModuleList(DecoderBlock(*sizes) for sizes in blocks)
        self.snake1 = Snake(blocks[-1][1])
        self.conv2 = WeightNormConv1d(blocks[-1][1], config.audio_channels, RESIDUAL_KERNEL, padding=3, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        x = self.conv1(latents)
        for block in self.block:
            x = block(x)
        return self.conv2(self.snake1(x))


class OobleckVAE(nn.Module):
    """The whole codec. Build it on the meta device and fill it with `load_state_dict(weights, assign=True)`."""

    def __init__(self, config: OobleckConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, audio: Tensor) -> Posterior:
        """The distribution of the latents of `audio` `[B, 2, N]` at 48 kHz: mean and std `[B, 64, floor(N / 1920)]`.

        Raises:
            ModelError: `audio` has another number of channels, or less than one frame of samples.
        """
        check_audio(self.config, audio)
        return Posterior.from_moments(self.encoder(audio))

    def decode(self, latents: Tensor) -> Tensor:
        """Audio `[B, 2, 1920 T]`, nominally within -1 to 1 but not clipped, of `latents` `[B, 64, T]`.

        Raises:
            ModelError: `latents` has another number of channels or no frames.
        """
        check_latents(self.config, latents)
        return self.decoder(latents)


def check_audio(config: OobleckConfig, audio: Tensor) -> None:
    """Raise ModelError unless `audio` is `[B, audio_channels, N]` with at least one frame of samples."""
    if audio.dim() != 3 or audio.shape[1] != config.audio_channels or audio.shape[2] < config.hop_length:
        raise ModelError(
            f"The VAE encodes audio [B, {config.audio_channels}, N] with N of at least {config.hop_length}; "
            f"it was given {list(audio.shape)}. Put channels before time and pad short audio with zeros."
        )


def check_latents(config: OobleckConfig, latents: Tensor) -> None:
    """Raise ModelError unless `latents` is `[B, decoder_input_channels, T]` with at least one frame."""
    if latents.dim() != 3 or latents.shape[1] != config.decoder_input_channels or latents.shape[2] < 1:
        raise ModelError(
            f"The VAE decodes latents [B, {config.decoder_input_channels}, T]; it was given {list(latents.shape)}. "
            "Latents of the transformer are [B, T, channels]: transpose them."
        )


def limit_peak(audio: Tensor) -> Tensor:
    """`audio` `[B, channels, N]` with every item whose peak is above 1 divided by that peak (section 20, step 4)."""
    return audio / audio.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1.0)


def _fill_uniform(weight: nn.Parameter, *, fan_in: int) -> None:
    """Torch's own convolution initialisation, so that a network without weights has a sane gain."""
    if weight.device.type != "meta":
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(weight, -bound, bound)
