"""Hands songs to the queue, in as many jobs as their seeds need, and says by which name a client asks for them.

Such a name is the ids of the jobs with `-` between them. Knows no HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from partita.errors import PartitaError
from partita.service.doors.acestep.request import NAMES
from partita.service.doors.acestep.wanted import Wanted
from partita.service.doors.choice import submit_fitted
from partita.service.jobs.job import Job, JobOptions
from partita.service.service import Service

DOOR = "acestep"
_NAME = re.compile("[0-9a-f]{32}(-[0-9a-f]{32}){0,15}")


def submit(
    service: Service, wanted: Wanted, *, fields: Mapping[str, Any] | None = None, key: str | None = None
) -> list[Job]:
    """Submit the songs; `fields` take the place of those that are wanted, `key` makes a second try the same jobs.

    All are taken or none. Raises as `Service.submit` does.
    """
    jobs: list[Job] = []
    for number, (seed, count) in enumerate(wanted.seeds):
        asked = {**(wanted.fields if fields is None else fields), "count": count}
        if seed is not None:
            asked["seed"] = seed
        options = JobOptions(
            door=DOOR, notes=wanted.notes, idempotency_key=None if key is None else f"{DOOR}-{key}-{number}"
        )
        try:
            jobs.append(submit_fitted(service, asked, options, NAMES))
        except PartitaError:
            for job in jobs:
                service.queue.delete(job.id)
            raise
    return jobs


def task_name(jobs: list[Job]) -> str:
    """The name of the task that these jobs are."""
    return "-".join(job.id for job in jobs)


def job_ids(task_id: str) -> list[str]:
    """The ids in the name of a task; none where it is no name of ours."""
    return task_id.split("-") if _NAME.fullmatch(task_id) else []
