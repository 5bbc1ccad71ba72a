"""The methods of the daemon, its waiting list, and the one thread that makes songs.

Lines come in through `handle`, on one thread; lines go out through `send`, from any. Every request is answered before
anything is told of its song. Knows no stream and no process.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from partita.errors import Cancelled, ModelError, PartitaError
from partita.service.doors.lofi.asked import Order, named_backend, read_order, required_text
from partita.service.doors.lofi.backends import BACKENDS, Backend
from partita.service.doors.lofi.config import LofiConfig
from partita.service.doors.lofi.protocol import (
    INTERNAL,
    NO_METHOD,
    Call,
    RequestId,
    RpcError,
    answer,
    fault,
    is_blank,
    notification,
    quoted,
    read_call,
    refusal,
)
from partita.service.doors.lofi.tracks import Track, Tracks

if TYPE_CHECKING:
    from partita.engine.cancel import CancelFlag
    from partita.service.doors.lofi.player import Played
    from partita.weights.download import DownloadEvent

MOST_WAITING = 10
PROGRESS_STEP = 5

_log = logging.getLogger(__name__)


class Plays(Protocol):
    """What `player.Player` is to the daemon."""

    def model_for(self, backend: Backend) -> str: ...

    def play(
        self, order: Order, path: Path, *, on_share: Callable[[float], None], cancel: CancelFlag | None = None
    ) -> Played: ...

    def whole(self, backend: Backend) -> str | None: ...

    def download(self, backend: Backend, on_event: Callable[[DownloadEvent], None]) -> None: ...


@dataclass(eq=False, slots=True)
class _Job:
    """An accepted order. `units` is how far it is, of `order.units`; `is_made` says that no cancel can stop it."""

    order: Order
    track_id: str
    cancel: threading.Event = field(default_factory=threading.Event)
    units: int = 0
    is_made: bool = False


class Daemon:
    """One client's daemon. `leave` ends the process; it is called for `shutdown`, after its answer."""

    def __init__(
        self,
        config: LofiConfig,
        player: Plays,
        tracks: Tracks,
        *,
        send: Callable[[bytes], None],
        leave: Callable[[], None],
    ) -> None:
        self._config, self._player, self._tracks = config, player, tracks
        self._send, self._leave = send, leave
        self._turn = threading.Condition()
        self._current: _Job | None = None
        self._waiting: list[_Job] = []
        self._downloading: set[str] = set()
        self._loaded: Order | None = None
        self._methods: dict[str, Callable[[Call], None]] = {
            "generate": self._generate,
            "cancel": self._cancel,
            "get_backends": self._get_backends,
            "download_backend": self._download_backend,
            "ping": lambda call: self._answer(call, {"status": "ok"}),
            "shutdown": self._shutdown,
        }
        self._worker = threading.Thread(target=self._work, name="songs", daemon=True)

    def start(self) -> None:
        """Begin to make songs."""
        self._worker.start()

    def handle(self, line: bytes | None) -> None:
        """Answer one line; none stands for one that was too long. Never raises for what a line holds."""
        if is_blank(line):
            return
        request_id: RequestId | None = None
        try:
            call = read_call(line)
            request_id = call.request_id
            method = self._methods.get(call.method)
            if method is None:
                raise RpcError(NO_METHOD, f"Method not found: {quoted(call.method)}")
            method(call)
        except RpcError as error:
            self._send(refusal(error, request_id))
        except Exception:  # noqa: BLE001  (the boundary: a fault of ours is logged and answered, and the daemon goes on)
            _log.exception("A request could not be answered")
            self._send(refusal(RpcError(INTERNAL, "Internal error; the daemon's log says more"), request_id))

    def _answer(self, call: Call, result: dict[str, Any]) -> None:
        self._send(answer(call.request_id, result))

    def _tell(self, method: str, params: dict[str, Any]) -> None:
        self._send(notification(method, params))

    def _generate(self, call: Call) -> None:
        order = read_order(call.params, self._config)
        with self._turn:
            if len(self._waiting) >= MOST_WAITING:
                raise fault(
                    "QUEUE_FULL",
                    f"Maximum {MOST_WAITING} pending requests. Current queue: {len(self._waiting)}",
                )
        job = _Job(order, order.track_id)

        def accepted(status: str, position: int = 0) -> None:
            told = {"track_id": job.track_id, "status": status, "position": position, "seed": order.seed}
            self._answer(call, {**told, "backend": order.backend.name})

        if (track := self._hit(order)) is not None:
            accepted("complete")
            self._tell("generation_complete", self._completion(track, 0.0))
            return
        with self._turn:  # nobody takes the job before it is answered
            if self._current is None:
                accepted("generating")
                self._current = job
                self._turn.notify_all()
            else:
                position = self._place(order)
                accepted("queued", position)
                self._waiting.insert(position, job)

    def _place(self, order: Order) -> int:
        """Where in the waiting list an order comes: high ones in front of normal ones, equals as they arrive."""
        if order.priority == "normal":
            return len(self._waiting)
        return sum(job.order.priority == "high" for job in self._waiting)

    def _hit(self, order: Order) -> Track | None:
        """The track of an order if it is made already: with the same parameters, by the model that would play it."""
        track = self._tracks.about(order.track_id)
        if track is None or dict(track.parameters) != order.parameters:
            return None
        if track.model != self._player.model_for(order.backend):
            return None
        track = self._tracks.find(order.track_id)
        return track if track is not None and self._tracks.use(track.track_id) else None

    def _work(self) -> None:
        while True:
            with self._turn:
                while self._current is None:
                    self._turn.wait()
                job = self._current
            try:
                self._make(job)
            finally:
                with self._turn:
                    self._current = self._waiting.pop(0) if self._waiting else None

    def _make(self, job: _Job) -> None:
        """Make one song, and tell the client what became of it."""
        try:
            track, seconds = self._made(job)
        except Cancelled:
            self._tell_cancelled(job)
        except PartitaError as error:
            code = "MODEL_LOAD_FAILED" if isinstance(error, ModelError) else "MODEL_INFERENCE_FAILED"
            self._tell_failed(job, code, str(error))
        except OSError as error:
            self._tell_failed(
                job, "MODEL_INFERENCE_FAILED", f"The track could not be written: {error.strerror or error}."
            )
        except Exception:  # noqa: BLE001  (the boundary of the worker: the daemon goes on, and the client must not wait for ever)
            _log.exception("A song could not be made")
            self._tell_failed(job, "MODEL_INFERENCE_FAILED", "Unexpected fault; the daemon's log says more.")
        else:
            self._tell("generation_complete", self._completion(track, seconds))

    def _made(self, job: _Job) -> tuple[Track, float]:
        """The finished track and the seconds that it took. One that was asked for twice is made once."""
        order = job.order
        if (track := self._hit(order)) is not None:
            return track, 0.0
        partial = self._tracks.partial(job.track_id)
        try:
            played = self._player.play(order, partial, on_share=self._reporter(job), cancel=job.cancel)
            with self._turn:
                if job.cancel.is_set():
                    raise Cancelled
                job.is_made = True
            self._loaded = order
            track = Track(
                track_id=job.track_id,
                backend=order.backend.name,
                prompt=order.prompt,
                seed=order.seed,
                requested_s=order.duration_s,
                parameters=order.parameters,
                model=played.model,
                model_version=order.model_version,
                sample_rate_hz=played.sample_rate_hz,
                duration_s=played.duration_s,
                generation_s=played.generation_s,
                created_at=time.time(),
                notes=played.notes,
            )
            for note in played.notes:
                _log.warning("%s: %s", job.track_id, note)
            return self._tracks.keep(track, partial), played.generation_s
        finally:
            partial.unlink(missing_ok=True)

    def _reporter(self, job: _Job) -> Callable[[float], None]:
        """Tells of every five percent, rising, and never of a hundred: that is what completion says."""
        began, order, told = time.monotonic(), job.order, 0

        def report(share: float) -> None:
            nonlocal began, told
            if share == 0:  # loading is over, and says nothing about how fast the song will be made
                began = time.monotonic()
            job.units = max(job.units, min(math.ceil(share * order.units), order.units))
            percent = min(100 * job.units // order.units, 99)
            if percent // PROGRESS_STEP <= told // PROGRESS_STEP:
                return
            told = percent
            left = (time.monotonic() - began) / job.units * (order.units - job.units)
            params: dict[str, Any] = {
                "track_id": job.track_id,
                "percent": percent,
                "tokens_generated": job.units,
                "tokens_estimated": order.units,
                "eta_sec": round(left, 3),
            }
            if order.backend.takes_sampling:
                params |= {"current_step": job.units, "total_steps": order.units}
            self._tell("generation_progress", params)

        return report

    def _completion(self, track: Track, seconds: float) -> dict[str, Any]:
        return {
            "track_id": track.track_id,
            "path": str(self._tracks.path(track.track_id)),
            "duration_sec": track.duration_s,
            "sample_rate": track.sample_rate_hz,
            "prompt": track.prompt,
            "seed": track.seed,
            "generation_time_sec": round(seconds, 3),
            "model_version": track.model_version,
            "backend": track.backend,
        }

    def _tell_failed(self, job: _Job, code: str, message: str) -> None:
        self._tell("generation_error", {"track_id": job.track_id, "code": code, "message": message[:500]})

    def _tell_cancelled(self, job: _Job) -> None:
        params = {"track_id": job.track_id, "at_step": job.units, "total_steps": job.order.units}
        self._tell("generation_cancelled", params)

    def _cancel(self, call: Call) -> None:
        track_id = required_text(call.params, "track_id")
        with self._turn:
            current = self._current
            running = current if current is not None and current.track_id == track_id else None
            if running is not None and running.is_made:
                running = None
            waiting = [job for job in self._waiting if job.track_id == track_id]
            if running is None and not waiting:
                raise self._not_running(track_id)
            self._answer(call, {"cancelled": True, "was_generating": running is not None})
            for job in waiting:
                self._waiting.remove(job)
                self._tell_cancelled(job)
            if running is not None:
                running.cancel.set()

    def _not_running(self, track_id: str) -> RpcError:
        if self._tracks.about(track_id) is not None:
            return RpcError(-32001, "Already complete")
        details = f"No track {quoted(track_id)} is being made or waits"
        return RpcError(-32000, "Track not found", data={"error_code": "INVALID_TRACK_ID", "details": details})

    def _get_backends(self, call: Call) -> None:
        loaded = self._loaded
        entries = [
            one.described(loaded.model_version if loaded is not None and loaded.backend is one else None)
            for one in BACKENDS.values()
        ]
        self._answer(call, {"backends": entries, "default_backend": self._config.backend})

    def _download_backend(self, call: Call) -> None:
        backend = BACKENDS[named_backend(required_text(call.params, "backend"))]
        with self._turn:
            running = backend.name in self._downloading
            self._downloading.add(backend.name)
        if running:
            self._answer(call, {"backend": backend.name, "status": "already_downloading", "files_downloaded": 0})
            return
        threading.Thread(target=self._download, args=(call, backend), name="download", daemon=True).start()

    def _download(self, call: Call, backend: Backend) -> None:
        """Answered when all is here; other requests are answered meanwhile."""
        try:
            if (reason := self._player.whole(backend)) is not None:
                _log.warning("%s", reason)
                result = {"status": "already_installed", "files_downloaded": 0}
            else:
                progress = Downloads(lambda params: self._tell("download_progress", params))
                self._player.download(backend, progress)
                result = {"status": "complete", "files_downloaded": progress.completed}
            self._answer(call, {"backend": backend.name, **result})
        except PartitaError as error:
            self._send(refusal(fault("MODEL_DOWNLOAD_FAILED", str(error)[:500]), call.request_id))
        except Exception:  # noqa: BLE001  (the boundary of this thread: the client waits for an answer)
            _log.exception("A download failed")
            error = fault("MODEL_DOWNLOAD_FAILED", "Unexpected fault; the daemon's log says more.")
            self._send(refusal(error, call.request_id))
        finally:
            with self._turn:
                self._downloading.discard(backend.name)

    def _shutdown(self, call: Call) -> None:
        self._answer(call, {"status": "shutting_down"})
        self._leave()


class Downloads:
    """Tells of a download: every whole percent of a file, and its end."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self.completed = 0
        self._tell = tell
        self._total = 0
        self._told: dict[str, int] = {}

    def __call__(self, event: DownloadEvent) -> None:
        from partita.weights.download import Notice, Planned, Progress

        match event:
            case Planned(_, files, _, _):
                self._total += len(files)
            case Progress(path, done, size):
                self._progress(path, done, size)
            case Notice(text):
                _log.warning("%s", text)

    def _progress(self, path: str, done: int, size: int | None) -> None:
        percent = 100 * done // size if size else 0
        if percent <= self._told.get(path, -1):
            return
        if percent == 100 and self._told.get(path) != 100:
            self.completed += 1
        self._told[path] = percent
        self._tell(
            {
                "file_name": path.rsplit("/", 1)[-1],
                "bytes_downloaded": done,
                "bytes_total": size or 0,
                "files_completed": self.completed,
                "files_total": self._total,
            }
        )
