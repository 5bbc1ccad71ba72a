"""Keeps what songs are made from: sources as 48 kHz stereo by the hash of their samples, latents by theirs, and of
every finished song its latents and how it sounds.

Where a file given as source is a song of Partita's and unaltered, its latents are found here. Files are written whole
or not at all, and nothing is ever changed. Imports no torch, so that bad input can be refused before it is loaded.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from partita.audio.read import DurationLimits, read
from partita.audio.resample import resample
from partita.audio.samples import check_samples, samples_sha256, to_stereo
from partita.audio.tags import read_record
from partita.audio.write import write_atomically
from partita.engine.likeness import MOST_LONGER_FRAMES, MOST_SHORTER_FRAMES, difference, envelope, level_db
from partita.errors import AudioError, ModelError, ReplayError, RequestError, ResourceError
from partita.song.card import Family
from partita.song.record import Record
from partita.song.source import (
    GRIDS,
    LONGEST_SOURCE_S,
    SAMPLE_RATE_HZ,
    SHORTEST_SOURCE_S,
    SILENT_BELOW,
    AudioRef,
    SongOrigin,
    SourceFacts,
    grid_of_channels,
)
from partita.weights.headers import read_header

if TYPE_CHECKING:
    from partita.engine.song import Song
    from partita.render.protocol import SourceData

_WIDTHS = " or ".join(str(channels) for channels in sorted({grid.channels for grid in GRIDS.values()}))
_LATENT_FORMATS = ("F32", "F16", "F64")
_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sII4sI")  # 56 bytes: the samples behind it are aligned in a memory map
_SAMPLE_BYTES = 8
_LOSSLESS = (".wav", ".flac", ".aif", ".aiff")
_INAUDIBLE_DB = 0.05


def _say_nothing(note: str) -> None:
    """For callers who want the facts alone."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptSong:
    """What is kept of a finished song. `latents` float32 `[T, 64]`; `heard` is the envelope of its audio."""

    origin: SongOrigin
    frames: int
    latents: np.ndarray
    heard: np.ndarray


@dataclass(frozen=True, slots=True)
class _Link:
    """A source is the song `name` (the hash of its samples), at `level_db` above it."""

    name: str
    level_db: float = 0.0


