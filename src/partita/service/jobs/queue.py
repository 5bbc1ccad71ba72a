"""The queue of jobs: takes them in, hands them to the workers, says how each is doing, and keeps what came of them.

The one way for every door to have songs made. Safe to call from any thread. Knows no protocol.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from partita.engine.cancel import CancelFlag
from partita.engine.engine import Engine
from partita.errors import BusyError, ConflictError, DeadlineError, NotFoundError, TooLargeError
from partita.service.config import Limits, Retention
from partita.service.jobs.board import OpenQueue
from partita.service.jobs.calls import Call
from partita.service.jobs.flags import Stop
from partita.service.jobs.job import Job, JobOptions, JobSong, JobState
from partita.service.jobs.news import EventKind, JobEvent, Listener, News
from partita.service.jobs.tracking import StageTimes
from partita.service.manager import Manager
from partita.song.request import SongRequest
from partita.song.resolve import ResolvedRequest

Result = TypeVar("Result")
MOST_CALLS = 32
"""Calls that may wait at once."""
FIRST_AVERAGE_S = 5.0
AVERAGED = 50

__all__ = ["EventKind", "JobEvent", "JobQueue", "Listener"]


class JobQueue(AbstractContextManager["JobQueue"]):
    """Jobs in `folder` (none: in memory and in a temporary folder, gone with the process), one worker a manager.

    As a context manager it opens the folder and starts its workers on entering, and stops them on leaving; what was
    running is then queued again. What a killed process was running is queued again when the next one opens the folder.
    Entering raises ConflictError where another process has the folder open or a later version wrote it, and
    ResourceError where it cannot be written; every other method raises ConflictError while the queue is not open.
    """

    def __init__(
        self,
        managers: Sequence[Manager],
        folder: Path | None,
        *,
        limits: Limits = Limits(),  # noqa: B008  (frozen values)
        retention: Retention = Retention(),  # noqa: B008
    ) -> None:
        self._managers, self._folder = tuple(managers), folder
        self._limits, self._retention = limits, retention
        self._times, self._news = StageTimes(), News()
        self._converting = threading.Lock()
        self._open: OpenQueue | None = None

    def __enter__(self) -> Self:
        if self._open is not None:
            raise ConflictError("The queue is open already.")
        self._open = OpenQueue(self._folder, self._retention, self._news)
        self._open.start(self._managers, self._times)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._open = self._opened(), None
        opened.close()

    def submit(
        self,
        request: SongRequest,
        options: JobOptions = JobOptions(),  # noqa: B008
        *,
        asked: SongRequest | None = None,
    ) -> Job:
        """Take in a request; it is on disk when this returns.

        The request is resolved here, so that a bad one is refused at once. `asked` is what the job shows and what an
        idempotency key stands for, where `request` is it with files of ours in the place of ids. Raises the errors of
        `Engine.resolve` and `Engine.check_files`, TooLargeError and BusyError beyond the limits, ConflictError where
        the idempotency key came with another request.
        """
        asked = asked or request
        opened = self._opened()
        before = opened.store.same_key(asked, options)
        if before is not None:
            return opened.with_progress(before)
        self._check_songs(request)
        if opened.store.counts()["queued"] >= self._limits.waiting:
            raise self._too_many()
        engine = self._managers[0].engine
        resolved = engine.resolve(request)
        self._check_length(resolved)
        engine.check_files(resolved)
        at = time.time()
        job = Job(id=secrets.token_hex(16), state="queued", request=asked, options=options, submitted_at=at)
        deadline_at = None if options.deadline_s is None else at + options.deadline_s
        kept = opened.add(job, resolved, deadline_at, self._limits.waiting)
        if kept is None:
            raise self._too_many()
        return opened.with_progress(kept)

    def job(self, job_id: str) -> Job:
        """Raises NotFoundError."""
        return self._opened().job(job_id)

    def jobs(self, *, state: JobState | None = None, limit: int = 50, before: str | None = None) -> list[Job]:
        """Latest first; `before` is the id of the last one of the page before this. Raises NotFoundError for it."""
        opened = self._opened()
        return [opened.with_progress(job) for job in opened.store.jobs(state=state, limit=limit, before=before)]

    def cancel(self, job_id: str) -> Job:
        """Stop a job within one step, or take it off the queue. Of one that is over nothing changes.

        One that runs still does when this returns: `wait` for it. Raises NotFoundError.
        """
        return self._opened().cancel(job_id)

    def delete(self, job_id: str) -> None:
        """Forget a job and its files; one that waits or runs is cancelled first. Raises NotFoundError."""
        self._opened().delete(job_id)

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """The job when it is over, or as it is when the time is up or the queue closes. Raises NotFoundError, also
        where it is deleted meanwhile."""
        with self._news.waiting(job_id) as waiter:
            opened = self._opened()
            job = opened.job(job_id)
            if job.is_over or opened.closing.is_set():
                return job
            if not waiter.over.wait(timeout_s):
                return opened.job(job_id)
        if waiter.job is None:
            raise NotFoundError(f"The job {job_id} was deleted.", field="id", value=job_id)
        return waiter.job

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called at every change, in their order; it must be quick and never raise. It is called on
        the thread that made the change, or on one that is telling another just then. Returns what ends it."""
        return self._news.subscribe(listener)

    def run(
        self, call: Callable[[Engine, CancelFlag], Result], *, timeout_s: float | None = None, priority: int = 0
    ) -> Result:
        """Have a worker call something with its engine between two jobs, and return what it returned, or raise.

        For what needs the device and is no song: planning, describing, loading. Raises BusyError where too much waits,
        DeadlineError when the time is up, and then the call is cancelled; Cancelled where the queue closes. Not to be
        called by a listener or from such a call: a worker would wait for itself.
        """
        opened = self._opened()
        waiting = Call(call, Stop(opened.closing), priority)
        if not opened.call(waiting, MOST_CALLS):
            raise BusyError(
                f"{MOST_CALLS} calls wait already, which is the limit: try again later.",
                retry_after_s=max(1.0, self.average_job_s),
            )
        try:
            if not waiting.over.wait(timeout_s):
                raise DeadlineError(f"This was not finished within {timeout_s:g} s: allow more, or ask again later.")
        finally:
            if not waiting.over.is_set():
                opened.give_up(waiting)
        return waiting.outcome()

    def song_path(self, job_id: str, index: int = 0, name: str | None = None) -> Path:
        """The file of a song: the delivered audio, or one of its `files` by name. Raises NotFoundError."""
        return self._opened().files.path(job_id, self._song(job_id, index), name)

    def audio_as(self, job_id: str, index: int, audio_format: str) -> Path:
        """The song in any format, converted once from the lossless file and kept beside it.

        Raises NotFoundError, and RequestError for a format that there is not, or not on this machine.
        """
        opened, song = self._opened(), self._song(job_id, index)
        path = opened.files.as_format(job_id, song, audio_format)
        if path is None:
            with self._converting:  # one at a time, and of two that ask for the same the second finds it
                path = opened.files.as_format(job_id, song, audio_format)
                if path is None:
                    path = opened.files.convert(job_id, song, audio_format)
                    opened.store.add_bytes(job_id, index, path.stat().st_size)
        return path

    def counts(self) -> dict[JobState, int]:
        """How many jobs there are of each state."""
        return self._opened().store.counts()

    @property
    def average_job_s(self) -> float:
        """Mean seconds of the last 50 jobs that were done; 5.0 before the first."""
        seconds = self._opened().store.last_seconds(AVERAGED)
        return sum(seconds) / len(seconds) if seconds else FIRST_AVERAGE_S

    @property
    def managers(self) -> tuple[Manager, ...]:
        return self._managers

    def _song(self, job_id: str, index: int) -> JobSong:
        job = self._opened().store.job(job_id)
        for song in job.songs:
            if song.index == index:
                return song
        songs = len(job.songs)
        raise NotFoundError(
            f"Job {job_id} has no song {index}: it is {job.state} and has {songs} song{'' if songs == 1 else 's'}.",
            field="index",
            value=index,
        )

    def _check_songs(self, request: SongRequest) -> None:
        songs = request.count * request.best_of
        if songs > self._limits.songs:
            raise TooLargeError(
                f"The request makes {songs} songs (count times best_of), and this server makes at most "
                f"{self._limits.songs} for one request: ask several times.",
                field="count" if request.count > 1 else "best_of",
                value=request.count if request.count > 1 else request.best_of,
            )

    def _check_length(self, resolved: ResolvedRequest) -> None:
        if resolved.duration_s is not None and resolved.duration_s > self._limits.duration_s:
            raise TooLargeError(
                f"The song would be {resolved.duration_s:g} s long, and this server makes at most "
                f"{self._limits.duration_s:g} s: ask for a shorter one.",
                field="duration_s",
                value=resolved.duration_s,
            )

    def _too_many(self) -> BusyError:
        """A place is free when the next job ends."""
        return BusyError(
            f"{self._limits.waiting} jobs wait already, which is the limit: try again later.",
            retry_after_s=max(1.0, self.average_job_s / max(1, len(self._managers))),
        )

    def _opened(self) -> OpenQueue:
        if self._open is None:
            raise ConflictError("The queue is not open: enter it as a context manager.")
        return self._open
