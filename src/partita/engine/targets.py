"""Where a song's files go: names that are free, and refusals before any work is done. Writes nothing."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from partita.audio.formats import SUFFIX
from partita.errors import RequestError
from partita.song.resolve import ResolvedRequest


@dataclass(frozen=True, slots=True)
class Target:
    """Where one song is wanted. `midi` and `stems` default to names beside the audio."""

    audio: Path
    midi: Path | None = None
    stems: Path | None = None


def next_free(path: Path) -> Path:
    """`path`, or with -2, -3, ... before its suffix if a file of that name or its record exists."""
    free, number = path, 2
    while free.exists() or free.with_suffix(".json").exists():
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return free


def caption_name(caption: str, seed: int) -> str:
    """A file name without suffix from a caption in any script, and the seed."""
    plain = unicodedata.normalize("NFKD", caption).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].strip("-")
    return f"{words or 'song'}-{seed}"


def song_target(
    resolved: ResolvedRequest,
    seed: int,
    number: int,
    folder: Path,
    output: Path | None,
    midi: Path | None,
    stems: Path | None,
    *,
    name: str | None = None,
) -> Target:
    """The files of song `number` (from 0) of a request; from the second on, given names get -2, -3, ...

    Without a given name it is `folder`/NAME-SEED.SUFFIX, of `name` where there is one and else of the caption.
    """
    if output is None:
        stem = caption_name(name or resolved.caption or resolved.lyrics[:60], seed)
        audio = next_free(folder / f"{stem}{SUFFIX[resolved.output.format]}")
        return Target(audio, _numbered(midi, number), _numbered(stems, number))
    audio = _numbered(output, number)
    assert audio is not None
    return Target(audio, _numbered(midi, number), _numbered(stems, number))


def _numbered(path: Path | None, number: int) -> Path | None:
    return path if path is None or number == 0 else path.with_name(f"{path.stem}-{number + 1}{path.suffix}")


def check_target(output: Path, audio_format: str, count: int, overwrite: bool) -> None:
    """Refuse a name before any work is done. Raises RequestError for a wrong suffix, a folder, or an existing file."""
    if output.is_dir():
        raise RequestError(f"output {output} is a folder: name a file in it.", field="output", value=str(output))
    if output.suffix.lower() != SUFFIX[audio_format]:
        raise RequestError(
            f"output {output.name} does not end in {SUFFIX[audio_format]}, and the format is {audio_format}: "
            "change one of them.",
            field="output",
            value=str(output),
        )
    check_free(output, count, overwrite)
    check_free(output.with_suffix(".json"), count, overwrite)


def check_free(path: Path, count: int, overwrite: bool) -> None:
    """Refuse to write over what is there, unless `overwrite`: `path` and its numbered names up to `count`.

    A folder counts as taken where it holds anything. Raises RequestError.
    """
    for number in range(0 if overwrite else count):
        numbered = _numbered(path, number)
        if numbered is not None and numbered.exists() and not (numbered.is_dir() and not any(numbered.iterdir())):
            raise RequestError(
                f"output {numbered} exists: choose another name, or say --overwrite.",
                field="output",
                value=str(numbered),
            )
