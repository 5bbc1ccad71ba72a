"""A tiny Qwen3 with random weights: transformers' causal model, and ours with the same numbers."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Qwen3Config as PublishedConfig, Qwen3ForCausalLM

from partita.models.quantised import Form, plain
from partita.models.qwen3 import Qwen3, Qwen3Config
from partita.models.qwen3_decoder import Qwen3Decoder

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
}


def pair(dtype: torch.dtype = torch.float32, form: Form = plain, **sizes: int) -> tuple[Qwen3ForCausalLM, Qwen3Decoder]:
    """Both models, in evaluation mode. Weights are large enough for logits to differ by more than rounding."""
    torch.manual_seed(0)
    published = Qwen3ForCausalLM(PublishedConfig(**SIZES | sizes)).eval()
    with torch.no_grad():
        for name, weight in published.named_parameters():
            weight.normal_(std=1.0 if "norm" in name else 3.0 * weight.shape[-1] ** -0.5)
    published = published.to(dtype)
    with torch.device("meta"):
        ours = Qwen3(Qwen3Config.from_json(published.config.to_dict()))
    ours.load_state_dict(published.model.state_dict(), assign=True)
    return published, Qwen3Decoder(ours.requires_grad_(False).eval(), form)
