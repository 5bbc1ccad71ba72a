"""The text encoder of ACE-Step v1, the encoder half of UMT5: token ids to hidden states, both ways.

It knows ids, not text; the tokenizer is elsewhere. Sizes come from the model's `config.json`, keys are the published
ones. Sources: T5 https://arxiv.org/abs/1910.10683, UMT5 https://arxiv.org/abs/2304.09151 (position biases of its own in
every layer). The same numbers as `transformers`' UMT5EncoderModel, without the seconds that importing it takes and with
weakened queries as an argument: a hook would be seen by everyone who has borrowed the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.errors import ModelError
from partita.models.acestep15.layers import RMSNorm
from partita.models.acestepv1.config import Weaken

WEAK_TAGS = Weaken(0.01, 8, 10)
"""What ACE-Step v1 weakens to get the text of the unconditional prediction (entropy-rectifying guidance)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Umt5Config:
    """Sizes of the encoder, named as in its `config.json`."""

    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_heads: int
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Umt5Config:
        """Read a `config.json`; unknown keys are ignored.

        Raises `ModelError` naming the key that is missing, is no number, or asks for another feed-forward than UMT5's.
        """
        kind = values.get("feed_forward_proj", "gated-gelu")
        if kind != "gated-gelu":
            raise ModelError(
                f"`feed_forward_proj` = {kind!r} is not supported: UMT5 has gated-gelu.", key="feed_forward_proj"
            )
        found: dict[str, Any] = {}
        for one in fields(cls):
            value = values.get(one.name)
            if value is None and one.name in _MAY_BE_ABSENT:
                continue
            whole = one.type == "int"
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or value <= 0:
                wanted = "a whole number" if whole else "a number"
                raise ModelError(
                    f"`{one.name}` of a UMT5 configuration should be {wanted} above 0, but is {value!r}. "
                    "Take the `config.json` published with the weights.",
                    key=one.name,
                )
            found[one.name] = value
        return cls(**found)


_MAY_BE_ABSENT = frozenset({"relative_attention_num_buckets", "relative_attention_max_distance", "layer_norm_epsilon"})


class SelfAttention(nn.Module):
    """Attention without biases or scaling; a learned number for each head and bucket of distance is added to scores."""

    def __init__(self, config: Umt5Config) -> None:
        super().__init__()
        self.config = config
        inner = config.num_heads * config.d_kv
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)

    def forward(self, x: Tensor, buckets: Tensor, unseen: Tensor, factor: float) -> Tensor:
        """`x` `[B, L, D]`, `buckets` int64 `[L, L]`, `unseen` `[B, 1, 1, L]` added to scores -> `[B, L, D]`.

        `factor` multiplies the queries. Scores and their softmax are float32: unscaled, they are too large for less.
        """
        query, key, value = (
            project(x).unflatten(-1, (self.config.num_heads, -1)).transpose(1, 2)
            for project in (self.q, self.k, self.v)
        )
        bias = self.relative_attention_bias(buckets).permute(2, 0, 1)
        scores = (query * factor) @ key.transpose(-1, -2) + bias + unseen
        weights = scores.float().softmax(-1).to(value.dtype)
        return self.o((weights @ value).transpose(1, 2).flatten(2))


class _AttentionLayer(nn.Module):
    def __init__(self, config: Umt5Config) -> None:
        super().__init__()
        self.SelfAttention = SelfAttention(config)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor, buckets: Tensor, unseen: Tensor, factor: float) -> Tensor:
        return x + self.SelfAttention(self.layer_norm(x), buckets, unseen, factor)


class _GatedGelu(nn.Module):
    def __init__(self, config: Umt5Config) -> None:
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class _FeedForwardLayer(nn.Module):
    def __init__(self, config: Umt5Config) -> None:
        super().__init__()
        self.DenseReluDense = _GatedGelu(config)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.DenseReluDense(self.layer_norm(x))


class _Block(nn.Module):
    def __init__(self, config: Umt5Config) -> None:
        super().__init__()
        self.layer = nn.ModuleList((_AttentionLayer(config), _FeedForwardLayer(config)))

    def forward(self, x: Tensor, buckets: Tensor, unseen: Tensor, factor: float) -> Tensor:
        attention, feed_forward = self.layer
        return feed_forward(attention(x, buckets, unseen, factor))


class _Stack(nn.Module):
    def __init__(self, config: Umt5Config) -> None:
        super().__init__()
        self.block = nn.ModuleList(_Block(config) for _ in range(config.num_layers))
        self.final_layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)


class Umt5Encoder(nn.Module):
    """Embedding table, layers that see every real token, final norm."""

    def __init__(self, config: Umt5Config) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = _Stack(config)

    def forward(self, ids: Tensor, mask: Tensor, *, weaken: Weaken | None = None) -> Tensor:
        """Token ids `[B, L]` and `mask` `[B, L]`, 1 or true where a token is real -> states `[B, L, D]`.

        `weaken` multiplies the queries of some blocks (`WEAK_TAGS`). States of padding mean nothing.
        """
        x = self.shared(ids)
        buckets = self._buckets(ids.shape[1], ids.device)
        unseen = torch.zeros(mask.shape, dtype=x.dtype, device=x.device)
        unseen = unseen.masked_fill(~mask.bool(), torch.finfo(x.dtype).min)[:, None, None]
        for index, block in enumerate(self.encoder.block):
            x = cast(_Block, block)(x, buckets, unseen, 1.0 if weaken is None else weaken.factor_of(index))
        return self.encoder.final_layer_norm(x)

    def _buckets(self, length: int, device: torch.device) -> Tensor:
        """`[L, L]` from query and key to a bucket of their distance: one each for the near half, then ever wider."""
        config = self.config
        place = torch.arange(length, device=device)
        ahead = place[None] - place[:, None]
        half = config.relative_attention_num_buckets // 2
        near = half // 2
        distance = ahead.abs()
        reach = math.log(config.relative_attention_max_distance / near)
        far = near + (torch.log(distance.clamp(min=1) / near) / reach * (half - near)).long()
        return torch.where(distance < near, distance, far.clamp(max=half - 1)) + half * (ahead > 0)
