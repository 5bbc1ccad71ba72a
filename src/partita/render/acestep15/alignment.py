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
from partita.render.protocol import LyricsHeard
from partita.sampling.noise import parity_noise
from partita.text.prompts import INSTRUMENTAL_LYRICS, LYRICS_MAX_TOKENS, lyric_prompt
from partita.text.subtitles import TimedLine
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
    (stacked,), ids = _maps_of(dit, song, tokenizer, heads)
    return align(stacked, ids, tokenizer.decode, duration_s or len(song.latents) / LATENTS_PER_SECOND)


def score_lyrics(
    dit: DiT, song: FinishedSong, tokenizer: TextTokenizer, *, heads: Sequence[Head] = LYRIC_HEADS
) -> LyricScores:
    """How well the song's lyrics are sung, and how well its conditions alone place them; one call for both.

    Raises `RequestError` for a song without lyrics, or with fewer than one step.
    """
    both, ids = _maps_of(dit, song, tokenizer, heads, from_noise=True)
    return LyricScores(*(score(one, ids, tokenizer.decode) for one in both))


def hear_lyrics(
    dit: DiT,
    song: FinishedSong,
    tokenizer: TextTokenizer,
    duration_s: float,
    *,
    heads: Sequence[Head] = LYRIC_HEADS,
) -> LyricsHeard:
    """Times and scores of the lyrics together, from one call. Frames last 40 ms, and no line ends after `duration_s`.

    Raises `RequestError` for a song without lyrics, or where the transformer has none of the heads.
    """
    (conditions, heard), ids = _maps_of(dit, song, tokenizer, heads, from_noise=True)
    found = align(heard, ids, tokenizer.decode, len(song.latents) / LATENTS_PER_SECOND)
    return LyricsHeard(
        lines=tuple(
            TimedLine(line.text, min(line.start_s, duration_s), min(line.end_s, duration_s)) for line in found.sentences
        ),
        conditions=score(conditions, ids, tokenizer.decode),
        song=score(heard, ids, tokenizer.decode),
    )


def _maps_of(
    dit: DiT, song: FinishedSong, tokenizer: TextTokenizer, heads: Sequence[Head], *, from_noise: bool = False
) -> tuple[list[Tensor], list[int]]:
    """Maps `[H, N, M]` of the lyrics in the song, before them those of pure noise where asked; and their ids `[N]`."""
    first, end = _lyrics_of(song, tokenizer)
    times = [*([1.0] if from_noise else []), 1.0 / song.steps]
    latents, condition, context = (
        one[None].expand(len(times), -1, -1) for one in (song.latents, song.condition, song.context)
    )
    maps = attention_maps(dit, latents, condition, context, times, heads=heads)
    each = [
        stack_heads({head: one[item] for head, one in maps.items()}, first, end, heads) for item in range(len(times))
    ]
    return each, list(song.lyric_ids[first : first + each[0].shape[1]])


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
