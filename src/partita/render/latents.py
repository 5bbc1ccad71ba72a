"""What every family asks of finished latents."""

from __future__ import annotations

import torch
from torch import Tensor

from partita.errors import ModelError


def check_latents(latents: Tensor) -> None:
    """Raises ModelError unless the latents of a song are finite, and not all zero."""
    if not torch.isfinite(latents).all() or not latents.any():
        raise ModelError(
            "The sampled latents are not finite, or all zero: the weights are damaged, or the number format overflows. "
            "Run `partita verify` on the model, or try --number-format float32."
        )
