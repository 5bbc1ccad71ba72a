"""Classifier-free guidance and its relatives: two velocities in, one velocity out.

Pure functions on tensors [B, T, D]. What APG remembers between steps is an explicit value that goes in and comes
out. Knows nothing of models, nor of how the two predictions were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from partita.errors import RequestError

Kind = Literal["cfg", "apg", "adg", "adg_w_norm", "adg_wo_clip"]
KINDS: tuple[Kind, ...] = ("cfg", "apg", "adg", "adg_w_norm", "adg_wo_clip")

ADG_CLIP = 3.14 / 6  # 3.14 is the original's spelling of pi
ADG_CLIP_W_NORM = 3.14 / 3
ADG_MAX_COSINE = 1 - 1e-6


@dataclass(frozen=True)
class ApgSettings:
    """Knobs of adaptive projected guidance (arXiv:2410.02416); the defaults are those of ACE-Step 1.5."""

    momentum: float | None = -0.75  # None: no memory between steps
    norm_threshold: float = 2.5  # the difference is scaled down to this L2 norm; 0 or less: never
    eta: float = 0.0  # how much of the part parallel to the conditional prediction stays
    dims: tuple[int, ...] = (1,)  # what the norms and projections run over; 1 is time


@dataclass(frozen=True)
class Guidance:
    """Which guidance to use, how strong, and at which times.

    `interval` is compared with t itself, both ends included: (0.0, 1.0) is always. Outside it the conditional
    prediction is used alone and APG's memory stands still. `clamp_cosine` holds ADG's cosine away from 1, where its
    angle loses all precision; off is the behaviour as first published.
    """

    kind: Kind = "apg"
    scale: float = 7.0
    interval: tuple[float, float] = (0.0, 1.0)
    apg: ApgSettings = ApgSettings()
    clamp_cosine: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RequestError(
                f"guidance {self.kind!r} is not known; use one of {', '.join(KINDS)}.",
                field="guidance",
                value=self.kind,
            )

    def applies_at(self, t: float) -> bool:
        """Whether step time `t` lies inside the interval."""
        return self.interval[0] <= t <= self.interval[1]


def with_null(condition: Tensor, null: Tensor) -> Tensor:
    """[B, S, D] and the null embedding [1, 1, D] -> [2B, S, D]: the conditional half first, then null everywhere."""
    return torch.cat([condition, null.expand_as(condition).to(condition.dtype)])


def guide(
    guidance: Guidance, cond: Tensor, null: Tensor, x: Tensor, t: float, average: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Guided velocity for state `x` at time `t`, and APG's memory for the next step."""
    if not guidance.applies_at(t):
        return cond, average
    if guidance.kind == "cfg":
        return cfg(cond, null, guidance.scale), average
    if guidance.kind == "apg":
        return apg(cond, null, guidance.scale, average, guidance.apg)
    return _adg_of_kind(guidance, cond, null, x, t), average


def guide_again(guidance: Guidance, cond: Tensor, null: Tensor, x: Tensor, t: float) -> Tensor:
    """Guidance for a second evaluation inside one step (Heun's corrector): never touches APG's memory.

    APG becomes plain CFG there, and so does ADG at t = 0, where it would divide by zero.
    """
    if not guidance.applies_at(t):
        return cond
    if guidance.kind in ("cfg", "apg") or t == 0:
        return cfg(cond, null, guidance.scale)
    return _adg_of_kind(guidance, cond, null, x, t)


def _adg_of_kind(guidance: Guidance, cond: Tensor, null: Tensor, x: Tensor, t: float) -> Tensor:
    with_norm = guidance.kind == "adg_w_norm"
    clip = None if guidance.kind == "adg_wo_clip" else ADG_CLIP_W_NORM if with_norm else ADG_CLIP
    sigma = torch.tensor([t], dtype=x.dtype, device=x.device)
    return adg(x, cond, null, sigma, guidance.scale, clip, with_norm, guidance.clamp_cosine)


