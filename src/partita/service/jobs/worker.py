"""A thread with one manager: takes jobs off the board, makes their songs, and says what became of each.

Jobs of like shape come together and are made in one pass; where that fails, each is made alone, so that only the one
at fault fails. Knows no table and no file: the board does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from partita.engine.batch import passes_of
from partita.engine.events import Chosen, Event, Finished
from partita.engine.song import Song
from partita.errors import AudioError, ModelError
from partita.service.jobs.calls import Call
from partita.service.jobs.faults import fault_of, late_fault
from partita.service.jobs.flags import AnyOf, Stop
from partita.service.jobs.job import Job, JobFault, JobProgress, JobState
from partita.service.jobs.store import StoreError
from partita.service.jobs.tracking import JobTracker, RunClock, StageTimes
from partita.service.manager import Manager
from partita.settings import Settings
from partita.song.resolve import ResolvedRequest

MOST_TOGETHER = 8
"""Songs in one pass: more save little time, and the first of them is kept waiting."""
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Work:
    """A job in the hands of a worker. `done` are the places of the songs that are on disk; `is_over`: nothing is left
    to do for it."""

    job: Job
    resolved: ResolvedRequest
    stop: Stop
    done: set[int]
    tracker: JobTracker
    is_over: bool = False

    def left(self) -> list[tuple[int, list[ResolvedRequest]]]:
        """The place of each song that is not made, and the requests of a single seed that it is chosen from."""
        return [
            (place, [self.resolved.one(seed) for seed in seeds])
            for place, seeds in enumerate(self.resolved.groups)
            if place not in self.done
        ]


def work_of(job: Job, resolved: ResolvedRequest, stop: Stop) -> Work:
    """A job that begins, with the songs that it had finished before."""
    done = {song.index for song in job.songs}
    return Work(job, resolved, stop, done, JobTracker(len(resolved.groups), time.time(), done=len(done)))


def go_together(works: Sequence[ResolvedRequest], other: ResolvedRequest) -> bool:
    """Whether a request can be made in one pass with those, and few enough songs are in it."""
    singles = [one.one(seed) for one in (*works, other) for seed in one.seeds]
    alone = any(one.best_of > 1 for one in (*works, other))
    return not alone and len(singles) <= MOST_TOGETHER and len(passes_of(singles)) == 1


class Board(Protocol):
    """Where a worker's work comes from and goes to."""

    def next_work(self) -> Call | list[Work] | None:
        """Waits for work; none where the queue closes."""
        ...

    def progressed(self, work: Work, progress: JobProgress) -> None: ...

    def deliver(self, work: Work, place: int, song: Song, settings: Settings) -> None:
        """Put a song on disk and say so. Raises SaveError or OSError where that fails, StoreError for the tables."""
        ...

    def end(self, work: Work, state: JobState, fault: JobFault | None = None) -> None: ...

    def put_back(self, work: Work) -> None:
        """The queue closes before the job is over."""
        ...

    def release(self, works: Sequence[Work]) -> None:
        """A worker failed by no fault of these jobs: what is not over waits again."""
        ...

    def retire(self) -> None:
        """A worker serves no more, because its manager cannot."""
        ...


