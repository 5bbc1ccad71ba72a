"""One decode step, the next token of every row, and the ways to make it quick: a function that was built for this
processor when the network was loaded (`models.native_step`), a CUDA graph, torch's compiler.

Each way has a switch. The last two give up in the open: they go on eagerly and leave a notice. A graph or a compiled
step needs fixed shapes, so it looks at the cache in whole `SPAN_BLOCK`s and there is one for each number of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from partita.models.native_step import NativeStep, fits
from partita.models.qwen3_decoder import Head, KVCache, Qwen3Decoder, last_states

SPAN_BLOCK = 256

Body = Callable[[Tensor, Tensor, int], Tensor]
"""Ids `[B, 1]`, their places `[B]` and the span of cache to look at -> logits `[B, V]`."""

Runs = Callable[[Tensor, Tensor, int, Sequence[int] | None], Tensor]
"""As `Body`, and for ids `[B, S]` of rows that bring so many tokens each: logits after each one's last."""

Captured = tuple[Callable[[], None], Tensor]
"""What runs a captured function again, and the tensor that then holds its result."""


@dataclass(frozen=True, slots=True)
class Speed:
    """`native`: take the function that was built for this processor, if the network has one. `cuda_graphs`: replay
    recorded steps where the device is CUDA. `compiled`: hand the step to torch.compile."""

    native: bool = True
    cuda_graphs: bool = True
    compiled: bool = False


class Step(Protocol):
    """Reads tokens of each row and gives the logits of what follows, which the next call may overwrite."""

    def __call__(self, ids: Tensor, places: Tensor, span: int, lengths: Sequence[int] | None = None) -> Tensor:
        """As `Runs`; without `lengths` each row brings one token."""
        ...

    def notices(self) -> list[str]:
        """What the user should know since the last time this was asked."""
        ...


def make_step(decoder: Qwen3Decoder, head: Head, cache: KVCache, speed: Speed) -> Step:
    """The step for a network, a head and a cache, as quick as `speed` and the device allow."""

    def body(ids: Tensor, places: Tensor, span: int, lengths: Sequence[int] | None = None) -> Tensor:
        states = decoder(ids, places, cache, span)
        return head(states[:, -1] if lengths is None else last_states(states, lengths))

    if speed.native and decoder.native is not None and fits(decoder, head, cache):
        return EagerStep(NativeStep(decoder.native, decoder, head, cache))
    if speed.compiled:
        return GuardedStep(torch.compile(body, dynamic=False), body, cache.capacity, "torch.compile")
    if speed.cuda_graphs and decoder.like.device.type == "cuda":
        graphs = GraphedBody(body, cache.rows, decoder.like.device, capture)
        return GuardedStep(graphs, body, cache.capacity, "A CUDA graph of the planner's step")
    return EagerStep(body)


class EagerStep:
    """`body` as it is."""

    def __init__(self, body: Runs) -> None:
        self._body = body

    def __call__(self, ids: Tensor, places: Tensor, span: int, lengths: Sequence[int] | None = None) -> Tensor:
        return self._body(ids, places, span, lengths)

    def notices(self) -> list[str]:
        return []


class GuardedStep:
    """`quick` for one token a row, over whole blocks of the cache; `plain` for runs, and for good once that failed."""

    def __init__(self, quick: Body, plain: Runs, capacity: int, name: str) -> None:
        self._quick: Body | None = quick
        self._plain, self._capacity, self._name = plain, capacity, name
        self._notices: list[str] = []

    def __call__(self, ids: Tensor, places: Tensor, span: int, lengths: Sequence[int] | None = None) -> Tensor:
        if self._quick is None or lengths is not None:
            return self._plain(ids, places, span, lengths)
        whole = min(-(-span // SPAN_BLOCK) * SPAN_BLOCK, self._capacity)
        try:
            return self._quick(ids, places, whole)
        except (RuntimeError, NotImplementedError) as error:
            # A step writes to the cache only what it would write again, so it can be repeated.
            reason = str(error).strip().splitlines() or [type(error).__name__]
            self._notices.append(f"{self._name} failed ({reason[0]}); going on without it, more slowly.")
            self._quick = None
            return self._plain(ids, places, span, None)

    def notices(self) -> list[str]:
        told, self._notices = self._notices, []
        return told


class GraphedBody:
    """`body` recorded once a span and replayed; its inputs and results lie in tensors that stay where they are."""

    def __init__(
        self, body: Body, rows: int, device: torch.device, capture: Callable[[Callable[[], Tensor]], Captured]
    ) -> None:
        self._body, self._capture = body, capture
        self._ids = torch.zeros((rows, 1), dtype=torch.int64, device=device)
        self._places = torch.zeros(rows, dtype=torch.int64, device=device)
        self._recorded: dict[int, Captured] = {}

    def __call__(self, ids: Tensor, places: Tensor, span: int) -> Tensor:
        self._ids.copy_(ids)
        self._places.copy_(places)
        if span not in self._recorded:
            self._recorded[span] = self._capture(lambda: self._body(self._ids, self._places, span))
        replay, result = self._recorded[span]
        replay()
        return result


def capture(function: Callable[[], Tensor]) -> Captured:
    """Record `function` as a CUDA graph. It runs twice first, for libraries to make plans and workspaces."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(2):
            function()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()
    return graph.replay, result
