"""Latents to audio: all of a song, or only the stretches that were made where the rest is the source's own samples.

It knows frames, samples and the codec, which decodes any stretch as it would sound in the whole; joining what is
decoded to a source is its caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from partita.render.acestepv1.recipe import GRID, Recipe, holding
from partita.render.acestepv1.sources import to_rows
from partita.render.protocol import AudioChunk
from partita.sampling.repaint import WAVE_CROSSFADE_S
from partita.song.source import SAMPLE_RATE_HZ

# A joint looks this far beside an edge at most: the longest cross-fade, and a little for rounding.
REACH = round(WAVE_CROSSFADE_S * SAMPLE_RATE_HZ) + 2
# What lies closer together than this is decoded in one go: every stretch needs its surroundings too.
_APART_FRAMES = 32
# A frame is no whole number of samples: a source that begins within a song may end so many behind its last frame.
_ROUNDING = 2


class Decoder(Protocol):
    """What is used of `models.acestepv1.codec.MusicCodec` here."""

    def decode_chunks(
        self, latents: Tensor, first_frame: int = 0, end_frame: int | None = None
    ) -> Iterator[Tensor]: ...


def decode(latents: Tensor, recipe: Recipe, codec: Decoder) -> Iterator[AudioChunk]:
    """The audio of latents `[T, 128]`, in order."""
    total, rows = recipe.samples, to_rows(latents)
    for first, end in stretches(recipe, len(latents)):
        at, edge = GRID.samples(first), torch.empty(0, 2)
        for piece in codec.decode_chunks(rows, first, end):
            samples = piece[: max(0, total - at)].float().cpu()
            if len(samples):
                yield AudioChunk(samples.numpy(), at, total)
                at, edge = at + len(samples), samples[-1:]
        if end == len(latents) and 0 < total - at <= _ROUNDING:
            yield AudioChunk(edge.expand(total - at, -1).numpy().copy(), at, total)


def stretches(recipe: Recipe, frames: int) -> list[tuple[int, int]]:
    """What to decode, in frames: everything, or what was made and as much around it as a joint looks at."""
    if recipe.made is None:
        return [(0, min(frames, holding(recipe.samples)))]
    found: list[tuple[int, int]] = []
    for first, end in recipe.made:
        start = GRID.within(max(0, first - REACH))
        stop = min(frames, holding(end + REACH))
        if found and start - found[-1][1] <= _APART_FRAMES:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((start, stop))
    return found
