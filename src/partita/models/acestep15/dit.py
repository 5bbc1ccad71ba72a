"""The diffusion transformer of ACE-Step 1.5: noisy latents, a context and a condition to a velocity.

It knows nothing of schedules, guidance or what the condition means. `T` latent frames become `S = ceil(T / 2)` tokens
of width `H`; layers alternate between a banded and a full self-attention, each followed by cross-attention and an
MLP. Sizes come from `AceStepConfig`, parameter names from the published checkpoints (without their `decoder.`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.errors import ModelError
from partita.models.acestep15.config import AceStepConfig, BlockSize
from partita.models.acestep15.layers import (
    Attention,
    AttentionBlock,
    GatedMLP,
    RMSNorm,
    Rotary,
    attend,
    attention_plan,
    attention_weights,
    cross_attention_plan,
    rotary,
)

TIME_FEATURES = 256

Head = tuple[int, int]
"""A layer and a query head in it, both counted from 0."""


@dataclass(frozen=True)
class CrossCache:
    """All that the layers take from a condition, the same at every step.

    `condition` `[B, L, H]` embedded; `keys` and `values` one `[B, L, G, d]` a layer.
    """

    condition: Tensor
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


class TimeEmbedding(nn.Module):
    """Sinusoids of a time in 0..1, two linear layers, and six modulation vectors shared by all layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(TIME_FEATURES, width)
        self.linear_2 = nn.Linear(width, width)
        self.time_proj = nn.Linear(width, 6 * width)

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """`t` `[B]` in the model's number format -> embedding `[B, H]` and modulation `[B, 6, H]`."""
        half = TIME_FEATURES // 2
        place = torch.arange(half, dtype=torch.float32, device=t.device)
        # The product with 1000 is rounded to the model's format before anything else: bfloat16 models were trained so.
        angle = (t * 1000).float()[:, None] * torch.exp(-math.log(10000.0) * place / half)
        features = torch.cat((angle.cos(), angle.sin()), dim=-1).to(t.dtype)
        embedding = self.linear_2(F.silu(self.linear_1(features)))
        return embedding, self.time_proj(F.silu(embedding)).unflatten(1, (6, -1))


@dataclass(frozen=True)
class _Shared:
    """What every layer of one call uses: positions, one plan a window, the plan of cross-attention."""

    positions: Rotary
    plans: dict[int | None, Sequence[AttentionBlock]]
    cross_plan: Sequence[AttentionBlock]


class DiTLayer(nn.Module):
    """Modulated self-attention, plain cross-attention, modulated MLP."""

    def __init__(self, size: BlockSize, window: int | None) -> None:
        super().__init__()
        self.window = window
        self.self_attn_norm = RMSNorm(size.hidden_size, size.eps)
        self.self_attn = Attention(size)
        self.cross_attn_norm = RMSNorm(size.hidden_size, size.eps)
        self.cross_attn = Attention(size)
        self.mlp_norm = RMSNorm(size.hidden_size, size.eps)
        self.mlp = GatedMLP(size)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, size.hidden_size) / size.hidden_size**0.5)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        key: Tensor,
        value: Tensor,
        shared: _Shared,
        see_query: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """`x` `[B, S, H]`, `modulation` `[B, 6, H]`, key and value `[B, L, G, d]` of the condition -> `[B, S, H]`.

        `see_query` is handed the queries of cross-attention, `[B, S, N, d]`.
        """
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (self.scale_shift_table + modulation).chunk(6, dim=1)
        inner = torch.addcmul(shift_a, self.self_attn_norm(x), scale_a + 1)
        x = torch.addcmul(x, self.self_attn(inner, shared.positions, shared.plans[self.window]), gate_a)
        query = self.cross_attn.queries(self.cross_attn_norm(x))
        if see_query is not None:
            see_query(query)
        x = x + self.cross_attn.o_proj(attend(query, key, value, shared.cross_plan))
        inner = torch.addcmul(shift_m, self.mlp_norm(x), scale_m + 1)
        return torch.addcmul(x, self.mlp(inner), gate_m)


