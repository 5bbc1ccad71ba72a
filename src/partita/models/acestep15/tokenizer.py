"""The audio tokenizer of ACE-Step 1.5: latents at 25 Hz to codes at 5 Hz by finite scalar quantisation, and back.

It sees latents, not audio. A code is one whole number 0..63999 (levels 8, 8, 8, 5, 5, 5) for five latent frames.
Source of the quantiser: Mentzer et al. 2023, with the soft clamp of the residual form used in training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.layers import EncoderLayer, RMSNorm, run_encoder


def fsq_levels(projected: Tensor, levels: Sequence[int]) -> Tensor:
    """Nearest level of every coordinate of `projected` `[..., d]` (any real): whole numbers 0..L-1, int64."""
    steps = torch.tensor(levels, device=projected.device, dtype=projected.dtype) - 1
    limit = 1 + 1 / steps
    bounded = (limit * torch.tanh(projected / limit)).clamp(-1, 1)
    return torch.floor(steps * (bounded + 1) / 2 + 0.5).long()


def levels_to_index(chosen: Tensor, levels: Sequence[int]) -> Tensor:
    """Level numbers `[..., d]` to one index `[...]`; the first coordinate counts fastest."""
    return (chosen * _basis(levels, chosen.device)).sum(dim=-1)


def index_to_levels(indices: Tensor, levels: Sequence[int]) -> Tensor:
    """The inverse of `levels_to_index`: `[...]` -> `[..., d]`."""
    sizes = torch.tensor(levels, device=indices.device)
    return indices.long().unsqueeze(-1) // _basis(levels, indices.device) % sizes


def levels_to_values(chosen: Tensor, levels: Sequence[int]) -> Tensor:
    """Level numbers to values spread evenly over [-1, 1], float32."""
    return 2 * chosen / (torch.tensor(levels, device=chosen.device, dtype=torch.float32) - 1) - 1


def _basis(levels: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([math.prod(levels[:place]) for place in range(len(levels))], device=device)


class Quantizer(nn.Module):
    """Finite scalar quantisation between two projections, in float32 whatever the model's number format."""

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        width = config.fsq_dim or config.encoder_block.hidden_size
        self.levels = config.fsq_input_levels
        self.project_in = nn.Linear(width, len(self.levels))
        self.project_out = nn.Linear(len(self.levels), width)

    @property
    def codebook_size(self) -> int:
        """Number of codes; 64000 in published models."""
        return math.prod(self.levels)

    def project(self, pooled: Tensor) -> Tensor:
        """`[..., D]` -> coordinates `[..., 6]`, float32, before any bound."""
        return F.linear(pooled.float(), self.project_in.weight.float(), self.project_in.bias.float())

    def encode(self, pooled: Tensor) -> Tensor:
        """`[..., D]` -> code indices `[...]`, int64."""
        return levels_to_index(fsq_levels(self.project(pooled), self.levels), self.levels)

    def decode(self, indices: Tensor) -> Tensor:
        """Code indices `[...]` in 0..codebook_size-1 -> embeddings `[..., D]` in the weights' number format."""
        values = levels_to_values(index_to_levels(indices, self.levels), self.levels)
        weight, bias = self.project_out.weight, self.project_out.bias
        return F.linear(values, weight.float(), bias.float()).to(weight.dtype)


class AttentionPooler(nn.Module):
    """Sums up each window of tokens in a class token put in front of it."""

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        size, depth = config.encoder_block, config.num_attention_pooler_hidden_layers
        self.config = config
        self.embed_tokens = nn.Linear(size.hidden_size, size.hidden_size)
        self.special_token = nn.Parameter(torch.randn(1, 1, size.hidden_size) * 0.02)
        self.layers = nn.ModuleList(EncoderLayer(size) for _ in range(depth))
        self.norm = RMSNorm(size.hidden_size, size.eps)

    def forward(self, x: Tensor) -> Tensor:
        """Windows `[B, T5, P, D]` -> `[B, T5, D]`."""
        config = self.config
        embedded = self.embed_tokens(x).flatten(0, 1)
        token = self.special_token.to(embedded.dtype).expand(len(embedded), 1, -1)
        windows = [config.window(index) for index in range(len(self.layers))]
        pooled = run_encoder(
            self.layers,
            torch.cat((token, embedded), dim=1),
            windows,
            config.rope_theta,
            config.head_dim,
            first_only=True,
        )
        return self.norm(pooled[:, 0]).unflatten(0, x.shape[:2])


class AudioTokenizer(nn.Module):
    """Latents to codes."""

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        self.pool_window = config.pool_window_size
        self.audio_acoustic_proj = nn.Linear(config.audio_acoustic_hidden_dim, config.encoder_block.hidden_size)
        self.attention_pooler = AttentionPooler(config)
        self.quantizer = Quantizer(config)

    def pad(self, latents: Tensor, silence: Tensor) -> Tensor:
        """`[B, T, 64]` followed by the first frames of `silence` `[1, >=4, 64]` up to a whole number of windows."""
        missing = -latents.shape[1] % self.pool_window
        if not missing:
            return latents
        return torch.cat((latents, silence[:, :missing].to(latents).expand(len(latents), -1, -1)), dim=1)

    def pool(self, latents: Tensor) -> Tensor:
        """Whole windows of latents `[B, 5 * T5, 64]` -> `[B, T5, D]`."""
        windows = latents.unflatten(1, (-1, self.pool_window))
        return self.attention_pooler(self.audio_acoustic_proj(windows))

    def forward(self, latents: Tensor, silence: Tensor) -> Tensor:
        """Latents `[B, T, 64]` -> code indices `[B, ceil(T / 5)]`, int64; see `pad` for `silence`."""
        return self.quantizer.encode(self.pool(self.pad(latents, silence)))

    def token_mask(self, frame_mask: Tensor) -> Tensor:
        """`[B, T]`, nonzero where a frame is real -> `[B, ceil(T / 5)]`: a code is real if any of its frames is."""
        missing = -frame_mask.shape[1] % self.pool_window
        return F.pad(frame_mask, (0, missing)).unflatten(1, (-1, self.pool_window)).amax(dim=-1)


class AudioDetokenizer(nn.Module):
    """Code embeddings to latents, each code on its own."""

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        size, depth = config.encoder_block, config.num_attention_pooler_hidden_layers
        self.config = config
        self.embed_tokens = nn.Linear(size.hidden_size, size.hidden_size)
        self.special_tokens = nn.Parameter(torch.randn(1, config.pool_window_size, size.hidden_size) * 0.02)
        self.layers = nn.ModuleList(EncoderLayer(size) for _ in range(depth))
        self.norm = RMSNorm(size.hidden_size, size.eps)
        self.proj_out = nn.Linear(size.hidden_size, config.audio_acoustic_hidden_dim)

    def forward(self, quantized: Tensor) -> Tensor:
        """Embeddings `[B, T5, D]` from `Quantizer.decode` -> latents `[B, 5 * T5, 64]`, the 25 Hz hint."""
        config = self.config
        batch = len(quantized)
        x = self.embed_tokens(quantized).flatten(0, 1).unsqueeze(1) + self.special_tokens.to(quantized.dtype)
        windows = [config.window(index) for index in range(len(self.layers))]
        x = run_encoder(self.layers, x, windows, config.rope_theta, config.head_dim)
        return self.proj_out(self.norm(x)).reshape(batch, -1, config.audio_acoustic_hidden_dim)
