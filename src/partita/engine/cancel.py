"""How a caller stops a run: a flag that the engine looks at between any two events."""

from __future__ import annotations

from typing import Protocol

from partita.errors import Cancelled


class CancelFlag(Protocol):
    """What `threading.Event` is: set from anywhere to stop a run within one step."""

    def is_set(self) -> bool: ...


def check_cancel(cancel: CancelFlag | None) -> None:
    """Raises Cancelled where the caller asked to stop."""
    if cancel is not None and cancel.is_set():
        raise Cancelled
