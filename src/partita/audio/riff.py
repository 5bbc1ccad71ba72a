"""Tags of WAV: an `id3 ` chunk for everything and LIST INFO for what every player shows. Bytes in, bytes out.

Both lie behind the audio. libsndfile stamps float WAV with the time of day in its PEAK chunk, which is set to zero, as
equal sound must be equal bytes. Layout: Microsoft "Multimedia Programming Interface and Data Specifications 1.0".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from partita.audio.id3 import build_id3, parse_id3

_INFO = {"title": b"INAM", "artist": b"IART", "comment": b"ICMT"}
_INFO_NAMES = {chunk: name for name, chunk in _INFO.items()}
_MAX_RIFF = 2**32 - 1


def wav_with_tags(data: bytearray | memoryview, tags: dict[str, str]) -> list[bytes | memoryview]:
    """A WAV file with `tags` appended; patches the header in `data`, which must be writable.

    Raises ValueError where the file would pass WAV's 4 GiB.
    """
    view = memoryview(data)
    for name, start, _ in _chunks_of(view):
        if name == b"PEAK":
            struct.pack_into("<I", view, start + 4, 0)
    info = b"INFO" + b"".join(_chunk(_INFO[name], tags[name].encode() + b"\x00") for name in _INFO if name in tags)
    tail = (_chunk(b"LIST", info) if len(info) > 4 else b"") + (_chunk(b"id3 ", build_id3(tags)) if tags else b"")
    pad = b"\x00" * (len(view) % 2)
    size = len(view) + len(pad) + len(tail) - 8
    if size > _MAX_RIFF:
        raise ValueError("a WAV file holds at most 4 GiB: choose flac")
    struct.pack_into("<I", view, 4, size)
    return [view, pad + tail]


def wav_tags(file: BinaryIO) -> dict[str, str]:
    """Tags of an open WAV file. Damaged chunks end the search."""
    file.seek(12)
    info: dict[str, str] = {}
    id3: dict[str, str] = {}
    while len(head := file.read(8)) == 8:
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        start = file.tell()
        if name in (b"id3 ", b"ID3 "):
            id3 = parse_id3(file.read(size))
        elif name == b"LIST":
            info |= _info(file.read(size))
        file.seek(start + size + size % 2)
    return info | id3


def _info(body: bytes) -> dict[str, str]:
    if body[:4] != b"INFO":
        return {}
    return {
        _INFO_NAMES[name]: bytes(body[start : start + size]).split(b"\x00")[0].decode("utf-8", "replace")
        for name, start, size in _chunks_of(memoryview(body), 4)
        if name in _INFO_NAMES
    }


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)


def _chunks_of(view: memoryview, at: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of each chunk's body."""
    while at + 8 <= len(view):
        name, size = bytes(view[at : at + 4]), struct.unpack_from("<I", view, at + 4)[0]
        yield name, at + 8, size
        at += 8 + size + size % 2
