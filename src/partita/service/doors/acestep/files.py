"""File names that this door gives out, and which files of ours a path from a client may mean.

A finished song is `JOB-INDEX.SUFFIX`, in answers as `/v1/audio?path=NAME`. A path means that file and no other, however
it is written; nothing is opened to find out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from partita.errors import AccessError, NotFoundError
from partita.service.jobs.job import Job, JobSong
from partita.service.service import Service
from partita.song.source import AudioRef

AUDIO_PATH = "/v1/audio"
MEDIA_TYPES = {
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
}
_NAME = re.compile(r"([0-9a-f]{32})-(\d{1,2})(\.[a-z0-9]{2,4})")
_JOB_ID = re.compile("[0-9a-f]{32}")
_LONGEST = 4096


def audio_url(job: Job, song: JobSong) -> str:
    """Where a client fetches a song, relative to the server."""
    return f"{AUDIO_PATH}?path={quote(f'{job.id}-{song.index}{Path(song.audio).suffix}', safe='')}"


def find_song(service: Service, path: str) -> tuple[Job, JobSong]:
    """The song that a path means: a name of ours, a URL of ours, or the absolute path of the song's own file.

    Raises AccessError for any other path, NotFoundError where there is no such song.
    """
    name = _bare(path)
    match = _NAME.fullmatch(name)
    if match is None:
        return _by_absolute_path(service, name)
    job = service.queue.job(match[1])
    found = next((song for song in job.songs if song.index == int(match[2])), None)
    if found is None or Path(found.audio).suffix != match[3]:
        raise NotFoundError(f"There is no file {name} here.", field="path", value=path)
    return job, found


def find_audio(service: Service, path: str) -> Path:
    """The file that a path means. Raises as `find_song` does."""
    job, song = find_song(service, path)
    return service.queue.song_path(job.id, song.index)


def find_source(service: Service, path: str) -> AudioRef:
    """What a path field means: a song of ours, or an upload by its id or file name. Raises as `find_song` does."""
    upload = _upload_id(service, path)
    if upload is not None:
        return AudioRef(upload=service.uploads.find(upload).id)
    job, song = find_song(service, path)
    return AudioRef(song=f"{job.id}/{song.index}")


def _bare(path: str) -> str:
    """The path inside a URL of ours; any other path as it is."""
    try:
        parts = urlsplit(path)
        if parts.path == AUDIO_PATH and parts.query:
            return parse_qs(parts.query).get("path", [""])[0]
    except ValueError:
        pass  # no URL, and so a path or nothing
    return path


def _by_absolute_path(service: Service, path: str) -> tuple[Job, JobSong]:
    if len(path) < _LONGEST and "\x00" not in path and Path(path).is_absolute():
        real = Path(os.path.realpath(path))
        home = Path(os.path.realpath(service.folder))
        job_id = next((part for part in real.parts if _JOB_ID.fullmatch(part)), None)
        if job_id is not None and real.is_relative_to(home):
            job = service.queue.job(job_id)
            for song in job.songs:
                if os.path.realpath(service.queue.song_path(job.id, song.index)) == str(real):
                    return job, song
    raise AccessError(
        "This server opens no file by a path of its caller's: use the names in its answers, such as "
        "/v1/audio?path=NAME, or send the file itself.",
        known=True,
    )


def _upload_id(service: Service, path: str) -> str | None:
    name = path.partition(".")[0]
    if _JOB_ID.fullmatch(name):
        return name
    real = Path(os.path.realpath(path)) if len(path) < _LONGEST and "\x00" not in path else None
    inside = real is not None and Path(path).is_absolute() and real.parent == _uploads_folder(service)
    return real.stem if real is not None and inside and _JOB_ID.fullmatch(real.stem) else None


def _uploads_folder(service: Service) -> Path:
    return Path(os.path.realpath(service.folder / "uploads"))