def cfg(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    """Plain classifier-free guidance, `null + scale (cond - null)` (arXiv:2207.12598)."""
    return null + scale * (cond - null)


def project(v: Tensor, onto: Tensor, dims: tuple[int, ...] = (1,)) -> tuple[Tensor, Tensor]:
    """Parts of `v` parallel and orthogonal to `onto` over `dims`, computed in double, in the type of `v`."""
    wide, direction = _where_double_exists(v).double(), _where_double_exists(onto).double()
    direction = direction / direction.norm(dim=dims, keepdim=True).clamp_min(1e-12)
    parallel = (wide * direction).sum(dim=dims, keepdim=True) * direction
    return parallel.to(v), (wide - parallel).to(v)


def apg(
    cond: Tensor, null: Tensor, scale: float, average: Tensor | None = None, settings: ApgSettings | None = None
) -> tuple[Tensor, Tensor | None]:
    """Adaptive projected guidance (arXiv:2410.02416), with norms over time as ACE-Step 1.5 has it.

    `average` is the running difference that the previous step returned, None at first; the second value returned is
    the one for the next step.
    """
    knobs = settings or ApgSettings()
    difference = cond - null
    if knobs.momentum is not None:
        if average is not None:
            difference = difference + knobs.momentum * average
        average = difference
    if knobs.norm_threshold > 0:
        norm = difference.norm(dim=knobs.dims, keepdim=True)
        difference = difference * (knobs.norm_threshold / norm).clamp_max(1.0)
    parallel, orthogonal = project(difference, cond, knobs.dims)
    return cond + (scale - 1) * (orthogonal + knobs.eta * parallel), average


def adg(
    x: Tensor,
    cond: Tensor,
    null: Tensor,
    sigma: Tensor,
    scale: float,
    clip: float | None = ADG_CLIP,
    keep_norm: bool = False,
    clamp_cosine: bool = True,
) -> Tensor:
    """Angle-domain guidance (arXiv:2506.11039): turns the clean estimate instead of stretching the velocity.

    `sigma` [1] or [B] is the time of each item. Every frame's estimate is turned away from the unconditional one by
    the angle between them times `scale - 1`, limited to `clip` radians (None: unlimited). `keep_norm` gives each
    channel the length over time that it had before. Without `clamp_cosine` frames whose two estimates coincide can
    come out as NaN; that is how it was first published.
    """
    home = cond
    x, cond, null, sigma = (_where_double_exists(part) for part in (x, cond, null, sigma))
    sigma = sigma.view(-1, 1, 1)
    weight = max(scale - 1, 0.0) + 1e-3
    x_cond, x_null = x - sigma * cond, x - sigma * null
    cosine = (_unit(x_cond.double()) * _unit(x_null.double())).sum(-1, keepdim=True)
    if clamp_cosine:
        cosine = cosine.clamp(-ADG_MAX_COSINE, ADG_MAX_COSINE)
    angle = torch.acos(cosine)
    turned = weight * angle
    if clip is not None:
        turned = turned.clamp(-clip, clip)
    step = _perpendicular((x_cond - x_null).float(), x_null.float())
    ratio = torch.where(torch.sin(angle) > 1e-3, torch.sin(turned) / torch.sin(angle), weight)
    guided = torch.cos(turned) * x_cond + step * ratio
    if keep_norm:
        guided = guided * x_cond.norm(dim=1, keepdim=True) / guided.norm(dim=1, keepdim=True)
    return ((x - guided) / sigma).to(home)


def _where_double_exists(v: Tensor) -> Tensor:
    # Apple's MPS has no float64; the tensors are small next to what the model does with them.
    return v.cpu() if v.device.type == "mps" else v


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=-1, keepdim=True)


def _perpendicular(v: Tensor, to: Tensor) -> Tensor:
    share = (v * to).sum(-1, keepdim=True) / ((to * to).sum(-1, keepdim=True) + 1e-8)
    return v - share * to


def is_active(guidance: Guidance | None) -> bool:
    """Whether the unconditional prediction is needed at all: a scale of 1 or less means conditional alone."""
    return guidance is not None and guidance.scale > 1.0
