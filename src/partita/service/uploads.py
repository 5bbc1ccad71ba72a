"""Files that callers sent, kept under names of ours in one folder. Knows no HTTP: bytes in, files out.

A file is `ID.SUFFIX` with `ID.about.json` beside it, which is written last: what has none is not here.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import soundfile
from pydantic import ValidationError

from partita.audio.av_codec import decode, told_duration_s
from partita.audio.read import check_readable
from partita.audio.write import write_atomically
from partita.errors import AudioError, ModelError, NotFoundError, PartitaError, ResourceError, TooLargeError
from partita.service.config import MIB, Limits
from partita.song.source import LONGEST_SOURCE_S, SAMPLE_RATE_HZ, grid_of_channels
from partita.song.values import Value
from partita.weights.headers import read_header

SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".mka", ".aif", ".aiff",
    ".caf", ".w64", ".au", ".safetensors",
)  # fmt: skip
"""Kept as they are; a file of any other name is `.audio`, and must be audio all the same."""
_OTHER = ".audio"
_PARTIAL = ".part"
_ABOUT = ".about.json"
_ID = re.compile("[0-9a-f]{32}")
_ABANDONED_S = 24 * 3600.0


class Upload(Value):
    """A file that is here. `id` is ours and says nothing of the file; `sha256` is of its bytes."""

    id: str
    bytes: int
    sha256: str
    duration_s: float | None
    created_at: float


class _About(Value):
    upload: Upload
    suffix: str


class Uploads:
    """A folder of uploads, made when first needed. Safe to use from any thread.

    The same bytes again are the same upload, so that a request which is sent twice says the same. Before one is taken
    in, what is older than `keep_s` seconds goes.
    """

    def __init__(self, folder: Path, limits: Limits, *, keep_s: float | None = None) -> None:
        self.folder = folder
        self.largest_bytes = limits.upload_bytes
        self._limits, self._keep_s = limits, keep_s
        self._lock = threading.Lock()
        self._total = 0

    def take(self, chunks: Iterable[bytes], file_name: str) -> Upload:
        """Keep what arrives. Only the suffix of `file_name` is used.

        Raises TooLargeError beyond the limits, AudioError for what is no audio, ResourceError where the disk does not
        take it; nothing is left behind then.
        """
        with self.begin(file_name) as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            return incoming.finish()

    def begin(self, file_name: str) -> Incoming:
        """For what arrives piece by piece: a context manager to write to and finish. Left unfinished, nothing stays."""
        self.forget(older_than_s=self._keep_s)
        self._count()
        suffix = Path(file_name.replace("\\", "/")).suffix.lower()
        return Incoming(self, suffix if suffix in SUFFIXES else _OTHER)

    def find(self, upload_id: str) -> Upload:
        """Raises NotFoundError."""
        return self._about(upload_id).upload

    def known(self, sha256: str, suffix: str) -> Upload | None:
        """The upload of the same bytes and kind, which is then as good as sent again, or none."""
        for about in self.folder.glob(f"*{_ABOUT}"):
            with suppress(NotFoundError):
                one = self._about(about.name.removesuffix(_ABOUT))
                if (one.upload.sha256, one.suffix) == (sha256, suffix):
                    for path in (self.path(one.upload.id), about):
                        os.utime(path)
                    return one.upload
        return None

    def path(self, upload_id: str) -> Path:
        """Raises NotFoundError."""
        path = self.folder / f"{upload_id}{self._about(upload_id).suffix}"
        if path.is_symlink() or not path.is_file():
            raise _absent(upload_id)
        return path

    def delete(self, upload_id: str) -> None:
        """Raises NotFoundError."""
        path = self.path(upload_id)
        (self.folder / f"{upload_id}{_ABOUT}").unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def forget(self, *, older_than_s: float | None) -> int:
        """Delete what is older (none: nothing), and say how many. What never arrived whole goes after a day."""
        groups: dict[str, list[Path]] = {}
        for path in self._files():
            groups.setdefault(path.name.partition(".")[0], []).append(path)
        gone = 0
        for paths in groups.values():
            whole = any(path.name.endswith(_ABOUT) for path in paths)
            limit = older_than_s if whole else _ABANDONED_S
            with suppress(FileNotFoundError):  # another thread was quicker
                if limit is not None and time.time() - max(path.lstat().st_mtime for path in paths) > limit:
                    gone += whole
                    for path in paths:
                        path.unlink()
        return gone

    def book(self, count: int) -> None:
        """Count bytes that are arriving (negative: that were given up). Raises TooLargeError where there is no room."""
        most = self._limits.uploads_bytes
        with self._lock:
            if count > 0 and self._total + count > most:
                raise TooLargeError(
                    f"The uploads of this server may take {most / MIB:.4g} MiB together, and this one is beyond that: "
                    "delete some first.",
                    field="file",
                )
            self._total += count

    def _count(self) -> None:
        """Look again how much is here: files go in more ways than one."""
        total = 0
        with self._lock:
            for path in self._files():
                with suppress(FileNotFoundError):
                    total += path.lstat().st_size
            self._total = total

    def _files(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from (path for path in self.folder.iterdir() if _ID.fullmatch(path.name.partition(".")[0]))

    def _about(self, upload_id: str) -> _About:
        if not _ID.fullmatch(upload_id):
            raise _absent(upload_id)
        path = self.folder / f"{upload_id}{_ABOUT}"
        try:
            if path.is_symlink():
                raise _absent(upload_id)
            return _About.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            raise _absent(upload_id) from None


class Incoming(AbstractContextManager["Incoming"]):
    """A file that is arriving. Bytes go to disk as they come."""

    def __init__(self, uploads: Uploads, suffix: str) -> None:
        self._uploads, self._suffix = uploads, suffix
        self._id = uuid.uuid4().hex
        self._partial = uploads.folder / f"{self._id}{_PARTIAL}"
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._whole = False
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        try:
            self._uploads.folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._file = os.fdopen(os.open(self._partial, flags, 0o600), "wb")
        except OSError as error:
            raise _unwritable(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close()
        finally:
            self._partial.unlink(missing_ok=True)
            if not self._whole:
                self._uploads.book(-self._bytes)

    def write(self, chunk: bytes) -> None:
        """Raises TooLargeError beyond the limits, ResourceError where the disk does not take it."""
        assert self._file is not None  # it is entered
        most = self._uploads.largest_bytes
        if self._bytes + len(chunk) > most:
            raise TooLargeError(f"A file may have {most / MIB:.4g} MiB here, and this one has more.", field="file")
        self._uploads.book(len(chunk))
        self._bytes += len(chunk)
        self._hash.update(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _unwritable(error) from None

    def finish(self) -> Upload:
        """The upload, once all of it is here. Raises AudioError where it is no audio, TooLargeError for a longer sound
        than any task takes."""
        self._close()
        path = self._uploads.folder / f"{self._id}{self._suffix}"
        sha256 = self._hash.hexdigest()
        if (same := self._uploads.known(sha256, self._suffix)) is not None:
            return same
        upload = Upload(
            id=self._id,
            bytes=self._bytes,
            sha256=sha256,
            duration_s=_checked_duration_s(self._partial, self._suffix),
            created_at=time.time(),
        )
        try:
            self._partial.rename(path)
            about = _About(upload=upload, suffix=self._suffix).model_dump_json()
            write_atomically(path.with_name(f"{self._id}{_ABOUT}"), [about.encode("ascii")])
        except (OSError, AudioError) as error:
            path.unlink(missing_ok=True)
            raise _unwritable(error) from None
        self._whole = True
        return upload

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()  # which writes what is left
            except OSError as error:
                raise _unwritable(error) from None


def _checked_duration_s(path: Path, suffix: str) -> float | None:
    """Seconds of sound, where its head tells them. Raises AudioError without the name of any file of ours."""
    try:
        duration_s = _latents_duration_s(path) if suffix == ".safetensors" else _audio_duration_s(path)
    except PartitaError:
        raise AudioError(
            "The file is empty, damaged or no audio: send WAV, FLAC, MP3, Ogg, Opus or M4A, or latents as .safetensors."
        ) from None
    if duration_s is not None and duration_s > LONGEST_SOURCE_S:
        raise TooLargeError(
            f"The sound is {duration_s:.0f} s long, and at most {LONGEST_SOURCE_S:.0f} s can be used: cut it first.",
            field="file",
        )
    return duration_s


def _audio_duration_s(path: Path) -> float | None:
    check_readable(path)
    try:
        info = soundfile.info(str(path))
        return info.frames / info.samplerate
    except soundfile.LibsndfileError:
        decode(path.absolute(), max_s=0)  # a second of it: whether there is sound inside
        return told_duration_s(path.absolute())


def _latents_duration_s(path: Path) -> float:
    latents = read_header(path).tensors.get("latents")
    grid = grid_of_channels(latents.shape[1]) if latents is not None and len(latents.shape) == 2 else None
    if latents is None or grid is None:
        raise ModelError("no latents")
    return grid.samples(latents.shape[0]) / SAMPLE_RATE_HZ


def _absent(upload_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no upload {upload_id[:40]!r} here: it was deleted, or never sent.", field="upload", value=upload_id
    )


def _unwritable(error: Exception) -> ResourceError:
    why = error.strerror if isinstance(error, OSError) else "it could not be given its name"
    return ResourceError(f"The upload could not be written ({why}): the server's disk may be full.")
