"""Calls that wait for a worker: what needs the device and is no song. Knows no table."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any

from partita.engine.cancel import CancelFlag
from partita.engine.engine import Engine
from partita.errors import Cancelled
from partita.service.jobs.flags import Stop


class Call:
    """Something to be called once with a worker's engine. `over` is set when `result` or `error` is there."""

    def __init__(self, what: Callable[[Engine, CancelFlag], Any], stop: Stop, priority: int = 0) -> None:
        self.priority, self.stop, self.over = priority, stop, threading.Event()
        self._what = what
        self._result: Any = None
        self._error: Exception | None = None

    def run(self, engine: Callable[[], Engine]) -> None:
        """Call it, unless nobody waits for it any more."""
        try:
            if self.stop.is_set():
                raise Cancelled
            self._result = self._what(engine(), self.stop)
        except Exception as error:  # noqa: BLE001  (every fault is the caller's, who gets it from `outcome`)
            self._error = error
        self.over.set()

    def drop(self) -> None:
        """It is not called at all."""
        self._error = Cancelled("The server is stopping, and this was not begun.")
        self.over.set()

    def outcome(self) -> Any:
        """What it returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class Calls:
    """Calls in their order: higher priority first, then that of arrival. Not locked: its owner is."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Call]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, call: Call) -> None:
        heapq.heappush(self._heap, (-call.priority, next(self._numbers), call))

    def pop(self) -> Call | None:
        return heapq.heappop(self._heap)[2] if self._heap else None

    def discard(self, call: Call) -> None:
        """Take a call out, where it still waits."""
        self._heap = [entry for entry in self._heap if entry[2] is not call]
        heapq.heapify(self._heap)
