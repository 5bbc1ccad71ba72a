"""A queue while it is open: its tables and files, the jobs that run, and what workers take from it and bring back.

Every change of a job is made here: first in the tables, then told. Knows no limits and no protocol.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from partita.engine.song import Song
from partita.errors import BusyError, NotFoundError, ResourceError
from partita.service.config import Retention
from partita.service.jobs.calls import Call, Calls
from partita.service.jobs.faults import late_fault, unreadable_fault, worn_out_fault
from partita.service.jobs.files import JobFiles
from partita.service.jobs.flags import Stop
from partita.service.jobs.folder import FolderLock
from partita.service.jobs.job import Job, JobFault, JobProgress, JobState
from partita.service.jobs.news import EventKind, JobEvent, News
from partita.service.jobs.retention import to_forget
from partita.service.jobs.store import JobStore, StoreError, Waiting
from partita.service.jobs.tracking import StageTimes
from partita.service.jobs.worker import Work, Worker, go_together, work_of
from partita.service.manager import Manager
from partita.settings import Settings
from partita.song.resolve import ResolvedRequest

PATIENCE = 3
"""A job that was interrupted so often by the end of the program waits behind all others: it may be its cause."""
MOST_ATTEMPTS = 10
"""Then it fails. More than `PATIENCE`: a server that is stopped often must not lose a job that is not at fault."""
CALLS_IN_A_ROW = 8
"""Calls that go before a job that waits, one after another."""
LOOK_AHEAD = 32
"""Jobs that are looked at for some of like shape."""
TIDY_EVERY_S = 3600.0
PROGRESS_EVERY_S = 0.1
"""Listeners hear of steps no more often than that; of every stage they hear."""
RETRY_S = 1.0
_log = logging.getLogger(__name__)


class OpenQueue:
    """Open from its making until `close`. Raises ConflictError where another process has the folder open or a later
    version wrote it, and ResourceError where it cannot be written."""

    def __init__(self, folder: Path | None, retention: Retention, news: News) -> None:
        self.closing = threading.Event()
        self.calls = Calls()
        self._retention, self._news = retention, news
        self._wake = threading.Condition(threading.RLock())
        self._working: dict[str, Work] = {}
        self._progress: dict[str, tuple[JobProgress, float]] = {}
        self._calls_in_a_row, self._serving = 0, 0
        self._threads: list[threading.Thread] = []
        self._managers: tuple[Manager, ...] = ()
        self._temporary = TemporaryDirectory(prefix="partita-jobs-") if folder is None else None
        self._held = None if folder is None else FolderLock(folder)
        try:
            self.store = JobStore(None if folder is None else folder / "jobs.sqlite")
            self.files = JobFiles(folder or Path(self._temporary.name if self._temporary else ""))
            self._take_up()
        except BaseException:
            self._let_go()
            raise

    def start(self, managers: Sequence[Manager], times: StageTimes) -> None:
        """Serve the jobs: a thread a manager, and one that looks after deadlines and retention."""
        self._managers, self._serving = tuple(managers), len(managers)
        for number, manager in enumerate(managers):
            self._threads.append(Worker(manager, self, times).start(f"partita-worker-{number}"))
        keeper = threading.Thread(target=self._keep, name="partita-queue-keeper", daemon=True)
        keeper.start()
        self._threads.append(keeper)

    def close(self) -> None:
        """Stop within a step; what was running waits again, and whoever waits for something goes on."""
        with self._wake:
            self.closing.set()
            while (call := self.calls.pop()) is not None:
                call.drop()
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        self._news.tell()
        for job_id in self._news.awaited():
            try:
                self._news.hand_over(job_id, self.store.job(job_id))
            except NotFoundError:
                self._news.hand_over(job_id, None)
        self.store.close()
        self._let_go()

    # What the queue asks for.

    def add(self, job: Job, resolved: ResolvedRequest, deadline_at: float | None, most_waiting: int) -> Job | None:
        """As `JobStore.add`; a job that is kept is told of and served."""
        with self._wake:
            self._check_open()
            kept = self.store.add(job, resolved, deadline_at=deadline_at, most_waiting=most_waiting)
            if kept is not None and kept.id == job.id:
                self._post("state", kept)
                self._wake.notify_all()
        self._news.tell()
        return kept

    def job(self, job_id: str) -> Job:
        """Raises NotFoundError."""
        job = self.with_progress(self.store.job(job_id))
        if job.state == "running" and job.progress is None:  # it ended between the two looks
            with self._wake:
                return self.with_progress(self.store.job(job_id))
        return job

    def with_progress(self, job: Job) -> Job:
        """A job as the tables have it, with how far it is."""
        progress = self._progress.get(job.id)
        if job.state != "running" or progress is None:
            return job
        return job.model_copy(update={"progress": progress[0]})

    def cancel(self, job_id: str) -> Job:
        """Take a job off the queue, or stop it within a step. Raises NotFoundError."""
        with self._wake:
            job = self.store.job(job_id)
            if job.state == "queued":
                job = self._end(job_id, "cancelled") or job
            elif job.state == "running":
                self.store.ask_cancel(job_id)
                if job_id in self._working:
                    self._working[job_id].stop.cancel()
        self._news.tell()
        return self.with_progress(job)

    def delete(self, job_id: str) -> None:
        """Forget a job, its files, and what the archive keeps for it and for no other. Raises NotFoundError."""
        with self._wake:
            job = self.store.job(job_id)
            hashes = self.store.hashes(job_id)
            work = self._working.get(job_id)
            if work is not None:
                work.stop.cancel()
            self.store.forget(job_id)
            self._news.hand_over(job_id, None)
            if not job.is_over:
                self._post("state", job.model_copy(update={"state": "cancelled", "finished_at": time.time()}))
        if work is None:  # else its worker does, once it has stopped
            self.files.remove(job_id)
        self._news.tell()
        while hashes:
            sha256 = hashes.pop()
            if not self.store.mentions(sha256):
                hashes |= self._forget(sha256)

    def _forget(self, sha256: str) -> set[str]:
        """Songs that nothing else may need once this is gone."""
        try:
            songs = {manager.engine.forget(sha256) for manager in self._managers}
        except OSError as error:  # the job is gone all the same; what is left takes room and does no harm
            _log.warning("What the archive keeps as %s cannot be deleted: %s", sha256, error)
            return set()
        return {song for song in songs if song is not None}

    def call(self, call: Call, most: int) -> bool:
        """Have a worker call it; not where so many wait. Raises ResourceError where there is no worker any more."""
        with self._wake:
            self._check_open()
            if self._serving == 0:
                raise ResourceError("No device can be used any more: start the program again.")
            if len(self.calls) >= most:
                return False
            self.calls.push(call)
            self._wake.notify_all()
            return True

    def give_up(self, call: Call) -> None:
        """Nobody waits for it any more."""
        call.stop.cancel()
        with self._wake:
            self.calls.discard(call)

    # What workers ask for: `worker.Board`.

    def next_work(self) -> Call | list[Work] | None:
        """A call or jobs of like shape, as soon as there are some; none where the queue closes."""
        while True:
            with self._wake:
                if self.closing.is_set():
                    return None
                work = self._next()
                if work is None and not self._news.is_pending:
                    self._wake.wait()
            self._news.tell()
            if work is not None:
                return work

    def progressed(self, work: Work, progress: JobProgress) -> None:
        """Remember how far a job is, and tell it where that is worth telling."""
        at = time.monotonic()
        with self._wake:
            if work.is_over or work.stop.is_cancelled:
                return
            before, told = self._progress[work.job.id]
            due = before.stage != progress.stage or at - told >= PROGRESS_EVERY_S
            self._progress[work.job.id] = (progress, at if due else told)
            if due:
                self._post("progress", work.job.model_copy(update={"progress": progress}))
        self._news.tell()

    def deliver(self, work: Work, place: int, song: Song, settings: Settings) -> None:
        """Files first, then the row: a row always has its files. Raises SaveError."""
        kept = self.files.keep(work.job.id, place, song, settings)
        with self._wake:
            if not self.store.add_song(work.job.id, kept.song, kept.bytes):
                self._drop(work)
                return
            work.job = work.job.model_copy(update={"songs": (*work.job.songs, kept.song)})
            progress, at = self._progress[work.job.id]
            self._progress[work.job.id] = (progress.model_copy(update={"song": len(work.job.songs)}), at)
            self._post("song", self.with_progress(work.job))
        self._news.tell()

    def end(self, work: Work, state: JobState, fault: JobFault | None = None) -> None:
        """A running job is over."""
        with self._wake:
            if self._end(work.job.id, state, fault) is None:
                self._drop(work)
                return
            self._working.pop(work.job.id, None)
            work.is_over = True
        if state != "done":
            self.files.keep_only(work.job.id, self.store.files_of(work.job.id))
        self._news.tell()
        self.tidy()

    def put_back(self, work: Work) -> None:
        """The queue closes in the middle of a job: it waits again, and this start does not count."""
        with self._wake:
            self._put_back(work.job.id, counts=False)
            work.is_over = True
        self._news.tell()

    def release(self, works: Sequence[Work]) -> None:
        """A worker failed by no fault of these jobs, as where the disk is full: they wait again, once that can be
        written. Where the queue closes before, the next one to open the folder sees to it."""
        self.closing.wait(RETRY_S)
        for work in works:
            while not work.is_over and not self.closing.is_set():
                try:
                    with self._wake:
                        self._put_back(work.job.id, counts=True)
                        work.is_over = True
                except StoreError as error:
                    _log.error("Job %s cannot be queued again yet: %s", work.job.id, error)
                    self.closing.wait(RETRY_S)
        self._news.tell()

    def retire(self) -> None:
        """Jobs wait for the next start; calls, which are kept nowhere, do not."""
        with self._wake:
            self._serving -= 1
            while self._serving == 0 and (call := self.calls.pop()) is not None:
                call.drop()

    def tidy(self) -> None:
        """Forget what is too old or too much."""
        gone = to_forget(self.store.ended(), self._retention, time.time())
        for job_id in gone:
            try:
                self.delete(job_id)
            except NotFoundError:  # somebody else was quicker
                continue

    # What is done under the lock.

    def _next(self) -> Call | list[Work] | None:
        """Calls are short and go first, but so many in a row that jobs are not kept out."""
        works: list[Work] = []
        if not self.calls or self._calls_in_a_row >= CALLS_IN_A_ROW:
            works = self._take()
        call = None if works else self.calls.pop()
        self._calls_in_a_row = 0 if call is None else self._calls_in_a_row + 1
        return call or works or None

    def _take(self) -> list[Work]:
        """The next job, with further ones of its priority that can be made in one pass with it.

        A job that was interrupted before is made alone: if it is what ended the program, no other suffers.
        """
        waiting: list[Waiting] = []
        while not waiting and (found := self.store.next_waiting(LOOK_AHEAD)):
            waiting = [one for one in found if self._may_run(one)]
        taken: list[Waiting] = waiting[:1]
        for other in waiting[1:]:
            first = taken[0]
            fresh = first.job.attempts == 0 and other.job.attempts == 0
            alike = fresh and other.job.options.priority == first.job.options.priority
            if alike and go_together([one.resolved for one in taken], other.resolved):
                taken.append(other)
        if not taken:
            return []
        self.store.begin([one.job.id for one in taken], time.time())
        works = []
        for one in taken:
            job = self.store.job(one.job.id)
            work = work_of(job, one.resolved, Stop(self.closing, one.deadline_at))
            self._working[job.id] = work
            progress = JobProgress(song=work.tracker.done, songs=work.tracker.songs)
            self._progress[job.id] = (progress, 0.0)
            self._post("state", self.with_progress(job))
            works.append(work)
        return works

    def _may_run(self, one: Waiting) -> bool:
        if one.deadline_at is not None and time.time() >= one.deadline_at:
            self._end(one.job.id, "failed", late_fault(one.job))
            return False
        if one.job.attempts >= MOST_ATTEMPTS:
            self._end(one.job.id, "failed", worn_out_fault(one.job))
            return False
        return True

    def _end(self, job_id: str, state: JobState, fault: JobFault | None = None) -> Job | None:
        """The job is over; none where it is not here or was over before."""
        self._progress.pop(job_id, None)
        if not self.store.end(job_id, state, time.time(), fault):
            return None
        job = self.store.job(job_id)
        self._post("state", job)
        return job

    def _put_back(self, job_id: str, *, counts: bool) -> None:
        self.store.put_back(job_id, counts=counts)
        self._working.pop(job_id, None)
        self._progress.pop(job_id, None)
        try:
            self._post("state", self.store.job(job_id))
        except NotFoundError:
            self.files.remove(job_id)
        self._wake.notify_all()

    def _drop(self, work: Work) -> None:
        """A job was deleted while it ran."""
        self._working.pop(work.job.id, None)
        self._progress.pop(work.job.id, None)
        work.is_over = True
        self.files.remove(work.job.id)

    def _post(self, kind: EventKind, job: Job) -> None:
        self._news.post(JobEvent(kind, job))

    def _check_open(self) -> None:
        if self.closing.is_set():
            raise BusyError("The server is stopping and takes nothing in: try again in a while.", retry_after_s=10.0)

    # Opening, closing, keeping.

    def _take_up(self) -> None:
        """Go on where a killed process stopped."""
        interrupted = self.store.take_up(time.time(), patience=PATIENCE)
        for job_id in self.store.unreadable():
            self.store.end(job_id, "failed", time.time(), unreadable_fault())
        self.files.sweep(self.store.ids(), {job_id: self.store.files_of(job_id) for job_id in interrupted})

    def _keep(self) -> None:
        tidied_at = float("-inf")
        while not self.closing.is_set():
            try:
                if time.monotonic() - tidied_at >= TIDY_EVERY_S:
                    tidied_at = time.monotonic()
                    self.tidy()
                with self._wake:
                    for job_id in self.store.overdue(time.time()):
                        self._end(job_id, "failed", late_fault(self.store.job(job_id)))
                self._news.tell()
                with self._wake:
                    deadline_at = self.store.next_deadline()
                    left_s = TIDY_EVERY_S if deadline_at is None else min(deadline_at - time.time(), TIDY_EVERY_S)
                    if not self.closing.is_set():
                        self._wake.wait(max(left_s, 0.0))
            except Exception:  # noqa: BLE001  (a disk that is full for a while must not end the keeping for good)
                _log.exception("The queue's keeping failed; it is tried again")
                self.closing.wait(RETRY_S)

    def _let_go(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
        if self._held is not None:
            self._held.release()
