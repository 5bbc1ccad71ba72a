"""Figures of one app for Prometheus: jobs, songs, HTTP requests, and what the process takes.

Each app has a registry of its own, so that two in one process do not share figures.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from partita.service.jobs.queue import JobEvent, JobQueue

_JOB_SECONDS = (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800)
_REQUEST_SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 5, 20, 60)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Metrics:
    """Counts from its making until `close`."""

    def __init__(self, queue: JobQueue) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Jobs(queue))
        self._ended = Counter("partita_jobs_ended", "Jobs that are over.", ["state"], registry=self._registry)
        self._took = Histogram(
            "partita_job_seconds", "From a job's start to its end.", buckets=_JOB_SECONDS, registry=self._registry
        )
        self._songs = Counter("partita_songs", "Songs made.", ["model"], registry=self._registry)
        self._music = Counter("partita_music_seconds", "Seconds of music made.", ["model"], registry=self._registry)
        self._requests = Counter(
            "partita_http_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self._answered = Histogram(
            "partita_http_request_seconds",
            "From a request to the end of its answer.",
            ["route"],
            buckets=_REQUEST_SECONDS,
            registry=self._registry,
        )
        self.close = queue.subscribe(self._hear)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._answered.labels(route).observe(seconds)

    def _hear(self, event: JobEvent) -> None:
        job = event.job
        if event.kind == "song" and job.songs:
            song = job.songs[-1]
            self._songs.labels(song.record.request.model).inc()
            self._music.labels(song.record.request.model).inc(song.duration_s)
        elif event.kind == "state" and job.is_over:
            self._ended.labels(job.state).inc()
            if job.started_at is not None and job.finished_at is not None:
                self._took.observe(max(0.0, job.finished_at - job.started_at))


class _Jobs(Collector):
    """What the queue knows at the moment of asking."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def describe(self) -> Iterable[Metric]:
        """Names alone: a registry asks for them at once, and the queue may not be open yet."""
        return (GaugeMetricFamily("partita_jobs", "Jobs that are kept.", labels=["state"]),)

    def collect(self) -> Iterable[Metric]:
        jobs = GaugeMetricFamily("partita_jobs", "Jobs that are kept.", labels=["state"])
        for state, count in self._queue.counts().items():
            jobs.add_metric([state], count)
        yield jobs


class CountRequests:
    """Tells `metrics` of every request, by the route's template and never by what a caller wrote."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began_at = 500, time.monotonic()

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.count_request(route, scope["method"], status, time.monotonic() - began_at)