class DiT(nn.Module):
    """The velocity network."""

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        self.config = config
        size, width, patch = config.decoder_block, config.hidden_size, config.patch_size
        self.proj_in = nn.Sequential(nn.Identity(), nn.Conv1d(config.in_channels, width, patch, patch))
        self.time_embed = TimeEmbedding(width)
        self.time_embed_r = TimeEmbedding(width)
        self.condition_embedder = nn.Linear(config.encoder_block.hidden_size, width)
        self.layers = nn.ModuleList(DiTLayer(size, config.window(index)) for index in range(config.num_hidden_layers))
        self.norm_out = RMSNorm(width, config.rms_norm_eps)
        self.proj_out = nn.Sequential(
            nn.Identity(), nn.ConvTranspose1d(width, config.audio_acoustic_hidden_dim, patch, patch)
        )
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, width) / width**0.5)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        r: Tensor | None,
        condition: Tensor | CrossCache,
        context: Tensor,
        *,
        mask_condition_padding: Tensor | None = None,
        capture: Sequence[Head] | None = None,
    ) -> Tensor | tuple[Tensor, dict[Head, Tensor]]:
        """Velocity `[B, T, 64]` of the latents `x` `[B, T, 64]` at times `t` `[B]` (1 is noise, 0 is music).

        `r` `[B]`: the time that a step leads to, in models of mean flow; `None` is `t`, as in all published models.
        `condition`: packed states `[B, L, He]`, or the `cross_cache` of them, which saves work from the second step on.
        `context` `[B, T, 128]`: source latents and chunk mask.
        `mask_condition_padding`: bool `[B, L]`; positions where it is false are not seen. The published program lets
        padded positions be seen, which is what `None` does; give the mask where an item must not depend on its batch.
        `capture`: return also the cross-attention weights `[B, S, L]` of these heads.

        Raises `ModelError` where channels do not add up to the model's input.
        """
        frames = x.shape[1]
        cache = condition if isinstance(condition, CrossCache) else self.cross_cache(condition)
        embedding, modulation = self.embed_time(t.to(x.dtype), None if r is None else r.to(x.dtype))
        hidden = self.embed_patches(x, context)
        shared = self._shared(hidden, cache, mask_condition_padding)
        hidden, maps = self._through(hidden, modulation, cache, shared, capture or ())
        velocity = self._project_out(hidden, embedding)[:, :frames]
        return velocity if capture is None else (velocity, maps)

    def attention_maps(
        self, x: Tensor, t: Tensor, r: Tensor | None, condition: Tensor, context: Tensor, heads: Sequence[Head]
    ) -> dict[Head, Tensor]:
        """What `forward` gives for `capture=heads`, without the layers above the highest of them and the velocity."""
        cache = self.cross_cache(condition, layers=1 + max(layer for layer, _ in heads))
        _, modulation = self.embed_time(t.to(x.dtype), None if r is None else r.to(x.dtype))
        hidden = self.embed_patches(x, context)
        return self._through(hidden, modulation, cache, self._shared(hidden, cache, None), heads)[1]

    def _through(
        self, hidden: Tensor, modulation: Tensor, cache: CrossCache, shared: _Shared, capture: Sequence[Head]
    ) -> tuple[Tensor, dict[Head, Tensor]]:
        """The states after as many layers as the cache serves, and the maps of the heads to capture."""
        maps: dict[Head, Tensor] = {}
        for index, (layer, key, value) in enumerate(zip(self.blocks, cache.keys, cache.values, strict=False)):
            heads = [head for at, head in capture if at == index]
            see_query = _map_reader(index, heads, key, shared, maps) if heads else None
            hidden = layer(hidden, modulation, key, value, shared, see_query)
        return hidden, maps

    @property
    def blocks(self) -> list[DiTLayer]:
        """The layers, with their type."""
        return [cast(DiTLayer, layer) for layer in self.layers]

    def cross_cache(self, condition: Tensor, *, layers: int | None = None) -> CrossCache:
        """What the layers, or the first `layers`, need of the condition `[B, L, He]`, computed once for all steps."""
        embedded = self.condition_embedder(condition)
        pairs = [layer.cross_attn.keys_values(embedded) for layer in self.blocks[:layers]]
        return CrossCache(embedded, tuple(key for key, _ in pairs), tuple(value for _, value in pairs))

    def embed_time(self, t: Tensor, r: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Sum of the embeddings of `t` and of `t - r`: `[B, H]` and `[B, 6, H]`."""
        embedding, modulation = self.time_embed(t)
        # With r = t the second branch sees 0 in every row, so one row serves all. It does not vanish.
        embedding_r, modulation_r = self.time_embed_r(t.new_zeros(1) if r is None else t - r)
        return embedding + embedding_r, modulation + modulation_r

    def embed_patches(self, x: Tensor, context: Tensor) -> Tensor:
        """Latents `[B, T, 64]` and context `[B, T, 128]` to tokens `[B, ceil(T / 2), H]`."""
        stacked = torch.cat((context.to(x.dtype), x), dim=-1)
        if stacked.shape[-1] != self.config.in_channels:
            raise ModelError(
                f"The transformer takes {self.config.in_channels} channels, but context and latents have "
                f"{context.shape[-1]} + {x.shape[-1]}. Use the codec that belongs to this model.",
                key="in_channels",
            )
        missing = -stacked.shape[1] % self.config.patch_size
        stacked = F.pad(stacked, (0, 0, 0, missing))
        return self.proj_in(stacked.transpose(1, 2)).transpose(1, 2).contiguous()

    def _shared(self, hidden: Tensor, cache: CrossCache, mask: Tensor | None) -> _Shared:
        length = hidden.shape[1]
        positions = rotary(length, self.config.head_dim, self.config.rope_theta, hidden)
        plans = {window: attention_plan(length, window, hidden) for window in {one.window for one in self.blocks}}
        mask = None if mask is None else mask.bool()
        return _Shared(positions, plans, cross_attention_plan(length, cache.condition.shape[1], hidden, mask))

    def _project_out(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        shift, scale = (self.scale_shift_table + embedding[:, None]).chunk(2, dim=1)
        hidden = torch.addcmul(shift, self.norm_out(hidden), scale + 1)
        return self.proj_out(hidden.transpose(1, 2)).transpose(1, 2)


def _map_reader(
    layer: int, heads: Sequence[int], key: Tensor, shared: _Shared, maps: dict[Head, Tensor]
) -> Callable[[Tensor], None]:
    """A function that writes the cross-attention weights of `heads` into `maps` once it sees the queries."""

    def read(query: Tensor) -> None:
        group = query.shape[2] // key.shape[2]
        chosen = torch.tensor(list(heads), device=query.device)
        asked = query.index_select(2, chosen).transpose(1, 2)
        answering = key.index_select(2, chosen // group).transpose(1, 2)
        weights = attention_weights(asked, answering, shared.cross_plan[0].mask)
        maps.update({(layer, head): weights[:, place] for place, head in enumerate(heads)})

    return read
