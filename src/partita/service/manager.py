"""A resident engine that looks after its memory: makes room before a song, tries again smaller after running out, and
comes back to the device when there is room again. Says what it did. Knows no jobs and no protocol.

It goes down by steps, each tried once for a song: as usual; on the same device with less in memory at once; on the
processor. What a song owes to that is in its record, with the figures in the log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from partita.engine.cancel import CancelFlag, check_cancel
from partita.engine.engine import Engine
from partita.engine.events import Chosen, Event, Finished, Planned
from partita.engine.song import Song
from partita.errors import ModelError, PartitaError, RequestError, ResourceError
from partita.runtime import Choice, Policy, Runtime
from partita.service import memory
from partita.song.plan import Plan
from partita.song.request import SongRequest
from partita.song.resolve import ResolvedRequest

log = logging.getLogger(__name__)

SMALL_TILE_FRAMES = 256
"""A quarter of what ACE-Step 1.5 decodes at once otherwise: about 10 s."""

Way = Literal["usual", "smaller", "processor"]
Told = Generator[tuple[int, Event]]
_FAULTS = (PartitaError, MemoryError, RuntimeError, OSError)
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class ManagerConfig:
    """`min_free_bytes`: below so much free memory of the device a song moves to the processor; 0 does not look.
    `return_after_s`: not before so many seconds after a step down is the device tried as usual again."""

    min_free_bytes: int = 2 * 2**30
    return_after_s: float = 60.0


@dataclass(frozen=True, slots=True)
class _SteppedDown:
    """When, why (for the record), and how much the device must have free for the way back."""

    at: float
    why: str
    needed_bytes: int


def usual_engine(device: str | None) -> Engine:
    """An engine on `device`, or on the best there is."""
    return Engine() if device is None else Engine(runtime=Runtime.detect(device=device))


class Manager:
    """One engine, kept. `make_engine(device)` makes it: none is the preferred device, "cpu" the fallback.

    Safe to use from any thread; songs are made one call after another. `free_bytes` and `clock` stand in for the
    machine's in tests.
    """

    def __init__(
        self,
        make_engine: Callable[[str | None], Engine] | None = None,
        config: ManagerConfig = ManagerConfig(),
        *,
        free_bytes: Callable[[str], int] = memory.free_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self._make_engine = make_engine or usual_engine
        self._free_bytes, self._clock = free_bytes, clock
        self._engine: Engine | None = None
        self._device: str | None = None
        self._down: _SteppedDown | None = None
        self._way: Way = "usual"
        self._end: str | None = None
        self._turn = threading.Lock()
        self._swapping = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The engine in use, made when it is first asked for. Raises ResourceError where the manager is not alive."""
        with self._swapping:
            if self._end is not None:
                raise ResourceError(f"manager: manager has shut down: {self._end} Start the program again.")
            if self._engine is None:
                self._engine = self._make_engine(None)
                self._device = self._engine.runtime.device.value
            return self._engine

    @property
    def alive(self) -> bool:
        """False once neither the device nor the processor could be loaded: nothing more can be made."""
        return self._end is None

    def run_many(self, resolved: Sequence[ResolvedRequest], *, cancel: CancelFlag | None = None) -> Told:
        """As `Engine.run_many`, with the memory looked after; what was done about it is in each song's warnings.

        After running out of memory, songs that are not Finished are begun again, by the plans they had. Raises
        ResourceError where no smaller way is left.
        """
        finished: set[int] = set()
        plans: dict[int, Plan] = {}

        def begin(engine: Engine, singly: bool) -> Told:
            for places in _portions([i for i in range(len(resolved)) if i not in finished], set(plans), singly):
                known = [plans[place] for place in places if place in plans] or None
                run = engine.run_many([resolved[place] for place in places], plans=known, cancel=cancel)
                with closing(run) as events:
                    for index, event in events:
                        if isinstance(event, Planned):
                            plans[places[index]] = event.plan
                        elif isinstance(event, Finished):
                            finished.add(places[index])
                        yield places[index], event

        return self._watched(resolved[0].model if resolved else "built-in", begin, cancel)

    def run_best(self, resolved: Sequence[ResolvedRequest], *, cancel: CancelFlag | None = None) -> Generator[Event]:
        """As `Engine.run_best`, with the memory looked after. After running out, all songs are begun again."""

        def begin(engine: Engine, singly: bool) -> Told:
            with closing(engine.run_best(resolved, cancel=cancel)) as events:
                yield from ((0, event) for event in events)

        with closing(self._watched(resolved[0].model, begin, cancel)) as events:
            yield from (event for _, event in events)

    def generate(self, request: SongRequest, *, cancel: CancelFlag | None = None) -> Song:
        """One song of one request; the best, where it asks for `best_of`. Raises the errors of `partita.errors`."""
        if request.count > 1:
            raise RequestError(
                f"count is {request.count}, and this makes one song: leave it out.", field="count", value=request.count
            )
        resolved = self.engine.resolve(request)
        if len(resolved.seeds) > 1:
            with closing(self.run_best([resolved.one(seed) for seed in resolved.seeds], cancel=cancel)) as best:
                return next(event.song for event in best if isinstance(event, Chosen))
        with closing(self.run_many([resolved], cancel=cancel)) as events:
            return next(event.song for _, event in events if isinstance(event, Finished))

    def load(self, model: str) -> None:
        """Load a model's networks, so that the first song does not wait, and go on smaller where they do not fit.

        Raises ModelError where they cannot be used, ResourceError where they fit nowhere.
        """

        def begin(engine: Engine, singly: bool) -> Told:
            engine.load(model)
            yield from ()

        try:
            for _ in self._watched(model, begin, None):
                pass
        except ModelError as error:
            raise ModelError(f"manager: pipeline load failed: {error}", path=error.path, key=error.key) from error

    def unload(self) -> None:
        """Let go of all networks; the next song loads again. Waits for what is being made."""
        with self._waited_for(None):
            engine = self.engine
            engine.store.clear()
            memory.release(engine.runtime.device.value)

    @contextmanager
    def _waited_for(self, cancel: CancelFlag | None) -> Iterator[None]:
        """This caller's turn. Raises Cancelled where the caller gives up before it comes."""
        while not self._turn.acquire(timeout=_LOOK_EVERY_S):
            check_cancel(cancel)
        try:
            yield
        finally:
            self._turn.release()

    def _watched(self, model: str, begin: Callable[[Engine, bool], Told], cancel: CancelFlag | None) -> Told:
        """The events of `begin`, begun again one step down where memory runs out."""
        with self._waited_for(cancel):
            self._come_back()
            self._make_room(model)
            while True:
                fault = yield from self._attempt(begin)
                if fault is None:
                    return
                self._step_down(model, fault)

    def _attempt(self, begin: Callable[[Engine, bool], Told]) -> Generator[tuple[int, Event], None, str | None]:
        """Returns none, or what was said when memory ran out; by then nothing holds what the attempt had made."""
        try:
            with closing(begin(self.engine, self._way == "smaller")) as events:
                for place, event in events:
                    yield place, self._noted(event)
        except _FAULTS as error:
            if not memory.is_out_of_memory(error):
                raise
            return _first_line(error)
        return None

    def _noted(self, event: Event) -> Event:
        """The event, its song with what was done about memory."""
        if self._down is None or not isinstance(event, (Finished, Chosen)):
            return event
        return replace(event, song=event.song.noted([self._down.why]))

    def _make_room(self, model: str) -> None:
        """Move to the processor where the device has too little memory left; stay where that fails."""
        device = self.engine.runtime.device.value
        if device == "cpu" or self.config.min_free_bytes == 0:
            return
        try:
            free = self._free_bytes(device)
        except ResourceError as error:
            log.warning("%s Going on without looking.", error)
            return
        if free >= self.config.min_free_bytes:
            return
        log.info(
            "%s has %d MB of memory free, below the %d MB that are wanted: moving to the processor.",
            device,
            free // memory.MIB,
            self.config.min_free_bytes // memory.MIB,
        )
        try:
            self._to_processor(model, f"The memory of {device} was short: the song was made on the processor.")
        except _FAULTS as error:
            log.warning("manager: CPU offload failed: %s Going on with %s.", _first_line(error), device)
            self._recover()

    def _step_down(self, model: str, fault: str) -> None:
        """Take the next smaller way. Raises ResourceError where there is none, or where it cannot be taken."""
        engine = self.engine
        device = engine.runtime.device.value
        log.warning("Memory ran out on %s: %s", device, fault)
        engine.store.clear()
        memory.release(device)
        if self._way == "usual":
            choice: Choice[Policy] = Choice("one-at-a-time", "memory ran out")
            engine.store.policy = choice.value
            engine.runtime = replace(engine.runtime, policy=choice, decode_tile_frames=SMALL_TILE_FRAMES)
            self._way = "smaller"
            why = f"Memory ran out on {device}: the song was made there with less in memory at once."
            self._down = _SteppedDown(self._clock(), why, self.config.min_free_bytes)
            log.warning("Trying again on %s with one network at a time, single songs and smaller tiles.", device)
            return
        if device == "cpu":
            raise ResourceError(f"manager: generation failed even on CPU: {fault}")
        try:
            self._to_processor(model, f"Memory ran out on {device}: the song was made on the processor.")
            return
        except _FAULTS as error:
            told = _first_line(error)
        self._recover(model)
        raise ResourceError(f"manager: CPU offload failed: {told}")

    def _to_processor(self, model: str, why: str) -> None:
        """Let go of the device and load on the processor."""
        engine = self.engine
        device = engine.runtime.device.value
        before = self._free_or_none(device)
        engine.store.clear()
        memory.release(device)
        after = self._free_or_none(device)
        ours = max(0, after - before) if before is not None and after is not None else 0
        self._swap("cpu")
        self.engine.load(model)
        # What was let go of has to fit again beside the room that is wanted.
        self._way = "processor"
        self._down = _SteppedDown(self._clock(), why, self.config.min_free_bytes + ours)
        log.warning("%s", why)

    def _recover(self, model: str | None = None) -> None:
        """Back on the device after the processor could not be used, with `model` loaded; else this is the end."""
        try:
            self._swap(None)
            self._way, self._down = "usual", None
            if model is not None:
                self.engine.load(model)
        except _FAULTS as error:
            self._end = f"neither the processor nor the device could be loaded ({_first_line(error)})."
            log.critical("manager: manager has shut down: %s", self._end)
            raise ResourceError(f"manager: manager dropped reply channel: {self._end}") from error

    def _come_back(self) -> None:
        """Go back to the usual way where enough time has passed and the device has room."""
        down, device = self._down, self._device
        if down is None or device is None or self._clock() - down.at < self.config.return_after_s:
            return
        if device != "cpu":
            free = self._free_or_none(device)
            if free is None or free < down.needed_bytes:
                return
        try:
            self._swap(None)
        except _FAULTS as error:
            log.warning("%s cannot be used again yet: %s", device, _first_line(error))
            self._down = replace(down, at=self._clock())
            return
        self._way, self._down = "usual", None
        log.info("Back on %s, making songs as usual.", device)

    def _swap(self, device: str | None) -> None:
        """Another engine in place of this one, whose networks go."""
        with self._swapping:
            old = self._engine
            self._engine = self._make_engine(device)
            if old is not None:
                old.store.clear()

    def _free_or_none(self, device: str) -> int | None:
        try:
            return self._free_bytes(device)
        except ResourceError as error:
            log.warning("%s", error)
            return None


def _portions(places: Sequence[int], planned: set[int], singly: bool) -> list[list[int]]:
    """Places that are run together: those whose plans are known, the others; or each alone."""
    if singly:
        return [[place] for place in places]
    known, others = [p for p in places if p in planned], [p for p in places if p not in planned]
    return [group for group in (known, others) if group]


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
