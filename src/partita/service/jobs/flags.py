"""What stops a job or a call: its caller, its deadline, or the queue closing. The engine looks between two events."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from partita.engine.cancel import CancelFlag


class Stop:
    """Set where a caller cancelled, where `deadline_at` (Unix seconds) is past, or where `closing` is set."""

    def __init__(self, closing: threading.Event, deadline_at: float | None = None) -> None:
        self._closing, self._cancelled = closing, threading.Event()
        self.deadline_at = deadline_at

    def cancel(self) -> None:
        """The caller asked to stop."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    @property
    def is_late(self) -> bool:
        return self.deadline_at is not None and time.time() >= self.deadline_at

    def is_set(self) -> bool:
        return self.is_cancelled or self.is_closing or self.is_late


class AnyOf:
    """Set where one of several is."""

    def __init__(self, flags: Sequence[CancelFlag]) -> None:
        self._flags = flags

    def is_set(self) -> bool:
        return any(flag.is_set() for flag in self._flags)