@dataclass(eq=False)
class Worker:
    """Serves `board` with `manager` until there is no more work."""

    manager: Manager
    board: Board
    times: StageTimes

    def start(self, name: str) -> threading.Thread:
        """The running thread. A daemon: a program that ends without closing its queue is not kept from it."""
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        while self.manager.alive:
            works: list[Work] = []
            try:
                work = self.board.next_work()
                if work is None:
                    return
                if isinstance(work, Call):
                    work.run(lambda: self.manager.engine)
                else:
                    works = work
                    self.serve(works)
            except Exception:  # noqa: BLE001  (the queue itself failed, as on a full disk: a worker outlives that)
                _log.exception("A worker failed; its jobs wait again")
                self.board.release(works)
        _log.error("A manager can make nothing more: what waits is kept for the next start of this program")
        self.board.retire()

    def serve(self, works: Sequence[Work]) -> None:
        """Make the songs of jobs of like shape, until each of the jobs is over or put back."""
        fault = self._attempt(works)
        unsettled = [work for work in works if not self._settled(work)]
        if len(works) == 1 and unsettled:
            self.board.end(works[0], "failed", fault or fault_of(ModelError("The engine ended before the last song.")))
            return
        for work in unsettled:
            if self.manager.alive:
                self.serve([work])
            else:
                self.board.put_back(work)

    def _settled(self, work: Work) -> bool:
        if work.is_over:
            return True
        if not work.left():  # also of a job whose process was killed between its last song and its end
            self.board.end(work, "done")
        elif work.stop.is_cancelled:
            self.board.end(work, "cancelled")
        elif work.stop.is_closing:
            self.board.put_back(work)
        elif work.stop.is_late:
            self.board.end(work, "failed", late_fault(work.job))
        return work.is_over

    def _attempt(self, works: Sequence[Work]) -> JobFault | None:
        """Make what is left; why it went no further."""
        try:
            if works[0].resolved.best_of > 1:
                self._choose(works[0])
            else:
                self._together(works)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (the boundary of a job: `fault_of` logs what is not on purpose)
            return fault_of(error)
        return None

    def _together(self, works: Sequence[Work]) -> None:
        wanted = [(work, place, single) for work in works for place, (single,) in work.left()]
        for first in range(0, len(wanted), MOST_TOGETHER):
            part = wanted[first : first + MOST_TOGETHER]
            of_run = {work: sum(one is work for one, _, _ in part) for work in works}
            for work in works:
                work.tracker.later = len(work.left()) - of_run[work]
            run = self._clock([single for _, _, single in part])
            with closing(self.manager.run_many([single for _, _, single in part], cancel=_stops(works))) as events:
                for index, event in events:
                    work, place, _ = part[index]
                    self._hear(run, event, [one for one in works if of_run[one]], index)
                    if isinstance(event, Finished) and not work.is_over:
                        self._deliver(work, place, event.song)
                    if all(one.is_over for one in works):
                        return
            run.learn(time.time())

    def _choose(self, work: Work) -> None:
        """The best of several for each song: the others are not kept."""
        for place, singles in work.left():
            work.tracker.later = len(work.left()) - 1
            run = self._clock(singles)
            with closing(self.manager.run_best(singles, cancel=work.stop)) as events:
                for event in events:
                    self._hear(run, event, [work])
                    if isinstance(event, Chosen):
                        self._deliver(work, place, event.song)
            run.learn(time.time())

    def _clock(self, singles: Sequence[ResolvedRequest]) -> RunClock:
        music_s = sum(one.duration_s or one.default_duration_s for one in singles)
        return RunClock(singles[0].model, music_s, len(singles), self.times, time.time())

    def _hear(self, run: RunClock, event: Event, works: Sequence[Work], place: int | None = None) -> None:
        at = time.time()
        run.hear(event, at, place)
        for work in works:
            if not work.is_over:
                self.board.progressed(work, work.tracker.progress(run, at))

    def _deliver(self, work: Work, place: int, song: Song) -> None:
        """Hand a song over; the job is done with its last one. What cannot be saved is its own job's fault alone."""
        noted = song.noted(work.job.options.notes)
        try:
            self.board.deliver(work, place, noted, self.manager.engine.settings)
        except (AudioError, OSError) as error:
            self.board.end(work, "failed", fault_of(error))
            return
        work.done.add(place)
        work.tracker.done = len(work.done)
        if not work.is_over and not work.left():
            self.board.end(work, "done")


def _stops(works: Sequence[Work]) -> AnyOf:
    return AnyOf([_Unfinished(work) for work in works])


@dataclass(frozen=True, slots=True, eq=False)
class _Unfinished:
    """The flag of a job, as long as it is not over: a late cancel of a finished one stops nobody else's song."""

    work: Work

    def is_set(self) -> bool:
        return not self.work.is_over and self.work.stop.is_set()
