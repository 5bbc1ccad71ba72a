"""The text encoder against transformers' Qwen3Model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import Qwen3Config as PublishedConfig, Qwen3Model

from partita.errors import ModelError
from partita.models.qwen3 import Qwen3, Qwen3Config

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "rope_theta": 1e6,
}


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(0, 100, (2, 150), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_states_equal_those_of_transformers(ids: torch.Tensor):
    torch.manual_seed(0)
    published = Qwen3Model(PublishedConfig(**SMALL)).eval()
    with torch.device("meta"):
        ours = Qwen3(Qwen3Config.from_json(published.config.to_dict()))
    ours.load_state_dict(published.state_dict(), assign=True)
    torch.testing.assert_close(ours(ids), published(ids).last_hidden_state, atol=1e-5, rtol=0)


@torch.no_grad()
def test_padding_behind_a_text_changes_none_of_its_states(ids: torch.Tensor):
    torch.manual_seed(0)
    ours = Qwen3(Qwen3Config.from_json(SMALL))
    torch.testing.assert_close(ours(ids)[:, :40], ours(ids[:, :40]), atol=2e-6, rtol=0)


@pytest.mark.parametrize("key", ["hidden_size", "vocab_size"])
def test_a_missing_key_is_named(key: str):
    with pytest.raises(ModelError) as caught:
        Qwen3Config.from_json({name: value for name, value in SMALL.items() if name != key})
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("key", "value"), [("head_dim", "16"), ("num_hidden_layers", 0), ("attention_bias", True), ("hidden_act", "gelu")]
)
def test_a_bad_value_is_named(key: str, value: object):
    with pytest.raises(ModelError) as caught:
        Qwen3Config.from_json(SMALL | {key: value})
    assert caught.value.key == key
