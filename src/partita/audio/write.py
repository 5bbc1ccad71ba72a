"""A sound file on disk: whole or not at all. What its bytes are is `encode`'s business."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from partita.audio.encode import encode
from partita.audio.samples import check_samples
from partita.audio.tags import tidy_tags
from partita.errors import AudioError

_MAX_NAME_BYTES = 255


@dataclass(frozen=True)
class Written:
    """What became of a `write`. `clipped` counts samples beyond full scale; `kbps` is the mean rate without tags."""

    path: Path
    frames: int
    clipped: int
    size_bytes: int
    kbps: float


def write(
    path: Path | str,
    samples: np.ndarray,
    sample_rate_hz: int = 48_000,
    *,
    format: str,
    bit_depth: int | None = None,
    bitrate_kbps: int | None = None,
    tags: dict[str, str] | None = None,
    dither_seed: int | None = None,
) -> Written:
    """Write `samples` [N, 2] (or [N, 1], [N]) float32 as `format`: wav, flac, mp3, ogg, opus or aac (MP4 container).

    `bit_depth` is 16, 24 (the default) or, for wav, 32 (float); `bitrate_kbps` is for the lossy formats. Values beyond
    ±1 are clipped and counted, except in float. The file appears under its name only when it is whole.
    Raises AudioError where the format cannot do what was asked or the disk does not take it; then nothing is left.
    """
    path = Path(path)
    array = check_samples(samples, max_channels=2)
    encoded = encode(
        array,
        sample_rate_hz,
        format=format,
        bit_depth=bit_depth,
        bitrate_kbps=bitrate_kbps,
        tags=tidy_tags(tags or {}),
        dither_seed=dither_seed,
    )
    write_atomically(path, encoded.buffers)
    return Written(
        path=path,
        frames=len(array),
        clipped=encoded.clipped,
        size_bytes=sum(len(buffer) for buffer in encoded.buffers),
        kbps=encoded.audio_bytes * 8 * sample_rate_hz / len(array) / 1000,
    )


def write_atomically(path: Path, buffers: list[bytes | memoryview]) -> None:
    """Write `buffers` to `.NAME.part` in the same folder, make it durable, and give it its name.

    Raises AudioError where the disk is full or the folder is missing or not writable. The partial file is removed
    on every failure, an interrupt included.
    """
    part = _part_path(path)
    try:
        try:
            with part.open("wb") as file:
                for buffer in buffers:
                    file.write(buffer)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise AudioError(_disk_message(path, error), path=path) from error


def _part_path(path: Path) -> Path:
    name = path.name
    while len(f".{name}.part".encode()) > _MAX_NAME_BYTES and len(path.name.encode()) <= _MAX_NAME_BYTES:
        name = name[1:]
    return path.with_name(f".{name}.part") if name else path / ".part"


def _disk_message(path: Path, error: OSError | ValueError) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOSPC, errno.EDQUOT):
        return f"{path} could not be written: the disk is full. Free some space or choose another folder."
    if path.is_dir():
        return f"{path} could not be written: it is a folder. Give a file name."
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path} could not be written: {path.parent} does not allow it. Choose another folder."
    if code == errno.ENOENT:
        return f"{path} could not be written: the folder {path.parent} does not exist. Make it first."
    return f"{path} could not be written ({error}). Choose another name or folder."
