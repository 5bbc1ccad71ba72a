"""Audio that a client sends or names: taken in among the uploads, or found among the songs, only when it is wanted.

What a path may mean, `files` knows. Knows no kind of work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from starlette.datastructures import UploadFile

from partita.audio.read import read
from partita.errors import AccessError, AudioError, NotFoundError, RequestError
from partita.service.doors.acestep.fields import REFERENCE_FILES, SOURCE_FILES, Given
from partita.service.doors.acestep.files import find_source
from partita.service.service import Service
from partita.song.source import SILENT_BELOW, AudioRef

_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Heard:
    """Audio that a request may name. `maker` is the model that made it, where it is a song of this server."""

    ref: AudioRef
    path: Path
    duration_s: float | None
    maker: str | None = None

    def is_silent(self) -> bool:
        """Whether it is nowhere louder than silence. Reads all of it. Raises AudioError where it is no audio."""
        if self.maker is not None or self.path.suffix == ".safetensors":
            return False
        return bool(np.abs(read(self.path).samples).max(initial=0.0) < SILENT_BELOW)


class Sources:
    """The source and the reference of one request: a file that was sent, which comes first, or a path."""

    def __init__(self, service: Service, given: Given, files: Mapping[str, UploadFile]) -> None:
        """Raises RequestError for a path that means no song and no upload of this server."""
        self._service = service
        self._files = files
        self._paths: dict[str, AudioRef] = {}
        for field in ("src_audio_path", "reference_audio_path"):
            path = given.get(field)
            if path is not None:
                try:
                    self._paths[field] = find_source(service, path)
                except (AccessError, NotFoundError) as error:
                    raise RequestError(f"{field}: {error}", field=field, value=path) from None

    @property
    def has_source(self) -> bool:
        return "src_audio_path" in self._paths or self._sent(SOURCE_FILES) is not None

    @property
    def has_reference(self) -> bool:
        return "reference_audio_path" in self._paths or self._sent(REFERENCE_FILES) is not None

    def source(self) -> Heard | None:
        """The source, taken in. Raises AudioError for a file that is no audio, TooLargeError beyond the limits."""
        return self._heard("src_audio_path", SOURCE_FILES)

    def reference(self) -> Heard | None:
        """The style reference, taken in. Raises as `source` does."""
        return self._heard("reference_audio_path", REFERENCE_FILES)

    def _sent(self, names: tuple[str, ...]) -> UploadFile | None:
        return next((self._files[name] for name in names if name in self._files), None)

    def _heard(self, field: str, names: tuple[str, ...]) -> Heard | None:
        sent = self._sent(names)
        if sent is not None:
            try:
                upload = self._service.uploads.take(_chunks(sent), sent.filename or "")
            except AudioError as error:
                raise AudioError(f"The file {names[-1]} cannot be used: {error}") from None
            return self._of_upload(upload.id)
        ref = self._paths.get(field)
        if ref is None:
            return None
        if ref.upload is not None:
            return self._of_upload(ref.upload)
        job_id, _, index = str(ref.song).partition("/")
        song = next(one for one in self._service.queue.job(job_id).songs if one.index == int(index))
        path = self._service.queue.song_path(job_id, song.index)
        return Heard(ref, path, song.duration_s, song.record.request.model)

    def _of_upload(self, upload_id: str) -> Heard:
        uploads = self._service.uploads
        return Heard(AudioRef(upload=upload_id), uploads.path(upload_id), uploads.find(upload_id).duration_s)


def _chunks(sent: UploadFile) -> Iterator[bytes]:
    sent.file.seek(0)
    while chunk := sent.file.read(_CHUNK):
        yield chunk
