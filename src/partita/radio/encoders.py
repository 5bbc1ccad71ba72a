"""Sound as an endless MP3 or Ogg Opus stream, made block by block with libsndfile, in pieces that can be joined at.

A piece is whole MP3 frames, or whole Ogg pages. Knows no network. MP3 holds its first frame, which is about a file and
not a stream, back; an Opus stream begins with pages (`header`) that every listener needs first.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import soundfile

from partita.audio.formats import BITRATES_KBPS
from partita.errors import RequestError
from partita.radio.mix import RATE_HZ

StreamFormat = Literal["mp3", "opus"]
MEDIA_TYPES: dict[StreamFormat, str] = {"mp3": "audio/mpeg", "opus": "audio/ogg; codecs=opus"}
DEFAULT_KBPS: dict[StreamFormat, int] = {"mp3": 192, "opus": 128}
MP3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)

# libsndfile 1.2 maps compression level 1..0 in a straight line to these bits a second.
_MP3_SPAN_BPS = (32_000, 320_000)
_OPUS_SPAN_BPS = (12_000, 512_000)
_MP3_SAMPLES = 1152
_OGG_PAGE = struct.Struct("<4sBBqIIIB")
_OGG_HEADERS = 2


class Encoder(Protocol):
    """Takes blocks [n, 2] float32 at 48 kHz and gives the whole pieces that are ready."""

    header: bytes

    def feed(self, block: np.ndarray) -> bytes: ...

    def close(self) -> None: ...


class _Sink(io.RawIOBase):
    """What libsndfile writes, to be taken away. It can go back in a file only where nothing was taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = bytearray()
        self._taken = self._at = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: bytes | memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        data = bytes(data)
        end = self._taken + len(self._kept)
        if self._at == end:
            self._kept += data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        base = (0, self._at, self._taken + len(self._kept))[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def take(self, size: int) -> bytes:
        taken = bytes(self._kept[:size])
        del self._kept[:size]
        self._taken += size
        return taken

    @property
    def kept(self) -> bytearray:
        return self._kept


@dataclass(frozen=True, slots=True)
class _Settings:
    container: str
    subtype: str
    span_bps: tuple[int, int]
    more: dict[str, str]


class _Sndfile:
    """What both encoders share: libsndfile, writing to memory."""

    def __init__(self, settings: _Settings, kbps: int) -> None:
        low, high = settings.span_bps
        self._sink = _Sink()
        self._file = soundfile.SoundFile(
            self._sink,  # pyright: ignore[reportArgumentType]
            "w",
            RATE_HZ,
            2,
            settings.subtype,
            format=settings.container,
            compression_level=min(max((high - kbps * 1000) / (high - low), 0.0), 1.0),
            **settings.more,  # pyright: ignore[reportArgumentType]
        )

    def _write(self, block: np.ndarray) -> None:
        self._file.write(np.clip(block, -1.0, 1.0))

    def close(self) -> None:
        """Let go of the encoder; what it holds back is lost."""
        self._file.close()


class Mp3Encoder(_Sndfile):
    """Constant bit rate. Every frame at 48 kHz is of one size, so that the stream can be cut between any two."""

    def __init__(self, kbps: int) -> None:
        super().__init__(_Settings("MP3", "MPEG_LAYER_III", _MP3_SPAN_BPS, {"bitrate_mode": "CONSTANT"}), kbps)
        self.header = b""
        self._frame_bytes = kbps * 1000 // 8 * _MP3_SAMPLES // RATE_HZ
        self._begun = False

    def feed(self, block: np.ndarray) -> bytes:
        """Whole frames that are ready."""
        self._write(block)
        whole = self._sink.take(len(self._sink.kept) // self._frame_bytes * self._frame_bytes)
        if whole and not self._begun:
            self._begun = True
            return whole[self._frame_bytes :]
        return whole


class OpusEncoder(_Sndfile):
    """Ogg Opus, a page a second."""

    def __init__(self, kbps: int) -> None:
        super().__init__(_Settings("OGG", "OPUS", _OPUS_SPAN_BPS, {}), kbps)
        self.header = b""
        self._headers = 0

    def feed(self, block: np.ndarray) -> bytes:
        """Whole pages that are ready, without the header's."""
        self._write(block)
        while self._headers < _OGG_HEADERS and (size := _page_size(self._sink.kept)):
            self.header += self._sink.take(size)
            self._headers += 1
        pages = b""
        while self._headers == _OGG_HEADERS and (size := _page_size(self._sink.kept)):
            pages += self._sink.take(size)
        return pages


def open_encoder(name: StreamFormat, kbps: int | None = None) -> Encoder:
    """An encoder at `kbps`, else the usual rate. Raises RequestError for a rate that the format does not have."""
    kbps = kbps or DEFAULT_KBPS[name]
    low, high = BITRATES_KBPS[name]
    if not low <= kbps <= high or (name == "mp3" and kbps not in MP3_KBPS):
        usable = ", ".join(map(str, MP3_KBPS)) if name == "mp3" else f"{low} to {high}"
        raise RequestError(
            f"A stream of {kbps} kbit/s was asked for, and {name} has {usable}.", field="kbps", value=kbps
        )
    return Mp3Encoder(kbps) if name == "mp3" else OpusEncoder(kbps)


def _page_size(data: bytes | bytearray) -> int:
    """Bytes of the Ogg page that `data` begins with; 0 where it is not whole."""
    if len(data) < _OGG_PAGE.size:
        return 0
    segments = data[_OGG_PAGE.size - 1]
    head = _OGG_PAGE.size + segments
    size = head + sum(data[_OGG_PAGE.size : head])
    return size if len(data) >= max(head, size) else 0
