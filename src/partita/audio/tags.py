"""A sound file's tags, the same names in every format, with the song's record among them.

Names are `title`, `artist`, `comment`, `description`, `bpm`, `key`, `lyrics` and whatever else a file holds, in lower
case; the record is `PARTITA_RECORD`. How each container keeps them is the business of `xiph`, `id3`, `riff` and `mp4`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from partita.audio.av_codec import read_metadata
from partita.audio.id3 import id3_size, parse_id3
from partita.audio.mp4 import mp4_tags
from partita.audio.read import check_readable
from partita.audio.riff import wav_tags
from partita.audio.xiph import flac_comments, ogg_comments
from partita.errors import AudioError

RECORD_TAG = "PARTITA_RECORD"
_NAME = re.compile(r"[A-Za-z0-9_ ./-]{1,64}")
_HEAD_BYTES = 1 << 18


def tidy_tags(tags: dict[str, str]) -> dict[str, str]:
    """`tags` by lower-case name, without empty ones. Raises AudioError where a name or text fits no format."""
    tidy: dict[str, str] = {}
    for name, text in tags.items():
        if not _NAME.fullmatch(name):
            raise AudioError(f"A tag cannot be named {name!r}: use letters, digits, spaces and _ . / -, at most 64.")
        if name.lower() in tidy:
            raise AudioError(f"The tag {name!r} was given twice: names do not differ by case.")
        if "\x00" in text:
            raise AudioError(f"The tag {name!r} holds a null character, which no format can keep: take it out.")
        # A lone surrogate is half a character and has no UTF-8.
        tidy[name.lower()] = text.encode("utf-8", "replace").decode()
    return {name: text for name, text in tidy.items() if text}


def read_tags(path: Path | str) -> dict[str, str]:
    """Tags of a file; empty where it has none. Raises AudioError where the file cannot be read or is no sound file."""
    path = Path(path)
    head = check_readable(path)
    try:
        tags = _tags(path, head)
    except (ValueError, OSError) as error:
        raise AudioError(f"The tags of {path} cannot be read: {error}.", path=path) from None
    if RECORD_TAG.lower() in tags:
        tags[RECORD_TAG] = tags.pop(RECORD_TAG.lower())
    return tags


def read_record(path: Path | str) -> str | None:
    """The record's JSON as it was written, or none. Raises AudioError as `read_tags` does."""
    return read_tags(path).get(RECORD_TAG)


def _tags(path: Path, head: bytes) -> dict[str, str]:
    with path.open("rb") as file:
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            return wav_tags(file)
        if id3_size(head):
            return parse_id3(file.read(id3_size(head)))
        if head[:4] == b"fLaC":
            return _from_beginning(file, flac_comments)
        if head[:4] == b"OggS":
            return _from_beginning(file, ogg_comments)
    if head[0] == 0xFF and len(head) > 1 and head[1] & 0xE6 == 0xE2:  # an MP3 frame, layer III
        return {}
    return mp4_tags(read_metadata(path.absolute()))


def _from_beginning(file: BinaryIO, parse: Callable[[bytes], dict[str, str]]) -> dict[str, str]:
    """What `parse` finds at the head of a file; the whole is read only where the tags are longer than usual."""
    try:
        return parse(file.read(_HEAD_BYTES))
    except ValueError:
        file.seek(0)
        return parse(file.read())
