"""What the loaders of all families that are found on disk have in common: identity, checks, configurations, memory.

It knows roles and files, not which networks a family has; that is each loader's own business.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from partita.errors import ModelError
from partita.weights.catalog import configuration, fetch_command
from partita.weights.configs import read_json
from partita.weights.fingerprint import fingerprint
from partita.weights.located import Located
from partita.weights.tensors import Stored, check, expected_shapes, find_tensors

T = TypeVar("T")
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Adaptable:
    """Names and shapes of all tensors that an adapter may name, over all parts; `idle` are those that nothing reads."""

    shapes: Shapes
    idle: frozenset[str] = frozenset()


class LocatedLoader(ABC):
    """Reads the parts of one located model for one runtime. Holds headers and configurations, no tensors."""

    part_names: tuple[str, ...]

    def __init__(self, located: Located, device: str = "cpu", number_format: str = "float32") -> None:
        self.located = located
        self._device = torch.device(device)
        self._dtype: torch.dtype = getattr(torch, number_format)

    def load(self, part: str) -> Any:
        """The part, on the runtime's device and in its number format.

        Raises ModelError where any of the model's files is missing, damaged or of another shape: all of them are
        checked before the first tensor is read.
        """
        if part not in self.part_names:
            raise ModelError(f"{self.located.card.id} has the parts {', '.join(self.part_names)}, and no {part!r}.")
        self.check()
        return self._readers()[part]()

    @abstractmethod
    def check(self) -> None:
        """Compare every tensor name, shape and format of every file with the networks. Reads no tensor."""

    @abstractmethod
    def _readers(self) -> dict[str, Callable[[], Any]]:
        """What reads each part."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Whatever changes what is loaded: the files, the device, the number format."""
        files = (f"{name}={value}" for name, value in self.fingerprint().items())
        return (self.located.card.id, *files, str(self._device), str(self._dtype))

    def fingerprint(self) -> dict[str, str]:
        """Role and name of every file, and its `fingerprint`; the same wherever the files lie."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> dict[str, str]:
        return {role: fingerprint(path) for role, path in self.located.by_role().items()}

    @property
    def _advice(self) -> str:
        return f"Fetch it with `{fetch_command(self.located.card)}`."

    def _tensors(self, role: str, expected: Shapes, what: str) -> dict[str, Stored]:
        """Tensors of a role by published name, compared with the shapes that the network `what` has."""
        found = find_tensors(self.located.networks[role].weights, self._advice)
        check(found, expected, what)
        return found

    def _config(self, role: str, parse: Callable[[Mapping[str, Any]], T], sizes: str) -> T:
        """The configuration of a role: beside its weights, or as published where its layout has none."""
        path = self.located.networks[role].config
        return parsed(parse, read_json(path) if path else configuration(sizes), path)


def parsed(parse: Callable[[Mapping[str, Any]], T], values: Mapping[str, Any], path: Path | None) -> T:
    """`parse(values)`, with the file's name in front of what a ModelError says."""
    try:
        return parse(values)
    except ModelError as error:
        raise ModelError(f"{path or 'The catalog'}: {error}", path=path, key=error.key) from None


def summary(tensors: Mapping[str, Stored]) -> str:
    """What was found of a network that fits, in words."""
    formats = sorted({stored.dtype for stored in tensors.values()})
    return f"{len(tensors)} tensors, {', '.join(formats)}: every name and shape as the network has it"


def bytes_of(network: nn.Module, dtype: torch.dtype) -> int:
    """Bytes that a network's tensors take in a number format, from their shapes alone."""
    return sum(math.prod(shape) for shape in expected_shapes(network).values()) * dtype.itemsize
