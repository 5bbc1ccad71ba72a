"""Classifier-free guidance and its relatives: two or three velocities in, one velocity out.

Pure functions on tensors [B, T, D]; all but angle-domain guidance take more dimensions too. What APG remembers between
steps is an explicit value that goes in and comes out. Knows nothing of models, nor of how the predictions were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from partita.errors import RequestError

Kind = Literal["cfg", "cfg_star", "apg", "adg", "adg_w_norm", "adg_wo_clip"]
KINDS: tuple[Kind, ...] = ("cfg", "cfg_star", "apg", "adg", "adg_w_norm", "adg_wo_clip")

ADG_CLIP = 3.14 / 6  # 3.14 is the original's spelling of pi
ADG_CLIP_W_NORM = 3.14 / 3
ADG_MAX_COSINE = 1 - 1e-6


@dataclass(frozen=True)
class ApgSettings:
    """Knobs of adaptive projected guidance (arXiv:2410.02416); the defaults are those of ACE-Step 1.5."""

    momentum: float | None = -0.75  # None: no memory between steps
    norm_threshold: float = 2.5  # the difference is scaled down to this L2 norm; 0 or less: never
    eta: float = 0.0  # how much of the part parallel to the conditional prediction stays
    dims: tuple[int, ...] = (1,)  # what the norms and projections run over; 1 is time; v1 has (-2, -1)


@dataclass(frozen=True)
class Window:
    """Guidance from step `first` on, up to but without step `end`, counted as the loop counts; elsewhere the model is
    asked for the conditional prediction alone.

    With `decay` in 0..1 the scale goes from its full value in the first step a share of the way towards `floor` in the
    last; a window of one step has the full scale.
    """

    first: int
    end: int
    decay: float = 0.0
    floor: float = 3.0

    def covers(self, index: int) -> bool:
        """Whether step `index` is guided."""
        return self.first <= index < self.end

    def scale_at(self, index: int, scale: float) -> float:
        """What is left of `scale` at step `index`."""
        progress = (index - self.first) / max(self.end - self.first - 1, 1)
        return scale - (scale - self.floor) * self.decay * progress


def middle_window(share: float, steps: int, *, decay: float = 0.0, floor: float = 3.0, looks: int = 1) -> Window:
    """The window of the middle `share` (0..1) of `steps` steps, as ACE-Step v1 rounds it.

    `looks`: how often a step asks the model, where the loop counts each as a step of its own.
    """
    first, end = int(steps * ((1 - share) / 2)), int(steps * (share / 2 + 0.5))
    return Window(looks * first, looks * end, decay, floor)


@dataclass(frozen=True)
class Guidance:
    """Which guidance to use, how strong, and when.

    `interval` is compared with t itself, both ends included: (0.0, 1.0) is always. Outside it the conditional
    prediction is used alone and APG's memory stands still. A `window` counts steps instead. `clamp_cosine` holds ADG's
    cosine away from 1, where its angle loses all precision; off is the behaviour as first published. `zero_steps`: how
    many steps, from the run's first on, `cfg_star` stands still. `double`, inside a window, takes the place of `kind`
    and `scale`: the strengths of the text and of the lyrics, each with a prediction of its own.
    """

    kind: Kind = "apg"
    scale: float = 7.0
    interval: tuple[float, float] = (0.0, 1.0)
    apg: ApgSettings = ApgSettings()
    clamp_cosine: bool = True
    window: Window | None = None
    zero_steps: int = 2
    double: tuple[float, float] | None = None

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

    def branches(self, index: int) -> int:
        """How many predictions step `index` takes: with the condition, without, and with the text alone."""
        if self.window is None:
            return 2
        if not self.window.covers(index):
            return 1
        return 2 if self.double is None else 3

    def scale_at(self, index: int) -> float:
        """The scale at step `index`."""
        return self.scale if self.window is None else self.window.scale_at(index, self.scale)


def with_null(condition: Tensor, null: Tensor) -> Tensor:
    """[B, S, D] and the null embedding [1, 1, D] -> [2B, S, D]: the conditional half first, then null everywhere."""
    return torch.cat([condition, null.expand_as(condition).to(condition.dtype)])


def guide(
    guidance: Guidance, parts: Sequence[Tensor], x: Tensor, t: float, index: int, average: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Guided velocity for state `x` at time `t` of step `index`, and APG's memory for the next step.

    `parts` are the step's predictions (`Guidance.branches`): conditional, unconditional, and that of the text alone.
    """
    cond, *others = parts
    if not others or not guidance.applies_at(t):
        return cond, average
    if guidance.kind == "apg" and guidance.double is None:
        return apg(cond, others[0], guidance.scale_at(index), average, guidance.apg)
    return _without_memory(guidance, parts, x, t, index), average


