"""The diffusion transformer of ACE-Step v1: noisy latents, a time and a context to a velocity.

It knows nothing of schedules, guidance or what the context means. A frame of latents `[B, 8, 16, T]` is one token of
width `D`; blocks are linear self-attention, cross-attention and a gated convolution. Sizes come from
`TransformerConfig`, parameter names and shapes from the published checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from partita.errors import ModelError
from partita.models.acestepv1.conditioner import Context
from partita.models.acestepv1.config import TransformerConfig, Weaken
from partita.models.acestepv1.layers import (
    CrossAttention,
    GatedConvolution,
    Linear,
    LinearAttention,
    Pointwise,
    Rotary,
    rotary,
    time_features,
)

TIME_FEATURES = 256
NORM_EPS = 1e-6
NORM_GROUPS = 32
EARLY_CHANNELS = 256  # of the patch embedding's first convolution, for each input channel

Weakening = Weaken | Sequence[Weaken | None] | None
"""Which queries are multiplied by what: the same for all rows of a batch, or one for each row."""


@dataclass(frozen=True, slots=True)
class CrossCache:
    """All that the blocks take from a context, the same at every step.

    `keys` (rotated) and `values` one `[B, N, S, d]` a block; `mask` bool `[B, S]`, or none where everything is seen.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    mask: Tensor | None

    def rows(self, start: int, stop: int) -> CrossCache:
        """The same for some items of the batch. Shares memory."""
        return CrossCache(
            tuple(key[start:stop] for key in self.keys),
            tuple(value[start:stop] for value in self.values),
            None if self.mask is None else self.mask[start:stop],
        )


@dataclass(frozen=True, slots=True)
class Shared:
    """What every block of one call uses: positions, `[B, S]` of the context that is seen, `[B, T, 1]` of the frames."""

    positions: Rotary
    seen: Tensor | None
    frame_mask: Tensor | None


def _norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), None, NORM_EPS)


class TransformerBlock(nn.Module):
    """Modulated linear self-attention, plain cross-attention, modulated gated convolution."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, heads = config.width, config.num_attention_heads
        self.scale_shift_table = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.attn = LinearAttention(width, heads)
        self.cross_attn = CrossAttention(width, heads)
        self.ff = GatedConvolution(width, config.feed_forward_width)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        key: Tensor,
        value: Tensor,
        shared: Shared,
        factor: float | Tensor = 1.0,
    ) -> Tensor:
        """`x` `[B, T, D]`, `modulation` `[B, 6, D]`, key and value `[B, N, S, d]` of the context -> `[B, T, D]`.

        `factor` multiplies the queries of both attentions.
        """
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = (self.scale_shift_table + modulation).chunk(6, dim=1)
        inner = torch.addcmul(shift_a, _norm(x), scale_a + 1)
        x = torch.addcmul(x, self.attn(inner, shared.positions, shared.frame_mask, factor), gate_a)
        x = x + self.cross_attn(x, key, value, shared.positions, shared.seen, shared.frame_mask, factor)
        inner = torch.addcmul(shift_f, _norm(x), scale_f + 1)
        return torch.addcmul(x, self.ff(inner), gate_f)


class TimestepEmbedder(nn.Module):
    """Sinusoids of a time on 0..1000 and two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(TIME_FEATURES, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, time: Tensor) -> Tensor:
        """`[B]` -> `[B, D]`."""
        return self.linear_2(F.silu(self.linear_1(time_features(time, self.linear_1.weight.dtype, TIME_FEATURES))))


