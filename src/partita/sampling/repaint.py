"""Repaint's share of sampling: keeping the source outside the mask while the steps run, and a soft seam after them.

Pure functions on latents [B, T, D] with a mask [B, T]: true where music is to be made, any number of spans an item.
`original` behaviour is that of ACE-Step 1.5, for parity; the defaults differ where ours knowingly does. Knows no
network, no audio and no task.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from partita.sampling.loop import AfterStep
from partita.sampling.solvers import mix

CROSSFADE_FRAMES = 25
WAVE_CROSSFADE_S = 0.05


@dataclass(frozen=True)
class BlendSettings:
    """How firmly a repaint holds to its source.

    injection_ratio: share of the steps, from the first on, after which the source is put back outside the mask;
    latent_crossfade_frames: frames of 1/25 s over which latents fade outside each edge; wave_crossfade_s: the same
    for the decoded audio.
    """

    injection_ratio: float
    latent_crossfade_frames: int
    wave_crossfade_s: float


def blend_settings(mode: str, strength: float) -> BlendSettings:
    """Settings of a repaint mode: "conservative", "aggressive", and for every other name "balanced", as the original
    reads it. `strength`, clamped to 0..1, leads a balanced repaint from conservative (0) to aggressive (1)."""
    if mode == "conservative":
        freedom = 0.0
    elif mode == "aggressive":
        freedom = 1.0
    else:
        freedom = min(max(strength, 0.0), 1.0)
    held = 1.0 - freedom
    return BlendSettings(held, round(CROSSFADE_FRAMES * held), WAVE_CROSSFADE_S * held)


def injected_steps(ratio: float, steps: int) -> int:
    """How many steps, from the first on, are followed by an injection; halves go to the even number."""
    return round(ratio * steps)


def inject(x: Tensor, clean: Tensor, noise: Tensor, mask: Tensor, level: float) -> Tensor:
    """`x` [B, T, D] inside `mask` [B, T]; outside it the source as it stands at time `level`, noised with `noise`.

    Where latents have more dimensions, so has the mask: with as many as `x` it is broadcast as it is.
    """
    inside = mask.bool() if mask.dim() == x.dim() else mask.bool().unsqueeze(-1)
    return torch.where(inside, x, mix(noise, clean, level))


def injection(
    mask: Tensor, clean: Tensor, noise: Tensor, ratio: float, steps: int, *, last_step: bool = False
) -> AfterStep:
    """What `sampling.loop` is to do after each step: hold the source outside the mask for the first `ratio` of `steps`.

    `noise` is the run's initial noise, `clean` the unmasked source latents, both [B, T, D]. After the last step
    nothing is injected, so that there is something for `blend` to fade to; `last_step` injects there too, which the
    original does for base and SFT but not for turbo.
    """
    count = injected_steps(ratio, steps)
    if not last_step:
        count = min(count, steps - 1)

    def after_step(x: Tensor, index: int, t_next: float) -> Tensor:
        return inject(x, clean, noise, mask, t_next) if index < count else x

    return after_step


def soft_mask(mask: Tensor, frames: int, *, outer_only: bool = False) -> Tensor:
    """`mask` [B, T] as float32 weights: 1 inside, a straight ramp over `frames` frames outside every edge, 0 beyond.

    A ramp over n frames has the values i / (n + 1), i = 1..n; it is shorter where the song or another span begins
    earlier, and where two ramps meet the larger weight counts. `outer_only` fades, with several spans, only before the
    first and after the last one, as the original does.
    """
    rows = [_soft_row(row, frames, outer_only) for row in mask.bool().tolist()]
    return torch.tensor(rows, dtype=torch.float32, device=mask.device).reshape(mask.shape)


def keep_outside(x: Tensor, clean: Tensor, weights: Tensor) -> Tensor:
    """`weights` [B, T] of `x`, the rest of `clean`, both [B, T, D]; where a weight is 0 or 1, exactly one of them."""
    soft = weights.to(x).unsqueeze(-1)
    return torch.where(soft == 0, clean, torch.where(soft == 1, x, soft * x + (1 - soft) * clean))


def blend(x: Tensor, clean: Tensor, mask: Tensor, frames: int, *, original: bool = False) -> Tensor:
    """The finished latents with the source outside the mask, faded over `frames` frames outside every edge.

    With 0 frames the source is spliced in hard, so that it is exact outside the mask. The `original` leaves `x` as it
    is there, and with several spans fades only at the outer edges.
    """
    if original and frames <= 0:
        return x
    return keep_outside(x, clean, soft_mask(mask, frames, outer_only=original))


def _soft_row(row: list[bool], frames: int, outer_only: bool) -> list[float]:
    starts = [i for i, inside in enumerate(row) if inside and (i == 0 or not row[i - 1])]
    ends = [i + 1 for i, inside in enumerate(row) if inside and (i + 1 == len(row) or not row[i + 1])]
    weights = [float(inside) for inside in row]
    spans = list(zip(starts, ends, [0, *ends], [*starts[1:], len(row)], strict=False))
    for k, (start, end, before, after) in enumerate(spans):
        if not outer_only or k == 0:
            n = min(frames, start - before)
            for i in range(1, n + 1):
                at = start - n - 1 + i
                weights[at] = max(weights[at], i / (n + 1))
        if not outer_only or k == len(spans) - 1:
            n = min(frames, after - end)
            for i in range(1, n + 1):
                at = end + n - i
                weights[at] = max(weights[at], i / (n + 1))
    return weights
