"""Reads a `.pt` file that holds one tensor, by a parser that can make nothing but a tensor.

`torch.save` writes a zip archive: the numbers as they lie in memory, and a short program for a stack machine that says
how to put them together. Such programs can run anything, so none is run here: this reads the few instructions that one
tensor needs, with a list of the only four names they may mention, and refuses every other instruction or name.
"""

from __future__ import annotations

import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from partita.errors import ModelError

_LARGEST_BYTES = 1 << 30
_LONGEST_PROGRAM = 4096
_REBUILD = "torch._utils._rebuild_tensor_v2"
_ORDERED_DICT = "collections.OrderedDict"
_STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.HalfStorage": torch.float16,
}


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that a program mentions. It is compared, never looked up."""

    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: torch.dtype
    entry: str
    count: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """A tensor as offset, shape and strides over a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """The only value that a program can put on the stack to count from."""


class _RefusedError(Exception):
    """The program asks for something that one tensor does not need."""


def read_tensor_file(path: Path) -> Tensor:
    """The tensor in `path`, with its own shape and format, on the CPU.

    Raises ModelError where the file is missing, damaged, or holds anything but one float tensor.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = _root(archive)
            order = f"{root}byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise _RefusedError("numbers in another byte order")
            plan = _interpret(_entry(archive, f"{root}data.pkl", _LONGEST_PROGRAM))
            return _assemble(plan, _entry(archive, f"{root}data/{plan.storage.entry}", _LARGEST_BYTES))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.", path=path) from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ModelError(f"{path} is cut short or damaged ({error}). Download it again.", path=path) from None
    except _RefusedError as refused:
        raise ModelError(
            f"{path} should hold one tensor and nothing else, and has {refused}. It was not opened; download the "
            "published file again.",
            path=path,
        ) from None


def _root(archive: zipfile.ZipFile) -> str:
    programs = [name for name in archive.namelist() if name.endswith("data.pkl")]
    if len(programs) != 1:
        raise _RefusedError(f"{len(programs)} programs in its archive")
    return programs[0].removesuffix("data.pkl")


def _entry(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    if name not in archive.namelist():
        raise _RefusedError(f"no entry {name!r}")
    if archive.getinfo(name).file_size > largest:
        raise _RefusedError(f"an entry {name!r} of more than {largest} bytes")
    return archive.read(name)


def _assemble(plan: _Plan, data: bytes) -> Tensor:
    wanted = plan.storage.count * plan.storage.dtype.itemsize
    if len(data) != wanted:
        raise _RefusedError(f"{len(data)} bytes of numbers where {wanted} are promised")
    reach = plan.offset + sum((n - 1) * stride for n, stride in zip(plan.shape, plan.strides, strict=True))
    if not 1 <= math.prod(plan.shape) <= plan.storage.count or reach >= plan.storage.count:
        raise _RefusedError(f"a tensor {list(plan.shape)} that does not fit its {plan.storage.count} numbers")
    flat = torch.frombuffer(bytearray(data), dtype=plan.storage.dtype)
    return flat.as_strided(plan.shape, plan.strides, plan.offset).clone(memory_format=torch.contiguous_format)


def _interpret(program: bytes) -> _Plan:
    """Run the few instructions of a program that describes one tensor."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        if at + count > len(program):
            raise _RefusedError("a program that is cut short")
        at += count
        return program[at - count : at]

    def line() -> str:
        nonlocal at
        end = program.find(b"\n", at)
        if end < 0:
            raise _RefusedError("a program that is cut short")
        text, at = program[at:end], end + 1
        return text.decode("ascii", "replace")

    def pop() -> Any:
        if not stack:
            raise _RefusedError("a program that takes from an empty stack")
        return stack.pop()

    def since_mark() -> tuple[Any, ...]:
        values: list[Any] = []
        while not isinstance(value := pop(), _Mark):
            values.append(value)
        return tuple(reversed(values))

    def last(count: int) -> tuple[Any, ...]:
        return tuple(reversed([pop() for _ in range(count)]))

    def recall(index: int) -> Any:
        if index not in memo:
            raise _RefusedError("a program that recalls what it never kept")
        return memo[index]

    while True:
        match take(1):
            case b"\x80":  # PROTO
                if take(1) not in (b"\x02", b"\x03", b"\x04"):
                    raise _RefusedError("a program of an unknown version")
            case b"\x95":  # FRAME
                take(8)
            case b"c":  # GLOBAL
                stack.append(_allowed(f"{line()}.{line()}"))
            case b"\x93":  # STACK_GLOBAL
                module, name = last(2)
                stack.append(_allowed(f"{module}.{name}"))
            case b"q":  # BINPUT
                memo[take(1)[0]] = _top(stack)
            case b"r":  # LONG_BINPUT
                memo[struct.unpack("<I", take(4))[0]] = _top(stack)
            case b"\x94":  # MEMOIZE
                memo[len(memo)] = _top(stack)
            case b"h":  # BINGET
                stack.append(recall(take(1)[0]))
            case b"j":  # LONG_BINGET
                stack.append(recall(struct.unpack("<I", take(4))[0]))
            case b"(":  # MARK
                stack.append(_Mark())
            case b"X":  # BINUNICODE
                stack.append(take(struct.unpack("<I", take(4))[0]).decode("utf-8", "replace"))
            case b"\x8c":  # SHORT_BINUNICODE
                stack.append(take(take(1)[0]).decode("utf-8", "replace"))
            case b"J":  # BININT
                stack.append(struct.unpack("<i", take(4))[0])
            case b"K":  # BININT1
                stack.append(take(1)[0])
            case b"M":  # BININT2
                stack.append(struct.unpack("<H", take(2))[0])
            case b"\x8a":  # LONG1
                stack.append(int.from_bytes(take(take(1)[0]), "little", signed=True))
            case b"\x88":  # NEWTRUE
                stack.append(True)
            case b"\x89":  # NEWFALSE
                stack.append(False)
            case b")":  # EMPTY_TUPLE
                stack.append(())
            case b"\x85":  # TUPLE1
                stack.append(last(1))
            case b"\x86":  # TUPLE2
                stack.append(last(2))
            case b"\x87":  # TUPLE3
                stack.append(last(3))
            case b"t":  # TUPLE
                stack.append(since_mark())
            case b"Q":  # BINPERSID
                stack.append(_storage(pop()))
            case b"R":  # REDUCE
                arguments, target = pop(), pop()
                stack.append(_reduce(target, arguments))
            case b".":  # STOP
                if len(stack) == 1 and isinstance(stack[0], _Plan):
                    return stack[0]
                raise _RefusedError("something other than one tensor")
            case other:
                raise _RefusedError(f"an instruction {other!r} that no tensor needs")


def _top(stack: list[Any]) -> Any:
    if not stack:
        raise _RefusedError("a program that keeps what is not there")
    return stack[-1]


def _allowed(name: str) -> _Name:
    if name not in (_REBUILD, _ORDERED_DICT, *_STORAGES):
        raise _RefusedError(f"the name {name!r}, which no tensor needs")
    return _Name(name)


def _storage(identity: Any) -> _Storage:
    match identity:
        case ("storage", _Name(name=name), str(entry), str(), int(count)) if name in _STORAGES and entry.isalnum():
            return _Storage(_STORAGES[name], entry, count)
    raise _RefusedError("a storage that is no plain float storage")


def _reduce(target: Any, arguments: Any) -> Any:
    match (target, arguments):
        case (_Name(name=name), ()) if name == _ORDERED_DICT:
            return {}  # hooks of the tensor, of which there are none
        case (_Name(name=name), (_Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), {})) if (
            name == _REBUILD
        ):
            numbers = (offset, *shape, *strides)
            if len(shape) == len(strides) and all(type(n) is int and n >= 0 for n in numbers):
                return _Plan(storage, offset, shape, strides)
    raise _RefusedError("a call that no tensor needs")
