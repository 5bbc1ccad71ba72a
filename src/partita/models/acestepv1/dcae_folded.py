"""The mel autoencoder folded for inference: the numbers of `dcae.Dcae`, faster, in bounded memory, piece by piece.

Rows with time first run through channels-last convolutions; doubling and the convolution after it are one convolution
at the lower rate; attention sums over all positions are gathered a stretch at a time. Only the attention stage, at the
rate of latents, needs the whole; all else is `Local` (`streaming`) and can be had for any stretch.
Activations are `[B, time, band, channels]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.models.acestepv1 import dcae as plain
from partita.models.acestepv1.dcae import Dcae, DcaeConfig, check_latents, check_mel
from partita.models.acestepv1.rows import Conv, Format, Linear, RootMeanSquareNorm
from partita.models.acestepv1.streaming import Local, Stream, Whole, chain, run_whole


@dataclass(frozen=True)
class _Residual:
    conv1: Conv
    conv2: Conv
    norm: RootMeanSquareNorm

    @classmethod
    def fold(cls, block: plain.ResidualBlock, form: Format) -> _Residual:
        return cls(Conv.fold(block.conv1, form), Conv.fold(block.conv2, form), _norm(block.norm, form))

    def __call__(self, x: Tensor) -> Tensor:
        return self.norm(self.conv2(F.silu(self.conv1(x)))).add_(x)


@dataclass(frozen=True)
class _Down:
    conv: Conv

    @classmethod
    def fold(cls, block: plain.DownBlock, form: Format) -> _Down:
        return cls(Conv.fold(block.conv, form))

    def __call__(self, x: Tensor) -> Tensor:
        batch, time, bands, channels = x.shape
        y = self.conv(x)
        # Unshuffled, the channel is slowest, then band, then time.
        quarters = x.reshape(batch, time // 2, 2, bands // 2, 2, channels).permute(0, 1, 3, 5, 4, 2)
        return y + quarters.reshape(*y.shape, -1).mean(dim=-1)


@dataclass(frozen=True)
class _Up:
    """Doubling and the 3 x 3 convolution after it, as one 2 x 2 convolution with four results for each position.

    A doubled row is its neighbour's equal, so that of the three taps along an axis two fall on the same row: the first
    of each two results sees the row before once and its own twice, the second its own twice and the next one once.
    """

    conv: Conv
    repeats: int

    @classmethod
    def fold(cls, block: plain.UpBlock, form: Format) -> _Up:
        compute = torch.promote_types(block.conv.weight.dtype, torch.float32)
        taps = block.conv.weight.detach().to(form.device, compute).transpose(2, 3)  # time, band
        before, own, after = taps.unbind(2)
        over_time = torch.stack([torch.stack([before, own + after], 2), torch.stack([before + own, after], 2)])
        before, own, after = over_time.unbind(4)
        phases = torch.stack([torch.stack([before, own + after], 4), torch.stack([before + own, after], 4)], 1)
        weight = form.put(phases.flatten(0, 2)).contiguous(memory_format=torch.channels_last)
        assert block.conv.bias is not None
        bias = form.put(block.conv.bias).repeat(4)
        return cls(Conv(weight, bias, 1, (1, 1), 1), 4 * block.conv.out_channels // block.conv.in_channels)

    def __call__(self, x: Tensor) -> Tensor:
        batch, time, bands, channels = x.shape
        wide = channels * self.repeats // 4
        made = self.conv(x).view(batch, time + 1, bands + 1, 2, 2, wide)
        # Shuffled, the channel is slowest, then band, then time.
        shortcut = x.repeat_interleave(self.repeats, dim=-1).view(batch, time, bands, wide, 2, 2)
        out = x.new_empty(batch, time, 2, bands, 2, wide)
        for later in (0, 1):
            for higher in (0, 1):
                part = made[:, later : time + later, higher : bands + higher, later, higher]
                torch.add(part, shortcut[..., higher, later], out=out[:, :, later, :, higher])
        return out.view(batch, 2 * time, 2 * bands, wide)


class _Attention:
    """`plain.LinearAttention` with its residual, in two passes: sums over all positions, then the result."""

    def __init__(self, block: plain.LinearAttention, form: Format) -> None:
        self.head_dim, self.form = block.head_dim, form
        self.qkv = Linear(torch.cat([form.put(one.weight) for one in (block.to_q, block.to_k, block.to_v)]))
        self.scales = [
            (Conv.fold(one.proj_in, form), Conv.fold(one.proj_out, form))
            for one in block.to_qkv_multiscale
            if isinstance(one, plain.MultiscaleProjection)
        ]
        self.out = Linear.fold(block.to_out, form)
        self.norm = _norm(block.norm_out, form)

    def __call__(self, x: Tensor) -> Tensor:
        time, bands = x.shape[1:3]
        reach = max((seen.padding[0] for seen, _ in self.scales), default=0)
        stretch = self.form.stretch(bands * self.out.weight.shape[1] * 3, reach)
        heads = Stream(Whole(x), Local(self._heads, reach))
        if time * bands <= self.head_dim:
            return self._quadratic(x, heads.take(0, time))
        sums, queries = None, []
        for first in range(0, time, stretch):
            part = heads.take(first, min(first + stretch, time))
            query, key, value = self._by_head(part).chunk(3, dim=-1)
            queries.append(F.relu(query).to(x.dtype))
            added = F.relu(key).mT @ F.pad(value, (0, 1), value=1.0)
            sums = added if sums is None else sums.add_(added)
        assert sums is not None
        return self._weighted(x, sums, queries)

    def _weighted(self, x: Tensor, sums: Tensor, queries: list[Tensor]) -> Tensor:
        """`x` plus the result for all `queries`, `[B, heads, positions, head_dim]` each.

        `sums` is `relu(key)^T [value, 1]` over all positions, `[B, heads, head_dim, head_dim + 1]`.
        """
        out = torch.empty_like(x)
        first = 0
        for query in queries:
            weighted = query.to(sums.dtype) @ sums
            mixed = weighted[..., :-1] / (weighted[..., -1:] + plain.ATTENTION_EPS)
            rows = self.out(mixed.transpose(1, 2).flatten(2).to(x.dtype)).unflatten(1, (-1, x.shape[2]))
            end = first + rows.shape[1]
            torch.add(x[:, first:end], self.norm(rows), out=out[:, first:end])
            first = end
        return out

    def _heads(self, x: Tensor) -> Tensor:
        """Every head's queries, keys and values: `[B, T, bands, heads * 3 * head_dim]`."""
        qkv = self.qkv(x)
        return torch.cat([qkv, *(mix(see(qkv)) for see, mix in self.scales)], dim=-1)

    def _by_head(self, heads: Tensor) -> Tensor:
        """What `_heads` gives as contiguous `[B, heads, positions, 3 * head_dim]` in float32 at least."""
        apart = heads.flatten(1, 2).unflatten(2, (-1, 3 * self.head_dim)).transpose(1, 2)
        wide = torch.promote_types(heads.dtype, torch.float32)
        return apart.to(wide, memory_format=torch.contiguous_format).contiguous()

    def _quadratic(self, x: Tensor, heads: Tensor) -> Tensor:
        images = heads.flatten(1, 2).mT.unflatten(1, (-1, 3 * self.head_dim))
        mixed = plain.quadratic_attention(*images.chunk(3, dim=2)).flatten(1, 2).mT
        return x + self.norm(self.out(mixed)).view(x.shape)


