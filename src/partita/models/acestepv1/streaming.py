"""Long signals through local networks, stretch by stretch, with the result of one pass over the whole.

A `Local` is a piece of a network whose output rows depend on input rows within its reach. A `Stream` runs one over what
another gives and keeps the few rows that the next stretch needs again, so that no stage computes a row twice but within
its own reach. What a stretch computes beyond the rows asked for is discarded, which takes off the padding of its inner
ends; at the true ends the padding is the network's own. Knows no network. Tensors are rows `[B, time, ...]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from partita.errors import ModelError


@dataclass(frozen=True)
class Local:
    """`run` makes `up` rows of every `down`; each depends on `reach` input rows on either side of those at most.

    `stretch` is how many output rows are computed at once at most.
    """

    run: Callable[[Tensor], Tensor]
    reach: int
    up: int = 1
    down: int = 1
    stretch: int = 1 << 30

    def length(self, rows: int) -> int:
        """Output rows of `rows` input rows."""
        return -(-rows * self.up // self.down)

    def ready(self, rows: int) -> int:
        """Output rows that the first `rows` input rows suffice for, where more of them follow."""
        return max(0, rows // self.down - -(-self.reach // self.down)) * self.up

    def window(self, first: int, end: int, rows: int) -> tuple[int, int]:
        """The input rows, of `rows` in all, that output rows `first` to `end` are computed from."""
        reach = -(-self.reach // self.down) * self.down
        low = first // self.up * self.down - reach
        high = -(-end // self.up) * self.down + reach
        return max(0, low), min(rows, high)


class Rows(Protocol):
    """A signal of which rows can be had in order: each stretch begins where the one before it ended."""

    @property
    def length(self) -> int: ...

    def take(self, first: int, end: int) -> Tensor: ...


@dataclass(frozen=True)
class Whole:
    """Rows that are all there, `[B, length, ...]`."""

    rows: Tensor

    @property
    def length(self) -> int:
        return self.rows.shape[1]

    def take(self, first: int, end: int) -> Tensor:
        return self.rows[:, first:end]


class Paced:
    """Rows of `before`, which is asked for the stretches between `edges` only, each when its first row is needed.

    A convolution library keeps code for every length that it meets, megabytes in all for each: stretches of one
    length keep that small. Nothing before the first of `edges` or after the last can be had.
    """

    def __init__(self, before: Rows, edges: Sequence[int]) -> None:
        self.length = before.length
        self._before, self._edges = before, list(pairwise(edges))
        self._held: Tensor | None = None
        self._first = edges[0]

    def take(self, first: int, end: int) -> Tensor:
        held, at = self._held, self._first
        while held is None or at + held.shape[1] < end:
            if not self._edges:
                raise ModelError(f"Rows {first} to {end} were asked for beyond the last edge of their stretches.")
            part = self._before.take(*self._edges.pop(0))
            held = part if held is None else torch.cat([held, part], dim=1)
        self._held, self._first = held[:, end - at :], end
        return held[:, first - at : end - at]


class Stream:
    """What `local` makes of `before`. Holds input rows that the next stretch needs; not for use by two threads."""

    def __init__(self, before: Rows, local: Local) -> None:
        self.length = local.length(before.length)
        self._before, self._local = before, local
        self._held: Tensor | None = None
        self._held_first = self._held_end = self._end = 0

    def take(self, first: int, end: int) -> Tensor:
        """Rows `first` to `end`. The first stretch may begin anywhere, each other one where the last one ended.

        Raises:
            ModelError: rows that do not exist, or stretches out of order.
        """
        if not 0 <= first < end <= self.length or (self._held is not None and first != self._end):
            raise ModelError(
                f"Rows {first} to {end} of {self.length} were asked for after row {self._end}: stretches come in order."
            )
        edges = [*range(first, end, self._local.stretch), end]
        pieces = [self._stretch(*pair) for pair in pairwise(edges)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def _stretch(self, first: int, end: int) -> Tensor:
        low, high = self._local.window(first, end, self._before.length)
        window = self._read(low, high)
        made = self._local.run(window)
        skipped = first - low // self._local.down * self._local.up
        self._end = end
        return made[:, skipped : skipped + end - first]

    def _read(self, low: int, high: int) -> Tensor:
        """Input rows `low` to `high`; those before `low` are let go of."""
        if self._held is None:
            self._held, self._held_first, self._held_end = self._before.take(low, high), low, high
        else:
            kept = self._held[:, low - self._held_first :]
            if high > self._held_end:
                kept = torch.cat([kept, self._before.take(self._held_end, high)], dim=1)
                self._held_end = high
            self._held, self._held_first = kept, low
        return self._held


def run_whole(local: Local, rows: Tensor) -> Tensor:
    """What `local` makes of `rows` `[B, L, ...]`, computed a stretch at a time."""
    stream = Stream(Whole(rows), local)
    return stream.take(0, stream.length)


def chain(before: Rows, stages: list[Local]) -> Rows:
    """What the last of `stages` gives, each fed by the one before it."""
    for stage in stages:
        before = Stream(before, stage)
    return before
