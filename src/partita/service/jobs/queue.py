"""The queue of jobs: takes them in, hands them to the workers, says how each is doing, and keeps what came of them.

The one way for every door to have songs made. Safe to call from any thread. Knows no protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from partita.engine.cancel import CancelFlag
from partita.engine.engine import Engine
from partita.service.config import Limits, Retention
from partita.service.jobs.job import Job, JobOptions, JobState
from partita.service.manager import Manager
from partita.song.request import SongRequest

Result = TypeVar("Result")
EventKind = Literal["state", "progress", "song"]


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something about a job changed; `job` is how it is afterwards. `audio` events are not sent: songs are files."""

    kind: EventKind
    job: Job


Listener = Callable[[JobEvent], None]


class JobQueue(AbstractContextManager["JobQueue"]):
    """Jobs in `folder` (none: in memory and in a temporary folder, gone with the process), one worker a manager.

    As a context manager it starts its workers on entering and stops them on leaving; what was running is then queued
    again. What a killed process was running is queued again when the next one opens the folder.
    """

    def __init__(
        self,
        managers: Sequence[Manager],
        folder: Path | None,
        *,
        limits: Limits = Limits(),  # noqa: B008  (frozen values)
        retention: Retention = Retention(),  # noqa: B008
    ) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    def submit(self, request: SongRequest, options: JobOptions = JobOptions()) -> Job:  # noqa: B008
        """Take in a request; it is on disk when this returns.

        The request is resolved here, so that a bad one is refused at once. Raises the errors of `Engine.resolve`,
        TooLargeError and BusyError beyond the limits, ConflictError where the idempotency key came with another
        request.
        """
        raise NotImplementedError

    def job(self, job_id: str) -> Job:
        """Raises NotFoundError."""
        raise NotImplementedError

    def jobs(self, *, state: JobState | None = None, limit: int = 50, before: str | None = None) -> list[Job]:
        """Latest first; `before` is the id of the last one of the page before this."""
        raise NotImplementedError

    def cancel(self, job_id: str) -> Job:
        """Stop a job within one step, or take it off the queue. Of one that is over nothing changes."""
        raise NotImplementedError

    def delete(self, job_id: str) -> None:
        """Forget a job and its files; one that waits or runs is cancelled first."""
        raise NotImplementedError

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """The job when it is over, or as it is when the time is up."""
        raise NotImplementedError

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called at every change, on the thread that made it; it must be quick and never raise.
        Returns what ends it."""
        raise NotImplementedError

    def run(
        self, call: Callable[[Engine, CancelFlag], Result], *, timeout_s: float | None = None, priority: int = 0
    ) -> Result:
        """Have a worker call something with its engine between two jobs, and return what it returned, or raise.

        For what needs the device and is no song: planning, describing, loading. Raises BusyError where too much waits,
        DeadlineError when the time is up, and then the call is cancelled.
        """
        raise NotImplementedError

    def song_path(self, job_id: str, index: int = 0, name: str | None = None) -> Path:
        """The file of a song: the delivered audio, or one of its `files` by name. Raises NotFoundError."""
        raise NotImplementedError

    def audio_as(self, job_id: str, index: int, audio_format: str) -> Path:
        """The song in any format, converted once from the lossless file and kept beside it."""
        raise NotImplementedError

    def counts(self) -> dict[JobState, int]:
        raise NotImplementedError

    @property
    def average_job_s(self) -> float:
        """Mean seconds of the last 50 jobs that were done; 5.0 before the first."""
        raise NotImplementedError

    @property
    def managers(self) -> tuple[Manager, ...]:
        raise NotImplementedError