class _Gated:
    """`plain.GatedConv` with its residual."""

    def __init__(self, block: plain.GatedConv, form: Format) -> None:
        self.inverted = Linear.fold(block.conv_inverted, form)
        self.depth = Conv.fold(block.conv_depth, form)
        self.point = Linear.fold(block.conv_point, form)
        self.norm = _norm(block.norm, form)
        self.form = form

    def __call__(self, x: Tensor) -> Tensor:
        stretch = self.form.stretch(x.shape[2] * len(self.inverted.weight), 1)
        return run_whole(Local(self._run, reach=1, stretch=stretch), x)

    def _run(self, x: Tensor) -> Tensor:
        value, gate = self.depth(F.silu(self.inverted(x))).chunk(2, dim=-1)
        return self.norm(self.point(F.silu(gate).mul_(value))).add_(x)


class FoldedDcae:
    """The autoencoder with its weights folded; `encode` and `decode` as `Dcae` has them, float32 at least.

    Half formats keep what touches latents and mels directly, the first and the last convolution of either half, in
    float32. Nothing is changed by a call, so one object may serve several threads.
    """

    def __init__(
        self, dcae: Dcae, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> None:
        """Fold `dcae`, which may be discarded afterwards, into `dtype` on `device`; by default those of its weights."""
        self.config: DcaeConfig = dcae.config
        self.form = form = Format.of(dcae.decoder.conv_in.weight, dtype, device)
        encoder, decoder = dcae.encoder, dcae.decoder
        with torch.no_grad():
            self._encoder_first = Conv.fold(encoder.conv_in, form, form.edge)
            self._encoder_stages = [_layers(stage, form) for stage in list(encoder.down_blocks)[:-1]]
            self._encoder_attention = _layers(encoder.down_blocks[-1], form)
            self._encoder_last = Conv.fold(encoder.conv_out, form, form.edge)
            self._decoder_first = Conv.fold(decoder.conv_in, form, form.edge)
            self._decoder_attention = _layers(decoder.up_blocks[-1], form)
            self._decoder_stages = [_layers(stage, form) for stage in list(decoder.up_blocks)[:-1]]
            self._decoder_norm = _norm(decoder.norm_out, form, form.edge)
            self._decoder_last = Conv.fold(decoder.conv_out, form, form.edge)

    def encode(self, mel: Tensor) -> Tensor:
        """Unscaled latents `[B, 8, M / 8, L / 8]` of normalised mels `[B, 2, M, L]`; ModelError as `Dcae.encode`."""
        check_mel(self.config, mel)
        with torch.no_grad():
            rows = chain(Whole(self.to_rows(mel)), self.encoder_stages(mel.shape[2]))
            return from_rows(self.finish_encode(rows.take(0, rows.length)))

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised mels `[B, 2, 8 H, 8 T]` of unscaled latents `[B, 8, H, T]`; ModelError as `Dcae.decode`."""
        check_latents(self.config, latents)
        with torch.no_grad():
            start = self.begin_decode(self.to_rows(latents))
            rows = chain(Whole(start), self.decoder_stages(latents.shape[2]))
            return from_rows(rows.take(0, rows.length))

    def to_rows(self, images: Tensor) -> Tensor:
        """`[B, channels, bands, time]` as rows in the format of the edges."""
        return images.to(self.form.device, self.form.edge).permute(0, 3, 2, 1).contiguous()

    def encoder_stages(self, bands: int) -> list[Local]:
        """The local part of encoding mels of `bands`: rows `[B, L, M, 2]` to `[B, L / 8, M / 8, 1024]`."""
        stages = []
        for index, layers in enumerate(self._encoder_stages):
            # Two convolutions to a residual block, and the row before that a strided one sees.
            reach = 2 * (len(layers) - 1) + 1
            run = _in_turn(layers)
            if index == 0:
                # The first convolution runs inside the stretches: its wide output never exists as a whole.
                run, reach = _in_turn([self._encoder_first, self._to_inner, *layers]), reach + 1
            width = (bands >> index) * self.config.encoder_block_out_channels[index]
            stages.append(Local(run, reach, down=2, stretch=self.form.stretch(width * 2, reach)))
        return stages

    def finish_encode(self, x: Tensor) -> Tensor:
        """The part of encoding that sees everything: `[B, T, H, 1024]` to latents `[B, T, H, 8]`."""
        x = _in_turn(self._encoder_attention)(x).to(self.form.edge)
        return self._encoder_last(x) + x.unflatten(-1, (self.config.latent_channels, -1)).mean(dim=-1)

    def begin_decode(self, latents: Tensor) -> Tensor:
        """The part of decoding that sees everything: latents `[B, T, H, 8]` to `[B, T, H, 1024]`."""
        repeats = len(self._decoder_first.weight) // latents.shape[-1]
        x = self._decoder_first(latents) + latents.repeat_interleave(repeats, dim=-1)
        return _in_turn(self._decoder_attention)(x.to(self.form.inner))

    def decoder_stages(self, height: int) -> list[Local]:
        """The local part of decoding latents of `height`: `[B, T, H, 1024]` to mels `[B, 8 T, 8 H, 2]`."""
        stages = []
        for index in reversed(range(len(self._decoder_stages))):
            layers, run = self._decoder_stages[index], _in_turn(self._decoder_stages[index])
            fine_reach = 2 * (len(layers) - 1)
            if index == 0:
                run = _in_turn([*layers, self._to_edge, self._decoder_norm, F.relu_, self._decoder_last])
                fine_reach += 1
            reach = -(-fine_reach // 2) + 1
            bands = height * self.config.factor >> index
            width = bands * self.config.decoder_block_out_channels[index]
            stages.append(Local(run, reach, up=2, stretch=self.form.stretch(width, 2 * reach)))
        return stages

    def _to_inner(self, x: Tensor) -> Tensor:
        return x.to(self.form.inner)

    def _to_edge(self, x: Tensor) -> Tensor:
        return x.to(self.form.edge)


def from_rows(rows: Tensor) -> Tensor:
    """`[B, time, bands, channels]` as `[B, channels, bands, time]`."""
    return rows.permute(0, 3, 2, 1)


def _norm(norm: plain.ChannelNorm, form: Format, dtype: torch.dtype | None = None) -> RootMeanSquareNorm:
    return RootMeanSquareNorm(form.put(norm.weight, dtype), form.put(norm.bias, dtype), plain.NORM_EPS)


def _layers(stage: nn.Module, form: Format) -> list[Any]:
    """What runs one after another in `stage`, folded."""
    folded: list[Any] = []
    for block in stage.children():
        if isinstance(block, plain.ResidualBlock):
            folded.append(_Residual.fold(block, form))
        elif isinstance(block, plain.DownBlock):
            folded.append(_Down.fold(block, form))
        elif isinstance(block, plain.UpBlock):
            folded.append(_Up.fold(block, form))
        else:
            assert isinstance(block, plain.AttentionBlock)
            folded += [_Attention(block.attn, form), _Gated(block.conv_out, form)]
    return folded


def _in_turn(layers: Sequence[Any]) -> Any:
    def run(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    return run
