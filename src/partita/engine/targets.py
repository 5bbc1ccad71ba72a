"""Where a song's files go: names that are free, and refusals before any work is done. Writes nothing."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from partita.audio.formats import SUFFIX
from partita.errors import RequestError
from partita.song.resolve import ResolvedOutput, ResolvedRequest


@dataclass(frozen=True, slots=True)
class Target:
    """Where one song is wanted. All but `audio` default to names beside the audio, where all else lies too."""

    audio: Path
    midi: Path | None = None
    stems: Path | None = None
    lrc: Path | None = None
    vtt: Path | None = None

    @property
    def record(self) -> Path:
        return self.audio.with_suffix(".json")

    @property
    def raw(self) -> Path:
        return self.audio.with_suffix(".raw.wav")

    @property
    def latents(self) -> Path:
        return self.audio.with_suffix(".latents.safetensors")

    @property
    def score(self) -> Path:
        return self.midi or self.audio.with_suffix(".mid")

    @property
    def tracks(self) -> Path:
        """The folder of the stems."""
        return self.stems or self.audio.with_suffix(".stems")

    @property
    def lyrics(self) -> Path:
        """The lines of the lyrics and their times, as LRC."""
        return self.lrc or self.audio.with_suffix(".lrc")

    @property
    def subtitles(self) -> Path:
        """The same as WebVTT."""
        return self.vtt or self.audio.with_suffix(".vtt")

    def paths(self, output: ResolvedOutput) -> tuple[Path, ...]:
        """All that is written for `output`, the song itself first."""
        wanted = (
            (True, self.audio),
            (True, self.record),
            (output.keep_raw, self.raw),
            (output.keep_latents, self.latents),
            (output.midi, self.score),
            (output.stems, self.tracks),
            (output.lrc, self.lyrics),
            (output.vtt, self.subtitles),
        )
        return tuple(path for is_wanted, path in wanted if is_wanted)

    def numbered(self, number: int) -> Target:
        """The same for song `number` (from 0) of a request: from the second on, names get -2, -3, ..."""
        if number == 0:
            return self
        return self.renamed(f"-{number + 1}")

    def renamed(self, ending: str) -> Target:
        """The same with `ending` behind the stem of every name."""
        audio, *given = (
            None if path is None else path.with_name(f"{path.stem}{ending}{path.suffix}")
            for path in (self.audio, *self._given)
        )
        assert audio is not None
        return Target(audio, *given)

    @property
    def _given(self) -> tuple[Path | None, ...]:
        return self.midi, self.stems, self.lrc, self.vtt


def next_free(path: Path) -> Path:
    """`path`, or with -2, -3, ... before its suffix if there is anything that a song of that name may bring along."""
    free, number = path, 2
    while any(one.exists() for one in _all_of(Target(free))):
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return free


def _all_of(target: Target) -> tuple[Path, ...]:
    return (
        *(target.audio, target.record, target.raw, target.latents, target.score, target.tracks),
        *(target.lyrics, target.subtitles),
    )


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
    midi: Path | None = None,
    stems: Path | None = None,
    *,
    lrc: Path | None = None,
    vtt: Path | None = None,
    name: str | None = None,
) -> Target:
    """The files of song `number` (from 0) of a request; from the second on, given names get -2, -3, ...

    Without a given name it is `folder`/NAME-SEED.SUFFIX, of `name` where there is one and else of the caption.
    """
    if output is not None:
        return Target(output, midi, stems, lrc, vtt).numbered(number)
    stem = caption_name(name or resolved.caption or resolved.lyrics[:60], seed)
    audio = next_free(folder / f"{stem}{SUFFIX[resolved.output.format]}")
    return replace(Target(audio, midi, stems, lrc, vtt).numbered(number), audio=audio)


def check_target(target: Target, output: ResolvedOutput, count: int, overwrite: bool) -> None:
    """Refuse names before any work is done: those of `target`, and its numbered ones for `count` songs.

    Raises RequestError for a wrong suffix, a folder, and, unless `overwrite`, for anything that would be written over.
    """
    audio = target.audio
    if audio.is_dir():
        raise RequestError(f"output {audio} is a folder: name a file in it.", field="output", value=str(audio))
    if audio.suffix.lower() != SUFFIX[output.format]:
        raise RequestError(
            f"output {audio.name} does not end in {SUFFIX[output.format]}, and the format is {output.format}: "
            "change one of them.",
            field="output",
            value=str(audio),
        )
    for number in range(0 if overwrite else count):
        for path in target.numbered(number).paths(output):
            check_free(path)


def check_beside(target: Target, count: int, overwrite: bool) -> None:
    """Refuse files of given names beside the audio that exist, unless `overwrite`; for songs whose own are free."""
    for number in range(0 if overwrite else count):
        for path in target.numbered(number)._given:
            if path is not None:
                check_free(path)


def check_free(path: Path) -> None:
    """Raises RequestError where there is something. A folder counts as taken where it holds anything."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise RequestError(
            f"output {path} exists: choose another name, or say --overwrite.", field="output", value=str(path)
        )
