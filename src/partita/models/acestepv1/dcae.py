"""The mel autoencoder of ACE-Step v1 (a deep-compression autoencoder, f8c8): log mels to latents and back.

Plain and readable: this file is the definition of the network, under the published key names, on any device and with
gradients. It knows nothing of audio, scales of latents, tiles or speed; `dcae_folded` computes the same numbers faster.
Tensors are `[B, channels, mel bands or a fraction of them, time]`. Formulas: specification of v1, section 7; the layers
are those of diffusers' `AutoencoderDC`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.errors import ModelError

NORM_EPS = 1e-5
ATTENTION_EPS = 1e-15
GLU_EXPANSION = 4
RESIDUAL, ATTENTION = "ResBlock", "EfficientViTBlock"

# Settings with one value in every published checkpoint; anything else is another network.
_ONLY = {
    "downsample_block_type": "Conv",
    "upsample_block_type": "interpolate",
    "decoder_norm_types": "rms_norm",
    "decoder_act_fns": "silu",
    "decoder_conv_act_fn": "relu",
    "encoder_out_shortcut": True,
    "decoder_in_shortcut": True,
}


@dataclass(frozen=True)
class DcaeConfig:
    """Sizes of the network. Field names are those of the published `config.json`, defaults its values.

    Stages are listed from the highest resolution to the lowest; all are residual but the last, which is attention.
    """

    in_channels: int = 2
    latent_channels: int = 8
    attention_head_dim: int = 32
    encoder_block_out_channels: tuple[int, ...] = (128, 256, 512, 1024)
    decoder_block_out_channels: tuple[int, ...] = (128, 256, 512, 1024)
    encoder_layers_per_block: tuple[int, ...] = (2, 2, 3, 3)
    decoder_layers_per_block: tuple[int, ...] = (3, 3, 3, 3)
    encoder_attention_scales: tuple[int, ...] = (5,)
    decoder_attention_scales: tuple[int, ...] = (5,)

    def __post_init__(self) -> None:
        for half in ("encoder", "decoder"):
            key = f"{half}_block_out_channels"
            widths: tuple[int, ...] = getattr(self, key)
            if len(widths) < 2 or len(widths) != len(getattr(self, f"{half}_layers_per_block")):
                raise _bad(key, widths, f"at least two stages, as many as {half}_layers_per_block")
            if any(4 * high % low for high, low in pairwise(widths)):
                raise _bad(key, widths, "widths of which each divides four times the one before it")
            if widths[-1] % self.latent_channels or widths[-1] % self.attention_head_dim:
                raise _bad(key, widths, "a last width that latent_channels and attention_head_dim divide")
            scales: tuple[int, ...] = getattr(self, f"{half}_attention_scales")
            if any(scale % 2 == 0 for scale in scales):
                raise _bad(f"{half}_qkv_multiscales", scales, "odd kernel sizes")
        if len(self.encoder_block_out_channels) != len(self.decoder_block_out_channels):
            raise _bad("decoder_block_out_channels", self.decoder_block_out_channels, "as many stages as the encoder")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DcaeConfig:
        """Read the published dictionary. `scaling_factor` is passed over: ACE-Step never applies it.

        Raises:
            ModelError: naming the key of a missing or bad size, or of a kind of block that no ACE-Step v1 has.
        """
        for key, only in _ONLY.items():
            seen = values.get(key, only)
            if any(one != only for one in (seen if isinstance(seen, list | tuple) else [seen])):
                raise _bad(key, seen, repr(only))
        chosen: dict[str, Any] = {
            key: _whole(key, values.get(key)) for key in ("in_channels", "latent_channels", "attention_head_dim")
        }
        for half in ("encoder", "decoder"):
            for key in (f"{half}_block_out_channels", f"{half}_layers_per_block"):
                chosen[key] = _wholes(key, values.get(key))
            stages = len(chosen[f"{half}_block_out_channels"])
            key = f"{half}_block_types"
            if list(values.get(key, ())) != [RESIDUAL] * (stages - 1) + [ATTENTION]:
                raise _bad(key, values.get(key), f"{RESIDUAL} in every stage but the last, which is {ATTENTION}")
            key = f"{half}_qkv_multiscales"
            scales = values.get(key)
            if not isinstance(scales, list | tuple) or len(scales) != stages:
                raise _bad(key, scales, f"a list for each of the {stages} stages")
            chosen[f"{half}_attention_scales"] = _wholes(key, scales[-1]) if scales[-1] else ()
        return cls(**chosen)

    @property
    def factor(self) -> int:
        """Mel frames to one latent frame, and mel bands to one latent row (8 for the published model)."""
        return 2 ** (len(self.encoder_block_out_channels) - 1)


class ChannelNorm(nn.Module):
    """`x / rms(x) * weight + bias` over the channels, dimension 1; the mean square in float32 at least."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x.movedim(1, -1)
        compute = torch.promote_types(x.dtype, torch.float32)
        scale = torch.rsqrt(x.to(compute).square().mean(-1, keepdim=True) + NORM_EPS)
        return ((x * scale).to(self.weight.dtype) * self.weight + self.bias).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """`x + norm(conv2(silu(conv1(x))))`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv2(F.silu(self.conv1(x))))


class DownBlock(nn.Module):
    """A strided convolution beside the mean of neighbouring groups of the unshuffled input: half the size."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + mean_of_groups(F.pixel_unshuffle(x, 2), self.conv.out_channels)


