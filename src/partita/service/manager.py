"""A resident engine that looks after its memory: makes room before a song, tries again smaller after running out, and
comes back to the device when there is room again. Says what it did. Knows no jobs and no protocol.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

from partita.engine.cancel import CancelFlag
from partita.engine.engine import Engine
from partita.engine.events import Event, Finished
from partita.engine.meter import StageMeter
from partita.engine.song import Song
from partita.errors import RequestError
from partita.runtime import Runtime
from partita.song.request import SongRequest
from partita.song.resolve import ResolvedRequest
from partita.weights.catalog import card as find_card
from partita.weights.loaders import loader_for


@dataclass(frozen=True, slots=True)
class ManagerConfig:
    """`min_free_bytes`: below so much free memory of the device a song moves to the processor; 0 does not look."""

    min_free_bytes: int = 2 * 2**30


def usual_engine(device: str | None) -> Engine:
    """An engine on `device`, or on the best there is."""
    return Engine() if device is None else Engine(runtime=Runtime.detect(device=device))


class Manager:
    """One engine, kept. `make_engine(device)` makes it: none is the preferred device, "cpu" the fallback.

    Safe to use from any thread: songs are made one call after another, in the order of arrival.
    """

    def __init__(
        self, make_engine: Callable[[str | None], Engine] | None = None, config: ManagerConfig = ManagerConfig()
    ) -> None:
        self.config = config
        self._make_engine = make_engine or usual_engine
        self._engine: Engine | None = None
        self._turn = threading.Lock()
        self._making = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The engine in use, made when it is first asked for."""
        with self._making:
            if self._engine is None:
                self._engine = self._make_engine(None)
            return self._engine

    @property
    def alive(self) -> bool:
        """Whether it can still make songs."""
        return True

    def run_many(
        self, resolved: Sequence[ResolvedRequest], *, cancel: CancelFlag | None = None
    ) -> Generator[tuple[int, Event]]:
        """As `Engine.run_many`, with the memory looked after; what was done about it is in each song's warnings."""
        with self._turn, closing(self.engine.run_many(resolved, cancel=cancel)) as events:
            yield from events

    def generate(self, request: SongRequest, *, cancel: CancelFlag | None = None) -> Song:
        """One song of one request. Raises the errors of `partita.errors`."""
        resolved = self.engine.resolve(request)
        if len(resolved.seeds) != 1:
            raise RequestError(
                f"The request makes {len(resolved.seeds)} songs, and this makes one: leave out count and best_of.",
                field="count" if request.count > 1 else "best_of",
            )
        with closing(self.run_many([resolved], cancel=cancel)) as events:
            return next(event.song for _, event in events if isinstance(event, Finished))

    def load(self, model: str) -> None:
        """Load a model's networks, so that the first song does not wait. Raises ModelError."""
        card = find_card(model)
        with self._turn:
            engine = self.engine
            loader = loader_for(card, engine.runtime, settings=engine.settings)
            parts = engine.store.parts(loader, StageMeter())
            for name in loader.part_names:
                with parts.use(name):
                    pass

    def unload(self) -> None:
        """Let go of all networks; the next song loads again. Waits for a song that is being made."""
        with self._turn:
            self.engine.store.clear()
