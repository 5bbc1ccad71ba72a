"""Change of sample rate by windowed-sinc interpolation, sample for sample as torchaudio's `Resample` does it.

For networks that were trained on audio resampled so. Tensors are `[..., N]`; files are `audio.resample`'s business.
Formula: specification of v1, section 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from partita.errors import AudioError

ZERO_CROSSINGS = 6
ROLL_OFF = 0.99


@dataclass(frozen=True)
class SincResampler:
    """From `from_hz` to `to_hz`. `down` samples become `up`, each from `width` samples or fewer on either side."""

    from_hz: int
    to_hz: int

    def __post_init__(self) -> None:
        if min(self.from_hz, self.to_hz) < 1:
            raise AudioError(f"Cannot resample from {self.from_hz} Hz to {self.to_hz} Hz: both rates must be positive.")

    @property
    def down(self) -> int:
        return self.from_hz // math.gcd(self.from_hz, self.to_hz)

    @property
    def up(self) -> int:
        return self.to_hz // math.gcd(self.from_hz, self.to_hz)

    @property
    def width(self) -> int:
        """Samples at `from_hz` on either side of a block of `down` that its `up` results depend on."""
        return (
            0 if self.down == self.up else math.ceil(ZERO_CROSSINGS * self.down / (min(self.down, self.up) * ROLL_OFF))
        )

    def length(self, samples: int) -> int:
        """How many samples at `to_hz` `samples` at `from_hz` become: `ceil(samples up / down)`.

        It is also where a sample falls: the first sample at or after the moment of sample `samples`.
        """
        return -(-samples * self.up // self.down)

    def __call__(self, audio: Tensor) -> Tensor:
        """`audio` `[..., N]` resampled to `[..., length(N)]`; before and after it there is silence."""
        if self.down == self.up:
            return audio
        rows = audio.reshape(-1, 1, audio.shape[-1])
        kernel = _kernel(self.down, self.up, self.width).to(rows)
        padded = F.pad(rows, (self.width, self.width + self.down))
        phases = F.conv1d(padded, kernel, stride=self.down)
        made = phases.mT.reshape(rows.shape[0], -1)[:, : self.length(audio.shape[-1])]
        return made.reshape(*audio.shape[:-1], -1)


@lru_cache(maxsize=8)
def _kernel(down: int, up: int, width: int) -> Tensor:
    """One row of taps for each of the `up` phases, `[up, 1, down + 2 width]`, float32 (worked out in float64)."""
    base = min(down, up) * ROLL_OFF
    taps = torch.arange(-width, width + down, dtype=torch.float64) / down
    phase = torch.arange(up, dtype=torch.float64)[:, None] / up
    moment = (base * (taps - phase)).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = torch.cos(moment * (math.pi / ZERO_CROSSINGS / 2)).square()
    return (torch.sinc(moment) * window * (base / down)).float()[:, None]
