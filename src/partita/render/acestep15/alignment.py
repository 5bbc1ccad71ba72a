"""Lyrics in time, and their scores, from a finished song: one call of the transformer that looks at its attention.

The song goes back to the noise of its last step, `t = 1 / steps`, and a few heads of cross-attention are read as the
transformer sees it; layers above them are not run. `T` latent frames give `M = ceil(T / 2)` frames of attention. What
is made of the maps is `partita.measure.alignment`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from partita.errors import RequestError
from partita.measure.alignment import (
    LYRIC_HEADS,
    Alignment,
    AlignmentScore,
    Head,
    align,
    lyric_span,
    score,
    stack_heads,
)
from partita.models.acestep15.dit import DiT
from partita.sampling.noise import parity_noise
from partita.text.prompts import INSTRUMENTAL_LYRICS, LYRICS_MAX_TOKENS, lyric_prompt
from partita.text.tokenizers import END_TOKEN, TextTokenizer

NOISE_SEED = 42
LATENTS_PER_SECOND = 25


@dataclass(frozen=True)
class FinishedSong:
    """What one song was made of.

    `latents` `[T, 64]`, the result; `condition` `[L, He]`, packed, lyrics first; `context` `[T, 128]`; `lyric_ids`, the
    tokens of its lyric prompt, padded or not; `language` of that prompt; `steps` that the solver took.
    """

    latents: Tensor
    condition: Tensor
    context: Tensor
    lyric_ids: Sequence[int]
    language: str
    steps: int


@dataclass(frozen=True)
class LyricScores:
    """How well the lyrics can be followed in `conditions`: pure noise, where only codes and other conditions can place
    them; and in `song`: the finished music."""

    conditions: AlignmentScore
    song: AlignmentScore


@torch.inference_mode()
def attention_maps(
    dit: DiT,
    latents: Tensor,
    condition: Tensor,
    context: Tensor,
    t: Sequence[float],
    *,
    heads: Sequence[Head] = LYRIC_HEADS,
    noise: Tensor | None = None,
) -> dict[Head, Tensor]:
    """Weights `[B, M, L]` of cross-attention, by layer and head, of the latents `[B, T, 64]` noised to the times `t`.

    `condition` `[B, L, He]`, `context` `[B, T, 128]`; one time in 0..1 an item, where 1 is pure noise. `noise` is that
    of an item, `[T, 64]`, the same for all; it is drawn with seed 42 where none is given, on the CPU, so that it does
    not depend on the device. Heads that this transformer does not have are left out.

    Raises `RequestError` if it has none of them, or for another number of times.
    """
    if len(t) != len(latents):
        raise RequestError(f"There are {len(latents)} songs and {len(t)} times; give one time for each song.")
    known = [(layer, head) for layer, head in heads if _has(dit, layer, head)]
    if not known:
        raise RequestError(f"The transformer has none of the heads {list(heads)}; give heads that it has.")
    dtype, device = dit.scale_shift_table.dtype, dit.scale_shift_table.device
    latents, condition, context = (one.to(device, dtype) for one in (latents, condition, context))
    if noise is None:
        noise = parity_noise(NOISE_SEED, latents.shape[1:], dtype=dtype)[0]
    times = torch.tensor(list(t), dtype=dtype, device=device)
    share = times[:, None, None]
    noised = share * noise.to(device, dtype) + (1.0 - share) * latents
    return dit.attention_maps(noised, times, None, condition, context, known)


def align_lyrics(
    dit: DiT,
    song: FinishedSong,
    tokenizer: TextTokenizer,
    *,
    duration_s: float | None = None,
    heads: Sequence[Head] = LYRIC_HEADS,
) -> Alignment:
    """When each token and line of the song's lyrics is sung. `duration_s` is the song's length, that of its latents
    where none is given.

    Raises `RequestError` for a song without lyrics, or with fewer than one step.
    """
    first, end = _lyrics_of(song, tokenizer)
    maps = attention_maps(
        dit, song.latents[None], song.condition[None], song.context[None], [1.0 / song.steps], heads=heads
    )
    stacked = stack_heads({head: one[0] for head, one in maps.items()}, first, end, heads)
    ids = list(song.lyric_ids[first : first + stacked.shape[1]])
    return align(stacked, ids, tokenizer.decode, duration_s or len(song.latents) / LATENTS_PER_SECOND)


def score_lyrics(
    dit: DiT, song: FinishedSong, tokenizer: TextTokenizer, *, heads: Sequence[Head] = LYRIC_HEADS
) -> LyricScores:
    """How well the song's lyrics are sung, and how well its conditions alone place them; one call for both.

    Raises `RequestError` for a song without lyrics, or with fewer than one step.
    """
    first, end = _lyrics_of(song, tokenizer)
    latents, condition, context = (one[None].expand(2, -1, -1) for one in (song.latents, song.condition, song.context))
    maps = attention_maps(dit, latents, condition, context, [1.0, 1.0 / song.steps], heads=heads)
    both = [stack_heads({head: one[item] for head, one in maps.items()}, first, end, heads) for item in (0, 1)]
    ids = list(song.lyric_ids[first : first + both[0].shape[1]])
    return LyricScores(*(score(one, ids, tokenizer.decode) for one in both))


def _lyrics_of(song: FinishedSong, tokenizer: TextTokenizer) -> tuple[int, int]:
    """First position of the lyrics in the condition, and the one after the last."""
    if song.steps < 1:
        raise RequestError(
            f"The song was made in {song.steps} steps; a song that can be aligned has at least 1.",
            field="steps",
            value=song.steps,
        )
    header = lyric_prompt("", song.language).removesuffix(END_TOKEN)
    header_tokens = len(tokenizer.encode(header, LYRICS_MAX_TOKENS)) - 1
    first, end = lyric_span(song.lyric_ids, header_tokens, tokenizer.end_id)
    words = tokenizer.decode(song.lyric_ids[first:end]).strip()
    if words in ("", INSTRUMENTAL_LYRICS):
        raise RequestError(
            f"The lyrics are {words!r}, so there is nothing sung; only songs with lyrics can be aligned.",
            field="lyrics",
            value=words,
        )
    return first, end


def _has(dit: DiT, layer: int, head: int) -> bool:
    return 0 <= layer < dit.config.num_hidden_layers and 0 <= head < dit.config.num_attention_heads
