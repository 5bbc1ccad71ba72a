"""The built-in model: a reader of captions, and ACE-Step 1.5's transformer at a small size that writes for a cast.

The reader says which style, energy and instruments a text asks for; a choice among them, the cast, is what the
transformer is conditioned on. Knows nothing of notes, tokenizers, sampling or files.
Shapes: latents `[B, T, 64]`, context `[B, T, 128]`, casts `[B, 8]` (style, energy, a program or -1 for each role).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.dit import CrossCache, DiT
from partita.models.score_caption import ENERGY_COUNT, PAIR_ROWS, PROGRAM_COUNT, ROLE_COUNT, STYLE_COUNT, CaptionReader

LATENT_CHANNELS = 64
_PAIR_ROWS_UNSAID = 8192  # of models whose settings do not say


@dataclass(frozen=True, slots=True)
class ScoreModelConfig:
    """Sizes of the built-in model; the rest of the transformer's settings are ACE-Step 1.5's.

    `max_tokens` is the longest text that is read; `vocab_size` the most tokens that the tokenizer may have;
    `pair_rows` how many rows pairs of tokens share in the reader.
    """

    vocab_size: int = 4096
    max_tokens: int = 128
    pair_rows: int = PAIR_ROWS
    condition_size: int = 256
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
            encoder_hidden_size=self.condition_size,
            text_hidden_dim=self.condition_size,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ScoreModelConfig:
        """The inverse of `to_json`."""
        return cls(**{"pair_rows": _PAIR_ROWS_UNSAID, **values})


class CastEmbedding(nn.Module):
    """A cast as eight condition states: style, energy, and what each role plays (row 0: it is absent)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.style = nn.Embedding(STYLE_COUNT, width)
        self.energy = nn.Embedding(ENERGY_COUNT, width)
        self.players = nn.Embedding(ROLE_COUNT * (1 + PROGRAM_COUNT), width)

    def forward(self, casts: Tensor) -> Tensor:
        """Casts `[B, 8]` to states `[B, 8, width]`."""
        first_row = torch.arange(ROLE_COUNT, device=casts.device) * (1 + PROGRAM_COUNT)
        players = self.players(first_row + casts[:, 2:] + 1)
        return torch.cat([self.style(casts[:, :1]), self.energy(casts[:, 1:2]), players], dim=1)


class ScoreModel(nn.Module):
    """Text to the likelihoods of a cast; a cast and context to the velocity of flow matching."""

    def __init__(self, config: ScoreModelConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = CaptionReader(config.vocab_size, config.pair_rows)
        self.cast = CastEmbedding(config.condition_size)
        self.dit = DiT(config.dit())
        self.null_condition = nn.Parameter(torch.zeros(1, 1, config.condition_size))

    def conditions(self, casts: Tensor, drop: Tensor | None = None) -> Tensor:
        """Condition states `[B, 8, width]` of casts `[B, 8]`; null ones where `drop` `[B]` (bool) is true."""
        states = self.cast(casts)
        if drop is None:
            return states
        return torch.where(drop[:, None, None], self.null_condition.to(states.dtype), states)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | CrossCache, context: Tensor) -> Tensor:
        """Velocity `[B, T, 64]` at latents x and times t `[B]` in [0, 1], 1 being pure noise."""
        velocity = self.dit(x, t, None, condition, context)
        assert isinstance(velocity, Tensor)  # attention maps were not asked for
        return velocity
