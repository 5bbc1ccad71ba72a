"""The built-in model: a text encoder, ACE-Step 1.5's transformer at a small size, and a linear picker of instruments.

It holds the networks and says how they fit together; it knows nothing of notes, tokenizers, sampling or files.
Shapes: latents `[B, T, 64]`, context `[B, T, 128]`, tokens `[B, S]`; R roles of at most P programs each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.dit import DiT
from partita.models.score_text import ScoreTextConfig, ScoreTextEncoder

ROLE_COUNT = 6
PROGRAM_COUNT = 16
LATENT_CHANNELS = 64
PAIR_ROWS = 8192
"""Rows of the orchestrator that pairs of tokens share."""


@dataclass(frozen=True, slots=True)
class ScoreModelConfig:
    """Sizes of the built-in model; the rest of the transformer's settings are ACE-Step 1.5's."""

    text: ScoreTextConfig = field(default_factory=ScoreTextConfig)
    hidden_size: int = 256
    intermediate_size: int = 768
    layers: int = 8
    heads: int = 4
    key_value_heads: int = 2
    head_dim: int = 64

    def dit(self) -> AceStepConfig:
        """The transformer's configuration. Every layer sees the whole window: windows here are short."""
        return AceStepConfig(
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            head_dim=self.head_dim,
            in_channels=3 * LATENT_CHANNELS,
            audio_acoustic_hidden_dim=LATENT_CHANNELS,
            layer_types=("full_attention",) * max(self.layers, 8),
            use_sliding_window=False,
            rope_theta=10_000.0,
            encoder_hidden_size=self.text.width,
            text_hidden_dim=self.text.width,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ScoreModelConfig:
        """The inverse of `to_json`."""
        return cls(**{**values, "text": ScoreTextConfig(**values["text"])})


@dataclass(frozen=True, slots=True)
class TextCondition:
    """States `[B, S, width]`, and which of them are text `[B, S]` (bool)."""

    states: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Orchestration:
    """Logits that a role plays `[B, R]`, and of the program it plays `[B, R, P]`."""

    presence: Tensor
    programs: Tensor


class Orchestrator(nn.Module):
    """Which instruments a text asks for: a linear model of its tokens and of pairs of tokens next or next but one.

    Pairs share `PAIR_ROWS` rows by hashing (Joulin et al., arXiv:1607.01759). Words such as "no drums" or "fretless
    bass" decide here, not meaning, and a linear model learns them in seconds where a deep one took hours.
    """

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.table = nn.Embedding(vocab_size + PAIR_ROWS, ROLE_COUNT * (1 + PROGRAM_COUNT))
        self.bias = nn.Parameter(torch.zeros(ROLE_COUNT * (1 + PROGRAM_COUNT)))

    def forward(self, tokens: Tensor, mask: Tensor) -> Orchestration:
        """Logits for tokens `[B, S]`, of which those are text where `mask` `[B, S]` (bool) is true."""
        logits = self.bias + (self.table(tokens) * mask[..., None]).sum(dim=1)
        for distance in (1, 2):
            first, second = tokens[:, :-distance], tokens[:, distance:]
            rows = self.vocab_size + (first * 31 + second * 1009 + distance * 7919) % PAIR_ROWS
            logits = logits + (self.table(rows) * mask[:, distance:, None]).sum(dim=1)
        logits = logits.unflatten(-1, (ROLE_COUNT, 1 + PROGRAM_COUNT))
        return Orchestration(logits[..., 0], logits[..., 1:])


class ScoreModel(nn.Module):
    """Text and context to the velocity of flow matching, and text to instruments."""

    def __init__(self, config: ScoreModelConfig) -> None:
        super().__init__()
        self.config = config
        self.text = ScoreTextEncoder(config.text)
        self.dit = DiT(config.dit())
        self.null_condition = nn.Parameter(torch.zeros(1, 1, config.text.width))
        self.orchestrator = Orchestrator(config.text.vocab_size)

    def encode_text(self, tokens: Tensor, mask: Tensor) -> TextCondition:
        """Read tokens `[B, S]`, of which those are text where `mask` `[B, S]` (bool) is true."""
        return TextCondition(self.text(tokens, mask), mask)

    def drop_text(self, condition: TextCondition, drop: Tensor) -> TextCondition:
        """The condition with the null condition in place of the texts that `drop` `[B]` (bool) selects."""
        null = self.null_condition.to(condition.states.dtype)
        return TextCondition(torch.where(drop[:, None, None], null, condition.states), condition.mask)

    def forward(self, x: Tensor, t: Tensor, condition: TextCondition, context: Tensor) -> Tensor:
        """Velocity `[B, T, 64]` at latents x and times t `[B]` in [0, 1], 1 being pure noise."""
        velocity = self.dit(x, t, None, condition.states, context, mask_condition_padding=_unless_full(condition.mask))
        assert isinstance(velocity, Tensor)  # attention maps were not asked for
        return velocity


def _unless_full(mask: Tensor) -> Tensor | None:
    return None if bool(mask.all()) else mask
