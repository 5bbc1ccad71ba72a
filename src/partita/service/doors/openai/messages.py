"""What a conversation asks for: the words of its last user message, told apart as caption and lyrics, and its audio.

Pure functions on the messages of a chat. Where a text is not marked, whether it is lyrics is guessed as the original
does: by section tags, or by many short lines.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from partita.errors import RequestError
from partita.song.values import short

LYRICS_TAGS = ("[verse", "[chorus", "[bridge", "[intro", "[outro", "[hook", "[pre-chorus", "[refrain", "[inst")
LEAST_LINES = 4
LONGEST_MEAN_LINE = 60
"""So many lines, shorter than this on average, are lyrics."""


class Message(BaseModel):
    """A turn of the conversation."""

    model_config = ConfigDict(extra="allow")

    role: str = Field(max_length=64, examples=["user"])
    content: str | list[dict[str, Any]] | None = Field(default=None, examples=["calm piano, rain on the window"])


@dataclass(frozen=True, slots=True)
class Clip:
    """Audio of a message. `suffix` is what its sender calls its format."""

    data: bytes
    suffix: str


@dataclass(frozen=True, slots=True)
class Said:
    """The last user message: its text, its audio in order, and the kinds of its parts that are neither."""

    text: str
    clips: tuple[Clip, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    caption: str = ""
    lyrics: str = ""


def last_said(messages: Sequence[Message]) -> Said:
    """The last message of the user that has content; those before it, and the system's, are not read.

    Raises RequestError where there is none, or where its audio is no base64.
    """
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role != "user" or not message.content:
            continue
        if isinstance(message.content, str):
            if not message.content.strip():
                continue
            return Said(message.content)
        return _of_parts(message.content, f"messages.{index}.content")
    raise RequestError(
        "There is no message of the role user with content: say there what the song should sound like.",
        field="messages",
    )


def _of_parts(parts: Sequence[dict[str, Any]], field: str) -> Said:
    texts, clips, others = [], [], []
    for index, part in enumerate(parts):
        kind = part.get("type")
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "input_audio":
            clips.append(_clip(part.get("input_audio"), f"{field}.{index}.input_audio"))
        else:
            others.append(str(kind)[:40])
    return Said("\n".join(texts), tuple(clips), tuple(others))


def _clip(value: Any, field: str) -> Clip:
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, str) or not data:
        raise RequestError(f"{field} holds no audio: give its bytes as base64 in data.", field=f"{field}.data")
    # A data URL has its bytes behind the first comma, and base64 has none.
    encoded = "".join(data.rpartition(",")[2].split())
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(
            f"{field}.data is no base64, nor a data URL with it: {short(data)}. Addresses are not fetched.",
            field=f"{field}.data",
            value=data,
        ) from None
    return Clip(raw, str(value.get("format") or "mp3")[:16])


def words_of(text: str) -> Words:
    """Caption and lyrics of a text: by the tags `<prompt>` and `<lyrics>` where one is there, else by its looks.

    With tags, what stands outside of them is the caption where no `<prompt>` is.
    """
    prompt, rest = _take(text, "prompt")
    lyrics, rest = _take(rest, "lyrics")
    if prompt is None and lyrics is None:
        text = text.strip()
        return Words(lyrics=text) if looks_like_lyrics(text) else Words(caption=text)
    return Words(caption=(rest if prompt is None else prompt).strip(), lyrics=(lyrics or "").strip())


def _take(text: str, tag: str) -> tuple[str | None, str]:
    """What stands between `<tag>` and `</tag>`, and the text without it. Linear in the text, whatever it is."""
    begin = re.search(f"<{tag}>", text, re.IGNORECASE)
    end = re.compile(f"</{tag}>", re.IGNORECASE).search(text, begin.end()) if begin else None
    if begin is None or end is None:
        return None, text
    return text[begin.end() : end.start()], text[: begin.start()] + text[end.end() :]


def looks_like_lyrics(text: str) -> bool:
    """Whether a text without marks is taken as lyrics."""
    lowered = text.lower()
    if any(tag in lowered for tag in LYRICS_TAGS):
        return True
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return len(lines) >= LEAST_LINES and sum(map(len, lines)) / len(lines) < LONGEST_MEAN_LINE