class Archive:
    """A folder of sources and of latents, which is made when first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(
        self, ref: AudioRef, field: str = "task.source", *, tell: Callable[[str], None] = _say_nothing
    ) -> SourceFacts:
        """Take in a file, or find what is kept, and say what is known of it. `field` is the request's, for errors.

        Any rate, one or more channels, 0.1 to 600 s; what is kept is 48 kHz stereo and not clipped. A `.safetensors`
        with `latents` `[T, D]` is a source without audio. `tell` gets a sentence where a file says that it is a song
        of Partita's and cannot be used as one. Raises AudioError for a file that is missing, silent, too short or too
        long, or no audio; RequestError where a hash is not kept here.
        """
        if ref.sha256 is not None:
            return self._find(ref.sha256, field)
        if ref.path is None:
            raise RequestError(
                f"{field} names an upload or a song of a server, which are known there alone: give a file or a sha256.",
                field=field,
                value=ref.upload or ref.song,
            )
        path = Path(cast("str", ref.path)).expanduser()
        if path.suffix.lower() == ".safetensors":
            latents, family = _read_latents(path)
            return self._put_latents(latents, family)
        limits = DurationLimits(SHORTEST_SOURCE_S, LONGEST_SOURCE_S + MOST_LONGER_FRAMES / SAMPLE_RATE_HZ)
        audio = read(path, limits=limits)
        samples, rate = to_stereo(audio.samples), audio.sample_rate_hz
        del audio
        samples = resample(samples, rate, SAMPLE_RATE_HZ)
        song = self._recognise(path, samples, tell)
        if song is not None:
            frames = self._song(song.name).frames
            samples = np.pad(samples, ((0, max(0, frames - len(samples))), (0, 0)))[:frames]
        return self._put_audio(samples, str(path), song, path)

    def hold(self, samples: np.ndarray, sample_rate_hz: int) -> AudioRef:
        """Keep samples `[N, 1 or 2]` or `[N]`, float within ±1, at any rate. Raises AudioError as `take` does."""
        stereo = to_stereo(check_samples(samples, max_channels=2))
        facts = self._put_audio(resample(stereo, sample_rate_hz, SAMPLE_RATE_HZ), "The audio", None, None)
        return AudioRef(sha256=facts.sha256)

    def hold_latents(self, latents: np.ndarray, family: Family | None = None) -> AudioRef:
        """Keep latents `[T, 64]`, of the model family where that is known. Raises AudioError where they are none."""
        return AudioRef(sha256=self._put_latents(_checked_latents(latents, "The latents", None), family).sha256)

    def hold_song(self, song: Song) -> AudioRef:
        """Keep a finished song, so that it can be edited without a loss: its audio and its latents."""
        if song.latents is not None and song.origin is not None:
            self.keep_song(song.record.audio_sha256, song.origin, song.latents.numpy(), song.audio)
        return AudioRef(sha256=self._put_audio(song.audio, "The song", None, None).sha256)

    def keep_song(self, audio_sha256: str, origin: SongOrigin, latents: np.ndarray, audio: np.ndarray) -> None:
        """Keep the latents `[T, 64]` of a finished song, and how its audio `[N, 2]` sounds.

        Raises AudioError or ResourceError where the disk does not take them.
        """
        path = self._song_path(audio_sha256)
        if not path.exists():
            tensors = {"latents": np.ascontiguousarray(latents, np.float32), "heard": envelope(audio)}
            self._write(path, [save(tensors, {"origin": origin.model_dump_json(), "frames": str(len(audio))})])

    def data(self, facts: SourceFacts, family: Family) -> SourceData:
        """What a source holds, for a renderer of `family`. Audio is mapped into memory, and a change to it kept there.

        Raises AudioError where it is no longer kept, RequestError for latents of another family.
        """
        from partita.render.protocol import SourceData  # it imports torch

        if facts.latents_only:
            self.check_family(facts, family)
            return SourceData(facts, None, _read_latents(self._latents_path(facts.sha256))[0])
        self._find(facts.sha256, "task.source")
        path = self._audio_path(facts.sha256)
        audio = np.memmap(path, "<f4", "c", _HEAD.size, (facts.samples, 2))
        latents = None
        if facts.song is not None and facts.song.family == family:
            song = self._link(facts.sha256).name
            if not self._song_path(song).exists():
                raise AudioError(
                    f"The latents of the song {song} are no longer kept in {self.folder}: make the song again, or give "
                    "its audio as any other audio.",
                    path=self._song_path(song),
                )
            latents = self._song(song).latents[: GRIDS[family].around(facts.samples)]
        return SourceData(facts, audio, latents)

    def check_family(self, facts: SourceFacts, family: Family, field: str = "task.source") -> None:
        """Raises RequestError where the source is latents alone and of another family, or of another's width."""
        if not facts.latents_only:
            return
        latents, own = _read_latents(self._latents_path(facts.sha256))
        if (own or family) != family or latents.shape[1] != GRIDS[family].channels:
            whose = own or f"another family, with {latents.shape[1]} channels"
            raise RequestError(
                f"{field} is latents of {whose}, which {family} cannot read: give the audio, or use a model of that "
                "family.",
                field=field,
                value=facts.sha256,
            )

    def song_in(self, path: Path, *, tell: Callable[[str], None] = _say_nothing) -> tuple[Record, np.ndarray, bool]:
        """The record that a sound file carries, its samples `[N, 2]` at 48 kHz, and whether these are still the song
        and its latents are kept; `tell` gets a sentence where not.

        Raises AudioError where the file cannot be read, ReplayError where it carries no record.
        """
        audio = read(path)
        samples = resample(to_stereo(audio.samples), audio.sample_rate_hz, SAMPLE_RATE_HZ)
        record = _record_of(path, tell)
        if record is None:
            raise ReplayError(f"{path} carries no record: it was not made by Partita, or its tags were removed.")
        unaltered = self._recognise(path, samples, tell) is not None
        return record, samples[: record.frames], unaltered

    def latents_of(self, audio_sha256: str) -> np.ndarray | None:
        """Latents float32 `[T, 64]` of the song whose samples have this hash, where they are kept."""
        return self._song(audio_sha256).latents if self._song_path(audio_sha256).exists() else None

    def forget(self, sha256: str) -> str | None:
        """Keep no more what has this hash: a source, latents, or the latents of the song with these samples.

        A song's latents stay while a source that is this song is kept. Returns the name of the song that a source was.
        """
        link = self._link(sha256)
        for path in (self._audio_path(sha256), self._link_path(sha256), self._latents_path(sha256)):
            path.unlink(missing_ok=True)
        others = (path.stem for path in (self.folder / "audio").glob("*.song"))
        if not any(self._link(other).name == sha256 for other in others):
            self._song_path(sha256).unlink(missing_ok=True)
        return None if link.name == sha256 else link.name

    def _find(self, sha256: str, field: str) -> SourceFacts:
        path = self._audio_path(sha256)
        if path.exists():
            samples, rest = divmod(path.stat().st_size - _HEAD.size, _SAMPLE_BYTES)
            if samples <= 0 or rest or not _is_kept_wav(path, samples):
                raise AudioError(f"{path} is damaged: delete it and take the source in again.", path=path)
            return SourceFacts(sha256=sha256, samples=samples, song=self._origin_of(sha256))
        path = self._latents_path(sha256)
        if path.exists():
            return SourceFacts(sha256=sha256, samples=_samples_of(_read_latents(path)[0]), latents_only=True)
        raise RequestError(
            f"{field}: {self.folder} keeps no source {sha256}: give the file itself, which keeps it again.",
            field=f"{field}.sha256",
            value=sha256,
        )

    def _link(self, sha256: str) -> _Link:
        """Which song a source holds. A source that is a song's very samples is known by its name."""
        path = self._link_path(sha256)
        return _Link(**json.loads(path.read_text("ascii"))) if path.exists() else _Link(sha256)

    def _origin_of(self, sha256: str) -> SongOrigin | None:
        link = self._link(sha256)
        if not self._song_path(link.name).exists():
            return None
        origin = self._song(link.name).origin
        return origin.model_copy(update={"gain_db": origin.gain_db + link.level_db})

    def _recognise(self, path: Path, samples: np.ndarray, tell: Callable[[str], None]) -> _Link | None:
        """The song that the file holds unaltered, or none."""
        record = _record_of(path, tell)
        if record is None:
            return None
        name, other = record.audio_sha256, "It is used as any other audio."
        if not self._song_path(name).exists():
            tell(f"{path.name} is a song of Partita's, and its latents are not kept on this machine. {other}")
            return None
        kept = self._song(name)
        more = len(samples) - kept.frames
        altered, heard = None, kept.heard
        if not -MOST_SHORTER_FRAMES <= more <= MOST_LONGER_FRAMES:
            altered = f"it is {abs(more) / SAMPLE_RATE_HZ:.2f} s {'longer' if more > 0 else 'shorter'}"
        else:
            heard = _fitted(envelope(samples[: kept.frames]), len(kept.heard))
            altered = difference(kept.heard, heard, lossless=path.suffix.lower() in _LOSSLESS)
        if altered is not None:
            tell(f"{path.name} carries the record of a song of Partita's and was altered ({altered}). {other}")
            return None
        # LAME turns down what it encodes.
        level = round(level_db(kept.heard, heard), 2)
        return _Link(name, level if abs(level) > _INAUDIBLE_DB else 0.0)

    def _put_audio(self, samples: np.ndarray, name: str, song: _Link | None, path: Path | None) -> SourceFacts:
        duration_s = len(samples) / SAMPLE_RATE_HZ
        if not SHORTEST_SOURCE_S <= duration_s <= LONGEST_SOURCE_S:
            raise AudioError(
                f"{name} is {duration_s:.3f} s long, and {SHORTEST_SOURCE_S:g} to {LONGEST_SOURCE_S:g} s can be used.",
                path=path,
            )
        if max(float(samples.max()), -float(samples.min())) < SILENT_BELOW:
            raise AudioError(
                f"{name} is silent: every sample is under {SILENT_BELOW:g} of full scale. Give audio that can be "
                "heard, or make a song from words alone.",
                path=path,
            )
        sha256 = samples_sha256(samples)
        target = self._audio_path(sha256)
        if not target.exists():
            body = np.ascontiguousarray(samples, "<f4")
            self._write(target, [_wav_head(len(samples)), body.data.cast("B")])
        if song is not None and song.name != sha256:
            self._write(self._link_path(sha256), [json.dumps(asdict(song)).encode("ascii")])
        return SourceFacts(sha256=sha256, samples=len(samples), song=self._origin_of(sha256))

    def _put_latents(self, latents: np.ndarray, family: Family | None) -> SourceFacts:
        sha256 = samples_sha256(latents)
        path = self._latents_path(sha256)
        if not path.exists():
            self._write(path, [save({"latents": latents}, {"family": family} if family else None)])
        return SourceFacts(sha256=sha256, samples=_samples_of(latents), latents_only=True)

    def _song(self, name: str) -> KeptSong:
        path = self._song_path(name)
        try:
            with safe_open(path, framework="numpy") as file:
                said = file.metadata() or {}
                return KeptSong(
                    origin=SongOrigin.model_validate_json(said["origin"]),
                    frames=int(said["frames"]),
                    latents=file.get_tensor("latents"),
                    heard=file.get_tensor("heard"),
                )
        except (SafetensorError, KeyError, ValueError) as error:
            raise AudioError(
                f"{path} is damaged ({error}): delete it; its song is then any other audio.", path=path
            ) from None

    def _write(self, path: Path, buffers: list[bytes | memoryview]) -> None:
        """Names say what is in a file, so what another process has written meanwhile is not written again."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):
                if not path.exists():
                    write_atomically(path, buffers)
        except OSError as error:
            raise ResourceError(
                f"{self.folder} cannot be written to ({error.strerror}): make room, or set PARTITA_DATA to a folder "
                "that can be."
            ) from error

    def _audio_path(self, sha256: str) -> Path:
        return self.folder / "audio" / f"{sha256}.wav"

    def _link_path(self, sha256: str) -> Path:
        return self.folder / "audio" / f"{sha256}.song"

    def _latents_path(self, sha256: str) -> Path:
        return self.folder / "latents" / f"{sha256}.safetensors"

    def _song_path(self, name: str) -> Path:
        return self.folder / "songs" / f"{name}.safetensors"


def _wav_head(frames: int) -> bytes:
    """Head of a 32-bit float WAV of `frames` at 48 kHz, with the `fact` chunk that float formats have."""
    body = frames * _SAMPLE_BYTES
    return _HEAD.pack(
        b"RIFF", _HEAD.size - 8 + body, b"WAVE",
        b"fmt ", 16, 3, 2, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ * _SAMPLE_BYTES, _SAMPLE_BYTES, 32,
        b"fact", 4, frames, b"data", body,
    )  # fmt: skip


def _is_kept_wav(path: Path, frames: int) -> bool:
    with path.open("rb") as file:
        return file.read(_HEAD.size) == _wav_head(frames)


def _fitted(heard: np.ndarray, frames: int) -> np.ndarray:
    return np.pad(heard, ((0, max(0, frames - len(heard))), (0, 0), (0, 0)))[:frames]


def _record_of(path: Path, tell: Callable[[str], None]) -> Record | None:
    """The record in the file's tags, else the one beside it."""
    try:
        text = read_record(path)
    except AudioError as error:
        tell(f"{error} It is used as audio without a record.")
        return None
    beside = path.with_suffix(".json")
    if text is None and beside.is_file():
        text = beside.read_text("utf-8", errors="replace")
        text = text if '"record_version"' in text else None
    if text is None:
        return None
    try:
        return Record.from_json(text)
    except ReplayError as error:
        tell(f"{path.name} carries a record that cannot be read. {error} It is used as any other audio.")
        return None


