"""Decoding by windows as the original does it: blocks that know nothing of each other, joined at fixed places.

It is not what one pass over the whole gives: attention sees one window at a time, and a short last block is filled up
with the value 0, a loud mel. For parity with songs of more than 48 s, which the original decodes so; otherwise
`MusicCodec.decode_chunks` has the whole's result in as little memory. Source: specification of v1, section 10.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from partita.models.acestepv1.codec import CODEC_RATE_HZ, SONG_RATE_HZ, MusicCodec, resampling
from partita.models.acestepv1.resample import SincResampler
from partita.models.acestepv1.streaming import Stream

ABOVE_S = 48.0  # songs longer than this are decoded by windows

WINDOW_FRAMES = 512
ANCHOR_OFFSET = WINDOW_FRAMES // 4
ANCHOR_HOP = WINDOW_FRAMES // 2
MEL_OVERLAP = WINDOW_FRAMES * 8 // 4

BLOCK_MELS = 512
BLOCK_OVERLAP = 1024  # samples at 44.1 kHz dropped at an end of a block that has a neighbour there
CROSSFADE = 128


def decode_overlap_original(codec: MusicCodec, latents: Tensor, sample_rate_hz: int = SONG_RATE_HZ) -> Iterator[Tensor]:
    """Yield the audio of `latents` `[8, 16, T]` in pieces `[n, 2]`, float32, in order and without gaps.

    Together they are `floor(4096 T sample_rate / 44100)` samples. A caller who stops iterating cancels the rest.

    Raises:
        ModelError: latents of another shape.
    """
    frames = latents.shape[-1]
    codec.check_latents(latents, 0, frames)
    blocks = _Blocks(codec, torch.cat([_window_mels(codec, latents, *window) for window in windows(frames)], dim=2))
    audio = Stream(blocks, resampling(SincResampler(CODEC_RATE_HZ, sample_rate_hz)))
    total = blocks.length * sample_rate_hz // CODEC_RATE_HZ
    step = BLOCK_MELS * codec.vocoder.config.hop_length * sample_rate_hz // CODEC_RATE_HZ
    for first in range(0, total, step):
        yield audio.take(first, min(first + step, total)).T


def windows(frames: int) -> list[tuple[int, int, int, int]]:
    """Windows of latents, and which of their mel frames are kept: (first frame, end frame, first mel, end mel)."""
    anchors = list(range(ANCHOR_OFFSET, frames - ANCHOR_OFFSET, ANCHOR_HOP)) or [ANCHOR_OFFSET]
    found = []
    for anchor in anchors:
        first = anchor - ANCHOR_OFFSET
        end = min(frames, first + WINDOW_FRAMES)
        kept = (0 if anchor == anchors[0] else MEL_OVERLAP, (end - first) * 8)
        found.append((first, end, kept[0], kept[1] - (0 if anchor == anchors[-1] else MEL_OVERLAP)))
    return found


def _window_mels(codec: MusicCodec, latents: Tensor, first: int, end: int, first_mel: int, end_mel: int) -> Tensor:
    return codec.mel_of(latents[..., first:end])[..., first_mel:end_mel]


class _Blocks:
    """Samples `[2, n]` at 44.1 kHz of log mels `[2, 128, L]`, block by block as they are asked for in order."""

    def __init__(self, codec: MusicCodec, mel: Tensor) -> None:
        self._codec, self._mel = codec, mel
        self._hop = codec.vocoder.config.hop_length
        self.length = mel.shape[2] * self._hop
        self._block_hop = BLOCK_MELS * self._hop - 2 * BLOCK_OVERLAP
        self._start = 0  # where the next block begins
        self._made = mel.new_empty(2, 0)  # samples from `_first` on
        self._first = 0

    def take(self, first: int, end: int) -> Tensor:
        # The last samples made are not final: the next block is faded into them.
        while self._start < self.length and self._first + self._made.shape[1] - CROSSFADE < end:
            self._add_block()
        self._made, self._first = self._made[:, first - self._first :], first
        return self._made[:, : end - first]

    def _add_block(self) -> None:
        first_mel = self._start // self._hop
        block = self._mel[:, :, first_mel : first_mel + BLOCK_MELS]
        block = F.pad(block, (0, BLOCK_MELS - block.shape[2]))
        sound = self._codec.vocoder.decode(block)[:, 0]
        if self._start == 0:
            self._made = sound[:, :-BLOCK_OVERLAP]
        else:
            head = sound[:, BLOCK_OVERLAP - CROSSFADE : BLOCK_OVERLAP]
            fade_in = torch.linspace(0, 1, CROSSFADE).to(sound)
            fade_out = torch.linspace(1, 0, CROSSFADE).to(sound)
            faded = self._made[:, -CROSSFADE:] * fade_out + head * fade_in
            last = self._start + self._block_hop >= self.length
            rest = sound[:, BLOCK_OVERLAP:] if last else sound[:, BLOCK_OVERLAP:-BLOCK_OVERLAP]
            self._made = torch.cat([self._made[:, :-CROSSFADE], faded, rest], dim=1)
        self._start += self._block_hop