class PatchEmbedding(nn.Module):
    """Every frame to a token: two linear layers and between them a norm over groups of channels and all frames.

    The norm makes every token depend on how many frames there are.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        early = EARLY_CHANNELS * config.in_channels
        self.early_conv_layers = nn.Sequential(
            nn.Conv2d(config.in_channels, early, config.patch_size, config.patch_size),
            nn.GroupNorm(NORM_GROUPS, early, eps=NORM_EPS),
            nn.Conv2d(early, config.width, 1),
        )

    def forward(self, latents: Tensor) -> Tensor:
        """`[B, C, H, T]` -> `[B, T, D]`."""
        first, norm, last = self.early_conv_layers
        frames = latents.permute(0, 3, 1, 2).flatten(2)
        x = F.linear(frames, cast(Tensor, first.weight).flatten(1), cast(Tensor, first.bias))
        x = norm(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)
        return F.linear(x, cast(Tensor, last.weight).flatten(1), cast(Tensor, last.bias))


class FinalLayer(nn.Module):
    """A modulated norm and a linear layer, from tokens back to frames."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(2, config.width) / config.width**0.5)
        self.linear = nn.Linear(config.width, config.out_channels * config.max_height)
        self.rows = config.max_height

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """`x` `[B, T, D]`, `embedding` `[B, D]` of the time -> `[B, C, H, T]`."""
        shift, scale = (self.scale_shift_table + embedding[:, None]).chunk(2, dim=1)
        frames = self.linear(torch.addcmul(shift, _norm(x), scale + 1))
        return frames.unflatten(-1, (self.rows, -1)).permute(0, 3, 2, 1).contiguous()


class Transformer(nn.Module):
    """The velocity network."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer_blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.num_layers))
        self.timestep_embedder = TimestepEmbedder(config.width)
        self.t_block = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 6 * config.width))
        self.proj_in = PatchEmbedding(config)
        self.final_layer = FinalLayer(config)
        self.checkpoint_blocks = False
        """In training: keep only what goes into each block, and compute the rest again for the gradients."""

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        cache: CrossCache,
        *,
        frame_mask: Tensor | None = None,
        weaken: Weakening = None,
        output_length: int | None = None,
        control: Tensor | None = None,
        control_scale: float = 1.0,
        see: Callable[[str, Tensor], None] | None = None,
    ) -> Tensor:
        """Velocity `[B, 8, 16, T]` of `latents` `[B, 8, 16, T]` at `timestep` `[B]`, 1000 times the noise level.

        `cache`: what `cross_cache` made of a context of B rows. `frame_mask` `[B, T]`: 1 or true for frames of music;
        give none where nothing is padding. `weaken` multiplies queries, in each row by its own if there is one for
        each. `output_length`: pad the velocity with zeros, or crop it, on the right. `control` `[B, T, D]` is brought
        to the mean and spread of the tokens and added to them, times `control_scale`. `see` is handed
        `timestep_embedding` `[B, D]`, `t_block_out` `[B, 6 D]`, `patch_embed` and `block_<i>` `[B, T, D]`.

        Raises `ModelError` where latents are not of the model's channels and rows, or rows do not match the cache.
        """
        self._check(latents, cache)
        dtype = self.final_layer.linear.weight.dtype
        embedding, modulation = self.embed_time(timestep)
        x = self.proj_in(latents.to(dtype))
        _show(see, ("timestep_embedding", embedding), ("t_block_out", modulation.flatten(1)), ("patch_embed", x))
        if control is not None:
            x = x + _matched(control.to(dtype), x) * control_scale
        shared = self._shared(x, cache, frame_mask)
        for index, (block, key, value) in enumerate(zip(self.blocks, cache.keys, cache.values, strict=True)):
            factor = _factor(weaken, index, x)
            if self.checkpoint_blocks and torch.is_grad_enabled():
                x = cast(Tensor, checkpoint(block, x, modulation, key, value, shared, factor, use_reentrant=False))
            else:
                x = block(x, modulation, key, value, shared, factor)
            _show(see, (f"block_{index}", x))
        velocity = self.final_layer(x, embedding)
        missing = 0 if output_length is None else output_length - velocity.shape[-1]
        return F.pad(velocity, (0, missing)) if missing else velocity

    def cross_cache(self, context: Context) -> CrossCache:
        """What the blocks need of a context, computed once for all steps."""
        dtype = self.final_layer.linear.weight.dtype
        hidden = context.hidden.to(dtype)
        positions = self._positions(hidden)
        pairs = [block.cross_attn.keys_values(hidden, positions) for block in self.blocks]
        mask = context.mask.bool()
        everything = bool(mask.all())
        return CrossCache(
            tuple(key for key, _ in pairs), tuple(value for _, value in pairs), None if everything else mask
        )

    def embed_time(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """`timestep` `[B]` -> its embedding `[B, D]` and the modulation `[B, 6, D]` that all blocks share."""
        embedding = self.timestep_embedder(timestep)
        return embedding, self.t_block(embedding).unflatten(1, (6, -1))

    def prepare(self) -> Self:
        """Pack the weights that every step reads, where that makes steps faster; needs as much memory again as they
        take. Call it once the weights are in place."""
        for module in self.modules():
            if isinstance(module, (Linear, Pointwise)):
                module.pack()
        return self

    @property
    def blocks(self) -> list[TransformerBlock]:
        """The blocks, with their type."""
        return [cast(TransformerBlock, block) for block in self.transformer_blocks]

    def _positions(self, x: Tensor) -> Rotary:
        return rotary(x.shape[1], self.config.attention_head_dim, self.config.rope_theta, x)

    def _shared(self, x: Tensor, cache: CrossCache, frame_mask: Tensor | None) -> Shared:
        return Shared(self._positions(x), cache.mask, None if frame_mask is None else frame_mask.unsqueeze(-1))

    def _check(self, latents: Tensor, cache: CrossCache) -> None:
        config, rows = self.config, len(cache.keys[0])
        if latents.shape[1:3] != (config.in_channels, config.max_height):
            raise ModelError(
                f"The transformer takes latents [B, {config.in_channels}, {config.max_height}, T], and was given "
                f"{list(latents.shape)}. Use the codec that belongs to this model.",
                key="in_channels",
            )
        if len(latents) != rows:
            raise ModelError(f"{len(latents)} latents were given with a context of {rows} rows; give one for each.")


def unused_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Tensors of a published checkpoint that no part of the model reads, by name.

    With the state of `Conditioner`, `Transformer` and `Projectors` (prefix `projectors.`) they are all there is.
    """
    width = config.width
    return {
        f"transformer_blocks.{index}.cross_attn.{name}.{leaf}": (width, width) if leaf == "weight" else (width,)
        for index in range(config.num_layers)
        for name in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
        for leaf in ("weight", "bias")
    }


