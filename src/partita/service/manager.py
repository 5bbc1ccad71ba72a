"""A resident engine that looks after its memory: makes room before a song, tries again smaller after running out, and
comes back to the device when there is room again. Says what it did. Knows no jobs and no protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from partita.engine.cancel import CancelFlag
from partita.engine.engine import Engine
from partita.engine.events import Event
from partita.engine.song import Song
from partita.song.request import SongRequest
from partita.song.resolve import ResolvedRequest


@dataclass(frozen=True, slots=True)
class ManagerConfig:
    """`min_free_bytes`: below so much free memory of the device a song moves to the processor; 0 does not look."""

    min_free_bytes: int = 2 * 2**30


class Manager:
    """One engine, kept. `make_engine(device)` makes it: none is the preferred device, "cpu" the fallback."""

    def __init__(
        self, make_engine: Callable[[str | None], Engine] | None = None, config: ManagerConfig = ManagerConfig()
    ) -> None:
        raise NotImplementedError

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        raise NotImplementedError

    def run_many(
        self, resolved: Sequence[ResolvedRequest], *, cancel: CancelFlag | None = None
    ) -> Generator[tuple[int, Event]]:
        """As `Engine.run_many`, with the memory looked after; what was done about it is in each song's warnings."""
        raise NotImplementedError

    def generate(self, request: SongRequest, *, cancel: CancelFlag | None = None) -> Song:
        """One song of one request."""
        raise NotImplementedError

    def load(self, model: str) -> None:
        """Load a model's networks, so that the first song does not wait. Raises ModelError."""
        raise NotImplementedError

    def unload(self) -> None:
        """Let go of all networks; the next song loads again."""
        raise NotImplementedError
