"""Random numbers that depend on a seed and on nothing else: not on batch, device, order, processor or library version.

Philox (Salmon et al., SC 2011; numpy's 4x64 with ten rounds, whose raw output numpy guarantees) gives integers.
They become normal numbers by Box-Muller with our own logarithm, sine and cosine, made of additions,
multiplications, divisions and square roots alone: those are rounded the same on every machine, library
transcendentals are not. `parity_noise` draws as the original programs do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from partita.errors import RequestError


class Stream(IntEnum):
    """What a number is for. Streams of one seed never overlap; a value is part of what a seed means, for ever."""

    INITIAL = 0
    STEP = 1  # fresh noise of the stochastic solver, index = step
    PLANNER = 2
    TIMBRE = 3  # where the reference clips are cut, and the noise of their encoding
    SOURCE = 4  # noise of encoding the source
    RETAKE = 5
    FLOW_EDIT = 6
    TRAINING = 7
    ORCHESTRATION = 8  # which instruments play


_LOG_TERMS = tuple(2.0 / n for n in range(1, 24, 2))
_SIN_TERMS = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(9))
_COS_TERMS = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(10))


def raw_bits(seed: int, count: int, stream: int = Stream.INITIAL, index: int = 0) -> NDArray[np.uint64]:
    """`count` 64-bit integers of the seed's stream; `index` selects an independent run inside it, such as a step."""
    for name, value in (("seed", seed), ("stream", stream), ("index", index)):
        if not 0 <= value < 2**64:
            raise RequestError(f"{name} is {value}; give a whole number from 0 to 2^64 - 1.", field=name, value=value)
    key = np.array([seed, int(stream)], dtype=np.uint64)
    counter = np.array([0, 0, index, 0], dtype=np.uint64)
    return np.random.Philox(counter=counter, key=key).random_raw(count)


def uniforms(seed: int, count: int, stream: int = Stream.INITIAL, index: int = 0) -> NDArray[np.float64]:
    """`count` numbers in [0, 1), multiples of 2^-53."""
    return _fractions(raw_bits(seed, count, stream, index) >> np.uint64(11))


def noise(seed: int, shape: Sequence[int], stream: int = Stream.INITIAL, index: int = 0) -> Tensor:
    """Normal float32 noise of `shape` for one item, on the CPU.

    A longer draw begins with the shorter one's numbers, in the order of the flattened tensor.
    """
    count = math.prod(shape)
    pairs = (count + 1) // 2
    bits = raw_bits(seed, 2 * pairs, stream, index).reshape(pairs, 2) >> np.uint64(11)
    radius = np.sqrt(-2.0 * _log(_fractions(bits[:, 0] + np.uint64(1))))  # of (0, 1]: the logarithm is finite
    sine, cosine = _sincos_turns(bits[:, 1])
    values = np.stack([radius * cosine, radius * sine], axis=1).reshape(-1)[:count]
    return torch.from_numpy(values.astype(np.float32).reshape(tuple(shape)))


def batch_noise(seeds: Sequence[int], shape: Sequence[int], stream: int = Stream.INITIAL, index: int = 0) -> Tensor:
    """One item's noise for each seed, stacked to [B, *shape]; an item's numbers do not depend on its neighbours."""
    return torch.stack([noise(seed, shape, stream, index) for seed in seeds])


def parity_noise(
    seeds: int | Sequence[int],
    shape: Sequence[int],
    *,
    batch: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Initial noise [B, *shape] the way the original draws it: torch's generator on the compute device.

    A list of seeds gives each item a generator of its own; a single seed fills `batch` items from one generator.
    """
    if isinstance(seeds, int):
        generator = torch.Generator(device).manual_seed(seeds)
        return torch.randn((batch or 1, *shape), generator=generator, dtype=dtype, device=device)
    if batch not in (None, len(seeds)):
        raise RequestError(f"{len(seeds)} seeds were given for {batch} items; give one each.", field="seed")
    items = [
        torch.randn((1, *shape), generator=torch.Generator(device).manual_seed(s), dtype=dtype, device=device)
        for s in seeds
    ]
    return torch.cat(items)


def blend_retake(first: Tensor, second: Tensor, variance: float) -> Tensor:
    """`cos(v pi/2) first + sin(v pi/2) second`: a retake's noise, as far from the first as `variance` v in [0, 1]."""
    angle = variance * math.pi / 2
    return math.cos(angle) * first + math.sin(angle) * second


def _fractions(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    return bits.astype(np.float64) * 2.0**-53


def _horner(x: NDArray[np.float64], terms: Sequence[float]) -> NDArray[np.float64]:
    total = np.full_like(x, terms[-1])
    for term in reversed(terms[:-1]):
        total = total * x + term
    return total


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    # log(m 2^e) = e log 2 + 2 atanh((m - 1) / (m + 1)) with m in [sqrt(1/2), sqrt(2)): twelve terms reach 1e-17.
    mantissa, exponent = np.frexp(x)
    low = mantissa < math.sqrt(0.5)
    mantissa = np.where(low, 2.0 * mantissa, mantissa)
    exponent = exponent - low
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return s * _horner(s * s, _LOG_TERMS) + exponent * math.log(2.0)


def _sincos_turns(bits: NDArray[np.uint64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Sine and cosine of 2 pi (bits / 2^53). The quadrant comes off exactly, as integer bits; what is left is taken
    # from the middle of the quadrant, so that the series see |a| <= pi / 4.
    quadrant = bits >> np.uint64(51)
    offset = (bits & np.uint64(2**51 - 1)).astype(np.float64) * 2.0**-51 - 0.5
    a = offset * (math.pi / 2)
    square = a * a
    sine, cosine = a * _horner(square, _SIN_TERMS), _horner(square, _COS_TERMS)
    # turning by pi / 4 puts the quadrant's middle in its place
    half = math.sqrt(0.5)
    sine, cosine = (sine + cosine) * half, (cosine - sine) * half
    odd = (quadrant & np.uint64(1)).astype(bool)
    sine, cosine = np.where(odd, cosine, sine), np.where(odd, -sine, cosine)
    negative = quadrant >= 2
    return np.where(negative, -sine, sine), np.where(negative, -cosine, cosine)
