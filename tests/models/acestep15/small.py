"""Small networks with random weights that several tests share."""

from __future__ import annotations

from typing import Any

import torch

from partita.models.acestep15.config import AceStepConfig

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "in_channels": 24,
    "audio_acoustic_hidden_dim": 8,
    "text_hidden_dim": 16,
    "num_lyric_encoder_hidden_layers": 3,
    "timbre_hidden_dim": 8,
    "num_timbre_encoder_hidden_layers": 4,
    "sliding_window": 3,
}

PUBLISHED_2B: dict[str, Any] = {
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "in_channels": 192,
    "audio_acoustic_hidden_dim": 64,
    "text_hidden_dim": 1024,
}
PUBLISHED_XL: dict[str, Any] = PUBLISHED_2B | {
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "encoder_hidden_size": 2048,
    "encoder_intermediate_size": 6144,
    "encoder_num_attention_heads": 16,
    "encoder_num_key_value_heads": 8,
}


def small_config(**changes: Any) -> AceStepConfig:
    return AceStepConfig.from_json(SMALL | changes)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
