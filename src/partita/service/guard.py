"""What a request from the network may name: uploads, songs of this server and content hashes, and never a path.

Uploads and songs become files of ours here; styles and adapters must be known by name. No answer tells where files lie.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from partita.errors import AccessError, ConflictError, NotFoundError, TooLargeError
from partita.service.config import Limits
from partita.service.jobs.queue import JobQueue
from partita.service.uploads import Uploads
from partita.song.plan import CODES_PER_S
from partita.song.request import AdapterChoice, SongRequest
from partita.song.source import AudioRef
from partita.song.styles import SUFFIXES as STYLE_SUFFIXES
from partita.song.task import Extend, Lego, Outpaint, Repaint, TextToMusic, source_of
from partita.weights.adapters.files import has_adapter

_SEPARATORS = ("/", "\\", "\x00")
_LOSSLESS = (".flac", ".wav")
_LONGEST_NAME = 240


def admit(
    request: SongRequest, queue: JobQueue, uploads: Uploads, limits: Limits, *, adapters: Path | None = None
) -> SongRequest:
    """The request with ids turned into files of ours. `adapters` is the folder of those that may be used.

    Raises AccessError for anything that names a path, NotFoundError for an unknown id, ConflictError for a song that is
    not finished, TooLargeError for more songs or a longer one than the limits allow.
    """
    _check_size(request, limits)
    if request.style is not None and _is_path(request.style, STYLE_SUFFIXES):
        _refuse("style", "a style by its file", "give the name of a shipped one")
    for index, choice in enumerate(request.adapters):
        _check_adapter(choice, f"adapters.{index}.name", adapters)
    source = source_of(request.task)
    changed: dict[str, Any] = {}
    if source is not None:
        taken = admit_audio(source, queue, uploads, field="task.source")
        changed["task"] = request.task.model_copy(update={"source": taken})
    if request.references:
        changed["references"] = tuple(
            admit_audio(ref, queue, uploads, field=f"references.{index}")
            for index, ref in enumerate(request.references)
        )
    return request.model_copy(update=changed) if changed else request


def admit_audio(ref: AudioRef, queue: JobQueue, uploads: Uploads, *, field: str) -> AudioRef:
    """A reference to audio with an id turned into a file of ours. `field` is the request's, for errors.

    Raises AccessError for a path, NotFoundError for an unknown id, ConflictError for a song that is not finished.
    """
    try:
        if ref.path is not None:
            _refuse(
                f"{field}.path", "audio by its path", "upload it and give the upload's id, or a song's, or a sha256"
            )
        if ref.upload is not None:
            return AudioRef(path=str(uploads.path(ref.upload)))
        if ref.song is not None:
            return AudioRef(path=str(_song(ref.song, queue)))
    except (NotFoundError, ConflictError) as error:
        error.field = f"{field}.{'upload' if ref.upload is not None else 'song'}"
        raise
    return ref


def _song(name: str, queue: JobQueue) -> Path:
    """The best file that is kept of a song, so that it is recognised as what it is and its latents are used."""
    job_id, _, index = name.partition("/")
    job = queue.job(job_id)
    at = int(index or 0)
    if at >= len(job.songs) and not job.is_over:
        raise ConflictError(f"The song {name} is not finished: its job is {job.state}.", value=name)
    if at >= len(job.songs):
        raise NotFoundError(f"There is no song {name}: its job made {len(job.songs)} and is {job.state}.", value=name)
    if job.songs[at].audio.endswith(_LOSSLESS):
        return queue.song_path(job_id, at)
    return queue.audio_as(job_id, at, "flac")


def _check_adapter(choice: AdapterChoice, field: str, folder: Path | None) -> None:
    name = choice.name
    if _is_path(name, ()) or name in (".", "..") or name.startswith("~"):
        _refuse(field, "an adapter by its path", "give the name of one in the server's folder of adapters")
    named = len(name.encode("utf-8", "replace")) <= _LONGEST_NAME  # of a longer one no file system can be asked
    if not named or folder is None or not any(has_adapter(folder / one) for one in (name, f"{name}.safetensors")):
        raise NotFoundError(
            f"There is no adapter {name[:60]!r} in the server's folder of adapters.", field=field, value=name
        )


def _check_size(request: SongRequest, limits: Limits) -> None:
    songs = request.count * request.best_of
    if songs > limits.songs:
        raise TooLargeError(
            f"{songs} songs were asked for (count times best_of), and this server makes at most {limits.songs} at "
            "once: ask for fewer.",
            field="count" if request.count > 1 else "best_of",
            value=songs,
        )
    for field, seconds in _asked_s(request).items():
        if seconds > limits.duration_s:
            raise TooLargeError(
                f"{seconds:g} s were asked for, and this server makes songs of at most {limits.duration_s:g} s: ask "
                "for a shorter one.",
                field=field,
                value=seconds,
            )


def _asked_s(request: SongRequest) -> dict[str, float]:
    """Every length that a request states, in seconds; what follows from a source is known once it is read."""
    task = request.task
    asked: dict[str, float] = {}
    if request.duration_s is not None:
        asked["duration_s"] = request.duration_s
    if request.plan is not None:
        asked["plan.duration_s"] = request.plan.duration_s
        asked["plan.codes"] = len(request.plan.codes or ()) / CODES_PER_S
    if isinstance(task, TextToMusic):
        asked["task.codes"] = len(task.codes or ()) / CODES_PER_S
    if isinstance(task, Extend):
        asked["task.right_s"] = task.left_s + task.right_s
    if isinstance(task, Outpaint):
        asked["task.end_s"] = task.end_s - task.start_s
    if isinstance(task, (Repaint, Lego)) and task.end_s is not None:
        asked["task.end_s"] = task.end_s
    return asked


def _is_path(name: str, suffixes: tuple[str, ...]) -> bool:
    return any(mark in name for mark in _SEPARATORS) or name.lower().endswith(suffixes)


def _refuse(field: str, what: str, instead: str) -> NoReturn:
    raise AccessError(
        f"{field} names {what}, and requests from the network name no files: {instead}.", known=True, field=field
    )


def shown(request: SongRequest) -> SongRequest:
    """A request as callers see it: of a path that a program on this machine named, no more than the last part."""
    source = source_of(request.task)
    changed: dict[str, Any] = {}
    if source is not None and source.path is not None:
        changed["task"] = request.task.model_copy(update={"source": _named(source)})
    if any(ref.path is not None for ref in request.references):
        changed["references"] = tuple(map(_named, request.references))
    return request.model_copy(update=changed) if changed else request


def _named(ref: AudioRef) -> AudioRef:
    return ref if ref.path is None else AudioRef(path=Path(ref.path).name or "file")
