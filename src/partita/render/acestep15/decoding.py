"""Latents to audio: all of a song, or only the stretches that were made where the rest is the source's own samples.

It knows frames, samples and the codec; joining what is decoded to a source is its caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from partita.models.oobleck_tiling import DECODE_CHUNK_FRAMES, Codec, decode_chunks
from partita.render.acestep15.recipe import Recipe
from partita.render.protocol import AudioChunk
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ

# The decoder's convolutions hear 9 frames beyond the sample they make, so a cut song is decoded beyond its cut.
CUT_MARGIN_FRAMES = 16


def decode(
    latents: Tensor, recipe: Recipe, codec: Codec, device: torch.device, tile_frames: int | None = None
) -> Iterator[AudioChunk]:
    """The audio of latents `[T, 64]`, in order, from at most `tile_frames` of them at once."""
    total = recipe.samples
    for first, end in windows(recipe, -(-total // FRAME_SAMPLES)):
        start = first * FRAME_SAMPLES
        for samples in _stretch(latents, first, end, codec, device, tile_frames or DECODE_CHUNK_FRAMES):
            chunk = samples[: total - start]
            if len(chunk):
                yield AudioChunk(chunk.cpu().numpy(), start, total)
            start += len(samples)


def windows(recipe: Recipe, frames: int) -> list[tuple[int, int]]:
    """The stretches to decode, in frames: everything, or what was made with its cross-fades, a frame at least.

    Stretches that lie closer than what is decoded around each of them become one.
    """
    if recipe.made is None:
        return [(0, frames)]
    found: list[tuple[int, int]] = []
    for first_sample, end_sample in recipe.made:
        reach = _crossfade_frames(recipe)
        first = max(0, first_sample // FRAME_SAMPLES - reach)
        end = min(frames, -(-end_sample // FRAME_SAMPLES) + reach)
        if found and first - found[-1][1] <= 2 * CUT_MARGIN_FRAMES:
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    return found


def _crossfade_frames(recipe: Recipe) -> int:
    if recipe.blend is None:
        return 1
    wave = -(-round(recipe.blend.wave_crossfade_s * SAMPLE_RATE_HZ) // FRAME_SAMPLES)
    return max(recipe.blend.latent_crossfade_frames, wave, 1)


def _stretch(
    latents: Tensor, first: int, end: int, codec: Codec, device: torch.device, tile_frames: int
) -> Iterator[Tensor]:
    """Samples `[n, 2]` of frames `first` to `end`, heard with what lies around them."""
    low = max(0, first - CUT_MARGIN_FRAMES)
    surplus = (first - low) * FRAME_SAMPLES
    left = (end - first) * FRAME_SAMPLES
    for piece in decode_chunks(codec, latents[low : end + CUT_MARGIN_FRAMES].to(device).T[None], tile_frames):
        samples = piece[0].float().T
        skipped = min(surplus, len(samples))
        surplus -= skipped
        samples = samples[skipped:][:left]
        left -= len(samples)
        if len(samples):
            yield samples
