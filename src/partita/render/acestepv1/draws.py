"""Where the random numbers of a v1 song come from: streams of our own, or the original's generators.

Shapes are those of the latents, `[B, 8, 16, T]`, always float32; what a draw is for is the sampler's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from partita.sampling.noise import Stream, batch_noise

CHANNELS, ROWS = 8, 16


class Draws(Protocol):
    """Normal noise `[B, 8, 16, frames]`, float32, of the songs of one batch. Each is asked for once, in the order in
    which the original consumes them."""

    def initial(self, frames: int) -> Tensor:
        """What a song begins with."""
        ...

    def retake(self, frames: int) -> Tensor:
        """What a retake turns it towards, and what lies beyond the ends of a source."""
        ...

    def step(self, index: int, frames: int) -> Tensor:
        """What the stochastic solver adds after step `index`."""
        ...

    def edit(self, index: int, frames: int) -> Tensor:
        """The noise of draw `index` of an edit along the flow."""
        ...


@dataclass(frozen=True)
class Streams:
    """Noise that depends on an item's seed alone: not on its batch, the device or the order of draws.

    A longer song begins with the noise of a shorter one. `retake_seeds`: those of `retake`, `seeds` where none are
    given.
    """

    seeds: Sequence[int]
    retake_seeds: Sequence[int] | None = None
    device: torch.device | str = "cpu"

    def initial(self, frames: int) -> Tensor:
        return self._drawn(self.seeds, frames, Stream.INITIAL)

    def retake(self, frames: int) -> Tensor:
        return self._drawn(self.retake_seeds or self.seeds, frames, Stream.RETAKE)

    def step(self, index: int, frames: int) -> Tensor:
        return self._drawn(self.seeds, frames, Stream.STEP, index)

    def edit(self, index: int, frames: int) -> Tensor:
        return self._drawn(self.seeds, frames, Stream.FLOW_EDIT, index)

    def _drawn(self, seeds: Sequence[int], frames: int, stream: Stream, index: int = 0) -> Tensor:
        drawn = batch_noise(seeds, (frames, CHANNELS, ROWS), stream, index)
        return drawn.permute(0, 2, 3, 1).contiguous().to(self.device)


class Generators:
    """The original's: a torch generator an item on the compute device, another for its retake, in the number format of
    the model. The stochastic solver's noise is the whole batch's, from the first item's generator, in float32.

    An edit along the flow draws all it needs from the retake seeds: give them as `seeds` there.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        retake_seeds: Sequence[int] | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self._dtype, self._device = dtype, device
        self._own = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._retake = [torch.Generator(device).manual_seed(seed) for seed in retake_seeds or seeds]

    def initial(self, frames: int) -> Tensor:
        return self._drawn(self._own, frames)

    def retake(self, frames: int) -> Tensor:
        return self._drawn(self._retake, frames)

    def step(self, index: int, frames: int) -> Tensor:
        shape = (len(self._own), CHANNELS, ROWS, frames)
        return torch.randn(shape, generator=self._own[0], device=self._device)

    def edit(self, index: int, frames: int) -> Tensor:
        return self._drawn(self._own, frames)

    def _drawn(self, generators: Sequence[torch.Generator], frames: int) -> Tensor:
        shape = (1, CHANNELS, ROWS, frames)
        items = [torch.randn(shape, generator=one, dtype=self._dtype, device=self._device) for one in generators]
        return torch.cat(items).float()
