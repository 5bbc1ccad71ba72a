"""Low-rank changes of a network's linear layers: LoRA and LoKr, each with or without DoRA, merged or on the fly.

It knows matrices and modules, nothing of files or of which network it adapts. A change is defined against the weight
that the network came with, W `[out, in]`: every adapter alone gives a difference D(W), and adapters at strengths s make
W + sum(s D(W)). So their order does not matter, and strength 0 is the network itself, to the bit. Sources: LoRA
https://arxiv.org/abs/2106.09685, LoKr https://arxiv.org/abs/2309.14859, DoRA https://arxiv.org/abs/2402.09353.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.errors import ModelError

Network = TypeVar("Network", bound=nn.Module)
Factor = tuple[Tensor, ...]
"""A matrix, or two whose product it is."""


@dataclass(frozen=True, eq=False, slots=True)
class LoRADelta:
    """`scale * up @ down`; down `[r, in]`, up `[out, r]`.

    `magnitude`, of DoRA: `[out, 1]` where the rows of the weight were decomposed, `[1, in]` where its columns were.
    """

    down: Tensor
    up: Tensor
    scale: float
    magnitude: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight that it changes: out, in."""
        return self.up.shape[0], self.down.shape[1]

    def product(self, device: torch.device) -> Tensor:
        """The whole matrix, float32 `[out, in]`, without the magnitude."""
        return _float(self.up, device) @ _float(self.down, device) * self.scale


