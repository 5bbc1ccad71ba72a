"""Which files hold the tensors of a network: one safetensors file, or the shards that an index names.

It reads indexes, no tensors, and imports no torch, so that listing models is quick.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from partita.errors import ModelError
from partita.weights.naming import Naming, published

INDEX_SUFFIX = ".safetensors.index.json"


@dataclass(frozen=True, slots=True)
class WeightSet:
    """One safetensors file, or the index of a sharded one, and the naming that its tensors follow."""

    path: Path
    naming: Naming = published


def weight_files(path: Path) -> tuple[Path, ...]:
    """The files that hold tensors: `path` itself, or the shards that an index names, in order.

    Raises ModelError where an index is damaged.
    """
    if not path.name.endswith(INDEX_SUFFIX):
        return (path,)
    names = sorted(set(weight_map(path).values()))
    return tuple(path.parent / name for name in names)


def weight_map(path: Path) -> dict[str, str]:
    """The shard that holds each tensor. Raises ModelError where `path` is missing or no index."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = {str(key): str(name) for key, name in entries.items()}
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.", path=path) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{path} is no index of weights: it should map tensor names to shards.", path=path) from None
    outside = [name for name in names.values() if Path(name).name != name]
    if outside:
        raise ModelError(f"{path} names a shard outside its own folder: {outside[0]}.", path=path)
    return names
