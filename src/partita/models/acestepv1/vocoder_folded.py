"""The vocoder folded for inference: the numbers of `vocoder.Vocoder`, faster, in bounded memory, piece by piece.

Weight norm is folded once; rows with time first run through channels-last convolutions. Every layer is local, so any
stretch can be had for the cost of its own length (`streaming`). Activations are `[B, time, channels]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.models.acestepv1 import vocoder as plain
from partita.models.acestepv1.rows import Format, Linear, SignalConv
from partita.models.acestepv1.streaming import Local, Whole, chain
from partita.models.acestepv1.vocoder import STEM_KERNEL, Vocoder, VocoderConfig, check_mel
from partita.models.oobleck import WeightNormConv1d


@dataclass(frozen=True)
class _Norm:
    weight: Tensor
    bias: Tensor

    @classmethod
    def fold(cls, norm: plain.LayerNorm, form: Format, dtype: torch.dtype | None = None) -> _Norm:
        return cls(form.put(norm.weight, dtype), form.put(norm.bias, dtype))

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, plain.NORM_EPS)


@dataclass(frozen=True)
class _Stem:
    """The first convolution, whose ends are repeated and not zeros, and its norm; both in the format of the edges."""

    conv: SignalConv
    norm: _Norm
    inner: torch.dtype

    def __call__(self, x: Tensor) -> Tensor:
        half = STEM_KERNEL // 2
        padded = F.pad(x.mT, (half, half), mode="replicate").mT
        return self.norm(self.conv(padded)[:, half:-half]).to(self.inner)


@dataclass(frozen=True)
class _Widen:
    """The norm and the pointwise convolution between two stages of the backbone."""

    norm: _Norm
    widen: Linear

    def __call__(self, x: Tensor) -> Tensor:
        return self.widen(self.norm(x))


class _ConvNeXt:
    def __init__(self, block: plain.ConvNeXtBlock, form: Format) -> None:
        self.depthwise, self.norm = SignalConv.fold(block.dwconv, form), _Norm.fold(block.norm, form)
        self.up, self.down = Linear.fold(block.pwconv1, form), Linear.fold(block.pwconv2, form)
        self.gamma = form.put(block.gamma)

    def __call__(self, x: Tensor) -> Tensor:
        wide = F.gelu(self.up(self.norm(self.depthwise(x))))
        return torch.addcmul(x, self.down(wide), self.gamma)


class _BackboneStage:
    """A change of width, then ConvNeXt blocks."""

    def __init__(self, layer: nn.Module, blocks: nn.Module, form: Format) -> None:
        self.enter = _enter_stage(layer, form)
        self.blocks = [_ConvNeXt(one, form) for one in blocks.children() if isinstance(one, plain.ConvNeXtBlock)]

    @property
    def reach(self) -> int:
        return sum(block.depthwise.padding for block in self.blocks) + (
            STEM_KERNEL // 2 if isinstance(self.enter, _Stem) else 0
        )

    @property
    def widest(self) -> int:
        return len(self.blocks[0].up.weight)

    def __call__(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        return x


class _ResidualBlock:
    def __init__(self, block: plain.ResidualBlock, form: Format) -> None:
        wide = [SignalConv.fold(conv, form) for conv in block.convs1 if isinstance(conv, WeightNormConv1d)]
        narrow = [SignalConv.fold(conv, form) for conv in block.convs2 if isinstance(conv, WeightNormConv1d)]
        self.pairs = list(zip(wide, narrow, strict=True))

    @property
    def reach(self) -> int:
        return sum(wide.padding + narrow.padding for wide, narrow in self.pairs)

    def __call__(self, x: Tensor, active: Tensor) -> Tensor:
        """`active` is `silu(x)`, which all blocks of a stage begin with."""
        for index, (wide, narrow) in enumerate(self.pairs):
            x = narrow(F.silu(wide(F.silu(x) if index else active))).add_(x)
        return x


@dataclass(frozen=True)
class _Stage:
    """One rate of the head: upsampling, then the mean of residual blocks side by side."""

    up: SignalConv
    blocks: list[_ResidualBlock]

    @property
    def reach(self) -> int:
        """Output rows on either side that the residual blocks of one depend on."""
        return max(block.reach for block in self.blocks)

    @property
    def width(self) -> int:
        return self.up.weight.shape[1]

    def __call__(self, x: Tensor) -> Tensor:
        x = self.up(F.silu(x))
        active = F.silu(x)
        first, *others = self.blocks
        total = first(x, active)
        for block in others:
            total.add_(block(x, active))
        return total.div_(len(self.blocks))


class FoldedVocoder:
    """The vocoder with its weights folded; `decode` as `Vocoder` has it, float32 at least.

    Half formats keep the layers that see mels and that give audio in float32. Nothing is changed by a call, so one
    object may serve several threads.
    """

    def __init__(
        self, vocoder: Vocoder, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> None:
        """Fold `vocoder`, which may be discarded afterwards, into `dtype` on `device`; by default its weights' own."""
        self.config: VocoderConfig = vocoder.config
        self.form = form = Format.of(vocoder.backbone.norm.weight, dtype, device)
        backbone, head = vocoder.backbone, vocoder.head
        with torch.no_grad():
            self._backbone = [
                _BackboneStage(layer, blocks, form)
                for layer, blocks in zip(backbone.channel_layers, backbone.stages, strict=True)
            ]
            self._backbone_norm = _Norm.fold(backbone.norm, form)
            self._pre = SignalConv.fold(head.conv_pre, form)
            self._stages = [
                _Stage(SignalConv.fold(up, form), [_ResidualBlock(block, form) for block in head.blocks_of(index)])
                for index, up in enumerate(head.upsamplings)
            ]
            self._post = SignalConv.fold(head.conv_post, form, form.edge)

    def decode(self, mel: Tensor) -> Tensor:
        """Audio `[B, 1, hop L]` of log mels `[B, n_mels, L]`; ModelError as `Vocoder.decode`."""
        check_mel(self.config, mel)
        with torch.no_grad():
            rows = chain(Whole(mel.to(self.form.device, self.form.edge).mT.contiguous()), self.stages())
            return rows.take(0, rows.length).unsqueeze(1)

    def stages(self) -> list[Local]:
        """All of the vocoder as local stages: `[B, L, n_mels]`, in the format of the edges, to `[B, hop L]`."""
        stages = [
            Local(stage, stage.reach, stretch=self.form.stretch(stage.widest, stage.reach)) for stage in self._backbone
        ]
        pre_reach = self.config.pre_conv_kernel_size // 2
        pre_width = self.config.upsample_initial_channel
        stages.append(Local(self._enter_head, pre_reach, stretch=self.form.stretch(pre_width, pre_reach)))
        for stage in self._stages:
            run, fine_reach, rate = stage, stage.reach, stage.up.stride
            if stage is self._stages[-1]:
                run, fine_reach = self._leave_head, fine_reach + self.config.post_conv_kernel_size // 2
            stretch = self.form.stretch(stage.width, fine_reach)
            stages.append(Local(run, -(-fine_reach // rate) + 1, up=rate, stretch=stretch))
        return stages

    def _enter_head(self, x: Tensor) -> Tensor:
        return self._pre(self._backbone_norm(x))

    def _leave_head(self, x: Tensor) -> Tensor:
        last = self._stages[-1](x).to(self.form.edge)
        return torch.tanh(self._post(F.silu(last))).squeeze(-1)


def _enter_stage(layer: nn.Module, form: Format) -> _Stem | _Widen:
    """The folded channel layer before a stage of the backbone: the stem before the first one."""
    norm, conv = layer.children()
    if isinstance(norm, plain.LayerNorm):
        assert isinstance(conv, nn.Conv1d)
        return _Widen(_Norm.fold(norm, form), Linear.fold(conv, form))
    stem, norm = norm, conv
    assert isinstance(stem, nn.Conv1d)
    assert isinstance(norm, plain.LayerNorm)
    return _Stem(SignalConv.fold(stem, form, form.edge), _Norm.fold(norm, form, form.edge), form.inner)
