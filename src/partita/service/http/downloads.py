"""Downloads of published files, each on a thread of its own, with its progress and a way to stop it. Knows no HTTP.

One of a model at a time. What has arrived stays on disk whatever happens.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from partita.errors import Cancelled, NotFoundError, PartitaError
from partita.service.http.schemas import DownloadFile, DownloadView
from partita.service.jobs.job import JobFault
from partita.settings import Settings
from partita.song.card import Published
from partita.weights.download import Checking, DownloadEvent, Notice, Planned, Progress, fetch
from partita.weights.places import caches_of

MOST_NOTES = 50
_log = logging.getLogger(__name__)


@dataclass
class _Download:
    card: Published
    started_at: float
    state: str = "running"
    source: str | None = None
    files: dict[str, DownloadFile] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    fault: JobFault | None = None
    finished_at: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)


class Downloads:
    """Of one server. Safe to use from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._all: dict[str, _Download] = {}

    def start(self, card: Published) -> DownloadView:
        """Begin, or look at the one that runs."""
        with self._lock:
            running = self._all.get(card.id)
            if running is None or running.state != "running":
                running = self._all[card.id] = _Download(card, time.time())
                threading.Thread(
                    target=self._run, args=(running,), name=f"partita-download-{card.id}", daemon=True
                ).start()
            return _view(running)

    def view(self, card: Published) -> DownloadView:
        """The latest of this model. Raises NotFoundError where there was none."""
        with self._lock:
            return _view(self._of(card))

    def cancel(self, card: Published) -> DownloadView:
        """Stop it within a chunk; of one that is over nothing changes. Raises NotFoundError where there was none."""
        with self._lock:
            download = self._of(card)
            download.stop.set()
            return _view(download)

    def close(self) -> None:
        """Stop all."""
        with self._lock:
            for download in self._all.values():
                download.stop.set()

    def _of(self, card: Published) -> _Download:
        if card.id not in self._all:
            raise NotFoundError(f"{card.id} was not asked to be downloaded here.", field="id", value=card.id)
        return self._all[card.id]

    def _run(self, download: _Download) -> None:
        settings, state, fault = self._settings, "failed", None
        try:
            fetch(
                download.card,
                caches_of(settings),
                source=settings.source,
                endpoint=settings.endpoint,
                offline=settings.offline,
                on_event=lambda event: self._hear(download, event),
            )
            state = "done"
        except Cancelled:
            state = "cancelled"
        except PartitaError as error:
            fault = JobFault(kind=type(error).__name__, message=str(error))
        except Exception:  # noqa: BLE001  (a thread ends here: what nobody foresaw is logged, its insides not told)
            _log.exception("The download of %s failed", download.card.id)
            fault = JobFault(kind="DownloadError", message="The download failed; the server's log says how.")
        with self._lock:
            download.state, download.fault, download.finished_at = state, fault, time.time()

    def _hear(self, download: _Download, event: DownloadEvent) -> None:
        if download.stop.is_set():
            raise Cancelled(f"The download of {download.card.id} was stopped; what arrived is kept.")
        with self._lock:
            match event:
                case Planned(source, files):
                    download.source = source
                    for path, size_bytes in files:
                        download.files[path] = DownloadFile(path=path, done_bytes=0, size_bytes=size_bytes)
                case Progress(path, done_bytes, size_bytes):
                    download.files[path] = DownloadFile(path=path, done_bytes=done_bytes, size_bytes=size_bytes)
                case Checking(path):
                    download.notes = [*download.notes, f"checking {path}"][-MOST_NOTES:]
                case Notice(text):
                    download.notes = [*download.notes, text][-MOST_NOTES:]


def _view(download: _Download) -> DownloadView:
    files = tuple(download.files.values())
    return DownloadView(
        model=download.card.id,
        state=download.state,  # type: ignore[arg-type]  (only those are set above)
        source=download.source,
        total_bytes=sum(one.size_bytes or one.done_bytes for one in files),
        done_bytes=sum(one.done_bytes for one in files),
        files=files,
        notes=tuple(download.notes),
        fault=download.fault,
        started_at=download.started_at,
        finished_at=download.finished_at,
    )