class Projectors(nn.ModuleList):
    """In training: guesses of what other encoders hear, made from the states of a middle block."""

    def __init__(self, config: TransformerConfig) -> None:
        width = config.width
        super().__init__(
            nn.Sequential(
                nn.Linear(width, 2 * width),
                nn.SiLU(),
                nn.Linear(2 * width, 2 * width),
                nn.SiLU(),
                nn.Linear(2 * width, heard),
            )
            for heard in config.ssl_latent_dims
        )

    def loss(self, index: int, states: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Mean over items and time of 1 - cosine, a scalar, for encoder `index`.

        `states` `[B, T, D]` after block `ssl_encoder_depths[index]`; `features` for each item `[frames, width]`, to
        whose frames the guess is stretched.
        """
        guesses = self[index](states)
        losses = []
        for guess, heard in zip(guesses, features, strict=True):
            stretched = F.interpolate(guess.t()[None], size=len(heard), mode="linear", align_corners=False)[0].t()
            losses.append(1 - F.cosine_similarity(F.normalize(stretched, dim=-1), F.normalize(heard, dim=-1)).mean())
        return torch.stack(losses).mean()


def _factor(weaken: Weakening, block: int, like: Tensor) -> float | Tensor:
    if weaken is None:
        return 1.0
    if isinstance(weaken, Weaken):
        return weaken.factor_of(block)
    factors = [1.0 if one is None else one.factor_of(block) for one in weaken]
    if len(set(factors)) == 1:
        return factors[0]
    return torch.tensor(factors, device=like.device)[:, None, None]


def _matched(control: Tensor, tokens: Tensor) -> Tensor:
    """`control` with the mean and standard deviation that `tokens` have over frames and channels."""
    axes = (1, 2)
    centred = control - control.mean(axes, keepdim=True)
    spread = tokens.std(axes, keepdim=True) / (control.std(axes, keepdim=True) + 1e-12)
    return centred * spread + tokens.mean(axes, keepdim=True)


def _show(see: Callable[[str, Tensor], None] | None, *stages: tuple[str, Tensor]) -> None:
    if see is not None:
        for name, value in stages:
            see(name, value)