def _read_latents(path: Path) -> tuple[np.ndarray, Family | None]:
    """Latents float32 `[T, D]` and their family, where the file names it. Raises AudioError."""
    if not path.exists():
        raise AudioError(f"There is no file {path}: check the path.", path=path)
    try:
        info = read_header(path).tensors.get("latents")
        if info is None or info.dtype not in _LATENT_FORMATS:
            raise AudioError(
                f"{path} holds no latents that can be used: a tensor `latents` [T, {_WIDTHS}] of "
                f"{' or '.join(_LATENT_FORMATS)} is needed.",
                path=path,
            )
        with safe_open(path, framework="numpy") as file:
            family = (file.metadata() or {}).get("family")
            latents = file.get_tensor("latents")
    except (ModelError, SafetensorError) as error:
        raise AudioError(f"{path} cannot be read as latents: {error}", path=path) from None
    return _checked_latents(latents, str(path), path), cast("Family | None", family)


def _samples_of(latents: np.ndarray) -> int:
    """Length in samples of what latents `[T, D]` of a known width decode to."""
    grid = grid_of_channels(latents.shape[1])
    assert grid is not None  # what has another width was refused
    return grid.samples(len(latents))


def _checked_latents(latents: Any, name: str, path: Path | None) -> np.ndarray:
    array = np.asarray(latents)
    if array.ndim != 2 or grid_of_channels(array.shape[1]) is None or array.dtype.kind != "f":
        raise AudioError(
            f"{name} should be floats [T, {_WIDTHS}], frame by frame; got {array.dtype} {array.shape}.", path=path
        )
    duration_s = _samples_of(array) / SAMPLE_RATE_HZ
    if not SHORTEST_SOURCE_S <= duration_s <= LONGEST_SOURCE_S:
        raise AudioError(
            f"{name}: {len(array)} frames of latents are {duration_s:.2f} s, and {SHORTEST_SOURCE_S:g} to "
            f"{LONGEST_SOURCE_S:g} s can be used.",
            path=path,
        )
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise AudioError(f"{name}: the latents hold numbers that are NaN or infinite.", path=path)
    return array
