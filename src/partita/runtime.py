"""How this machine will be used: device, number format, attention kernel, compiler, threads, memory; and why.

A `Runtime` is a value that is passed along; nothing in the package keeps one globally. Finding one imports torch.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, Literal, TypeVar

from partita.errors import RequestError, ResourceError

T = TypeVar("T")
Policy = Literal["keep", "one-at-a-time"]
NUMBER_FORMATS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """A value and why it was chosen."""

    value: T
    reason: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """What changes speed, memory or bits.

    `number_format` is a torch dtype name. `memory_bytes` is what the engine may plan with. `policy` says whether
    loaded parts stay in memory (`keep`) or make room for the next (`one-at-a-time`). `decode_tile_frames` is how many
    latent frames of ACE-Step 1.5 are decoded at once, where that is not the usual number.
    """

    device: Choice[str]
    number_format: Choice[str]
    attention: Choice[str]
    compiled: Choice[bool]
    threads: Choice[int]
    memory_bytes: Choice[int]
    policy: Choice[Policy]
    cpu: str
    decode_tile_frames: int | None = None

    @classmethod
    def detect(
        cls,
        *,
        device: str | None = None,
        number_format: str | None = None,
        threads: int | None = None,
        policy: Policy | None = None,
    ) -> Runtime:
        """Choose for this machine; what is given is taken as it is.

        Raises RequestError for an unknown name and ResourceError for a device that is not there.
        """
        chosen_device = _device(device)
        budget = _memory(chosen_device.value)
        return cls(
            device=chosen_device,
            number_format=_number_format(number_format, chosen_device.value),
            attention=Choice("sdpa", "torch's fused attention needs no package of its own"),
            compiled=Choice(False, "the plain path needs no compiler"),
            threads=_threads(threads),
            memory_bytes=budget,
            policy=Choice(policy, "asked for") if policy else _policy(budget.value),
            cpu=cpu_name(),
        )

    def choices(self) -> dict[str, Choice[object]]:
        """Every choice by name, for `doctor` and the record."""
        names = ("device", "number_format", "attention", "compiled", "threads", "memory_bytes", "policy")
        return {name: getattr(self, name) for name in names}


def _device(asked: str | None) -> Choice[str]:
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    available["xpu"] = hasattr(torch, "xpu") and torch.xpu.is_available()
    if asked is not None:
        kind = asked.split(":")[0]
        if kind not in available:
            raise RequestError(f"device {asked!r} is not one of {', '.join(available)}.", field="device", value=asked)
        if not available[kind]:
            here = ", ".join(name for name, there in available.items() if there)
            raise ResourceError(f"device {asked!r} was asked for and torch does not see it; it sees {here}.")
        return Choice(asked, "asked for")
    for kind in ("cuda", "xpu", "mps"):
        if available[kind]:
            return Choice(kind, f"torch {torch.__version__} sees a {kind} device")
    return Choice("cpu", f"torch {torch.__version__} sees no accelerator")


def _number_format(asked: str | None, device: str) -> Choice[str]:
    import torch

    if asked is not None:
        if asked not in NUMBER_FORMATS:
            raise RequestError(
                f"number format {asked!r} is not one of {', '.join(NUMBER_FORMATS)}.",
                field="number_format",
                value=asked,
            )
        return Choice(asked, "asked for")
    if device == "cpu":
        feature = _native_bf16()
        if feature is not None:
            return Choice("bfloat16", f"the processor multiplies bfloat16 natively ({feature})")
        return Choice("float32", "the processor has no native bfloat16, and emulating it is slow")
    if device.startswith("cuda"):
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Choice("bfloat16", "the GPU computes bfloat16 natively")
        return Choice("float32", "the GPU has no native bfloat16, and float16 overflows in the lyric encoder")
    if device.startswith("xpu"):
        return Choice("bfloat16", "XPU devices compute bfloat16 natively")
    return Choice("float32", "bfloat16 is not dependable on Apple's GPUs")


@cache
def _cpu_flags() -> frozenset[str]:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return frozenset()
    for line in info.read_text(errors="replace").splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()


def _native_bf16() -> str | None:
    for flag in ("amx_bf16", "avx512_bf16", "bf16"):
        if flag in _cpu_flags():
            return flag
    return None


def cpu_name() -> str:
    """The processor's name and the instruction sets that change what torch computes on it."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    notable = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16") if flag in _cpu_flags()]
    return f"{name} ({', '.join(notable)})" if notable else name


def _threads(asked: int | None) -> Choice[int]:
    if asked is not None:
        if asked < 1:
            raise RequestError(f"threads {asked} must be at least 1.", field="threads", value=asked)
        return Choice(asked, "asked for")
    if "OMP_NUM_THREADS" in os.environ and os.environ["OMP_NUM_THREADS"].isdigit():
        return Choice(max(1, int(os.environ["OMP_NUM_THREADS"])), "OMP_NUM_THREADS says so")
    if hasattr(os, "sched_getaffinity"):
        return Choice(len(os.sched_getaffinity(0)), "one for each core this process may use")
    return Choice(os.cpu_count() or 1, "one for each core")


def _memory(device: str) -> Choice[int]:
    import psutil

    if device.startswith("cuda"):
        import torch

        free, _ = torch.cuda.mem_get_info(torch.device(device))
        return Choice(int(free * 0.9), "nine tenths of the free GPU memory")
    limit = psutil.virtual_memory().available
    cgroup = Path("/sys/fs/cgroup/memory.max")
    if cgroup.exists() and (text := cgroup.read_text().strip()).isdigit() and int(text) < limit:
        return Choice(int(text), "the memory limit of the container")
    return Choice(limit, "the memory that is available at the start")


# Everything of the 2B family at once in bfloat16 (transformer 4.8 GB, text encoder 1.2, VAE 0.4) and room to compute.
_KEEP_BYTES = 12 * 2**30


def _policy(memory_bytes: int) -> Choice[Policy]:
    gib = memory_bytes / 2**30
    if memory_bytes >= _KEEP_BYTES:
        return Choice("keep", f"{gib:.0f} GiB hold every part at once")
    return Choice("one-at-a-time", f"{gib:.0f} GiB are safer with one part loaded at a time")
