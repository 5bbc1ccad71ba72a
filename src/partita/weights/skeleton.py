"""Networks without weights, built in milliseconds: shapes on the meta device, and no initial values drawn.

Torch computes initial values on the meta device in Python, and imports its compiler for that (3 s and more at the first
use). Values mean nothing there, so draws, fills and scalings return a tensor of the right shape as they find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_DRAWS = (torch.randn, torch.rand)
_LEAVES_SHAPE = (
    Tensor.normal_,
    Tensor.uniform_,
    Tensor.fill_,
    Tensor.zero_,
    Tensor.mul,
    Tensor.div,
    Tensor.mul_,
    Tensor.div_,
    Tensor.__mul__,
    Tensor.__rmul__,
    Tensor.__truediv__,
)


class _NoValues(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS:
            return torch.empty(*args, **{**kwargs, "device": "meta"})
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs.get("tensor", args[0] if args else None)
        if func in _LEAVES_SHAPE and all(isinstance(value, (int, float)) for value in args[1:]):
            return args[0]
        return func(*args, **kwargs)


@contextmanager
def skeleton() -> Iterator[None]:
    """Whatever is built inside has its shapes and no memory; fill it before use."""
    with torch.device("meta"), _NoValues():
        yield
