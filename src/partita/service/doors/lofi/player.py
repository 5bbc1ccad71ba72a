"""Makes the songs of the door of lofi.nvim: chooses the model that plays, drives the engine, writes the sound.

Knows no protocol and no cache. The engine is imported when the first song is made: until then nothing here is heavy.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from partita.errors import Cancelled, ResourceError
from partita.service.doors.lofi.asked import Order
from partita.service.doors.lofi.backends import BACKENDS, Backend, foreign_files
from partita.service.doors.lofi.config import LofiConfig
from partita.service.doors.lofi.table import TAKES_SAMPLING, rows
from partita.service.doors.table import not_applied

if TYPE_CHECKING:
    from partita.engine.cancel import CancelFlag
    from partita.engine.engine import Engine
    from partita.engine.song import Song
    from partita.service.doors.choice import Choice
    from partita.service.manager import Manager
    from partita.settings import Settings
    from partita.weights.download import DownloadEvent

_ACE_STEP_MODEL = "ace-step-v1"
_MUSICGEN_PREFIX = "musicgen"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Played:
    """A song that was written: what played, how long it is in seconds, and what of the request had no effect."""

    model: str
    duration_s: float
    sample_rate_hz: int
    generation_s: float
    notes: tuple[str, ...]


class Player:
    """Keeps one engine for all songs of the process. `play` is called from one thread at a time."""

    def __init__(self, config: LofiConfig) -> None:
        self._config = config
        self._manager: Manager | None = None
        self._settings: Settings | None = None
        self._lock = Lock()
        self._device_note: str | None = None

    def model_for(self, backend: Backend) -> str:
        """The id of the catalog's model that plays for a backend at this moment."""
        return self._choice(backend).card.id

    def play(
        self, order: Order, path: Path, *, on_share: Callable[[float], None], cancel: CancelFlag | None = None
    ) -> Played:
        """Make the song and write it to `path`, as 32-bit float WAV in stereo at the rate of the order's backend.

        `on_share` hears the share of the work that is done, from 0 when it begins up to 1. Raises the errors of
        `partita.errors`.
        """
        from partita.audio.resample import resample
        from partita.audio.write import write
        from partita.engine.save import song_tags

        began = time.monotonic()
        song, notes = self._song(order, on_share, cancel)
        rate = order.backend.sample_rate_hz
        samples = resample(song.audio, song.sample_rate_hz, rate)
        if cancel is not None and cancel.is_set():
            raise Cancelled
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, samples, rate, format="wav", bit_depth=32, tags=song_tags(song))
        return Played(song.record.request.model, len(samples) / rate, rate, time.monotonic() - began, notes)

    def whole(self, backend: Backend) -> str | None:
        """Why nothing can be downloaded for a backend, in a sentence; none where something can."""
        from partita.weights.catalog import card
        from partita.weights.inventory import model_status
        from partita.weights.places import caches_of

        names, choice = _stand_ins(backend), self._choice(backend)
        if not names:
            return f"The catalog has no model for {backend.name}; {choice.card.id} plays."
        settings = self._own_settings()
        state = model_status(card(names[0]), caches_of(settings), settings.checkpoint_dir).state
        return f"{names[0]} is here and plays for {backend.name}." if state in ("shipped", "ready") else None

    def download(self, backend: Backend, on_event: Callable[[DownloadEvent], None]) -> None:
        """Fetch the model that a backend stands for. Raises DownloadError, ResourceError."""
        from partita.weights.catalog import card
        from partita.weights.download import fetch
        from partita.weights.places import caches_of

        settings = self._own_settings()
        fetch(
            card(_stand_ins(backend)[0]),
            caches_of(settings),
            source=settings.source,
            endpoint=settings.endpoint,
            offline=settings.offline,
            on_event=on_event,
        )

    def _song(
        self, order: Order, on_share: Callable[[float], None], cancel: CancelFlag | None
    ) -> tuple[Song, tuple[str, ...]]:
        from partita.engine.events import Finished, StageBegan, Step
        from partita.service.doors.choice import fit

        choice, manager = self._choice(order.backend), self._engines()
        fitted = fit(_fields(order, choice), manager.engine.resolve, _OUR_NAMES)
        notes = (*choice.notes, *_notes(order, choice.card.id), *fitted.notes)
        notes = (*notes, *([self._device_note] if self._device_note else []))
        resolved = manager.engine.resolve(fitted.request)
        with closing(manager.run_many([resolved], cancel=cancel)) as events:
            for _, event in events:
                if isinstance(event, StageBegan) and event.name == "sample":
                    on_share(0.0)
                elif isinstance(event, Step) and event.stage == "sample" and event.count:
                    on_share(event.index / event.count)
                elif isinstance(event, Finished):
                    return event.song.noted(notes), notes
        raise AssertionError("a run ends with Finished or raises")

    def _choice(self, backend: Backend) -> Choice:
        from partita.service.doors.choice import choose_model

        return choose_model(backend.name, self._own_settings(), stands_for=_stand_ins(backend))

    def _own_settings(self) -> Settings:
        """The user's settings, with the folder of ACE-Step that the environment names where it holds such files."""
        from partita.settings import Settings
        from partita.weights.catalog import card
        from partita.weights.inventory import model_status
        from partita.weights.places import caches_of

        with self._lock:
            if self._settings is None:
                settings, folder = Settings.load(), self._config.ace_step_path
                for backend in BACKENDS.values():
                    if note := foreign_files(backend, self._config):
                        _log.warning("%s", note)
                if settings.checkpoint_dir is None and folder.is_dir():
                    state = model_status(card(_ACE_STEP_MODEL), caches_of(settings), folder).state
                    if state == "ready":
                        settings = settings.model_copy(update={"checkpoint_dir": folder})
                self._settings = settings
            return self._settings

    def _engines(self) -> Manager:
        from partita.service.manager import Manager

        settings = self._own_settings()
        with self._lock:
            if self._manager is None:
                self._manager = Manager(lambda device: self._engine(device, settings))
            return self._manager

    def _engine(self, device: str | None, settings: Settings) -> Engine:
        from partita.engine.engine import Engine
        from partita.runtime import Runtime

        asked, threads = device or self._config.device, self._config.threads
        try:
            runtime = Runtime.detect(device=asked, threads=threads)
        except ResourceError as error:
            # lofi-daemon plays on the processor where the device is not there; silence would help nobody.
            self._device_note = f"LOFI_DEVICE was asked for and is not applied: {error}"
            _log.warning("%s", self._device_note)
            runtime = Runtime.detect(threads=threads)
        return Engine(runtime=runtime, settings=settings, checkpoint_dir=settings.checkpoint_dir)