class UpBlock(nn.Module):
    """Nearest-neighbour doubling and a convolution, beside the shuffle of the repeated input: twice the size."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        doubled = F.interpolate(x, scale_factor=2.0, mode="nearest")
        repeats = 4 * self.conv.out_channels // self.conv.in_channels
        return self.conv(doubled) + F.pixel_shuffle(x.repeat_interleave(repeats, dim=1), 2)


class MultiscaleProjection(nn.Module):
    """Queries, keys and values seen through a depthwise convolution, then mixed within each group of channels."""

    def __init__(self, channels: int, head_dim: int, kernel: int) -> None:
        super().__init__()
        self.proj_in = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
        self.proj_out = nn.Conv2d(channels, channels, 1, groups=channels // head_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj_out(self.proj_in(x))


class LinearAttention(nn.Module):
    """ReLU attention over all positions, on several scales, with its residual.

    `to_q`, `to_k` and `to_v` are concatenated whole and only then cut into heads of three times `head_dim`
    channels, so that what acts as query, key and value is not what the names say. The weights were trained this way.
    """

    def __init__(self, channels: int, head_dim: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_qkv_multiscale = nn.ModuleList(MultiscaleProjection(3 * channels, head_dim, k) for k in scales)
        self.to_out = nn.Linear(channels * (1 + len(scales)), channels, bias=False)
        self.norm_out = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        last = x.movedim(1, -1)
        qkv = torch.cat([self.to_q(last), self.to_k(last), self.to_v(last)], dim=-1).movedim(-1, 1)
        every = torch.cat([qkv, *(scale(qkv) for scale in self.to_qkv_multiscale)], dim=1)
        heads = every.reshape(batch, -1, 3 * self.head_dim, height * width)
        attend = linear_attention if height * width > self.head_dim else quadratic_attention
        mixed = attend(*heads.chunk(3, dim=2)).reshape(batch, -1, height, width)
        return x + self.norm_out(self.to_out(mixed.movedim(1, -1)).movedim(-1, 1))


def linear_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Values weighted by `relu(query) . relu(key)` over its sum; all `[B, heads, head_dim, positions]`.

    Computed in float32 at least, in time linear in the positions; returned in the format of `query`.
    """
    compute = torch.promote_types(query.dtype, torch.float32)
    context = F.pad(value.to(compute), (0, 0, 0, 1), value=1.0) @ F.relu(key.to(compute)).mT
    weighted = context @ F.relu(query.to(compute))
    return (weighted[..., :-1, :] / (weighted[..., -1:, :] + ATTENTION_EPS)).to(query.dtype)


def quadratic_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same in time quadratic in the positions, which is how the original treats no more of them than `head_dim`."""
    scores = F.relu(key).mT @ F.relu(query)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    scores = scores / (scores.sum(dim=2, keepdim=True) + ATTENTION_EPS)
    return value @ scores.to(value.dtype)


class GatedConv(nn.Module):
    """A gated inverted bottleneck with a depthwise 3 x 3 convolution, with its residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = GLU_EXPANSION * channels
        self.conv_inverted = nn.Conv2d(channels, 2 * hidden, 1)
        self.conv_depth = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.conv_point = nn.Conv2d(hidden, channels, 1, bias=False)
        self.norm = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.conv_depth(F.silu(self.conv_inverted(x))).chunk(2, dim=1)
        return x + self.norm(self.conv_point(value * F.silu(gate)))


