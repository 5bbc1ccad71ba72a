"""The queue's tables in SQLite: one row a job, one a finished song. Every change is a short transaction, and it is on
disk (synchronous=FULL) when its function returns.

Rows in, values out; safe to call from any thread. Knows no worker, no file of a song and no engine.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from partita.errors import ConflictError, NotFoundError, RequestError, ResourceError
from partita.service.jobs.job import OVER, Job, JobFault, JobOptions, JobSong, JobState
from partita.service.jobs.retention import Ended
from partita.song.request import SongRequest
from partita.song.resolve import ResolvedRequest

SCHEMA_VERSION = 1
LAST_IN_LINE = -1000
"""Priority of a job that was interrupted often: below all that can be asked for."""
_SCHEMA = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    door TEXT NOT NULL,
    idempotency_key TEXT,
    request TEXT NOT NULL,
    resolved TEXT NOT NULL,
    options TEXT NOT NULL,
    deadline_at REAL,
    submitted_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    fault TEXT
);
CREATE UNIQUE INDEX jobs_by_key ON jobs (door, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_by_turn ON jobs (state, priority DESC, number);
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE TABLE songs (
    job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    song TEXT NOT NULL,
    PRIMARY KEY (job, place)
);
CREATE INDEX songs_by_bytes ON songs (job, bytes);
"""
_NEXT_FIRST = "ORDER BY priority DESC, number ASC"


class StoreError(ResourceError):
    """The tables cannot be read or written: no job is at fault."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job whose turn may come: what a worker needs of it."""

    job: Job
    resolved: ResolvedRequest
    deadline_at: float | None