_OUR_NAMES = {
    "duration_s": "duration_sec",
    "sampling.steps": "inference_steps",
    "sampling.solver": "scheduler",
    "sampling.guidance_scale": "guidance_scale",
}


def _stand_ins(backend: Backend) -> tuple[str, ...]:
    """The catalog's models that a backend's name stands for, best first."""
    from partita.weights.catalog import catalog

    if backend.takes_sampling:
        return (_ACE_STEP_MODEL,)
    return tuple(card.id for card in catalog() if card.id.startswith(_MUSICGEN_PREFIX))


def _fields(order: Order, choice: Choice) -> dict[str, Any]:
    """The fields of the request for the model that plays."""
    fields: dict[str, Any] = {
        "caption": "".join(letter if letter.isprintable() else " " for letter in order.prompt),
        "instrumental": True,
        "model": choice.card.id,
        "duration_s": float(order.duration_s),
        "seed": order.song_seed,
        "output": {"format": "wav", "bit_depth": 32},
    }
    if order.backend.takes_sampling and choice.card.id in TAKES_SAMPLING:
        fields["sampling"] = {
            "steps": order.steps,
            "solver": order.scheduler,
            "guidance_scale": order.guidance_scale,
        }
    return fields


def _notes(order: Order, model: str) -> tuple[str, ...]:
    given = order.given if order.backend.takes_sampling else {}
    notes = not_applied(rows(model), given)
    if order.song_seed != order.seed:
        notes = (*notes, f"seed {order.seed} is longer than 32 bits: the song was made with {order.song_seed}.")
    return notes