class AttentionBlock(nn.Module):
    """Attention over all positions, then the gated convolution."""

    def __init__(self, channels: int, head_dim: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.attn = LinearAttention(channels, head_dim, scales)
        self.conv_out = GatedConv(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.attn(x))


class Encoder(nn.Module):
    """Normalised mels `[B, 2, M, L]` to `[B, 8, M / 8, L / 8]`; M and L are multiples of 8."""

    def __init__(self, config: DcaeConfig) -> None:
        super().__init__()
        widths = config.encoder_block_out_channels
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        stages: list[nn.Module] = []
        for index, layers in enumerate(config.encoder_layers_per_block[:-1]):
            residual = [ResidualBlock(widths[index]) for _ in range(layers)]
            stages.append(nn.Sequential(*residual, DownBlock(widths[index], widths[index + 1])))
        stages.append(_attention_stage(config, widths[-1], config.encoder_layers_per_block[-1], "encoder"))
        self.down_blocks = nn.ModuleList(stages)
        self.conv_out = nn.Conv2d(widths[-1], config.latent_channels, 3, padding=1)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_in(mel)
        for stage in self.down_blocks:
            x = stage(x)
        return self.conv_out(x) + mean_of_groups(x, self.conv_out.out_channels)


class Decoder(nn.Module):
    """`[B, 8, M / 8, T]` to normalised mels `[B, 2, M, 8 T]`; stages run from the last to the first."""

    def __init__(self, config: DcaeConfig) -> None:
        super().__init__()
        widths = config.decoder_block_out_channels
        self.conv_in = nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)
        stages: list[nn.Module] = []
        for index, layers in enumerate(config.decoder_layers_per_block[:-1]):
            residual = [ResidualBlock(widths[index]) for _ in range(layers)]
            stages.append(nn.Sequential(UpBlock(widths[index + 1], widths[index]), *residual))
        stages.append(_attention_stage(config, widths[-1], config.decoder_layers_per_block[-1], "decoder"))
        self.up_blocks = nn.ModuleList(stages)
        self.norm_out = ChannelNorm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], config.in_channels, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        repeats = self.conv_in.out_channels // self.conv_in.in_channels
        x = self.conv_in(latents) + latents.repeat_interleave(repeats, dim=1)
        for stage in reversed(self.up_blocks):
            x = stage(x)
        return self.conv_out(F.relu(self.norm_out(x)))


class Dcae(nn.Module):
    """The whole autoencoder. Build it on the meta device and fill it with `load_state_dict(weights, assign=True)`."""

    def __init__(self, config: DcaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, mel: Tensor) -> Tensor:
        """Unscaled latents `[B, 8, M / 8, L / 8]` of normalised mels `[B, 2, M, L]`.

        Raises:
            ModelError: another number of channels, or M or L no multiple of the factor (8).
        """
        check_mel(self.config, mel)
        return self.encoder(mel)

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised mels `[B, 2, 8 H, 8 T]` of unscaled latents `[B, 8, H, T]`.

        Raises:
            ModelError: another number of channels, or no frames.
        """
        check_latents(self.config, latents)
        return self.decoder(latents)


def mean_of_groups(x: Tensor, channels: int) -> Tensor:
    """Neighbouring channels, dimension 1, averaged down to `channels` of them."""
    return x.unflatten(1, (channels, -1)).mean(dim=2)


def check_mel(config: DcaeConfig, mel: Tensor) -> None:
    """Raise ModelError unless `mel` is `[B, in_channels, M, L]`, M and L positive multiples of the factor."""
    fits = mel.dim() == 4 and mel.shape[1] == config.in_channels and min(mel.shape) > 0
    if not fits or mel.shape[2] % config.factor or mel.shape[3] % config.factor:
        raise ModelError(
            f"The mel autoencoder encodes mels [B, {config.in_channels}, bands, frames] with bands and frames "
            f"multiples of {config.factor}; it was given {list(mel.shape)}. Pad the audio to whole latent frames."
        )


def check_latents(config: DcaeConfig, latents: Tensor) -> None:
    """Raise ModelError unless `latents` is `[B, latent_channels, H, T]` with at least one frame."""
    if latents.dim() != 4 or latents.shape[1] != config.latent_channels or min(latents.shape) < 1:
        raise ModelError(
            f"The mel autoencoder decodes latents [B, {config.latent_channels}, height, T] with T of at least 1; "
            f"it was given {list(latents.shape)}."
        )


def _attention_stage(config: DcaeConfig, width: int, layers: int, half: str) -> nn.Sequential:
    scales: tuple[int, ...] = getattr(config, f"{half}_attention_scales")
    return nn.Sequential(*(AttentionBlock(width, config.attention_head_dim, scales) for _ in range(layers)))


def _bad(key: str, seen: object, wanted: str) -> ModelError:
    return ModelError(
        f"The mel autoencoder's configuration has {key} = {seen!r}; wanted is {wanted}. Take the `config.json` "
        "published with the weights.",
        key=key,
    )


def _whole(key: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise _bad(key, value, "a whole number above 0")
    return value


def _wholes(key: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise _bad(key, value, "a list of whole numbers above 0")
    return tuple(_whole(key, one) for one in value)
