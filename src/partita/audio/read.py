"""Any sound file as float32 samples: libsndfile for WAV, FLAC, Ogg and MP3, PyAV for the rest.

Does not resample or mix: a file's own rate and channels come back. Shapes are [N, C].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from partita.audio.av_codec import decode
from partita.audio.samples import check_samples, to_stereo
from partita.errors import AudioError

_BLOCK_FRAMES = 1 << 18
_SHORTFALL_S = 0.1  # MP3 and Ogg headers may be off by a codec frame


@dataclass(frozen=True)
class Audio:
    """Sound in memory. `samples` float32 [N, C], full scale ±1; a float file may hold more."""

    samples: np.ndarray
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate_hz

    def stereo(self) -> Audio:
        """The same sound in two channels; see `to_stereo`."""
        return Audio(to_stereo(self.samples), self.sample_rate_hz)


@dataclass(frozen=True)
class DurationLimits:
    """Shortest and longest audio that is of use, in seconds; none where there is no limit."""

    min_s: float | None = None
    max_s: float | None = None


def read(path: Path | str, *, limits: DurationLimits | None = None) -> Audio:
    """The sound of a file, at its own rate and with its own channels.

    Raises AudioError, with the path and what to do, where the file is missing, empty, forbidden, not audio, damaged,
    or outside `limits`. A file longer than `limits.max_s` is not decoded to its end.
    """
    path = Path(path)
    limits = limits or DurationLimits()
    check_readable(path)
    try:
        samples, rate = _decode_sndfile(path, limits.max_s)
    except soundfile.LibsndfileError:
        samples, rate = decode(path.absolute(), max_s=limits.max_s)
    _check_duration(path, len(samples) / rate, limits)
    try:
        return Audio(check_samples(samples), rate)
    except AudioError as error:
        raise AudioError(f"{path}: {error}", path=path) from None


def check_readable(path: Path) -> bytes:
    """The first 16 bytes of a file. Raises AudioError where it is missing, a folder, forbidden or empty."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise AudioError(f"There is no audio file {path}: check the path.", path=path) from None
    except IsADirectoryError:
        raise AudioError(f"{path} is a folder: give an audio file.", path=path) from None
    except PermissionError:
        reason = "is a folder: give an audio file" if path.is_dir() else "may not be read: check its permissions"
        raise AudioError(f"{path} {reason}.", path=path) from None
    except (OSError, ValueError) as error:
        raise AudioError(f"{path} cannot be opened ({error}): check the path.", path=path) from None
    if not head:
        raise AudioError(f"{path} is empty: its download or copy may have failed.", path=path)
    return head


def _decode_sndfile(path: Path, max_s: float | None) -> tuple[np.ndarray, int]:
    """Samples [N, C] and rate in Hz. Reads blocks, as the length that a damaged header gives cannot be allocated."""
    with soundfile.SoundFile(path) as file:
        rate, promised = file.samplerate, file.frames
        enough = promised if max_s is None else min(promised, int((max_s + 1) * rate))
        blocks: list[np.ndarray] = []
        frames = 0
        while frames < enough:
            try:
                block = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise _damaged(path, frames / rate, promised / rate, str(error)) from None
            if not len(block):
                break
            blocks.append(block)
            frames += len(block)
    if not frames:
        raise AudioError(f"{path} holds no samples: its header promises {promised / rate:.2f} s.", path=path)
    if frames < enough - _SHORTFALL_S * rate:
        raise _damaged(path, frames / rate, promised / rate, "the file ends early")
    return np.concatenate(blocks), rate


def _damaged(path: Path, read_s: float, promised_s: float, reason: str) -> AudioError:
    return AudioError(
        f"{path} is damaged ({reason}): {read_s:.2f} s of {promised_s:.2f} s could be read. Copy or download it again.",
        path=path,
    )


def _check_duration(path: Path, duration_s: float, limits: DurationLimits) -> None:
    if limits.min_s is not None and duration_s < limits.min_s:
        raise AudioError(
            f"{path} is {duration_s:.2f} s long and at least {limits.min_s:g} s are needed: give a longer file.",
            path=path,
        )
    if limits.max_s is not None and duration_s > limits.max_s:
        raise AudioError(
            f"{path} is longer than {limits.max_s:g} s, the most that is of use here: cut it first.", path=path
        )
