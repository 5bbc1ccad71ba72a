"""What a client may ask for that is not simply songs: words that a planner writes first, a plan alone, a source heard.

And what was refused, for the protocol tells that by a task that failed. Each is a file, so that a stopped server goes
on with what it had taken in. One thread runs them, one after another; the work itself is the queue's.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from pydantic import ValidationError

from partita.audio.write import write_atomically
from partita.errors import BusyError, Cancelled, PartitaError
from partita.service.doors.acestep.wanted import Wanted
from partita.song.values import Value

ErrandState = Literal["waiting", "submitted", "done", "failed"]
MOST_KEPT = 1000
"""So many that are over are kept at most, and the oldest go first."""

_PATIENCE_S = 5.0
"""How long the errand that is being run is waited for; its file says that it waits until it is done."""

_ID = re.compile("[0-9a-f]{32}")
_log = logging.getLogger(__name__)


class Errand(Value):
    """One of them. `jobs` are those of a song that was put into words, `result` the item of what is no song."""

    id: str
    state: ErrandState
    wanted: Wanted
    created_at: float
    jobs: tuple[str, ...] = ()
    result: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None


Run = Callable[[Errand], Errand]


class Errands:
    """The errands in a folder, which is made when first needed. `run` does one and returns it as it is afterwards."""

    def __init__(self, folder: Path, run: Run, *, most_waiting: int, keep_s: float | None) -> None:
        self._folder, self._run = folder, run
        self._most_waiting, self._keep_s = most_waiting, keep_s
        self._lock = threading.Lock()
        self._line: SimpleQueue[str | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._waiting = 0
        self._states: dict[str, ErrandState] = {errand.id: errand.state for errand in self._all()}

    def add(self, wanted: Wanted) -> Errand:
        """Take one in; it is on disk when this returns. Raises BusyError where too many wait."""
        with self._lock:
            if self._waiting >= self._most_waiting:
                raise BusyError(f"{self._waiting} tasks wait already, which is this server's limit: try again later.")
        self._forget_old()
        errand = self._keep(Errand(id=uuid.uuid4().hex, state="waiting", wanted=wanted, created_at=time.time()))
        self._enqueue(errand.id)
        return errand

    def refuse(self, wanted: Wanted, error: str) -> Errand:
        """Keep that something was asked for which cannot be done."""
        self._forget_old()
        refused = Errand(id=uuid.uuid4().hex, state="failed", wanted=wanted, created_at=time.time(), error=error)
        return self._keep(refused)

    def find(self, errand_id: str) -> Errand | None:
        """The errand as it is, or none where there is no such one."""
        if not _ID.fullmatch(errand_id):
            return None
        try:
            return Errand.model_validate_json(self._path(errand_id).read_bytes())
        except (OSError, ValidationError):
            return None

    def counts(self) -> Counter[ErrandState]:
        """How many there are of each state."""
        with self._lock:
            return Counter(self._states.values())

    def resume(self) -> None:
        """Go on with what a stopped server left waiting."""
        for errand in self._all():
            if errand.state == "waiting":
                self._enqueue(errand.id)

    def close(self) -> None:
        """Begin no further errand. What waits is gone on with by the next server."""
        self._closing.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._line.put(None)
            thread.join(timeout=_PATIENCE_S)

    def _enqueue(self, errand_id: str) -> None:
        with self._lock:
            self._waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="acestep-errands", daemon=True)
                self._thread.start()
        self._line.put(errand_id)

    def _work(self) -> None:
        while (errand_id := self._line.get()) is not None and not self._closing.is_set():
            errand = self.find(errand_id)
            try:
                if errand is not None and errand.state == "waiting":
                    self._keep(self._done(errand))
            except Cancelled:
                pass  # the server closes; the file says that it waits
            except PartitaError:
                _log.exception("Task %s could not be kept", errand_id)
            finally:
                with self._lock:
                    self._waiting -= 1

    def _done(self, errand: Errand) -> Errand:
        try:
            return self._run(errand)
        except Cancelled:
            raise
        except PartitaError as error:
            return errand.model_copy(update={"state": "failed", "error": str(error)})
        except Exception:  # noqa: BLE001  the boundary of a thread: the caller learns that it failed, the log why
            _log.exception("Task %s failed", errand.id)
            told = "Something went wrong inside the server; its log says what."
            return errand.model_copy(update={"state": "failed", "error": told})

    def _keep(self, errand: Errand) -> Errand:
        with suppress(OSError):  # writing says better what is wrong
            self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(errand.id), [errand.model_dump_json().encode()])
        with self._lock:
            self._states[errand.id] = errand.state
        return errand

    def _forget_old(self) -> None:
        """Delete what is over and too old, or more than is kept."""
        with self._lock:
            over = [errand_id for errand_id, state in self._states.items() if state != "waiting"]
        beyond = set(over[: max(0, len(over) - MOST_KEPT + 1)])
        oldest = None if self._keep_s is None else time.time() - self._keep_s
        for errand_id in over:
            errand = self.find(errand_id)
            old = errand is not None and oldest is not None and errand.created_at < oldest
            if not old and errand_id not in beyond:
                break  # they are in the order in which they came
            self._path(errand_id).unlink(missing_ok=True)
            with self._lock:
                self._states.pop(errand_id, None)

    def _all(self) -> list[Errand]:
        """What is on disk, in the order in which it came."""
        paths = self._folder.glob("*.json") if self._folder.is_dir() else ()
        return sorted((one for path in paths if (one := self.find(path.stem))), key=lambda one: one.created_at)

    def _path(self, errand_id: str) -> Path:
        return self._folder / f"{errand_id}.json"
