"""A server's insides, without any protocol: the queue, its managers, and the uploads, in one folder.

Every door is given one of these. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from partita.service.config import ServiceConfig
from partita.service.guard import admit
from partita.service.jobs.job import Job, JobOptions
from partita.service.jobs.queue import JobQueue
from partita.service.manager import Manager
from partita.service.uploads import Uploads
from partita.settings import Settings
from partita.song.request import SongRequest


class Service(AbstractContextManager["Service"]):
    """Open while it is entered. `managers` has one for each device; by default one for the best."""

    def __init__(
        self, config: ServiceConfig, *, settings: Settings | None = None, managers: Sequence[Manager] | None = None
    ) -> None:
        self.config = config
        self.settings = settings or Settings.load()
        self.folder = config.folder or self.settings.service
        self.queue = JobQueue(managers or [Manager()], self.folder, limits=config.limits, retention=config.retention)
        self.uploads = Uploads(self.folder / "uploads", config.limits, keep_s=config.retention.age_s)

    def __enter__(self) -> Self:
        self.queue.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.queue.__exit__(kind, error, trace)

    def submit(self, request: SongRequest, options: JobOptions = JobOptions()) -> Job:  # noqa: B008
        """Take in a request from the network. Raises as `admit` and `JobQueue.submit` do."""
        return self.queue.submit(self.admit(request), options, asked=request)

    def admit(self, request: SongRequest) -> SongRequest:
        """A request from the network with its ids turned into files of ours. Raises as `guard.admit` does."""
        return admit(request, self.queue, self.uploads, self.config.limits, adapters=self.settings.adapters)
