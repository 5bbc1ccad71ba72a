"""Vorbis comments, and where FLAC and Ogg (Vorbis, Opus) keep them. Bytes in, bytes out; knows no files.

libsndfile writes ten fixed names only, and a song has more to say. Layouts: xiph.org "Ogg Vorbis I format
specification: comment field", RFC 9639 (FLAC), RFC 3533 (Ogg), RFC 7845 (Opus in Ogg).
Every stream gets the same serial number, so that equal sound and tags are equal bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_VENDOR = b"Partita"
_FLAC_COMMENT, _FLAC_LAST = 4, 0x80
_OGG_PAGE = struct.Struct("<4sBBqIIIB")
_OGG_SERIAL = 0x50415254
_NO_GRANULE = -1
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_PICTURES = ("metadata_block_picture", "coverart")

Buffers = list[bytes | memoryview]


def build_comments(tags: dict[str, str], vendor: bytes = _VENDOR) -> bytes:
    """A Vorbis comment header without framing. `tags` by lower-case name; names are written in capitals."""
    entries = [f"{name.upper()}={text}".encode() for name, text in sorted(tags.items())]
    out = [struct.pack("<I", len(vendor)), vendor, struct.pack("<I", len(entries))]
    for entry in entries:
        out += [struct.pack("<I", len(entry)), entry]
    return b"".join(out)


def parse_comments(data: bytes) -> dict[str, str]:
    """Tags by lower-case name, the first of equal names, without pictures. Raises ValueError where damaged."""
    try:
        (vendor_size,) = struct.unpack_from("<I", data)
        at = 4 + vendor_size
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
        tags: dict[str, str] = {}
        for _ in range(count):
            (size,) = struct.unpack_from("<I", data, at)
            entry = data[at + 4 : at + 4 + size]
            if len(entry) < size:
                raise ValueError("a Vorbis comment is cut off")
            at += 4 + size
            name, _, text = entry.decode("utf-8", "replace").partition("=")
            if name.lower() not in _PICTURES:
                tags.setdefault(name.lower(), text)
    except struct.error as error:
        raise ValueError(f"the Vorbis comments are cut off ({error})") from None
    return tags


def flac_with_comments(data: bytes | memoryview, tags: dict[str, str]) -> Buffers:
    """A FLAC file with `tags` in place of its comments. Raises ValueError beyond 16 MiB of tags."""
    comments = build_comments(tags)
    if len(comments) >= 1 << 24:
        raise ValueError(f"FLAC holds less than 16 MiB of tags, and these take {len(comments)} bytes")
    blocks = [(kind, body) for kind, body, _ in _flac_blocks(data) if kind != _FLAC_COMMENT]
    audio_at = max(end for _, _, end in _flac_blocks(data))
    blocks.insert(1, (_FLAC_COMMENT, comments))  # STREAMINFO comes first
    out: Buffers = [b"fLaC"]
    for index, (kind, body) in enumerate(blocks):
        last = _FLAC_LAST if index == len(blocks) - 1 else 0
        out += [bytes([kind | last]) + len(body).to_bytes(3, "big"), body]
    return [*out, memoryview(data)[audio_at:]]


def flac_comments(data: bytes | memoryview) -> dict[str, str]:
    """Tags of a FLAC file, of which the part before the audio suffices. Raises ValueError if damaged."""
    for kind, body, _ in _flac_blocks(data):
        if kind == _FLAC_COMMENT:
            return parse_comments(body)
    return {}


def _flac_blocks(data: bytes | memoryview) -> Iterator[tuple[int, bytes, int]]:
    """Kind, body and end of each metadata block."""
    at = 4
    while True:
        head = bytes(data[at : at + 4])
        size = int.from_bytes(head[1:], "big")
        body = bytes(data[at + 4 : at + 4 + size])
        if len(head) < 4 or len(body) < size:
            raise ValueError("the FLAC metadata are cut off")
        at += 4 + size
        yield head[0] & 0x7F, body, at
        if head[0] & _FLAC_LAST:
            return


def ogg_with_comments(data: bytes | memoryview, tags: dict[str, str]) -> Buffers:
    """An Ogg Vorbis or Opus file with `tags` in place of its comments. Raises ValueError where it is neither."""
    pages = _ogg_pages(data)
    packets = _ogg_headers(pages)
    packets[1] = (
        packets[1][:7] + build_comments(tags) + b"\x01" if _is_vorbis(packets) else b"OpusTags" + build_comments(tags)
    )
    out: Buffers = []
    for flags, granule, lacing, body in _header_pages(packets):
        out += _ogg_page(flags, granule, len(out) // 2, lacing, body)
    for flags, granule, _, lacing, body in pages:
        out += _ogg_page(flags, granule, len(out) // 2, lacing, body)
    return out


def ogg_comments(data: bytes | memoryview) -> dict[str, str]:
    """Tags of an Ogg Vorbis or Opus file, of which the header pages suffice. Raises ValueError if it is neither."""
    packets = _ogg_headers(_ogg_pages(data))
    return parse_comments(packets[1][7 if _is_vorbis(packets) else 8 :])


def _is_vorbis(packets: list[bytes]) -> bool:
    return packets[0].startswith(b"\x01vorbis")


_Page = tuple[int, int, int, bytes, bytes | memoryview]  # flags, granule, serial, lacing, body


def _ogg_pages(data: bytes | memoryview) -> Iterator[_Page]:
    view, at = memoryview(data), 0
    while at < len(view):
        if len(view) - at < _OGG_PAGE.size:
            raise ValueError("an Ogg page is cut off")
        mark, _, flags, granule, serial, _, _, segments = _OGG_PAGE.unpack_from(view, at)
        if mark != b"OggS":
            raise ValueError("there is no Ogg page where one must be")
        at += _OGG_PAGE.size
        lacing = bytes(view[at : at + segments])
        at += segments
        if len(lacing) < segments or len(view) - at < sum(lacing):
            raise ValueError("an Ogg page is cut off")
        yield flags, granule, serial, lacing, view[at : at + sum(lacing)]
        at += sum(lacing)


def _ogg_headers(pages: Iterator[_Page]) -> list[bytes]:
    """The header packets, three of Vorbis and two of Opus. Takes their pages off `pages`; audio begins a page."""
    packets: list[bytes] = []
    pending, wanted = b"", 1
    for _, _, _, lacing, body in pages:
        at = 0
        for size in lacing:
            pending += bytes(body[at : at + size])
            at += size
            if size < 255:
                packets.append(pending)
                pending = b""
        if packets and wanted == 1:
            wanted = 3 if _is_vorbis(packets) else 2 if packets[0].startswith(b"OpusHead") else 0
            if not wanted:
                raise ValueError("the Ogg file holds neither Vorbis nor Opus")
        if len(packets) >= wanted:
            break
    if len(packets) < max(wanted, 2):
        raise ValueError("the Ogg headers are cut off")
    return packets


def _header_pages(packets: list[bytes]) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Flags, granule, lacing and body of pages for header packets: the first alone on its page, the others run on."""
    yield 0x02, 0, bytes(_lacing(packets[0])), packets[0]
    lacing = [size for packet in packets[1:] for size in _lacing(packet)]
    body, at, continued = b"".join(packets[1:]), 0, False
    for start in range(0, len(lacing), 255):
        piece = lacing[start : start + 255]
        size = sum(piece)
        ends = any(segment < 255 for segment in piece)
        yield int(continued), 0 if ends else _NO_GRANULE, bytes(piece), body[at : at + size]
        at += size
        continued = piece[-1] == 255


def _lacing(packet: bytes) -> list[int]:
    whole, rest = divmod(len(packet), 255)
    return [255] * whole + [rest]


def _ogg_page(flags: int, granule: int, number: int, lacing: bytes, body: bytes | memoryview) -> Buffers:
    """Header and body of a page."""

    def head(crc: int) -> bytes:
        return _OGG_PAGE.pack(b"OggS", 0, flags, granule, _OGG_SERIAL, number, crc, len(lacing)) + lacing

    return [head(ogg_crc(head(0) + bytes(body))), body]


def ogg_crc(data: bytes) -> int:
    """Ogg's checksum: CRC-32 most significant bit first, from 0, not inverted (RFC 3533 §6).

    zlib's is the mirror image and inverts at both ends; so the bytes are mirrored and the inversions undone.
    """
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
