"""A job's source as latents: its own where they are kept, else its audio through the codec.

It knows the codec as an object that encodes. Latents are `[8, 16, T]` for the networks and `[T, 128]` everywhere else,
float32 on the CPU.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from partita.models.acestepv1.codec import PieceDone
from partita.render.acestepv1.draws import CHANNELS, ROWS
from partita.render.acestepv1.recipe import Recipe
from partita.render.protocol import Job, StepDone


class Encoder(Protocol):
    """What is used of `models.acestepv1.codec.MusicCodec` here."""

    def encode_chunks(self, audio: Tensor) -> Generator[PieceDone, None, Tensor]: ...


class Listener:
    """Latents of what jobs bring. Audio that several jobs share is encoded once. Without a codec it knows latents."""

    def __init__(self, codec: Encoder | None = None) -> None:
        self._codec = codec
        self._known: dict[str, Tensor] = {}

    def hear(self, job: Job, recipe: Recipe) -> Iterator[StepDone | Tensor]:
        """Tells each piece that is encoded, and last the latents `[8, 16, T]` of the job's source, as many frames as
        its recipe works on; nothing where it has none."""
        source = job.source
        if source is None:
            return
        if not recipe.encode:
            assert source.latents is not None  # what is not encoded has latents
            latents = to_rows(torch.from_numpy(np.array(source.latents, dtype=np.float32)))
        else:
            assert source.audio is not None  # what has no latents has audio
            assert self._codec is not None  # there is one where anything is encoded
            name = source.facts.sha256
            if name not in self._known:
                audio = torch.from_numpy(np.array(source.audio.T, dtype=np.float32))
                self._known[name] = yield from _encoded(self._codec, audio)
            latents = self._known[name]
        yield latents[..., : recipe.work.frames]


def _encoded(codec: Encoder, audio: Tensor) -> Generator[StepDone, None, Tensor]:
    work = codec.encode_chunks(audio)
    while True:
        try:
            piece = next(work)
        except StopIteration as end:
            return end.value.float().cpu()
        yield StepDone(piece.done, piece.total)


def to_rows(frames: Tensor) -> Tensor:
    """`[T, 128]` -> `[8, 16, T]`: number `16 c + h` of a frame is row h of channel c."""
    return frames.unflatten(1, (CHANNELS, ROWS)).permute(1, 2, 0).contiguous()


def to_frames(latents: Tensor) -> Tensor:
    """`[8, 16, T]` -> `[T, 128]`, the inverse of `to_rows`."""
    return latents.permute(2, 0, 1).flatten(1).contiguous()