class JobStore:
    """The tables in `path`, or in memory.

    Raises ConflictError where a later version of Partita wrote them, and at every call after `close`; StoreError where
    the disk refuses.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.RLock()
        self._is_closed = False
        self._name = "the queue in memory" if path is None else str(path)
        try:
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._refused(error) from error
        self._db.row_factory = sqlite3.Row
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """What was written is whole; nothing else may be called afterwards."""
        with self._lock:
            self._is_closed = True
            self._db.close()

    def add(
        self, job: Job, resolved: ResolvedRequest, *, deadline_at: float | None, most_waiting: int | None = None
    ) -> Job | None:
        """Keep a job that waits; none, and nothing is kept, where so many wait already.

        Where a job of the same door and key is here, that one comes back. Raises ConflictError where it is of another
        request.
        """
        options = job.options
        with self._change() as db:
            if options.idempotency_key is not None:
                before = self.same_key(job.request, options)
                if before is not None:
                    return before
            if most_waiting is not None and self.counts()["queued"] >= most_waiting:
                return None
            db.execute(
                "INSERT INTO jobs (id, state, priority, door, idempotency_key, request, resolved, options, deadline_at,"
                " submitted_at) VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    job.id,
                    options.priority,
                    options.door,
                    options.idempotency_key,
                    job.request.model_dump_json(),
                    resolved.model_dump_json(),
                    options.model_dump_json(),
                    deadline_at,
                    job.submitted_at,
                ),
            )
        return self.job(job.id)

    def same_key(self, request: SongRequest, options: JobOptions) -> Job | None:
        """The job that came with this key through this door. Raises ConflictError where it is of another request."""
        if options.idempotency_key is None:
            return None
        row = self._one(
            "SELECT id, request FROM jobs WHERE door = ? AND idempotency_key = ?",
            (options.door, options.idempotency_key),
        )
        if row is None:
            return None
        if _canonical(row["request"]) != _canonical(request.model_dump_json()):
            raise ConflictError(
                f"The idempotency key {options.idempotency_key!r} was used for another request (job {row['id']}): use "
                "a fresh key for another request, or repeat the first one as it was.",
                field="idempotency_key",
                value=options.idempotency_key,
            )
        return self.job(row["id"])

    def job(self, job_id: str) -> Job:
        """Raises NotFoundError, also for one that another version of Partita wrote and this one cannot read."""
        with self._lock:
            row = self._one("SELECT * FROM jobs WHERE id = ?", (job_id,))
            if row is None:
                raise NotFoundError(f"There is no job {job_id}; it may have been deleted.", field="id", value=job_id)
            try:
                return self._job(row)
            except (ValidationError, RequestError) as error:
                raise NotFoundError(
                    f"The job {job_id} was written by another version of Partita, and this one cannot read it.",
                    field="id",
                    value=job_id,
                ) from error

    def jobs(self, *, state: JobState | None, limit: int, before: str | None) -> list[Job]:
        """Latest first, those that cannot be read left out. Raises NotFoundError where there is no job `before`."""
        wheres, values = ["1"], []
        with self._lock:
            if state is not None:
                wheres.append("state = ?")
                values.append(state)
            if before is not None:
                row = self._one("SELECT number FROM jobs WHERE id = ?", (before,))
                if row is None:
                    raise NotFoundError(f"There is no job {before} to go on from.", field="before", value=before)
                wheres.append("number < ?")
                values.append(row["number"])
            rows = self._all(
                f"SELECT * FROM jobs WHERE {' AND '.join(wheres)} ORDER BY number DESC LIMIT ?", (*values, limit)
            )
            found = []
            for row in rows:
                try:
                    found.append(self._job(row))
                except (ValidationError, RequestError):
                    continue
            return found

    def next_waiting(self, most: int) -> list[Waiting]:
        """Those whose turn comes next, in order."""
        with self._lock:
            rows = self._all(f"SELECT * FROM jobs WHERE state = 'queued' {_NEXT_FIRST} LIMIT ?", (most,))
            return [
                Waiting(self._job(row), ResolvedRequest.model_validate_json(row["resolved"]), row["deadline_at"])
                for row in rows
            ]

    def unreadable(self) -> list[str]:
        """Jobs that wait and that this version of Partita cannot read."""
        found = []
        for row in self._all("SELECT * FROM jobs WHERE state = 'queued'"):
            try:
                ResolvedRequest.model_validate_json(row["resolved"])
                self._job(row)
            except (ValidationError, RequestError):
                found.append(row["id"])
        return found

    def begin(self, job_ids: list[str], at: float) -> None:
        """They run, from `at` on: one more attempt of each."""
        with self._change() as db:
            db.executemany(
                "UPDATE jobs SET state = 'running', started_at = ?, attempts = attempts + 1 WHERE id = ?",
                [(at, job_id) for job_id in job_ids],
            )

    def put_back(self, job_id: str, *, counts: bool) -> None:
        """Let a running job wait again, at its old place; `counts`: this start was one of its attempts."""
        with self._change() as db:
            db.execute(
                "UPDATE jobs SET state = 'queued', started_at = NULL, attempts = attempts - ?"
                " WHERE id = ? AND state = 'running'",
                (0 if counts else 1, job_id),
            )

    def take_up(self, at: float, *, patience: int) -> list[str]:
        """What a killed process was running waits again, or is cancelled where that was asked; the ids of all of them.

        One that was interrupted `patience` times goes behind all others.
        """
        with self._change() as db:
            ids = [row["id"] for row in self._all("SELECT id FROM jobs WHERE state = 'running'")]
            db.execute(
                "UPDATE jobs SET state = 'cancelled', finished_at = ? WHERE state = 'running' AND cancel_asked", (at,)
            )
            db.execute(
                "UPDATE jobs SET priority = ? WHERE state = 'running' AND attempts >= ?", (LAST_IN_LINE, patience)
            )
            db.execute("UPDATE jobs SET state = 'queued', started_at = NULL WHERE state = 'running'")
        return ids

    def ask_cancel(self, job_id: str) -> None:
        """Have it remembered that a running job is not to run again."""
        with self._change() as db:
            db.execute("UPDATE jobs SET cancel_asked = 1 WHERE id = ? AND state = 'running'", (job_id,))

    def end(self, job_id: str, state: JobState, at: float, fault: JobFault | None = None) -> bool:
        """The job is over, for this reason; whether it was here and was not over before."""
        text = None if fault is None else fault.model_dump_json()
        with self._change() as db:
            changed = db.execute(
                "UPDATE jobs SET state = ?, finished_at = ?, fault = ? WHERE id = ? AND state IN ('queued', 'running')",
                (state, at, text, job_id),
            )
            return changed.rowcount == 1

    def add_song(self, job_id: str, song: JobSong, size_bytes: int) -> bool:
        """A song of a running job is whole and on disk; whether the job is still here."""
        with self._change() as db:
            added = db.execute(
                "INSERT INTO songs (job, place, song, bytes) SELECT number, ?, ?, ? FROM jobs WHERE id = ?",
                (song.index, song.model_dump_json(), size_bytes, job_id),
            )
            return added.rowcount == 1

    def add_bytes(self, job_id: str, index: int, size_bytes: int) -> None:
        """Another file of a song was made."""
        with self._change() as db:
            db.execute(
                "UPDATE songs SET bytes = bytes + ? WHERE place = ? AND job = (SELECT number FROM jobs WHERE id = ?)",
                (size_bytes, index, job_id),
            )

    def forget(self, job_id: str) -> bool:
        """Take a job and its songs out of the tables; whether it was here."""
        with self._change() as db:
            return db.execute("DELETE FROM jobs WHERE id = ?", (job_id,)).rowcount == 1

    def hashes(self, job_id: str) -> set[str]:
        """Content that the archive keeps for a job: of its sources, and of its songs."""
        row = self._one("SELECT number, resolved FROM jobs WHERE id = ?", (job_id,))
        if row is None:
            return set()
        resolved = json.loads(row["resolved"])
        sources = [resolved.get("source"), *resolved.get("references", ())]
        songs = [
            json.loads(song["song"]) for song in self._all("SELECT song FROM songs WHERE job = ?", (row["number"],))
        ]
        return {source["sha256"] for source in sources if source} | {song["record"]["audio_sha256"] for song in songs}

    def mentions(self, sha256: str) -> bool:
        """Whether any job or song names this content."""
        pattern = f'%"{sha256}"%'
        found = self._one(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE resolved LIKE ?)"
            " OR EXISTS (SELECT 1 FROM songs WHERE song LIKE ?) y",
            (pattern, pattern),
        )
        return found is not None and bool(found["y"])

    def counts(self) -> dict[JobState, int]:
        """How many there are of each state."""
        found: dict[JobState, int] = dict.fromkeys(("queued", "running", *OVER), 0)
        found.update({row["state"]: row["n"] for row in self._all("SELECT state, count(*) n FROM jobs GROUP BY state")})
        return found

    def overdue(self, at: float) -> list[str]:
        """Jobs that wait and whose deadline is past."""
        rows = self._all("SELECT id FROM jobs WHERE state = 'queued' AND deadline_at <= ?", (at,))
        return [row["id"] for row in rows]

    def next_deadline(self) -> float | None:
        """The earliest of those that wait."""
        row = self._one("SELECT min(deadline_at) at FROM jobs WHERE state = 'queued'")
        return None if row is None else row["at"]

    def ended(self) -> list[Ended]:
        """All jobs that are over, those that ended first in front, with the bytes of their songs."""
        rows = self._all(
            "SELECT id, finished_at, coalesce((SELECT sum(bytes) FROM songs WHERE job = number), 0) bytes FROM jobs"
            " WHERE finished_at IS NOT NULL ORDER BY finished_at, number"
        )
        return [Ended(row["id"], row["finished_at"], row["bytes"]) for row in rows]

    def last_seconds(self, most: int) -> list[float]:
        """How long each of the last jobs that were done ran."""
        rows = self._all(
            "SELECT finished_at - started_at seconds FROM jobs WHERE finished_at IS NOT NULL AND state = 'done'"
            " ORDER BY finished_at DESC LIMIT ?",
            (most,),
        )
        return [row["seconds"] for row in rows]

    def files_of(self, job_id: str) -> set[str]:
        """Names of all files of a job's songs that have a row."""
        rows = self._all("SELECT song FROM songs WHERE job = (SELECT number FROM jobs WHERE id = ?)", (job_id,))
        return {name for row in rows for name in json.loads(row["song"])["files"]}

    def ids(self) -> set[str]:
        """Of every job."""
        return {row["id"] for row in self._all("SELECT id FROM jobs")}

    def _job(self, row: sqlite3.Row) -> Job:
        songs = self._all("SELECT song FROM songs WHERE job = ? ORDER BY place", (row["number"],))
        position = None
        if row["state"] == "queued":
            ahead = self._one(
                "SELECT count(*) n FROM jobs WHERE state = 'queued'"
                " AND (priority > ? OR (priority = ? AND number < ?))",
                (row["priority"], row["priority"], row["number"]),
            )
            position = 0 if ahead is None else ahead["n"]
        return Job(
            id=row["id"],
            state=row["state"],
            position=position,
            request=SongRequest.model_validate_json(row["request"]),
            options=JobOptions.model_validate_json(row["options"]),
            songs=tuple(JobSong.model_validate_json(song["song"]) for song in songs),
            fault=None if row["fault"] is None else JobFault.model_validate_json(row["fault"]),
            submitted_at=row["submitted_at"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            attempts=row["attempts"],
        )

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction; one in another is a part of it. Raises StoreError where the disk does not take it."""
        with self._lock:
            self._check_open()
            if self._db.in_transaction:
                yield self._db
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:  # SQLite itself rolls back after some faults
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise self._refused(error) from error
                raise

    def _all(self, query: str, values: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            self._check_open()
            try:
                with closing(self._db.execute(query, values)) as found:
                    return found.fetchall()
            except sqlite3.Error as error:
                raise self._refused(error) from error

    def _one(self, query: str, values: tuple[object, ...] = ()) -> sqlite3.Row | None:
        return next(iter(self._all(query, values)), None)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ConflictError("The queue is closed.")

    def _prepare(self) -> None:
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                # One transaction with its version: a process that dies here leaves an empty file behind.
                self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
                version = SCHEMA_VERSION
        except sqlite3.Error as error:
            raise self._refused(error) from error
        if version > SCHEMA_VERSION:
            raise ConflictError(
                f"{self._name} was written by a later version of Partita: its tables are of version {version}, this "
                f"one knows {SCHEMA_VERSION}. Bring this Partita up to date, or name another folder.",
                field="folder",
                value=self._name,
            )

    def _refused(self, error: sqlite3.Error) -> StoreError:
        return StoreError(
            f"{self._name} cannot be used ({error}): check that the disk is not full and the folder can be written."
        )


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
