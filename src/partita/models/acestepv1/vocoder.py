"""The vocoder of ACE-Step v1 (a ConvNeXt backbone under a HiFi-GAN head): log mels to 44.1 kHz audio, one channel.

Plain and readable: this file is the definition of the network, under the published key names, on any device and with
gradients. It knows nothing of stereo, tiles or speed; `vocoder_folded` computes the same numbers faster. Tensors are
`[B, channels, time]`. Formulas: specification of v1, section 9.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.errors import ModelError
from partita.models.acestepv1.mel import MelConfig, MelTransform
from partita.models.oobleck import WeightNormConv1d, WeightNormConvTranspose1d

NORM_EPS = 1e-6
STEM_KERNEL = 7
MLP_EXPANSION = 4

# Settings with one value in every published checkpoint; anything else is another network.
_ONLY: dict[str, object] = {"use_template": False, "drop_path_rate": 0}


@dataclass(frozen=True)
class VocoderConfig:
    """Sizes of the network. Field names are those of the published `config.json`, defaults its values.

    `num_mels` is the width that the backbone hands to the head, and no number of mel bands.
    """

    input_channels: int = 128
    depths: tuple[int, ...] = (3, 3, 9, 3)
    dims: tuple[int, ...] = (128, 256, 384, 512)
    kernel_size: int = 7
    upsample_rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2, 2)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11, 13)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 4
    num_mels: int = 512
    upsample_initial_channel: int = 1024
    pre_conv_kernel_size: int = 13
    post_conv_kernel_size: int = 13
    mel: MelConfig = field(default_factory=MelConfig)

    def __post_init__(self) -> None:
        if not self.depths or len(self.depths) != len(self.dims):
            raise _bad("dims", self.dims, "as many widths as depths")
        if self.num_mels != self.dims[-1]:
            raise _bad("num_mels", self.num_mels, f"the last of dims, {self.dims[-1]}")
        if self.input_channels != self.mel.n_mels:
            raise _bad("input_channels", self.input_channels, f"n_mels, {self.mel.n_mels}")
        if math.prod(self.upsample_rates) != self.mel.hop_length:
            raise _bad(
                "upsample_rates", self.upsample_rates, f"rates whose product is hop_length, {self.mel.hop_length}"
            )
        if any(rate % 2 for rate in self.upsample_rates):
            raise _bad("upsample_rates", self.upsample_rates, "even rates")
        if self.upsample_initial_channel % 2 ** len(self.upsample_rates):
            raise _bad("upsample_initial_channel", self.upsample_initial_channel, "a width to halve at every rate")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise _bad("resblock_dilation_sizes", self.resblock_dilation_sizes, "a list for each resblock kernel")
        for key in ("kernel_size", "resblock_kernel_sizes", "pre_conv_kernel_size", "post_conv_kernel_size"):
            seen = getattr(self, key)
            if any(kernel % 2 == 0 for kernel in (seen if isinstance(seen, tuple) else (seen,))):
                raise _bad(key, seen, "odd kernels")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> VocoderConfig:
        """Read the published dictionary.

        Raises:
            ModelError: naming the key of a missing or bad size, or of a setting that no ACE-Step v1 has.
        """
        for key, only in _ONLY.items():
            if values.get(key, only) != only:
                raise _bad(key, values[key], repr(only))
        lists = ("depths", "dims", "upsample_rates", "resblock_kernel_sizes")
        sizes = ("input_channels", "num_mels", "upsample_initial_channel", "pre_conv_kernel_size")
        chosen: dict[str, Any] = {key: _wholes(key, values.get(key)) for key in lists}
        chosen |= {key: _whole(key, values.get(key)) for key in (*sizes, "post_conv_kernel_size")}
        kernels = _wholes("kernel_sizes", values.get("kernel_sizes"))
        if len(kernels) != 1:
            raise _bad("kernel_sizes", kernels, "one kernel: parallel ConvNeXt blocks belong to no ACE-Step v1")
        doubled = tuple(2 * rate for rate in chosen["upsample_rates"])
        if _wholes("upsample_kernel_sizes", values.get("upsample_kernel_sizes")) != doubled:
            raise _bad("upsample_kernel_sizes", values["upsample_kernel_sizes"], f"twice each rate, {list(doubled)}")
        dilations = values.get("resblock_dilation_sizes")
        if not isinstance(dilations, list | tuple):
            raise _bad("resblock_dilation_sizes", dilations, "a list for each resblock kernel")
        mel = MelConfig(
            sampling_rate=_whole("sampling_rate", values.get("sampling_rate")),
            n_fft=_whole("n_fft", values.get("n_fft")),
            hop_length=_whole("hop_length", values.get("hop_length")),
            f_min=_hertz("f_min", values.get("f_min")),
            f_max=_hertz("f_max", values.get("f_max")),
            n_mels=_whole("n_mels", values.get("n_mels")),
        )
        if values.get("win_length", mel.n_fft) != mel.n_fft:
            raise _bad("win_length", values["win_length"], f"n_fft, {mel.n_fft}")
        return cls(
            kernel_size=kernels[0],
            resblock_dilation_sizes=tuple(_wholes("resblock_dilation_sizes", one) for one in dilations),
            mel=mel,
            **chosen,
        )

    @property
    def hop_length(self) -> int:
        """Audio samples to one mel frame (512)."""
        return self.mel.hop_length


class LayerNorm(nn.Module):
    """Layer norm over the channels, dimension 1 of `[B, D, L]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.mT, self.weight.shape, self.weight, self.bias, NORM_EPS).mT


class ConvNeXtBlock(nn.Module):
    """`x + gamma * pwconv2(gelu(pwconv1(norm(dwconv(x)))))`."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = LayerNorm(channels)
        self.pwconv1 = nn.Linear(channels, MLP_EXPANSION * channels)
        self.pwconv2 = nn.Linear(MLP_EXPANSION * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x)).mT
        return x + (self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))).mT


class Backbone(nn.Module):
    """Log mels `[B, n_mels, L]` to `[B, dims[-1], L]`."""

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        dims = config.dims
        stem = nn.Conv1d(
            config.input_channels, dims[0], STEM_KERNEL, padding=STEM_KERNEL // 2, padding_mode="replicate"
        )
        layers = [nn.Sequential(stem, LayerNorm(dims[0]))]
        for before, after in pairwise(dims):
            layers.append(nn.Sequential(LayerNorm(before), nn.Conv1d(before, after, 1)))
        self.channel_layers = nn.ModuleList(layers)
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(dim, config.kernel_size) for _ in range(depth)))
            for dim, depth in zip(dims, config.depths, strict=True)
        )
        self.norm = LayerNorm(dims[-1])

    def forward(self, mel: Tensor) -> Tensor:
        x = mel
        for layer, stage in zip(self.channel_layers, self.stages, strict=True):
            x = stage(layer(x))
        return self.norm(x)


class ResidualBlock(nn.Module):
    """`x + convs2(silu(convs1(silu(x))))` for each dilation in turn."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        half = kernel // 2
        self.convs1 = nn.ModuleList(
            WeightNormConv1d(channels, channels, kernel, padding=half * dilation, dilation=dilation)
            for dilation in dilations
        )
        self.convs2 = nn.ModuleList(WeightNormConv1d(channels, channels, kernel, padding=half) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for wide, narrow in zip(self.convs1, self.convs2, strict=True):
            x = x + narrow(F.silu(wide(F.silu(x))))
        return x


class Head(nn.Module):
    """Features `[B, num_mels, L]` to audio `[B, 1, hop L]`; the mean of residual blocks follows each rate."""

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        width, pre, post = config.upsample_initial_channel, config.pre_conv_kernel_size, config.post_conv_kernel_size
        self.conv_pre = WeightNormConv1d(config.num_mels, width, pre, padding=pre // 2)
        ups: list[nn.Module] = []
        blocks: list[nn.Module] = []
        for rate in config.upsample_rates:
            ups.append(WeightNormConvTranspose1d(width, width // 2, rate))
            width //= 2
            for kernel, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True):
                blocks.append(ResidualBlock(width, kernel, dilations))
        self.ups = nn.ModuleList(ups)
        self.resblocks = nn.ModuleList(blocks)
        self.conv_post = WeightNormConv1d(width, 1, post, padding=post // 2)

    def forward(self, features: Tensor) -> Tensor:
        x = self.conv_pre(features)
        for index, up in enumerate(self.ups):
            x = up(F.silu(x))
            blocks = self.blocks_of(index)
            x = torch.stack([block(x) for block in blocks]).mean(dim=0)
        return torch.tanh(self.conv_post(F.silu(x)))

    @property
    def upsamplings(self) -> list[WeightNormConvTranspose1d]:
        return [up for up in self.ups if isinstance(up, WeightNormConvTranspose1d)]

    def blocks_of(self, index: int) -> list[ResidualBlock]:
        """The residual blocks that run side by side after the upsampling `index`."""
        count = len(self.resblocks) // len(self.ups)
        found = self.resblocks[index * count : (index + 1) * count]
        return [block for block in found if isinstance(block, ResidualBlock)]


class Vocoder(nn.Module):
    """The vocoder and the mel front end that it shares its checkpoint with.

    Build it on the meta device and fill it with `load_state_dict(weights, assign=True)`.
    """

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.head = Head(config)
        self.mel_transform = MelTransform(config.mel)

    def decode(self, mel: Tensor) -> Tensor:
        """Audio `[B, 1, hop L]` within -1 to 1 of log mels `[B, n_mels, L]`.

        Raises:
            ModelError: another number of bands, or no frames.
        """
        check_mel(self.config, mel)
        return self.head(self.backbone(mel))


def check_mel(config: VocoderConfig, mel: Tensor) -> None:
    """Raise ModelError unless `mel` is `[B, n_mels, L]` with at least one frame."""
    if mel.dim() != 3 or mel.shape[1] != config.input_channels or min(mel.shape) < 1:
        raise ModelError(
            f"The vocoder decodes log mels [B, {config.input_channels}, L] with L of at least 1, one channel of the "
            f"audio an item; it was given {list(mel.shape)}."
        )


def _bad(key: str, seen: object, wanted: str) -> ModelError:
    return ModelError(
        f"The vocoder's configuration has {key} = {seen!r}; wanted is {wanted}. Take the `config.json` published with "
        "the weights.",
        key=key,
    )


def _whole(key: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise _bad(key, value, "a whole number above 0")
    return value


def _wholes(key: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise _bad(key, value, "a list of whole numbers above 0")
    return tuple(_whole(key, one) for one in value)


def _hertz(key: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise _bad(key, value, "a frequency in Hz")
    return float(value)
