"""The built-in model's text encoder: a few bidirectional transformer layers over byte-pair tokens.

Knows nothing of tokenizers or music. Shapes: tokens `[B, S]`, states `[B, S, width]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ScoreTextConfig:
    """Sizes of the encoder. `max_tokens` is the longest text; longer ones are cut by whoever tokenizes."""

    vocab_size: int = 2048
    width: int = 256
    layers: int = 3
    heads: int = 4
    max_tokens: int = 128


class _Layer(nn.Module):
    def __init__(self, config: ScoreTextConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_norm = nn.RMSNorm(config.width, eps=1e-6)
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.mlp_norm = nn.RMSNorm(config.width, eps=1e-6)
        self.up = nn.Linear(config.width, 3 * config.width, bias=False)
        self.down = nn.Linear(3 * config.width, config.width, bias=False)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        B, S, D = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(B, S, 3, self.heads, D // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        x = x + self.out(mixed.transpose(1, 2).reshape(B, S, D))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x))))


class ScoreTextEncoder(nn.Module):
    """Token states of a text."""

    def __init__(self, config: ScoreTextConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.max_tokens, config.width)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=1e-6)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """States `[B, S, width]`, zero where `mask` `[B, S]` (bool) is false."""
        x = self.embed_tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        allowed = mask[:, None, None, :]
        for layer in self.layers:
            x = layer(x, allowed)
        return self.norm(x) * mask[..., None]
