"""A process with a queue and the built-in model, for a test to kill."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from partita.engine.engine import Engine
from partita.runtime import Runtime
from partita.service.jobs.job import JobOptions
from partita.service.jobs.queue import JobQueue
from partita.service.manager import Manager
from partita.settings import Settings
from partita.song.request import SongRequest


def make_engine(data: Path) -> Engine:
    return Engine(settings=Settings(data=data), runtime=Runtime.detect(device="cpu", threads=1))


def serve(folder: Path, data: Path, requests: dict[str, str], told: Connection) -> None:
    """Submit requests (JSON by idempotency key) and tell each key with its job's id, then go on until all are over."""
    with JobQueue([Manager(lambda device: make_engine(data))], folder) as queue:
        told.send(("open", ""))
        jobs = []
        for key, text in requests.items():
            jobs.append(queue.submit(SongRequest.from_json(text), JobOptions(idempotency_key=key)).id)
            told.send((key, jobs[-1]))
        for job_id in jobs:
            queue.wait(job_id)
        told.send(("over", ""))
