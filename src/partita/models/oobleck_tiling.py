"""Encode and decode long audio in overlapping tiles whose edges are discarded.

A tile is a core and up to `overlap` on either side; what the overlap gives is thrown away, nothing is blended. With an
overlap of at least the network's reach (`OobleckConfig.decode_reach_frames`, `encode_reach_frames`) and edges on whole
frames the result is that of one pass. Knows a codec only as an object with `encode` and `decode`.
Rule of tiles: specification of the 1.5 acoustic pipeline, section 19, Tiling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from partita.errors import ModelError
from partita.models.oobleck import OobleckConfig, Posterior

# 1024 frames (41 s) keep the folded decoder below 1 GB of activations in float32; the overlap is the least multiple
# of 8 above the reach of 9 frames.
DECODE_CHUNK_FRAMES = 1024
DECODE_OVERLAP_FRAMES = 16
ENCODE_CHUNK_FRAMES = 1024
ENCODE_OVERLAP_FRAMES = 8


class Codec(Protocol):
    """What tiling needs: `OobleckVAE` and `FoldedOobleck` both are one."""

    @property
    def config(self) -> OobleckConfig: ...

    def encode(self, audio: Tensor) -> Posterior: ...

    def decode(self, latents: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Tile:
    """Half-open ranges on the input: `core` is what the tile is for, `window` what the network is shown."""

    core_start: int
    core_end: int
    window_start: int
    window_end: int


def plan_tiles(length: int, chunk: int, overlap: int) -> list[Tile]:
    """Tiles over `length` inputs, windows of at most `chunk`, `overlap` on either side of each core.

    Anything no longer than `chunk` is one tile. An overlap that leaves no core is halved until it does.

    Raises:
        ModelError: `length` or `chunk` below 1, or a negative overlap.
    """
    if length < 1 or chunk < 1 or overlap < 0:
        raise ModelError(
            f"Tiles need a length and a chunk of at least 1 and an overlap of at least 0; "
            f"asked for length {length}, chunk {chunk}, overlap {overlap}."
        )
    if length <= chunk:
        return [Tile(0, length, 0, length)]
    while chunk - 2 * overlap <= 0:
        overlap //= 2
    stride = chunk - 2 * overlap
    tiles = []
    for start in range(0, length, stride):
        end = min(start + stride, length)
        tiles.append(Tile(start, end, max(0, start - overlap), min(length, end + overlap)))
    return tiles


def decode_chunks(
    codec: Codec,
    latents: Tensor,
    chunk_frames: int = DECODE_CHUNK_FRAMES,
    overlap_frames: int = DECODE_OVERLAP_FRAMES,
) -> Iterator[Tensor]:
    """Yield finished audio `[B, 2, n]` of `latents` `[B, D, T]`, piece by piece in order.

    A caller that stops iterating cancels the rest. A piece is yielded as soon as it is computed.
    """
    # Samples to a frame are measured on the first window, as the original does: for windows that do not divide into
    # frames this decides what is discarded.
    ratio = 0.0
    for tile in plan_tiles(latents.shape[-1], chunk_frames, overlap_frames):
        audio = codec.decode(latents[..., tile.window_start : tile.window_end])
        ratio = ratio or audio.shape[-1] / (tile.window_end - tile.window_start)
        first = round((tile.core_start - tile.window_start) * ratio)
        yield audio[..., first : audio.shape[-1] - round((tile.window_end - tile.core_end) * ratio)]


def decode_tiled(
    codec: Codec,
    latents: Tensor,
    chunk_frames: int = DECODE_CHUNK_FRAMES,
    overlap_frames: int = DECODE_OVERLAP_FRAMES,
) -> Tensor:
    """Audio `[B, 2, hop T]` of `latents` `[B, D, T]`, decoded tile by tile."""
    return torch.cat(list(decode_chunks(codec, latents, chunk_frames, overlap_frames)), dim=-1)


def encode_chunks(
    codec: Codec,
    audio: Tensor,
    chunk_samples: int | None = None,
    overlap_samples: int | None = None,
) -> Iterator[Posterior]:
    """Yield the distribution of the latents of `audio` `[B, 2, N]`, piece by piece in order.

    The exact result needs both numbers to be multiples of the hop, as the defaults are. The moments are tiled and not
    a draw from them, so that one draw over the whole does not depend on the tiles.
    """
    hop = codec.config.hop_length
    chunk = ENCODE_CHUNK_FRAMES * hop if chunk_samples is None else chunk_samples
    overlap = ENCODE_OVERLAP_FRAMES * hop if overlap_samples is None else overlap_samples
    ratio = 0.0
    for tile in plan_tiles(audio.shape[-1], chunk, overlap):
        if ratio and tile.window_end - tile.window_start < hop:
            return  # a rest too short for a frame, which one pass over the whole would drop as well
        posterior = codec.encode(audio[..., tile.window_start : tile.window_end])
        frames = posterior.mean.shape[-1]
        ratio = ratio or (tile.window_end - tile.window_start) / frames
        first = round((tile.core_start - tile.window_start) / ratio)
        last = frames - round((tile.window_end - tile.core_end) / ratio)
        yield Posterior(mean=posterior.mean[..., first:last], std=posterior.std[..., first:last])


def encode_tiled(
    codec: Codec, audio: Tensor, chunk_samples: int | None = None, overlap_samples: int | None = None
) -> Posterior:
    """The distribution of the latents of `audio` `[B, 2, N]`, encoded tile by tile; see `encode_chunks`."""
    pieces = list(encode_chunks(codec, audio, chunk_samples, overlap_samples))
    return Posterior(
        mean=torch.cat([piece.mean for piece in pieces], dim=-1),
        std=torch.cat([piece.std for piece in pieces], dim=-1),
    )
