"""Who is told when a job changes: listeners, in the order of the changes, and those who wait for a job to be over.

Knows no table. Nothing is kept of a listener or waiter that is gone.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from partita.service.jobs.job import Job

EventKind = Literal["state", "progress", "song"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something about a job changed; `job` is how it is afterwards. Of a deleted one the last event says cancelled,
    or how it ended. Audio is not sent: songs are files."""

    kind: EventKind
    job: Job


Listener = Callable[[JobEvent], None]


class Waiter:
    """Somebody who waits for one job. `job` is there when `over` is set, and none where it was deleted."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.job: Job | None = None


class News:
    """Listeners and waiters. `post` puts an event in line, under the lock of the change; `tell` hands on what is in
    line, without any lock of the caller's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._line: deque[JobEvent] = deque()
        self._listeners: dict[object, Listener] = {}
        self._waiters: dict[str, list[Waiter]] = {}

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called with every event; returns what ends it."""
        token = object()
        with self._lock:
            self._listeners[token] = listener

        def end() -> None:
            with self._lock:
                self._listeners.pop(token, None)

        return end

    def post(self, event: JobEvent) -> None:
        """Put an event in line."""
        if self._listeners or event.job.is_over:
            self._line.append(event)

    @property
    def is_pending(self) -> bool:
        """Whether something is in line."""
        return bool(self._line)

    def tell(self) -> None:
        """Hand on what is in line: to every listener, and where a job is over then to those who wait for it.

        Where another thread does so already, it goes on with what was posted here.
        """
        while self._line:
            if not self._telling.acquire(blocking=False):
                return
            try:
                while self._line:
                    self._tell_all(self._line.popleft())
            finally:
                self._telling.release()

    def _tell_all(self, event: JobEvent) -> None:
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001  (a listener's fault must not stop the worker that tells it)
                _log.exception("A listener failed at %s of job %s", event.kind, event.job.id)
        if event.job.is_over:
            self.hand_over(event.job.id, event.job)

    @contextmanager
    def waiting(self, job_id: str) -> Iterator[Waiter]:
        """Somebody waits for a job while this is entered."""
        waiter = Waiter()
        with self._lock:
            self._waiters.setdefault(job_id, []).append(waiter)
        try:
            yield waiter
        finally:
            with self._lock:
                waiters = self._waiters.get(job_id, [])
                if waiter in waiters:
                    waiters.remove(waiter)
                if not waiters:
                    self._waiters.pop(job_id, None)

    def hand_over(self, job_id: str, job: Job | None) -> None:
        """End all waiting for a job."""
        with self._lock:
            waiters = self._waiters.pop(job_id, [])
        for waiter in waiters:
            waiter.job = job
            waiter.over.set()

    def awaited(self) -> list[str]:
        """Ids of the jobs that somebody waits for."""
        with self._lock:
            return list(self._waiters)

    @property
    def size(self) -> int:
        """Listeners and waiters together."""
        with self._lock:
            return len(self._listeners) + sum(map(len, self._waiters.values()))
