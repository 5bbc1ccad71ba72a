"""The files of jobs: `songs/JOB/INDEX.SUFFIX` and what belongs to it, every name ours. Knows no table and no worker."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from partita.audio.formats import NEEDS_AV, SAMPLE_RATES_HZ, SUFFIX
from partita.audio.read import read
from partita.audio.resample import resample
from partita.audio.tags import read_tags
from partita.audio.write import write
from partita.engine.save import save, song_tags
from partita.engine.song import Song
from partita.engine.targets import Target
from partita.errors import AudioError, NotFoundError, RequestError
from partita.service.jobs.job import JobSong
from partita.settings import Settings
from partita.song.request import AudioFormat

FORMATS: tuple[str, ...] = get_args(AudioFormat)
LOSSLESS = ("flac", "wav")
_log = logging.getLogger(__name__)
_JOB_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Kept:
    """A song that is on disk, and how many bytes all of its files are."""

    song: JobSong
    bytes: int


class JobFiles:
    """The folder `songs` in `folder`, made when first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "songs"

    def keep(self, job_id: str, index: int, song: Song, settings: Settings) -> Kept:
        """Write a song and all that its request asks for; where its format is lossy, a lossless file beside it.

        Raises SaveError where the folder does not take it; the song then lies elsewhere.
        """
        folder = self.folder / job_id
        wanted = song.record.request.output.format
        saved = save(song, Target(folder / _name(index, wanted)), settings)
        paths = list(saved.paths())
        if wanted not in LOSSLESS:
            master = folder / _name(index, "flac")
            try:
                write(master, song.audio, song.sample_rate_hz, format="flac", tags=song_tags(song))
                paths.append(master)
            except AudioError as error:  # the song itself is there: it is not given up for want of its other file
                _log.warning("Song %d of job %s has no lossless file beside it: %s", index, job_id, error)
        for path in paths:
            _settle(path)
        _settle(folder)
        facts = JobSong(
            index=index,
            seed=song.record.seed,
            duration_s=song.duration_s,
            sample_rate_hz=song.sample_rate_hz,
            audio=saved.audio.name,
            files=tuple(path.relative_to(folder).as_posix() for path in paths),
            record=song.record,
        )
        return Kept(facts, sum(path.stat().st_size for path in paths))

    def path(self, job_id: str, song: JobSong, name: str | None = None) -> Path:
        """The delivered audio of a song, or one of its files by name. Raises NotFoundError."""
        wanted = song.audio if name is None else name
        if wanted not in song.files:
            raise NotFoundError(
                f"Song {song.index} of job {job_id} has no file {wanted!r}; it has {', '.join(song.files)}.",
                field="name",
                value=wanted,
            )
        path = self.folder / job_id / wanted
        if not self._is_ours(path):
            raise NotFoundError(f"The file {wanted} of job {job_id} is gone from the disk.", field="name", value=wanted)
        return path

    def as_format(self, job_id: str, song: JobSong, audio_format: str) -> Path | None:
        """The song in a format that it was delivered in or converted to; none where it has to be converted first.

        Raises RequestError for a format that is none or cannot be written here, NotFoundError for files that are gone.
        """
        check_format(audio_format)
        name = _name(song.index, audio_format)
        if name in song.files:
            return self.path(job_id, song, name)
        path = self.folder / job_id / name
        return path if self._is_ours(path) else None

    def convert(self, job_id: str, song: JobSong, audio_format: str) -> Path:
        """Make the song as `audio_format`, from its lossless file, with its tags, and keep it beside it."""
        lossless = [_name(song.index, one) for one in LOSSLESS]
        source = self.path(job_id, song, next((one for one in lossless if one in song.files), None))
        audio, tags = read(source), read_tags(source)
        samples, rate = audio.samples, audio.sample_rate_hz
        rates = SAMPLE_RATES_HZ.get(audio_format, (rate,))
        if rate not in rates:
            samples, rate = resample(samples, rate, rates[-1]), rates[-1]
        path = self.folder / job_id / _name(song.index, audio_format)
        write(path, samples, rate, format=audio_format, tags=tags)
        return path

    def _is_ours(self, path: Path) -> bool:
        """Whether there is such a file, and no link on the way leads out of our folder."""
        return path.is_file() and path.resolve().is_relative_to(self.folder.resolve())

    def remove(self, job_id: str) -> None:
        """All files of a job. What cannot be deleted is found again by `sweep`."""
        shutil.rmtree(self.folder / job_id, ignore_errors=True)

    def keep_only(self, job_id: str, names: Collection[str]) -> None:
        """Delete all files of a job but these."""
        folder = self.folder / job_id
        for path in _files_in(folder):
            if path.relative_to(folder).as_posix() not in names:
                path.unlink(missing_ok=True)

    def sweep(self, known: Collection[str], unfinished: dict[str, set[str]]) -> None:
        """Clear up after a killed process: folders of jobs that are not `known`, half-written files everywhere, and in
        the folders of `unfinished` jobs all files but those named."""
        if not self.folder.is_dir():
            return
        for folder in self.folder.iterdir():
            if _JOB_ID.fullmatch(folder.name) is None or folder.is_symlink():
                continue  # not of our making
            if folder.name not in known:
                self.remove(folder.name)
                continue
            if folder.name in unfinished:
                self.keep_only(folder.name, unfinished[folder.name])
            for path in _files_in(folder):
                if path.name.endswith(".part"):
                    path.unlink(missing_ok=True)


def check_format(audio_format: str) -> None:
    """Raises RequestError where there is no such format, or what writes it is not installed."""
    if audio_format not in FORMATS:
        raise RequestError(
            f"format {audio_format!r} is none of {', '.join(FORMATS)}.", field="format", value=audio_format
        )
    if audio_format in NEEDS_AV and find_spec("av") is None:
        raise RequestError(
            f'format {audio_format} needs the codecs extra on the server: pip install "partita[codecs]".',
            field="format",
            value=audio_format,
        )


def _name(index: int, audio_format: str) -> str:
    return f"{index}{SUFFIX[audio_format]}"


def _files_in(folder: Path) -> list[Path]:
    """All of them; none where there is no such folder, or no more."""
    return [Path(place) / name for place, _, names in os.walk(folder) for name in names]


def _settle(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk itself: the row that follows says that they are."""
    if path.is_dir() and os.name == "nt":
        return  # Windows keeps names of its own accord, and opens no folder
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
