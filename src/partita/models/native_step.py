"""The decode step of Qwen3 as one function of the machine's own language, built from `decode_step.cpp` at first use.

Needs Linux on an x86-64 processor with AVX-512 and a C++ compiler; elsewhere `build` says what is missing. It knows
weights, caches and places; which tokens they belong to is `planner.lm`'s business. Threads are those of torch.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from partita.models.quantised import Int8Linear
from partita.models.qwen3_decoder import DecoderLayer, Head, KVCache, Qwen3Decoder

SOURCE = Path(__file__).with_name("decode_step.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-fopenmp", "-fno-math-errno")
_LANES = 16
_MOST_HEAD_DIM = 256
_BUILD_S = 120
_KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2}


class _Sizes(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "tokens", "hidden", "inner", "layers", "heads", "kv_heads")),
        *((name, ctypes.c_int64) for name in ("head_dim", "capacity", "vocabulary", "threads")),
        ("eps", ctypes.c_float),
        ("cache_kind", ctypes.c_int32),
    )


class _Matrix(ctypes.Structure):
    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("inputs", ctypes.c_int64),
        ("kind", ctypes.c_int32),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("before_attention", "before_mlp", "query_norm", "key_norm")),
        *((name, _Matrix) for name in ("qkv", "out", "gate_up", "down")),
        *((name, ctypes.c_void_p) for name in ("keys", "values")),
    )


@dataclass(frozen=True)
class Build:
    """The function, or None and the reason."""

    function: Callable[..., None] | None
    reason: str


def build(folder: Path) -> Build:
    """The step for this processor, kept in `folder` for the next time; it takes two seconds to build.

    The environment's CXX names the compiler, which must be GCC or take its flags and its OpenMP.
    """
    system, here = platform.system(), capability()
    if system != "Linux" or not here.startswith("AVX512"):
        return Build(None, f"it needs Linux and AVX-512; this is {system} with {here}")
    named = os.environ.get("CXX")
    compiler = next(filter(None, map(shutil.which, [named] if named else ["g++", "c++"])), None)
    if compiler is None:
        return Build(None, f"there is no C++ compiler ({named or 'g++'}) on this machine")
    key = hashlib.sha256("\0".join((SOURCE.read_text("utf-8"), compiler, *FLAGS, _processor())).encode()).hexdigest()
    path = folder / f"decode_step-{key[:16]}.so"
    try:
        if not path.exists():
            _compile(compiler, path)
        function = ctypes.CDLL(os.fspath(path)).partita_decode_step
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        return Build(None, f"{compiler} failed: {told[0] if told else error}")
    except OSError as error:
        return Build(None, str(error))
    function.restype = None
    return Build(function, f"built by {compiler}")


def capability() -> str:
    """The vectors that torch uses on this processor."""
    return torch.backends.cpu.get_cpu_capability()


def fits(decoder: Qwen3Decoder, head: Head, cache: KVCache) -> bool:
    """Whether the step takes this network: on the CPU, with weights row by row and widths of whole vectors."""
    config = decoder.config
    layers = [layer for layer in decoder.layers if isinstance(layer, DecoderLayer)]
    linear = [head.linear, *(part for one in layers for part in (one.qkv, one.out, one.gate_up, one.down))]
    widths = (config.hidden_size, config.intermediate_size, config.head_dim)
    return (
        decoder.like.device.type == "cpu"
        and decoder.like.dtype in (torch.float32, torch.bfloat16)
        and config.head_dim <= _MOST_HEAD_DIM
        and not any(width % _LANES for width in widths)
        and all(_row_by_row(one) for one in linear)
    )


class NativeStep:
    """The step for one network, head and cache, as `planner.lm.steps.Body`."""

    def __init__(self, function: Callable[..., None], decoder: Qwen3Decoder, head: Head, cache: KVCache) -> None:
        config = decoder.config
        self._function, self._decoder, self._head, self._cache = function, decoder, head, cache
        self._kept: list[Tensor] = []  # what the pointers point to
        self._sizes = _Sizes(
            rows=cache.rows,
            hidden=config.hidden_size,
            inner=config.intermediate_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            capacity=cache.capacity,
            vocabulary=head.ids.shape[0],
            eps=config.rms_norm_eps,
            cache_kind=_KINDS[cache.keys[0].dtype],
        )
        self._layers = (_Layer * config.num_hidden_layers)(
            *(
                self._layer(layer, keys, values)
                for layer, keys, values in zip(decoder.layers, cache.keys, cache.values, strict=True)
            )
        )
        self._norm, self._matrix = self._pointer(decoder.norm.weight), self._of(head.linear)

    def __call__(self, ids: Tensor, places: Tensor, span: int, lengths: Sequence[int] | None = None) -> Tensor:
        """Ids int64 `[B, S]` from `places` `[B]` on -> float32 logits `[B, V]` of what follows each row's last token,
        the last of `lengths` if these are given."""
        rows, tokens = ids.shape
        states = self._decoder.embed_tokens(ids.flatten()).float()
        every = (places[:, None] + torch.arange(tokens)).clamp(max=self._cache.capacity - 1).flatten()
        cos, sin = (half[every].float() for half in (self._cache.table.cos, self._cache.table.sin))
        last = torch.tensor(lengths or [tokens] * rows) - 1
        logits = torch.empty(rows, self._head.ids.shape[0])
        self._sizes.tokens, self._sizes.threads = tokens, torch.get_num_threads()
        arguments = (last, every, cos, sin, states, logits)
        self._function(
            ctypes.byref(self._sizes),
            self._layers,
            ctypes.c_void_p(self._norm),
            ctypes.byref(self._matrix),
            *(ctypes.c_void_p(one.data_ptr()) for one in arguments),
        )
        return logits

    def _layer(self, layer: nn.Module, keys: Tensor, values: Tensor) -> _Layer:
        assert isinstance(layer, DecoderLayer)
        query, key = layer.norm_weight[0], layer.norm_weight[-1]
        norms = (layer.before_attention.weight, layer.before_mlp.weight, query, key)
        matrices = (self._of(one) for one in (layer.qkv, layer.out, layer.gate_up, layer.down))
        return _Layer(*map(self._pointer, norms), *matrices, keys.data_ptr(), values.data_ptr())

    def _of(self, linear: nn.Module) -> _Matrix:
        weight = linear.weight
        assert isinstance(weight, Tensor)
        scale = self._pointer(linear.scale) if isinstance(linear, Int8Linear) else None
        self._kept.append(weight)
        return _Matrix(weight.data_ptr(), scale, weight.shape[1], _KINDS[weight.dtype])

    def _pointer(self, numbers: Tensor) -> int:
        self._kept.append(numbers.detach().float().contiguous())
        return self._kept[-1].data_ptr()


def _row_by_row(linear: nn.Module) -> bool:
    weight = getattr(linear, "weight", None)
    known = isinstance(linear, nn.Linear | Int8Linear) and isinstance(weight, Tensor) and weight.dtype in _KINDS
    return known and isinstance(weight, Tensor) and weight.is_contiguous()


def _processor() -> str:
    """What -march=native depends on."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    wanted = ("model name", "cpu family", "model\t", "stepping", "flags")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def _compile(compiler: str, path: Path) -> None:
    """Compiled with OpenMP and linked without: the functions of OpenMP are then torch's, and so are the threads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        compiled, linked = Path(folder) / "step.o", Path(folder) / "step.so"
        for arguments in ((*FLAGS, "-c", SOURCE, "-o", compiled), ("-shared", compiled, "-o", linked)):
            subprocess.run([compiler, *arguments], check=True, capture_output=True, text=True, timeout=_BUILD_S)
        linked.replace(path)
