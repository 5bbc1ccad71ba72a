"""A job as everybody sees it: what was asked, how far it is, what came of it. Values only; times are Unix seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from partita.song.record import Record
from partita.song.request import SongRequest
from partita.song.values import Asked, Value

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
OVER: tuple[JobState, ...] = ("done", "failed", "cancelled")
JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", examples=["0b6f6d1c3f5a4c0d9a54c1b3e0d2f7a8"])]


class JobOptions(Asked):
    """How a job is to be treated; no part of the song."""

    priority: int = Field(default=0, ge=-100, le=100, description="Higher is served first; equals in order of arrival.")
    deadline_s: float | None = Field(
        default=None, gt=0, description="Give up if the songs are not finished so many seconds from now."
    )
    idempotency_key: str | None = Field(
        default=None, min_length=1, max_length=255, description="The same key again is the same job, not another."
    )
    door: str = Field(default="api", description="Which protocol it came through.")
    notes: tuple[str, ...] = Field(
        default=(), description="What was asked for in another protocol and is not applied; goes into the record."
    )


class JobProgress(Value):
    """Where a running job is. `seconds_left` is of the whole job, judged by what it has done; none at its beginning."""

    stage: str = "plan"
    step: int | None = None
    steps: int | None = None
    song: int = 0
    songs: int = 1
    share: float = Field(default=0.0, ge=0, le=1)
    seconds_left: float | None = None


class JobSong(Value):
    """A finished song of a job. `files` are names in the job's folder: the delivered audio first, the others after."""

    index: int
    seed: int
    duration_s: float
    sample_rate_hz: int
    audio: str
    files: tuple[str, ...]
    record: Record


class JobFault(Value):
    """Why a job failed: the class of our error tree, its sentence, and the field at fault where there is one."""

    kind: str
    message: str
    field: str | None = None
    notes: tuple[str, ...] = ()


class Job(Value):
    """A job. `position` is 0 for the next in the queue and none for what does not wait. `attempts` counts starts:
    above 1 where the program was stopped in the middle."""

    id: JobId
    state: JobState
    position: int | None = None
    request: SongRequest
    options: JobOptions = JobOptions()
    progress: JobProgress | None = None
    songs: tuple[JobSong, ...] = ()
    fault: JobFault | None = None
    submitted_at: float
    started_at: float | None = None
    finished_at: float | None = None
    attempts: int = 0

    @property
    def is_over(self) -> bool:
        return self.state in OVER
