"""Tensors of a network in any number of files: found by published name, checked against the network, read one by one.

Nothing is read before every name, shape and format of a network has been checked. A tensor whose format is the one
asked for stays a view of the memory-mapped file; any other is converted alone, so that at most one is held twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import safe_open
from torch import Tensor, nn

from partita.errors import ModelError
from partita.weights.headers import Header, read_header
from partita.weights.shards import INDEX_SUFFIX, WeightSet, weight_files, weight_map

READABLE_FORMATS = ("BF16", "F32", "F16")
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Stored:
    """Where one tensor lies. `key` is its name in the file, `shape` the one in the file."""

    path: Path
    key: str
    dtype: str
    shape: tuple[int, ...]


def find_tensors(sets: Iterable[WeightSet], advice: str = "") -> dict[str, Stored]:
    """Every tensor of `sets` by its published name.

    `advice` ends the message where a file is missing. Raises ModelError for a missing or damaged file, for a shard
    without a tensor that the index promises, and for a name that appears twice.
    """
    found: dict[str, Stored] = {}
    for weights in sets:
        for header in _headers(weights.path, advice):
            for key, info in header.tensors.items():
                name = weights.naming(key)
                if name is None:
                    continue
                if name in found:
                    raise ModelError(
                        f"{name} is in {found[name].path} and again in {header.path}, as {key}: keep one of the files.",
                        path=header.path,
                        key=name,
                    )
                found[name] = Stored(header.path, key, info.dtype, info.shape)
    return found


def expected_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what a network (on the meta device, say) keeps in a checkpoint."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def check(found: Mapping[str, Stored], expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Compare what was found with what the network `what` needs.

    A shape counts as right where only axes of length 1 differ. Raises one ModelError that names file, key, what was
    expected and what was found: for missing and leftover tensors, wrong shapes and formats that cannot be read.
    """
    place = next((stored.path for stored in found.values()), None)
    missing = [name for name in expected if name not in found]
    if missing:
        raise ModelError(
            f"{_few(missing)} of {what} {'are' if len(missing) > 1 else 'is'} missing from {place or 'the files'}: "
            f"expected {len(expected)} tensors, found {len(expected) - len(missing)} of them.",
            path=place,
            key=missing[0],
        )
    leftover = [name for name in found if name not in expected]
    if leftover:
        stored = found[leftover[0]]
        raise ModelError(
            f"{stored.path} holds {_few(leftover)}, which {what} does not have: expected {len(expected)} tensors, "
            f"found {len(found)}. These weights belong to another model or version.",
            path=stored.path,
            key=leftover[0],
        )
    for name, shape in expected.items():
        stored = found[name]
        if _bare(stored.shape) != _bare(shape):
            raise ModelError(
                f"{stored.path}: {stored.key} of {what} should have the shape {list(shape)}, and has "
                f"{list(stored.shape)}. These weights belong to another size of model, or config.json does.",
                path=stored.path,
                key=stored.key,
            )
        if stored.dtype not in READABLE_FORMATS:
            raise ModelError(
                f"{stored.path}: {stored.key} is stored as {stored.dtype}; {', '.join(READABLE_FORMATS)} can be read. "
                "Fetch the published weights in place of a quantised copy.",
                path=stored.path,
                key=stored.key,
            )


def fill(
    network: nn.Module,
    found: Mapping[str, Stored],
    *,
    prefix: str = "",
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    keep_float32: Sequence[str] = (),
) -> None:
    """Give every parameter and stored buffer of `network` the tensor whose published name is `prefix` and its own.

    `dtype` none keeps each tensor's own format; names that end in one of `keep_float32` become float32 whatever it
    says. On the CPU a tensor that needs no change stays a view of the mapped file. Call `check` first. The network
    is left without gradients and in evaluation mode.
    """
    with TensorReader() as reader:
        for name, old in list(network.state_dict(keep_vars=True).items()):
            wanted = torch.float32 if name.endswith(tuple(keep_float32)) else dtype
            tensor = reader.read(found[prefix + name], tuple(old.shape)).to(device=device, dtype=wanted)
            owner, _, leaf = name.rpartition(".")
            is_parameter = isinstance(old, nn.Parameter)
            setattr(
                network.get_submodule(owner),
                leaf,
                nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor,
            )
    network.requires_grad_(False).eval()


class TensorReader:
    """Reads single tensors, each file mapped once for as long as the reader is open (a view keeps its map alive)."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: dict[Path, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.clear()
        self._stack.close()

    def read(self, stored: Stored, shape: tuple[int, ...] | None = None) -> Tensor:
        """The tensor on the CPU in its own format, viewed as `shape` where one is given."""
        if stored.path not in self._open:
            self._open[stored.path] = self._stack.enter_context(safe_open(stored.path, framework="pt", device="cpu"))
        tensor = self._open[stored.path].get_tensor(stored.key)
        return tensor if shape is None else tensor.view(shape)


def _headers(path: Path, advice: str) -> list[Header]:
    if not path.name.endswith(INDEX_SUFFIX):
        return [_header(path, "", advice)]
    promised = weight_map(path)
    headers = {file.name: _header(file, f", which {path.name} names as a shard", advice) for file in weight_files(path)}
    for key, name in promised.items():
        if key not in headers[name].tensors:
            raise ModelError(
                f"{path.parent / name} lacks {key}, which {path.name} says it holds: index and shards belong to "
                "different versions. Download them again.",
                path=path.parent / name,
                key=key,
            )
    return list(headers.values())


def _header(path: Path, role: str, advice: str) -> Header:
    if not path.exists():
        raise ModelError(f"{path}{role} is missing. {advice}".rstrip(), path=path)
    return read_header(path)


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
