"""Puts a finished song on disk so that nothing of it can be lost: latents and a lossless file first, then the rest.

Knows no network. A folder that cannot be written sends the song to the user's own folder, and the error says where.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import save_file

from partita.audio.tags import RECORD_TAG
from partita.audio.write import write
from partita.engine.song import Song
from partita.engine.targets import Target, caption_name, next_free
from partita.errors import AudioError, SaveError
from partita.score.midi import write_midi
from partita.settings import Settings
from partita.text.subtitles import TimedLine, lrc, webvtt


@dataclass(frozen=True, slots=True)
class Saved:
    """Every file of one song."""

    audio: Path
    record: Path
    raw: Path | None = None
    latents: Path | None = None
    midi: Path | None = None
    stems: tuple[Path, ...] = ()
    lrc: Path | None = None
    vtt: Path | None = None

    def paths(self) -> tuple[Path, ...]:
        """All of them, the song itself first."""
        named = (self.audio, self.record, self.raw, self.latents, self.midi, self.lrc, self.vtt)
        return (*(path for path in named if path is not None), *self.stems)


def save(song: Song, target: Target, settings: Settings) -> Saved:
    """Write the song and all that its request asks for.

    Where the wanted folder refuses (missing rights, full disk), or a lossy encoder fails, the song is written lossless
    to `settings.kept`, else to the system's temporary folder, and SaveError says where.
    """
    try:
        return _write_all(song, target)
    except (OSError, AudioError) as error:
        kept = keep_elsewhere(song, target.audio.stem, settings)
        where = (
            f"The song is kept in {kept}." if kept else "No other folder took it either; it is lost with this process."
        )
        raise SaveError(
            f"{target.audio} could not be written: {_reason(error)}. {where}", path=target.audio, kept_at=kept
        ) from error


def _write_all(song: Song, target: Target) -> Saved:
    output, path = song.record.request.output, target.audio
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = Saved(audio=path, record=target.record)
    if output.keep_latents and song.latents is not None:
        tensors = {"latents": song.latents}
        family = {"family": song.origin.family} if song.origin is not None else None
        saved = replace(saved, latents=target.latents)
        _whole(target.latents, lambda partial: save_file(tensors, partial, family))
    safety = None
    if output.format not in ("wav", "flac"):
        safety = next_free(path.with_suffix(".lossless.flac"))
        _write_audio(song, safety, "flac", 24, None)
    _write_audio(song, path, output.format, output.bit_depth, output.bitrate_kbps)
    if safety is not None:
        safety.unlink(missing_ok=True)
    text = song.record.model_dump_json(indent=2)
    _whole(saved.record, lambda partial: partial.write_text(text, encoding="utf-8"))
    if output.keep_raw:
        saved = replace(saved, raw=target.raw)
        write(target.raw, song.raw_audio, song.sample_rate_hz, format="wav", bit_depth=32, bitrate_kbps=None, tags={})
    if output.midi and song.score is not None:
        score = song.score
        saved = replace(saved, midi=target.score)
        target.score.parent.mkdir(parents=True, exist_ok=True)
        _whole(target.score, lambda partial: write_midi(score, partial))
    if song.stems:
        folder = target.tracks
        folder.mkdir(parents=True, exist_ok=True)
        stems = []
        for role, audio in song.stems.items():
            stems.append(folder / f"{role}.wav")
            write(stems[-1], audio, song.sample_rate_hz, format="wav", bit_depth=32, bitrate_kbps=None, tags={})
        saved = replace(saved, stems=tuple(stems))
    if song.sung is not None:
        lines = song.sung.lines
        if output.lrc:
            saved = replace(saved, lrc=write_lrc(target.lyrics, lines))
        if output.vtt:
            saved = replace(saved, vtt=write_vtt(target.subtitles, lines, song.duration_s))
    return saved


def write_lrc(path: Path, lines: Sequence[TimedLine]) -> Path:
    """Write timed lines as LRC, the whole file or none of it. Raises OSError where the disk refuses."""
    return _write_text(path, lrc(lines) + "\n")


def write_vtt(path: Path, lines: Sequence[TimedLine], duration_s: float) -> Path:
    """Write timed lines of a song of this length as WebVTT. Raises OSError where the disk refuses."""
    return _write_text(path, webvtt(lines, duration_s))


def _write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _whole(path, lambda partial: partial.write_text(text, encoding="utf-8", newline="\n"))
    return path


def _write_audio(song: Song, path: Path, audio_format: str, bit_depth: int | None, bitrate_kbps: int | None) -> None:
    write(
        path,
        song.audio,
        song.sample_rate_hz,
        format=audio_format,
        bit_depth=bit_depth,
        bitrate_kbps=bitrate_kbps,
        tags=song_tags(song),
    )


def song_tags(song: Song) -> dict[str, str]:
    """Tags for players, and the whole record for `partita replay`."""
    plan = song.record.plan
    tags = {"title": plan.caption[:80] or "Untitled", "artist": "Partita", "description": plan.caption}
    if plan.bpm is not None:
        tags["bpm"] = str(plan.bpm)
    if plan.key is not None:
        tags["key"] = plan.key
    if not song.record.request.instrumental:
        tags["lyrics"] = plan.lyrics
    return tags | {RECORD_TAG: song.record.model_dump_json()}


def _whole(path: Path, write_to: Callable[[Path], object]) -> None:
    """Write a file whole or not at all: beside its place first, then moved there."""
    partial = path.with_name(f".{path.name}.part")
    try:
        write_to(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def keep_elsewhere(song: Song, name: str, settings: Settings) -> Path | None:
    """Write the song lossless to the user's own folder of such songs, else to the system's temporary one, and say
    where; none where neither takes it. Its name begins with `name`."""
    for folder in (settings.kept, Path(tempfile.gettempdir()) / "partita-kept"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = next_free(folder / f"{caption_name(name, song.record.seed)}.flac")
            _write_audio(song, path, "flac", 24, None)
        except (OSError, AudioError):
            continue
        return path
    return None


def _reason(error: OSError | AudioError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error).rstrip(".")
