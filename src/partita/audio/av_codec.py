"""What needs PyAV: AAC in an MP4 container, and reading what libsndfile cannot. Imported lazily, as `av` is an extra.

Knows nothing of other formats. Frames are planar float32 [C, N] in PyAV and [N, C] here.
"""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import numpy as np

from partita.errors import AudioError

# Containers that hold media themselves. Playlists and the like, which name other files or addresses, stay shut.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,avi,caf,flac,flv,loas,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,mpc,mpc8,"
    "ogg,tta,wav,w64,wv"
)
_OPEN_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_AAC_FRAME = 1024


def require_av(what: str) -> ModuleType:
    """The `av` module. Raises AudioError, which says how to install it for `what`, where it is missing."""
    try:
        import av
    except ImportError:
        raise AudioError(f'{what} needs PyAV, which is not installed: pip install "partita[codecs]".') from None
    return av


def _reason(error: Exception) -> str:
    """FFmpeg's words without its error number, which says nothing to anyone."""
    return getattr(error, "strerror", None) or str(error)


def decode(path: Path, *, max_s: float | None = None) -> tuple[np.ndarray, int]:
    """First audio stream of `path` as float32 [N, C] and its sample rate in Hz, at most a second beyond `max_s`.

    Raises AudioError where PyAV is missing or there is no audio in the file.
    """
    av = require_av(f"{path.name} is not WAV, FLAC, MP3 or Ogg; reading it")
    blocks: list[np.ndarray] = []
    try:
        with av.open(f"file:{path}", options=dict(_OPEN_OPTIONS), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise AudioError(f"{path} holds no audio: give a file with a sound track.", path=path)
            stream = container.streams.audio[0]
            rate = stream.codec_context.sample_rate if stream.codec_context else 0
            if not rate:
                raise AudioError(f"{path} holds audio of a kind that cannot be decoded: convert it to FLAC.", path=path)
            to_float = av.AudioResampler(format="fltp", layout=stream.codec_context.layout, rate=rate)
            frames = 0
            for frame in container.decode(stream):
                for piece in to_float.resample(frame):
                    blocks.append(piece.to_ndarray().T)
                    frames += piece.samples
                if max_s is not None and frames > (max_s + 1) * rate:
                    break
            else:
                blocks.extend(piece.to_ndarray().T for piece in to_float.resample(None))
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(
            f"{path} is not audio that can be read ({_reason(error)}): give WAV, FLAC, MP3, Ogg, Opus or M4A.",
            path=path,
        ) from None
    if not blocks:
        raise AudioError(f"{path} holds an audio track without a single sample.", path=path)
    return np.concatenate(blocks), rate


def told_duration_s(path: Path) -> float | None:
    """Length in seconds as the container tells it, or none where it does not. Raises AudioError as `decode` does."""
    av = require_av(f"{path.name} is not WAV, FLAC, MP3 or Ogg; reading it")
    try:
        with av.open(f"file:{path}", options=dict(_OPEN_OPTIONS), metadata_errors="replace") as container:
            return None if container.duration is None else container.duration / av.time_base
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(f"{path} is not audio that can be read ({_reason(error)}).", path=path) from None


def encode_aac(samples: np.ndarray, sample_rate_hz: int, bitrate_kbps: int, tags: dict[str, str]) -> bytes:
    """AAC-LC in an MP4 container. `samples` [N, C] float32 within [-1, 1]; `tags` by FFmpeg's names for MP4.

    The index lies behind the audio, so that atoms may be appended to the tags. Raises AudioError where PyAV is missing.
    """
    av = require_av("Writing AAC")
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    out = io.BytesIO()
    with av.open(out, "w", format="ipod", options={"fflags": "+bitexact"}) as container:
        container.metadata.update(tags)
        stream = container.add_stream("aac", rate=sample_rate_hz, layout=layout, bit_rate=bitrate_kbps * 1000)
        for start in range(0, len(samples), _AAC_FRAME):
            planes = np.ascontiguousarray(samples[start : start + _AAC_FRAME].T)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
            frame.sample_rate = sample_rate_hz
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def read_metadata(path: Path) -> dict[str, str]:
    """The container's tags and the first audio stream's, by FFmpeg's names. Raises AudioError as `decode` does."""
    av = require_av(f"Reading the tags of {path.name}")
    try:
        with av.open(f"file:{path}", options=dict(_OPEN_OPTIONS), metadata_errors="replace") as container:
            streams = container.streams.audio
            return {**(streams[0].metadata if streams else {}), **container.metadata}
    except (av.FFmpegError, ValueError) as error:
        raise AudioError(f"{path} is not audio whose tags can be read ({_reason(error)}).", path=path) from None
