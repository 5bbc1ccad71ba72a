"""From logits to a token: guidance, penalties, filters and the draw, as pure tensor functions on any device.

The order: guidance, grammar's mask, then in `filtered` repetition penalty, temperature, top-k, top-p, min-p. Logits are
[B, V]; nothing here waits for the device. The original's CUDA program ignored top-p and the penalty unless they were
exactly 1; here they do what they say.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from partita.errors import RequestError
from partita.sampling.noise import Stream, uniforms

_FORBIDDEN = float("-inf")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. Temperature 0 takes the best. `top_k` 0, `top_p` 1, `min_p` 0, `repetition_penalty` 1 and
    `guidance` 1 are off.

    Raises RequestError where a value is out of its range.
    """

    temperature: float = 0.85
    top_k: int = 0
    top_p: float = 0.9
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    guidance: float = 2.0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("temperature", 0.0, 5.0),
            ("top_k", 0, 2**31),
            ("top_p", 0.0, 1.0),
            ("min_p", 0.0, 1.0),
            ("repetition_penalty", 0.1, 10.0),
            ("guidance", 0.0, 100.0),
        ):
            value = getattr(self, name)
            if not least <= value <= most:  # NaN is not
                raise RequestError(f"{name} is {value}; give a number from {least} to {most}.", field=name, value=value)


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance in float32: U + scale · (C - U). A scale of 1 or less is the conditional branch alone.

    To be applied before any mask, or over allowed tokens only: two forbidden logits have no difference.
    """
    if scale <= 1.0:
        return conditional.float()
    base = unconditional.float()
    return base + scale * (conditional.float() - base)


def seen_tokens(tokens: Tensor, width: int) -> Tensor:
    """Bool [B, V], true where a row of `tokens` (int64 [B, S]) holds the token."""
    seen = torch.zeros(tokens.shape[0], width, dtype=torch.bool, device=tokens.device)
    return mark_seen(seen, tokens)


def mark_seen(seen: Tensor, tokens: Tensor) -> Tensor:
    """`seen` [B, V] with `tokens` (int64 [B, S]) added."""
    return seen.scatter(-1, tokens, True)


def penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Repetition penalty (Keskar et al., CTRL, 2019): a seen token's logit is divided by `penalty` where it is
    positive and multiplied where it is negative."""
    if penalty == 1.0:
        return logits
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def warm(logits: Tensor, temperature: float) -> Tensor:
    """`logits` divided by `temperature`; 0 or less leaves nothing but the best."""
    if temperature > 0:
        return logits / temperature
    best = logits.argmax(dim=-1, keepdim=True)
    return torch.full_like(logits, _FORBIDDEN).scatter(-1, best, logits.gather(-1, best))


def keep_top_k(logits: Tensor, k: int | None) -> Tensor:
    """The k largest, and all that equal the smallest of them; None or 0 keeps all."""
    if not k or k >= logits.shape[-1]:
        return logits
    least = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < least, _FORBIDDEN)


def keep_top_p(logits: Tensor, p: float | None) -> Tensor:
    """The fewest largest whose probabilities add up to more than p, at least one (Holtzman et al., 2020); None, 0 or
    less, and 1 or more keep all."""
    if p is None or not 0.0 < p < 1.0:
        return logits
    if logits.device.type == "cpu" and not torch.compiler.is_compiling():
        return torch.stack([_nucleus(row, p) for row in logits])
    ordered, order = logits.sort(dim=-1, descending=True)
    reached = ordered.float().softmax(dim=-1).cumsum(dim=-1) > p
    reached = torch.cat([torch.zeros_like(reached[..., :1]), reached[..., :-1]], dim=-1)
    return logits.masked_fill(torch.zeros_like(reached).scatter(-1, order, reached), _FORBIDDEN)


def _nucleus(logits: Tensor, p: float) -> Tensor:
    """`keep_top_p` of one row `[V]`, which sorts only where p is reached: with 64,000 columns a tenth of the time.

    Probabilities fall into classes, eight for each doubling, by the first bits of their float32. Classes above the one
    in which p is reached are kept whole, those below are not looked at.
    """
    probabilities = logits.float().softmax(dim=-1)
    classes = probabilities.view(torch.int32) >> 20
    masses = torch.bincount(classes, weights=probabilities.double())
    reached = masses.flip(0).cumsum(dim=0)
    passed = int((reached <= p).sum())
    if passed == masses.shape[0]:
        return logits
    decisive = masses.shape[0] - 1 - passed
    candidates = (classes == decisive).nonzero().squeeze(-1)
    ordered, order = probabilities[candidates].sort(descending=True, stable=True)
    count = 1 + int((ordered.double().cumsum(dim=0) + (reached[passed] - masses[decisive]) <= p).sum())
    kept = candidates[order[:count]]
    return logits.masked_fill(classes <= decisive, _FORBIDDEN).index_copy_(0, kept, logits[kept])


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Tokens at least `p` times as probable as the best (Nguyen et al., 2024); 0 keeps all."""
    if p <= 0.0:
        return logits
    probabilities = logits.float().softmax(dim=-1)
    return logits.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), _FORBIDDEN)


def filtered(masked: Tensor, settings: Sampling, seen: Tensor | None = None) -> Tensor:
    """Guided and masked logits [B, V] -> float32 logits to draw from. `seen` [B, V] is needed for a penalty."""
    logits = masked.float()
    if seen is not None:
        logits = penalise(logits, seen, settings.repetition_penalty)
    logits = warm(logits, settings.temperature)
    return keep_min_p(keep_top_p(keep_top_k(logits, settings.top_k), settings.top_p), settings.min_p)


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """One token a row, int64 [B], by the inverse of the cumulative distribution at `uniform` [B] in [0, 1).

    A row's token depends on its own logits and number alone. Where rounding points at a token without probability, the
    best is taken.
    """
    probabilities = logits.float().softmax(dim=-1)
    cumulative = probabilities.cumsum(dim=-1)
    point = (uniform.to(cumulative) * cumulative[..., -1]).unsqueeze(-1)
    found = torch.searchsorted(cumulative, point, right=True).clamp(max=logits.shape[-1] - 1)
    possible = probabilities.gather(-1, found) > 0
    return torch.where(possible, found, logits.argmax(dim=-1, keepdim=True)).squeeze(-1)


def draws(seed: int, count: int, phase: int = 0) -> Tensor:
    """The numbers for `draw` of one item, float32 [count] on the CPU: one a step, by the item's own seed. `phase` tells
    runs of one seed apart. A longer draw begins with the shorter one's numbers."""
    values = torch.from_numpy(uniforms(seed, count, Stream.PLANNER, phase)).float()
    return values.clamp(max=1.0 - 2.0**-24)  # a double just below 1 would round to 1
