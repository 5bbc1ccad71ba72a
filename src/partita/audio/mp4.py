"""Tags of MP4 (M4A) that FFmpeg has no name for, as iTunes' freeform atoms. Bytes in, bytes out; knows no files.

Layout: ISO/IEC 14496-12 for boxes; `----` with `mean`, `name` and `data` is iTunes' own, which players read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

NATIVE = ("title", "artist", "comment", "description", "lyrics")
_FREEFORM_NAMES = {"key": "initialkey"}
_ITUNES_NAMES = {value: name for name, value in _FREEFORM_NAMES.items()}
_MEAN = b"com.apple.iTunes"
_PATH = (b"moov", b"udta", b"meta", b"ilst")
_UTF8 = 1
_NOT_TAGS = (
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "creation_time",
    "handler_name",
    "vendor_id",
    "language",
)


def mp4_with_tags(data: bytes, tags: dict[str, str]) -> bytes:
    """`data` with `tags` appended to its tag list as freeform atoms.

    `moov` must be the last box, so that nothing moves that an index points to. Raises ValueError where it is not.
    """
    atoms = b"".join(_freeform(_FREEFORM_NAMES.get(name, name), text) for name, text in sorted(tags.items()))
    if not atoms:
        return data
    out, start, end = bytearray(data), 0, len(data)
    for name in _PATH:
        found = next(((at, size) for at, kind, size in _boxes(data, start, end) if kind == name), None)
        if found is None or found[0] + found[1] != len(data):
            raise ValueError(f"the MP4 file has no {name.decode()} box at its end")
        at, size = found
        struct.pack_into(">I", out, at, size + len(atoms))
        start, end = at + (12 if name == b"meta" else 8), at + size
    return bytes(out) + atoms


def mp4_tags(metadata: dict[str, str]) -> dict[str, str]:
    """FFmpeg's view of a file's tags under Partita's lower-case names."""
    lowered = {name.lower(): text for name, text in metadata.items()}
    return {_ITUNES_NAMES.get(name, name): text for name, text in lowered.items() if name not in _NOT_TAGS}


def _freeform(name: str, text: str) -> bytes:
    return _box(
        b"----",
        _box(b"mean", bytes(4) + _MEAN)
        + _box(b"name", bytes(4) + name.encode())
        + _box(b"data", struct.pack(">II", _UTF8, 0) + text.encode()),
    )


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes, int]]:
    """Offset, kind and whole size of each box between two offsets."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if size == 1:  # a 64-bit size follows
            (size,) = struct.unpack_from(">Q", data, start + 8)
        if size < 8:
            raise ValueError("an MP4 box has no size")
        yield start, kind, size
        start += size
