"""The one owner of every loaded network. Whoever needs a part borrows it here and gives it back.

Two policies: `keep` holds what was loaded; `one-at-a-time` lets go of everything not in use before the next part is
loaded. A part is known by exactly what changes what is loaded: its files, device and number format.
"""

from __future__ import annotations

import gc
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from partita.engine.meter import StageMeter
from partita.runtime import Policy
from partita.weights.loaders import Loader

Key = tuple[str, ...]


class ModelStore:
    """Loads, lends and lets go of parts."""

    def __init__(self, policy: Policy) -> None:
        self.policy: Policy = policy
        self._loaded: dict[Key, Any] = {}
        self._lent: Counter[Key] = Counter()
        self._lock = threading.RLock()

    def parts(
        self, loader: Loader, meter: StageMeter, on_load: Callable[[str], None] = lambda part: None
    ) -> StoreParts:
        """The parts of one model for one run; loading is booked to `meter` as the stage `load`."""
        return StoreParts(self, loader, meter, on_load)

    def loaded(self) -> tuple[Key, ...]:
        """Keys of everything that is in memory."""
        return tuple(self._loaded)

    def clear(self, model: str | None = None) -> None:
        """Let go of everything that is not lent, or of one model's parts, by its id."""
        with self._lock:
            for key in [key for key in self._loaded if not self._lent[key] and model in (None, key[0])]:
                del self._loaded[key]
        gc.collect()

    @contextmanager
    def borrow(self, loader: Loader, part: str, meter: StageMeter, on_load: Callable[[str], None]) -> Iterator[Any]:
        """The loaded part; it is not let go of while the context is open."""
        key = (*loader.identity, part)
        with self._lock:
            if key not in self._loaded:
                if self.policy == "one-at-a-time":
                    self.clear()
                on_load(part)
                before = meter.enter("load")
                try:
                    self._loaded[key] = loader.load(part)
                finally:
                    meter.enter(before)
            self._lent[key] += 1
        try:
            yield self._loaded[key]
        finally:
            with self._lock:
                self._lent[key] -= 1


class StoreParts:
    """`partita.render.protocol.Parts` over a store."""

    def __init__(self, store: ModelStore, loader: Loader, meter: StageMeter, on_load: Callable[[str], None]) -> None:
        self._store, self._loader, self._meter, self._on_load = store, loader, meter, on_load

    def use(self, name: str) -> AbstractContextManager[Any]:
        """Lend the part `name`. Raises ModelError where its files are missing or damaged."""
        return self._store.borrow(self._loader, name, self._meter, self._on_load)
