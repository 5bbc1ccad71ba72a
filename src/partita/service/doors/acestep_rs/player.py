"""Makes the songs of ace-step-rs's programs with one manager, and writes their files. Knows no socket.

A finished song is never lost: what cannot be written where it was wanted is kept, lossless, elsewhere.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from pathlib import Path

import platformdirs

from partita.audio.write import write
from partita.engine.cancel import CancelFlag
from partita.engine.save import keep_elsewhere, song_tags
from partita.engine.song import Song
from partita.errors import AudioError, ModelError, RequestError, SaveError
from partita.service.doors.acestep_rs.protocol import Asked, FileFormat, system_text
from partita.service.doors.acestep_rs.song import OUTPUTS, choose, request_of, unplanned
from partita.service.doors.choice import Choice
from partita.service.manager import Manager
from partita.settings import Settings

log = logging.getLogger(__name__)


def spool_folder() -> Path:
    """Where songs go that were not given a name."""
    return Path(platformdirs.user_data_dir()) / "ace-step" / "spool"


class Player:
    """`model` names one for all songs; `use_lm` has a planner fill in what a request leaves open. With `folder` nothing
    is written outside of it, and relative names are meant in it."""

    def __init__(
        self,
        manager: Manager,
        settings: Settings,
        *,
        model: str | None = None,
        use_lm: bool = False,
        folder: Path | None = None,
    ) -> None:
        self.manager, self._settings = manager, settings
        self._model, self._use_lm, self._folder = model, use_lm, folder
        self._last_ms = 0
        self._lock = threading.Lock()

    def choice(self) -> Choice:
        """The model that plays at this moment."""
        return choose(self._settings, self._model)

    def load(self) -> None:
        """Load the model, so that the first song does not wait. Raises ModelError, ResourceError."""
        choice = self.choice()
        for note in choice.notes:
            log.warning("%s", note)
        self.manager.load(choice.model_id)

    def unload(self) -> None:
        """Let go of the model's networks; the next song loads them again."""
        self.manager.unload()

    def place(self, output: str | None) -> tuple[str, Path]:
        """The path as it is told to the client, and the file that it is, whose folder is there then.

        Raises RequestError in the protocol's words.
        """
        if output is None:
            path = self._spool_path()
            return str(path), path
        try:
            path = Path(output) if self._folder is None else self._within(self._folder, output)
            path.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise RequestError(f"could not create output directory: {system_text(error)}", field="output") from error
        return output, path

    def play(self, asked: Asked, file_format: FileFormat, *, cancel: CancelFlag | None = None) -> Song:
        """Make the song. Raises the errors of `partita.errors`."""
        if not self._use_lm:
            return self._play(asked, file_format, False, cancel)
        try:
            return self._play(asked, file_format, True, cancel)
        except ModelError as error:  # the planner's, or one that comes again without it
            log.warning("The planner failed, and the song is made without it: %s", error)
            song = self._play(asked, file_format, False, cancel)
            return song.noted([unplanned(asked, error)])

    def write(self, song: Song, path: Path, file_format: FileFormat) -> None:
        """Write the file, whole or not at all, with the record in its tags. Raises SaveError, which says where the
        song is kept instead."""
        output = OUTPUTS[file_format]
        try:
            write(path, song.audio, song.sample_rate_hz, tags=song_tags(song), **output)
        except AudioError as error:
            kept = keep_elsewhere(song, path.stem, self._settings)
            where = f"The song is kept in {kept}." if kept else "No other folder took it either."
            raise SaveError(f"audio: {error} {where}", path=path, kept_at=kept) from error

    def _play(self, asked: Asked, file_format: FileFormat, use_lm: bool, cancel: CancelFlag | None) -> Song:
        fitted = request_of(
            asked,
            file_format,
            self.choice(),
            self._settings,
            use_lm=use_lm,
            resolve=self.manager.engine.resolve,
        )
        return self.manager.generate(fitted.request, cancel=cancel).noted(fitted.notes)

    def _within(self, folder: Path, output: str) -> Path:
        root = folder.resolve()
        path = (root / output).resolve()
        if not path.is_relative_to(root) or path == root:
            raise ValueError(f"{output} is not in {folder}, the only folder that is written to")
        return path

    def _spool_path(self) -> Path:
        """A name in the spool folder that nobody else has: the time in milliseconds."""
        with self._lock:
            self._last_ms = max(self._last_ms + 1, time.time_ns() // 1_000_000)
            name = f"{self._last_ms}.ogg"
        folder = self._folder or spool_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return Path(tempfile.gettempdir()) / f"ace-step-{name}"
        return folder / name
