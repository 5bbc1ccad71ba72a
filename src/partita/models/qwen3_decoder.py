"""Qwen3 as a decoder: token ids to states over a static cache of keys and values, and heads that give logits.

The network is `models.qwen3`, its weights and names too; here is what decoding adds. It knows rows of ids and places
in a cache, nothing of prompts, grammar or sampling. Every row has a length of its own and is padded on the right:
what stands in the cache behind a row's last token is never looked at, and the next tokens overwrite it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from partita.errors import RequestError
from partita.models.acestep15.layers import (
    QUERY_BLOCK,
    AttentionBlock,
    EncoderLayer,
    Rotary,
    additive_mask,
    attend,
    rotary,
)
from partita.models.qwen3 import Qwen3, Qwen3Config


@dataclass(frozen=True)
class KVCache:
    """Keys and values of every layer, each `[B, kv_heads, capacity, head_dim]`, and the rotary table of all places."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    table: Rotary

    @classmethod
    def allocate(cls, config: Qwen3Config, rows: int, capacity: int, like: Tensor) -> KVCache:
        """An empty cache on the device and in the number format of `like`."""
        shape = (rows, config.num_key_value_heads, capacity, config.head_dim)
        # Zeros: what has not been written yet is multiplied by a weight of nought, which nan would survive.
        keys, values = (
            tuple(torch.zeros(shape, dtype=like.dtype, device=like.device) for _ in range(config.num_hidden_layers))
            for _ in range(2)
        )
        return cls(keys, values, rotary(capacity, config.head_dim, config.rope_theta, like))

    @property
    def rows(self) -> int:
        return self.keys[0].shape[0]

    @property
    def capacity(self) -> int:
        return self.keys[0].shape[2]

    def spread(self, config: Qwen3Config, rows: Sequence[int], capacity: int) -> KVCache:
        """A cache of `capacity` places whose row i is a copy of row `rows[i]` of this one."""
        wide = KVCache.allocate(config, len(rows), capacity, self.keys[0])
        index = torch.tensor(rows, device=self.keys[0].device)
        for old, copy in zip((*self.keys, *self.values), (*wide.keys, *wide.values), strict=True):
            copy[:, :, : self.capacity] = old.index_select(0, index)
        return wide


@dataclass(frozen=True)
class Head:
    """Logits for some of the vocabulary: column j belongs to token `ids[j]`, int64 `[V]`."""

    linear: nn.Module
    ids: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        """States `[..., D]` -> float32 logits `[..., V]`."""
        return self.linear(states).float()


class Qwen3Decoder(nn.Module):
    """`network` with a cache. Its parameters are the network's."""

    def __init__(self, network: Qwen3) -> None:
        super().__init__()
        self.network = network

    @property
    def config(self) -> Qwen3Config:
        return self.network.config

    @property
    def like(self) -> Tensor:
        """A tensor on the network's device and in its number format."""
        return self.network.norm.weight

    def new_cache(self, rows: int, capacity: int) -> KVCache:
        """An empty cache for this network."""
        return KVCache.allocate(self.config, rows, capacity, self.like)

    def head(self, ids: Sequence[int] | None = None, prepare: Callable[[nn.Linear], nn.Module] | None = None) -> Head:
        """The output head, tied to the embedding, cut to the tokens `ids`, or whole.

        A range of ids shares the embedding's memory, others are copied. `prepare` may turn the linear layer into
        another form, such as a quantised one.
        """
        table = self.network.embed_tokens.weight.detach()
        chosen = range(table.shape[0]) if ids is None else ids
        index = torch.tensor(chosen, dtype=torch.int64, device=table.device)
        if isinstance(chosen, range) and chosen.step == 1:
            rows = table[chosen.start : chosen.stop]
        else:
            rows = table.index_select(0, index)
        linear = nn.Linear(rows.shape[1], rows.shape[0], bias=False, device="meta")
        linear.weight = nn.Parameter(rows, requires_grad=False)
        return Head(linear if prepare is None else prepare(linear), index)

    def forward(self, ids: Tensor, start: Tensor, cache: KVCache, span: int) -> Tensor:
        """Ids int64 `[B, S]`, at places `start[b]` on (int64 `[B]`) of their rows -> states `[B, S, D]` for a head.

        Writes keys and values at these places of `cache`; what would lie beyond its end (padding of a row that is
        nearly full, say) shares the last place, which a row with meaning in every token leaves free. `span`, known
        without asking the device, is how much of the cache is looked at: at least `max(start) + S` of the tokens that
        matter. A token sees the places up to its own.
        """
        x = self.network.embed_tokens(ids)
        places = (start[:, None] + torch.arange(ids.shape[1], device=ids.device)).clamp(max=cache.capacity - 1)
        positions = Rotary(cache.table.cos[places], cache.table.sin[places])
        plan = _plan(places, span, x)
        row = torch.arange(ids.shape[0], device=ids.device)[:, None]
        for layer, keys, values in zip(self.network.layers, cache.keys, cache.values, strict=True):
            assert isinstance(layer, EncoderLayer)
            attention, normed = layer.self_attn, layer.input_layernorm(x)
            key, value = attention.keys_values(normed)
            keys[row, :, places] = positions.rotate(key)
            values[row, :, places] = value
            query = positions.rotate(attention.queries(normed))
            heard = attend(query, keys[:, :, :span].transpose(1, 2), values[:, :, :span].transpose(1, 2), plan)
            x = x + attention.o_proj(heard)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.network.norm(x)


def prefill(decoder: Qwen3Decoder, prompts: Sequence[Sequence[int]]) -> tuple[KVCache, Tensor]:
    """One pass over all prompts -> their cache, of the longest one's length, and each one's last state `[B, D]`.

    Raises RequestError for an empty prompt.
    """
    lengths = [len(prompt) for prompt in prompts]
    if not lengths or min(lengths) == 0:
        raise RequestError("A prompt without tokens cannot be continued; give at least one token.", field="prompt")
    ids = padded(prompts, decoder.like.device)
    cache = decoder.new_cache(len(prompts), ids.shape[1])
    start = torch.zeros(len(prompts), dtype=torch.int64, device=ids.device)
    states = decoder(ids, start, cache, ids.shape[1])
    return cache, last_states(states, lengths)


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Rows of ids as int64 `[B, longest]`, filled with 0 on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=torch.int64, device=device)


def last_states(states: Tensor, lengths: Sequence[int]) -> Tensor:
    """States `[B, S, D]` of rows with so many tokens -> the state of each one's last token `[B, D]`."""
    last = torch.tensor(lengths, device=states.device) - 1
    return states[torch.arange(len(lengths), device=states.device), last]


def _plan(places: Tensor, span: int, like: Tensor) -> Sequence[AttentionBlock]:
    """Queries at `places` `[B, S]` see the cache up to their own place, block by block (see `attend`)."""
    mask = additive_mask(torch.arange(span, device=places.device) <= places[:, :, None], like.dtype)
    length = places.shape[1]
    starts = range(0, length, QUERY_BLOCK)
    return [AttentionBlock(at, min(at + QUERY_BLOCK, length), 0, span, mask[:, at : at + QUERY_BLOCK]) for at in starts]