@dataclass(frozen=True, eq=False, slots=True)
class LoKrDelta:
    """`scale * kron(w1, w2)`; w1 `[a, b]` and w2 `[c, d]`, whole or factored; out is `a c` and in is `b d`."""

    w1: Factor
    w2: Factor
    scale: float
    magnitude: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight that it changes: out, in."""
        return self.w1[0].shape[0] * self.w2[0].shape[0], self.w1[-1].shape[1] * self.w2[-1].shape[1]

    def product(self, device: torch.device) -> Tensor:
        """The whole matrix, float32 `[out, in]`, without the magnitude."""
        return torch.kron(_whole(self.w1, device) * self.scale, _whole(self.w2, device))


Delta = LoRADelta | LoKrDelta
Deltas = Mapping[str, Delta]
"""Changes by the name of the module that they change, such as `layers.0.self_attn.q_proj`."""


def merged_weight(weight: Tensor, deltas: Sequence[tuple[Delta, float]]) -> Tensor:
    """W + sum(s D(W)) in the format of `weight` `[out, in]`: computed in float32 and rounded once. `weight` stays."""
    base = weight.detach().float()
    total = base.clone()
    for delta, strength in deltas:
        product = delta.product(weight.device)
        if delta.magnitude is None:
            total.add_(product, alpha=strength)
        else:
            changed = (base + product) * _gain(base, product, delta.magnitude)
            total.add_(changed - base, alpha=strength)
    return total.to(weight.dtype)


def _gain(base: Tensor, product: Tensor, magnitude: Tensor) -> Tensor:
    """What DoRA multiplies W + product with: the magnitude over the norm of each row or column."""
    axis = 1 if magnitude.shape[1] == 1 else 0
    norm = (base + product).norm(dim=axis, keepdim=True)
    return _float(magnitude, base.device) / norm.clamp_min(torch.finfo(torch.float32).tiny)


class AdaptedLinear(nn.Module):
    """A linear layer and its changes, applied on the fly: nothing of the size of the weight is kept.

    `base` is shared and stays as it is. Factors are kept in its number format on its device, with scale and strength
    multiplied in before they are rounded. Of DoRA remain a gain for each output, or for each input. LoRA of any number
    of adapters is one product with their joint rank.
    """

    def __init__(self, base: nn.Linear, deltas: Sequence[tuple[Delta, float]]) -> None:
        super().__init__()
        self.base = base
        like = base.weight.detach()
        downs: list[Tensor] = []
        ups: list[Tensor] = []
        self._kroneckers: list[_Kronecker] = []
        self._out_gain: Tensor | None = None
        self._in_gain: Tensor | None = None
        for delta, strength in deltas:
            gain_out, gain_in = self._decompose(delta, strength, like)
            if isinstance(delta, LoRADelta):
                up = _float(delta.up, like.device) * (delta.scale * strength)
                down = _float(delta.down, like.device)
                ups.append(up if gain_out is None else up * gain_out)
                downs.append(down if gain_in is None else down * gain_in)
            else:
                self._kroneckers.append(_Kronecker(delta, strength, gain_out, gain_in, like))
        self._down = torch.cat(downs).to(like.dtype) if downs else None
        self._up = torch.cat(ups, dim=1).to(like.dtype) if ups else None

    def _decompose(self, delta: Delta, strength: float, like: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Book what the magnitude does to W; return what it does to the product: a gain `[out, 1]` or `[1, in]`."""
        if delta.magnitude is None:
            return None, None
        gain = _gain(like.float(), delta.product(like.device), delta.magnitude)
        excess = ((gain - 1) * strength).flatten()
        if gain.shape[1] == 1:
            self._out_gain = excess if self._out_gain is None else self._out_gain + excess
            return gain, None
        self._in_gain = excess if self._in_gain is None else self._in_gain + excess
        return None, gain

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in]` -> `[..., out]`."""
        out = self._decomposed(x)
        if self._down is not None and self._up is not None:
            low = F.linear(x, self._down)
            out = torch.addmm(out.flatten(0, -2), low.flatten(0, -2), self._up.t()).view(out.shape)
        for kronecker in self._kroneckers:
            out = out + kronecker(x)
        return out

    def _decomposed(self, x: Tensor) -> Tensor:
        """The base layer with the gains of DoRA: one product with W, two where rows and columns both have gains."""
        base, out_gain, in_gain = self.base, self._out_gain, self._in_gain
        if out_gain is None:
            return base(x) if in_gain is None else F.linear(x * (in_gain + 1).to(x.dtype), base.weight, base.bias)
        out = F.linear(x, base.weight) * (out_gain + 1).to(x.dtype)
        if in_gain is not None:
            out = out + F.linear(x * in_gain.to(x.dtype), base.weight)
        return out if base.bias is None else out + base.bias


class _Kronecker:
    """`kron(w1, w2) x` without the matrix: x as `[b, d]`, times w2 from the right and w1 from the left."""

    def __init__(
        self, delta: LoKrDelta, strength: float, gain_out: Tensor | None, gain_in: Tensor | None, like: Tensor
    ) -> None:
        self.w1 = (_whole(delta.w1, like.device) * (delta.scale * strength)).to(like.dtype)
        self.w2 = tuple(_float(part, like.device).to(like.dtype) for part in delta.w2)
        self.gain_out = None if gain_out is None else gain_out.flatten().to(like.dtype)
        self.gain_in = None if gain_in is None else gain_in.flatten().to(like.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        x = x if self.gain_in is None else x * self.gain_in
        y = x.unflatten(-1, (self.w1.shape[1], -1))
        for part in reversed(self.w2):
            y = F.linear(y, part)
        y = torch.matmul(self.w1, y).flatten(-2)
        return y if self.gain_out is None else y * self.gain_out


@contextmanager
def adapted(network: Network, adapters: Sequence[tuple[Deltas, float]], *, merge: bool = False) -> Iterator[Network]:
    """A stand-in for `network` in which the named linear layers are changed, each adapter at its strength.

    The network itself is not touched, so there is nothing to restore, and others may use it meanwhile: modules on the
    way to a changed layer are copied shallowly, everything else is shared. `merge` keeps a changed weight for each
    layer (in its own format, beside the one it came with); otherwise changes are applied on the fly. An adapter of
    strength 0 is left out. Raises ModelError where a name is no linear layer of the network or a shape does not fit.
    """
    by_module: dict[str, list[tuple[Delta, float]]] = {}
    for deltas, strength in adapters:
        for name, delta in deltas.items():
            _check_fits(network, name, delta)
            if strength != 0:
                by_module.setdefault(name, []).append((delta, strength))
    with torch.no_grad():
        replaced = {
            name: _merged(_linear(network, name), changes) if merge else AdaptedLinear(_linear(network, name), changes)
            for name, changes in by_module.items()
        }
    yield cast(Network, _stand_in(network, replaced)) if replaced else network


def _linear(network: nn.Module, name: str) -> nn.Linear:
    try:
        module = network.get_submodule(name)
    except AttributeError:
        raise ModelError(f"An adapter changes {name}, which the network does not have.", key=name) from None
    if not isinstance(module, nn.Linear):
        raise ModelError(
            f"An adapter changes {name}, which is a {type(module).__name__}: only linear layers can be adapted.",
            key=name,
        )
    return module


def _check_fits(network: nn.Module, name: str, delta: Delta) -> None:
    shape = tuple(_linear(network, name).weight.shape)
    if shape != delta.shape:
        raise ModelError(
            f"An adapter changes {name} by a matrix {list(delta.shape)}, and its weight is {list(shape)}. "
            "The adapter was made for another model.",
            key=name,
        )


def _merged(base: nn.Linear, deltas: Sequence[tuple[Delta, float]]) -> nn.Linear:
    twin = copy.copy(base)
    weight = nn.Parameter(merged_weight(base.weight, deltas), requires_grad=False)
    twin.__dict__["_parameters"] = {**base._parameters, "weight": weight}
    return twin


def _stand_in(module: nn.Module, replaced: Mapping[str, nn.Module]) -> nn.Module:
    """A shallow copy of `module` with other modules at the given dotted names; its other children are the same."""
    children = dict(module._modules)
    inside: dict[str, dict[str, nn.Module]] = {}
    for name, other in replaced.items():
        head, _, rest = name.partition(".")
        if rest:
            inside.setdefault(head, {})[rest] = other
        else:
            children[head] = other
    for head, rest in inside.items():
        children[head] = _stand_in(cast(nn.Module, children[head]), rest)
    twin = copy.copy(module)
    twin.__dict__["_modules"] = children
    return twin


def _float(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.detach().to(device=device, dtype=torch.float32)


def _whole(factor: Factor, device: torch.device) -> Tensor:
    matrix = _float(factor[0], device)
    for part in factor[1:]:
        matrix = matrix @ _float(part, device)
    return matrix
