"""The head of a safetensors file: names, formats, shapes and places of its tensors, read without reading a tensor.

Everything that can be wrong with a file on disk is found here (cut short, not a safetensors file, a Git LFS pointer),
so that a tensor is never read past the end of a memory map. Format: https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partita.errors import ModelError

ITEM_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Format name as in the file (`BF16`, `F32`, ...) and shape of one tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a safetensors file says of itself. `sha256` is that of the header's bytes alone."""

    path: Path
    tensors: dict[str, TensorInfo]
    size_bytes: int
    sha256: str

    @property
    def identity(self) -> str:
        """Cheap and stable: the header's digest and the file's size. Two files with other names or shapes differ."""
        return f"{self.sha256[:16]}-{self.size_bytes}"


def read_header(path: Path) -> Header:
    """Read and check the header of `path`.

    Raises ModelError where the file is missing, cut short, longer than its header says, or no safetensors file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            raw = file.read(_LENGTH_BYTES)
            if _LFS_POINTER.startswith(raw) and raw:
                raise ModelError(
                    f"{path} is a Git LFS pointer of {size} bytes and holds no weights: run `git lfs pull` in its "
                    "folder, or download the file again.",
                    path=path,
                )
            length = struct.unpack("<Q", raw)[0] if len(raw) == _LENGTH_BYTES else 0
            if not 2 <= length <= min(_LONGEST_HEADER, max(0, size - _LENGTH_BYTES)):
                raise ModelError(
                    f"{path} ({size} bytes) is cut short or no safetensors file: its first {_LENGTH_BYTES} bytes "
                    "should be the length of a header that fits in the file. Download it again.",
                    path=path,
                )
            text = file.read(length)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.", path=path) from error
    tensors, end = _parse(path, text)
    expected = _LENGTH_BYTES + length + end
    if size != expected:
        state = "cut short" if size < expected else "longer than its header says"
        raise ModelError(f"{path} is {state}: expected {expected} bytes, found {size}. Download it again.", path=path)
    return Header(path, tensors, size, hashlib.sha256(text).hexdigest())


def _parse(path: Path, text: bytes) -> tuple[dict[str, TensorInfo], int]:
    try:
        entries: dict[str, Any] = json.loads(text)
        entries.pop("__metadata__", None)
        tensors: dict[str, TensorInfo] = {}
        end = 0
        for key, entry in entries.items():
            info = TensorInfo(str(entry["dtype"]), tuple(int(n) for n in entry["shape"]))
            start, stop = entry["data_offsets"]
            item = ITEM_BYTES.get(info.dtype)
            if item is not None and stop - start != item * math.prod(info.shape):
                raise ModelError(
                    f"{path}: {key} takes {stop - start} bytes, and {info.dtype} {list(info.shape)} takes "
                    f"{item * math.prod(info.shape)}. The file is damaged; download it again.",
                    path=path,
                    key=key,
                )
            tensors[key] = info
            end = max(end, stop)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} is damaged: its header cannot be read ({error}). Download it again.", path=path
        ) from None
    return tensors, end
