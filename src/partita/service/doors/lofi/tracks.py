"""The tracks that were made: found again by their id, in this process or another, and let go of when they are many.

A track is `ID.wav` and beside it `ID.json`, which says what it is and how its bytes sum up; when it was last used is
the time stamp of the latter. Both appear whole or not at all, so that a killed process leaves nothing broken. Several
daemons share the folder: whoever changes it holds its lock, which the system lets go of with the process.
Knows no audio.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

MOST_TRACKS = 100
MOST_BYTES = 500 * 2**20
_STALE_S = 3600.0
"""Of a file that is being written; writing takes seconds."""
_ID = re.compile(r"[0-9a-f]{16}")
_NOTE = re.compile(r"[0-9a-f]{16}\.json")
_PARTIAL = re.compile(r"\.{1,2}[0-9a-f]{16}\.[0-9a-f]{8}\.(wav|json)(\.part)?")


@dataclass(frozen=True, slots=True)
class Track:
    """A finished track. `model` is what really played, by its id in the catalog; `model_version` what the protocol
    calls it. `parameters` and `notes` are what the request said beyond the id, and what of it had no effect.
    """

    track_id: str
    backend: str
    prompt: str
    seed: int
    requested_s: int
    parameters: Mapping[str, Any]
    model: str
    model_version: str
    sample_rate_hz: int
    duration_s: float
    generation_s: float
    created_at: float
    notes: tuple[str, ...] = ()
    size_bytes: int = 0
    sha256: str = ""


class Tracks:
    """The folder of tracks. It is made when the first one is written."""

    def __init__(self, folder: Path, *, most_tracks: int = MOST_TRACKS, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self._most_tracks, self._most_bytes = most_tracks, most_bytes
        self._mark = secrets.token_hex(4)

    def path(self, track_id: str) -> Path:
        """Where the sound of a track lies."""
        return self.folder / f"{track_id}.wav"

    def find(self, track_id: str) -> Track | None:
        """The track if it is whole: its file has the bytes that were written. Marks nothing as used."""
        track = self.about(track_id)
        try:
            if track is None or self.path(track_id).stat().st_size != track.size_bytes:
                return None
            return track if _sha256(self.path(track_id)) == track.sha256 else None
        except OSError:
            return None

    def about(self, track_id: str) -> Track | None:
        """What is written of a track, whether or not its sound is there; none for what is no id."""
        if not _ID.fullmatch(track_id):
            return None
        try:
            return _read(self._note(track_id).read_bytes())
        except OSError:
            return None

    def use(self, track_id: str) -> bool:
        """Mark a track as used, the last to go. False where it is gone."""
        try:
            os.utime(self._note(track_id))
        except OSError:
            return False
        return True

    def partial(self, track_id: str) -> Path:
        """Where to write the sound of a track before `keep`. The folder is there afterwards. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f".{track_id}.{self._mark}.wav"

    def keep(self, track: Track, partial: Path) -> Track:
        """Give a written track its name, in place of one with the same id, and let go of what is too much.

        Returns the track with size and sum. Raises OSError where the disk refuses.
        """
        whole = Track(**{**_plain(track), "size_bytes": partial.stat().st_size, "sha256": _sha256(partial)})
        note = partial.with_suffix(".json")
        note.write_text(json.dumps(asdict(whole), ensure_ascii=False, indent=2), encoding="utf-8")
        with self._alone():
            # The note first: with the sound of an earlier track, or none, it is no hit, and it goes with the others.
            note.replace(self._note(track.track_id))
            partial.replace(self.path(track.track_id))
            self._evict(keep=track.track_id)
        return whole

    def tidy(self) -> None:
        """Remove what this process was writing. Best effort: a process that ends has nobody to tell."""
        for path in self.folder.glob(f".*.{self._mark}.*"):
            path.unlink(missing_ok=True)

    def _note(self, track_id: str) -> Path:
        return self.folder / f"{track_id}.json"

    def _alone(self) -> AbstractContextManager[object]:
        from filelock import FileLock  # takes a tenth of a second, which a process that only answers does not have

        return FileLock(self.folder / ".lock")

    def _evict(self, keep: str) -> None:
        """Let go of the tracks that were used longest ago, and of files that a killed process was writing."""
        paths = list(self.folder.iterdir())
        for path in paths:
            if _PARTIAL.fullmatch(path.name) and _age_s(path) > _STALE_S:
                path.unlink(missing_ok=True)
        notes = [path for path in paths if _NOTE.fullmatch(path.name)]
        tracks, size = 0, 0
        for note in sorted(notes, key=_age_s):
            sound = self.path(note.stem)
            here = sound.stat().st_size if sound.is_file() else None
            tracks, size = tracks + 1, size + (here or 0)
            fits = here is not None and tracks <= self._most_tracks and size <= self._most_bytes
            if not fits and note.stem != keep:
                tracks, size = tracks - 1, size - (here or 0)
                sound.unlink(missing_ok=True)
                note.unlink(missing_ok=True)


def _plain(track: Track) -> dict[str, Any]:
    return {one.name: getattr(track, one.name) for one in fields(track)}


def _read(text: bytes) -> Track | None:
    """A track's note, or none where it is none of ours."""
    try:
        track = Track(**json.loads(text))
        numbers = (track.duration_s, track.generation_s, track.sample_rate_hz, track.size_bytes, track.seed)
        sound = all(isinstance(one, (int, float)) for one in numbers) and isinstance(track.parameters, dict)
    except (TypeError, ValueError, RecursionError):
        return None
    return track if sound else None


def _age_s(path: Path) -> float:
    """Seconds since a file was last touched; endless where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
