"""Why a job failed, in the words that its caller gets: never a traceback, and of what was not foreseen no detail."""

from __future__ import annotations

import logging

from partita.errors import Cancelled, DeadlineError, PartitaError, ResourceError, SaveError
from partita.service.jobs.job import Job, JobFault

INTERNAL = "InternalError"
_log = logging.getLogger(__name__)


def fault_of(error: Exception) -> JobFault:
    """What a caller learns of an error: of one of ours its sentence, of any other that there was one."""
    if isinstance(error, MemoryError):
        error = ResourceError("There was not enough memory for this song: ask for a shorter one, or a smaller model.")
    if not isinstance(error, PartitaError):
        _log.error("A job failed unexpectedly", exc_info=error)
        return JobFault(kind=INTERNAL, message="Something failed that should not have; the server's log says what.")
    notes = [*getattr(error, "__notes__", ())]
    if isinstance(error, SaveError) and error.kept_at is not None:
        notes.append(f"The song is kept in {error.kept_at}.")
    if isinstance(error, Cancelled):
        notes.append("The engine stopped without being asked to.")
    return JobFault(
        kind=type(error).__name__, message=str(error), field=getattr(error, "field", None), notes=tuple(notes)
    )


def late_fault(job: Job) -> JobFault:
    """A job was not finished in time."""
    return fault_of(
        DeadlineError(
            f"The songs were not finished within {job.options.deadline_s or 0:g} s, as was asked: "
            "allow more time, or ask when fewer jobs wait."
        )
    )


def worn_out_fault(job: Job) -> JobFault:
    """A job was interrupted too often."""
    return fault_of(
        ResourceError(
            f"The server was ended {job.attempts} times in the middle of this job, which may be too much for this "
            "machine: ask for a shorter song or fewer at once, or a smaller model."
        )
    )


def unreadable_fault() -> JobFault:
    """A job was written by a version of Partita with other requests."""
    return fault_of(
        ResourceError("The job was written by another version of Partita, and this one cannot read it: send it again.")
    )
