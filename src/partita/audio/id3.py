"""ID3v2 tags: built as version 2.4 in UTF-8, read as 2.3 and 2.4. Bytes in, bytes out; knows no files.

Layout: id3.org, ID3v2.4.0 "Main Structure" and "Native Frames". Used at the head of MP3 and in the `id3 ` chunk of WAV.
Names are lower case here; what has no frame of its own goes into TXXX under its name in capitals.
"""

from __future__ import annotations

import re
import struct

_TEXT_FRAMES = {"title": "TIT2", "artist": "TPE1", "bpm": "TBPM"}
_FRAME_NAMES = {frame: name for name, frame in _TEXT_FRAMES.items()} | {"TKEY": "key"}
_LANGUAGED = {"comment": "COMM", "lyrics": "USLT"}
_LANGUAGED_NAMES = {frame: name for name, frame in _LANGUAGED.items()}
_ENCODINGS = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
_KEY = re.compile(r"([A-G])\s*([#b♯♭]?)\s*(major|minor|maj|min|m)?", re.IGNORECASE)
_MAX_SIZE = 1 << 28


def build_id3(tags: dict[str, str]) -> bytes:
    """An ID3v2.4 tag. `tags` by lower-case name. Raises ValueError beyond 256 MiB.

    UTF-8 and syncsafe sizes hold no byte 0xFF, so nothing in the tag can be taken for the start of an MP3 frame.
    """
    frames = b"".join(_frame(name, text) for name, text in sorted(tags.items()))
    if len(frames) >= _MAX_SIZE:
        raise ValueError(f"ID3 tags hold less than 256 MiB, and these take {len(frames)} bytes")
    return b"ID3\x04\x00\x00" + _syncsafe(len(frames)) + frames


def parse_id3(data: bytes) -> dict[str, str]:
    """Texts of the ID3v2.3 or 2.4 tag that `data` begins with, by lower-case name; empty where there is none.

    Frames that are damaged, compressed or encrypted are left out.
    """
    size = id3_size(data)
    if not size or data[3] not in (3, 4):
        return {}
    version, flags = data[3], data[5]
    body = data[10:size]
    if flags & 0x80 and version == 3:
        body = _resynchronise(body)
    if flags & 0x40 and len(body) >= 4:  # extended header; its size counts itself in 2.4 and not in 2.3
        body = body[_from_syncsafe(body[:4]) :] if version == 4 else body[4 + struct.unpack(">I", body[:4])[0] :]
    found: dict[str, str] = {}
    exact: dict[str, str] = {}
    while len(body) >= 10 and body[0]:
        frame_id = body[:4].decode("latin-1")
        length = _from_syncsafe(body[4:8]) if version == 4 else struct.unpack(">I", body[4:8])[0]
        payload, format_flags = body[10 : 10 + length], body[9]
        body = body[10 + length :]
        if len(payload) < length or (version == 3 and format_flags & 0xC0) or (version == 4 and format_flags & 0x0C):
            continue
        if version == 4 and format_flags & 0x02:
            payload = _resynchronise(payload)
        if version == 4 and format_flags & 0x01:
            payload = payload[4:]
        _read_frame(frame_id, payload, found, exact)
    return found | exact


def id3_size(head: bytes) -> int:
    """Bytes of the ID3v2 tag that `head` (10 bytes or more) begins, header included; 0 where there is none."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
        return 0
    return 10 + _from_syncsafe(head[6:10]) + (10 if head[5] & 0x10 else 0)


def short_key(key: str) -> str | None:
    """`F# minor` as TKEY's three letters, `F#m`; none where the text is no such key."""
    match = _KEY.fullmatch(key.strip())
    if match is None:
        return None
    sign = {"♯": "#", "♭": "b", "B": "b"}.get(match[2], match[2])
    minor = (match[3] or "") == "m" or (match[3] or "").lower() in ("min", "minor")
    return match[1].upper() + sign + ("m" if minor else "")


def _frame(name: str, text: str) -> bytes:
    if name in _TEXT_FRAMES and "\x00" not in text:
        return _pack(_TEXT_FRAMES[name], b"\x03" + text.encode())
    if name in _LANGUAGED:
        return _pack(_LANGUAGED[name], b"\x03und\x00" + text.encode())
    whole = _pack("TXXX", b"\x03" + name.upper().encode() + b"\x00" + text.encode())
    if name == "key" and (short := short_key(text)):
        return _pack("TKEY", b"\x03" + short.encode()) + whole
    return whole


def _pack(frame_id: str, payload: bytes) -> bytes:
    return frame_id.encode() + _syncsafe(len(payload)) + b"\x00\x00" + payload


def _read_frame(frame_id: str, payload: bytes, found: dict[str, str], exact: dict[str, str]) -> None:
    """Adds a frame's text: to `exact`, which is preferred, where the frame spells the name out, else to `found`."""
    if not payload or payload[0] not in _ENCODINGS:
        return
    encoding, content = payload[0], payload[1:]
    if frame_id == "TXXX":
        name, text = _split(content, encoding)
        exact.setdefault(name.lower(), text)
    elif frame_id in _LANGUAGED_NAMES and len(content) >= 3:
        description, text = _split(content[3:], encoding)
        if not description:  # described comments belong to programs: iTunes keeps volumes there
            found.setdefault(_LANGUAGED_NAMES[frame_id], text)
    elif frame_id in _FRAME_NAMES:
        found.setdefault(_FRAME_NAMES[frame_id], _decode(content, encoding))


def _split(content: bytes, encoding: int) -> tuple[str, str]:
    """A terminated description and the text behind it."""
    width = 2 if encoding in (1, 2) else 1
    end = content.find(b"\x00" * width)
    while width == 2 and end >= 0 and end % 2:
        end = content.find(b"\x00\x00", end + 1)
    if end < 0:
        return "", _decode(content, encoding)
    return _decode(content[:end], encoding), _decode(content[end + width :], encoding)


def _decode(content: bytes, encoding: int) -> str:
    return content.decode(_ENCODINGS[encoding], "replace").rstrip("\x00")


def _resynchronise(data: bytes) -> bytes:
    return data.replace(b"\xff\x00", b"\xff")


def _syncsafe(number: int) -> bytes:
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))


def _from_syncsafe(data: bytes) -> int:
    return (data[0] & 0x7F) << 21 | (data[1] & 0x7F) << 14 | (data[2] & 0x7F) << 7 | (data[3] & 0x7F)