def guide_again(guidance: Guidance, parts: Sequence[Tensor], x: Tensor, t: float, index: int) -> Tensor:
    """Guidance for a second evaluation inside one step (Heun's corrector): never touches APG's memory.

    APG becomes plain CFG there, and so does ADG at t = 0, where it would divide by zero.
    """
    if len(parts) == 1 or not guidance.applies_at(t):
        return parts[0]
    return _without_memory(guidance, parts, x, t, index)


def _without_memory(guidance: Guidance, parts: Sequence[Tensor], x: Tensor, t: float, index: int) -> Tensor:
    cond, null, *text = parts
    if guidance.double is not None and text:
        return cfg_double(cond, null, text[0], *guidance.double)
    if guidance.kind == "cfg_star":
        still = index < guidance.zero_steps
        return torch.zeros_like(cond) if still else cfg_star(cond, null, guidance.scale_at(index))
    if guidance.kind in ("cfg", "apg") or t == 0:
        return cfg(cond, null, guidance.scale_at(index))
    return _adg_of_kind(guidance, cond, null, x, t)


def _adg_of_kind(guidance: Guidance, cond: Tensor, null: Tensor, x: Tensor, t: float) -> Tensor:
    with_norm = guidance.kind == "adg_w_norm"
    clip = None if guidance.kind == "adg_wo_clip" else ADG_CLIP_W_NORM if with_norm else ADG_CLIP
    sigma = torch.tensor([t], dtype=x.dtype, device=x.device)
    return adg(x, cond, null, sigma, guidance.scale, clip, with_norm, guidance.clamp_cosine)


def cfg(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    """Plain classifier-free guidance, `null + scale (cond - null)` (arXiv:2207.12598)."""
    return null + scale * (cond - null)


def cfg_star(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    """CFG with the unconditional prediction brought to the length at which it is nearest to the conditional one, item
    by item (CFG-Zero*, arXiv:2503.18886)."""
    flat_cond, flat_null = cond.flatten(1), null.flatten(1)
    share = (flat_cond * flat_null).sum(1) / (flat_null.square().sum(1) + 1e-8)
    return cfg(cond, null * share.view(-1, *[1] * (null.dim() - 1)), scale)


def cfg_double(cond: Tensor, null: Tensor, text: Tensor, text_scale: float, lyrics_scale: float) -> Tensor:
    """Two strengths: `text_scale` leads from `null` to `text`, `lyrics_scale` from there on to `cond`."""
    return (1 - text_scale) * null + (text_scale - lyrics_scale) * text + lyrics_scale * cond


def project(v: Tensor, onto: Tensor, dims: tuple[int, ...] = (1,)) -> tuple[Tensor, Tensor]:
    """Parts of `v` parallel and orthogonal to `onto` over `dims`, computed in double, in the type of `v`."""
    wide, direction = _where_double_exists(v).double(), _where_double_exists(onto).double()
    direction = direction / direction.norm(dim=dims, keepdim=True).clamp_min(1e-12)
    parallel = (wide * direction).sum(dim=dims, keepdim=True) * direction
    return parallel.to(v), (wide - parallel).to(v)


def apg(
    cond: Tensor, null: Tensor, scale: float, average: Tensor | None = None, settings: ApgSettings | None = None
) -> tuple[Tensor, Tensor | None]:
    """Adaptive projected guidance (arXiv:2410.02416); by default with norms over time, as ACE-Step 1.5 has it.

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
