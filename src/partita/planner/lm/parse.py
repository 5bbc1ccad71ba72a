"""What the planner wrote, taken apart: metadata, lyrics, audio codes; and whether it went wrong.

Text in, values out; knows no tokens but the marks. `original=True` reads as the original program does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml

from partita.errors import RequestError
from partita.planner.lm.fields import FIELD_NAMES, absent
from partita.planner.lm.vocabulary import CODE_COUNT, CODE_TOKEN

_THOUGHTS = (re.compile(r"<think>(.*?)</think>", re.DOTALL), re.compile(r"<reasoning>(.*?)</reasoning>", re.DOTALL))
_CLOSE = "</think>"
_FIRST_CODE = "<|audio_code_"
_NUMBERS = ("bpm", "duration")
# A header of lyrics; the original means to take `# Lyrics` too, and misses it.
_HEADER_ORIGINAL = re.compile(r"^#\s*Lyri[c|s]?\s*\n", re.IGNORECASE)
_HEADER = re.compile(r"\A(?:#\s*Languages?[^\n]*\n[^\n]*\n\s*)?#\s*Lyrics?:?[ \t]*(?:\n|\Z)", re.IGNORECASE)
_END_ORIGINAL = re.compile(r"<\|im_end\|>\s*$")
_MARKS = re.compile(r"<\|[a-z0-9_]+\|>|</?think>")
_CODE_LIST = re.compile(r"[\s,;]*(?:<\|audio_code_(\d+)\|>|(\d+))")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was written. `metadata` has the planner's field names: bpm and duration are numbers where they could be
    read, all else is text, and fields that were not written are missing. `codes` are 0..63999."""

    metadata: Mapping[str, int | str]
    lyrics: str
    codes: tuple[int, ...]


def parse(text: str, *, original: bool = False) -> Answer:
    """The three parts of an answer, from `<think>` on.

    Ours also reads values in YAML quotes, takes metadata from nowhere but the thought, leaves out `N/A` and numbers
    that are none, and knows lyrics under `# Lyrics` or below their languages.
    """
    if original:
        return Answer(original_metadata(text), original_lyrics(text), codes_in(text))
    return Answer(MappingProxyType(_metadata(text)), _lyrics(text), codes_in(text))


def code_text(text: str) -> str:
    """All audio codes in `text`, as they are written, without anything between."""
    return "".join(match[0] for match in CODE_TOKEN.finditer(text))


def codes_in(text: str) -> tuple[int, ...]:
    """The audio codes in an answer, whatever stands between them; larger ones than there are become the last."""
    return tuple(min(int(match[1]), CODE_COUNT - 1) for match in CODE_TOKEN.finditer(text))


def read_codes(text: str) -> tuple[int, ...]:
    """Audio codes as a user gives them: as tokens (`<|audio_code_12|>`), or as numbers with commas or blanks between.

    Raises RequestError where there is none, where something else stands between them, or where one is out of range.
    """
    codes: list[int] = []
    position, end = 0, len(text.rstrip(" \t\r\n,;"))
    while position < end:
        match = _CODE_LIST.match(text, position)
        if match is None:
            found = text[position:end].strip()[:40]
            raise RequestError(
                f"codes: after {len(codes)} audio codes comes {found!r}, which is none; write <|audio_code_N|> or "
                f"plain numbers, and nothing between but commas or blanks.",
                field="codes",
                value=found,
            )
        codes.append(check_code(int(match[1] or match[2])))
        position = match.end()
    if not codes:
        raise RequestError(
            "codes: there is no audio code; give at least one (5 are one second).", field="codes", value=text
        )
    return tuple(codes)


def check_code(code: int) -> int:
    """`code` itself. Raises RequestError where the codec has no such code."""
    if not 0 <= code < CODE_COUNT:
        raise RequestError(
            f"codes: {code} is not an audio code; they go from 0 to {CODE_COUNT - 1}.", field="codes", value=code
        )
    return code


def _lines(text: str) -> dict[str, list[str]]:
    """Field name -> its lines. A line at the left edge with a colon begins a field, an indented one goes on with it;
    others, and lines of tags, are passed over. Of two fields of one name the later counts, if it says anything."""
    fields: dict[str, list[str]] = {}
    name, written = "", []

    def keep() -> None:
        if name in FIELD_NAMES and written:
            fields[name] = written

    for line in text.split("\n"):
        if line.strip().startswith("<"):
            continue
        if line and not line[0].isspace() and ":" in line:
            keep()
            head, _, first = line.partition(":")
            name, written = head.strip().lower(), [first] if first.strip() else []
        elif line.startswith((" ", "\t")) and name:
            written.append(line)
    keep()
    return fields


def original_metadata(text: str) -> dict[str, int | str]:
    """Metadata by the original's rules: where there is no thought, or an empty one, all that comes before the first
    code is read; numbers that are none stay text; quotes stay."""
    thought = next((match[1].strip() for pattern in _THOUGHTS if (match := pattern.search(text))), "")
    found: dict[str, int | str] = {}
    for name, lines in _lines(thought or text.split(_FIRST_CODE)[0].strip()).items():
        value = "\n".join(lines).strip()
        if name in _NUMBERS:
            found[name] = _whole(value)
        else:
            found[name] = _one_line(lines) if name == "caption" else value
    return found


def original_lyrics(text: str) -> str:
    """Lyrics by the original's rules: all after the first `</think>`, codes included, less a header `# Lyric`."""
    _, found, after = text.partition(_CLOSE)
    if not found:
        return ""
    return _END_ORIGINAL.sub("", _HEADER_ORIGINAL.sub("", after.strip())).strip()


def _whole(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def _one_line(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())


def _parted(text: str) -> tuple[str, str, str]:
    """What is before the end of the thought, that end, and what is after it. It stands at the left edge of a line
    where a caption can only spell it within one, so the first at an edge counts before any other."""
    head, found, tail = text.partition(f"\n{_CLOSE}")
    return (head, found, tail) if found else text.partition(_CLOSE)


def _metadata(text: str) -> dict[str, int | str]:
    before, closed, _ = _parted(text)
    match = next((match for pattern in _THOUGHTS if (match := pattern.search(text))), None)
    if closed:
        thought = before.partition("<think>")[2] or before.split(_FIRST_CODE)[0]
    else:
        thought = match[1] if match else text.split(_FIRST_CODE)[0]
    found: dict[str, int | str] = {}
    for name, lines in _lines(thought).items():
        value = _unquoted(_one_line(lines))
        if absent(value):
            continue
        if name not in _NUMBERS:
            found[name] = value
        elif (number := _number(value)) is not None:
            found[name] = number
    return found


def _number(text: str) -> int | None:
    match = re.match(r"\d{1,6}(?:\.\d+)?", text)
    return int(float(match[0])) if match else None


def _unquoted(text: str) -> str:
    """A value without the quotes that YAML puts around text which could be taken for something else."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        return text
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        return text[1:-1]
    return value.strip() if isinstance(value, str) else text[1:-1]


def _lyrics(text: str) -> str:
    _, found, after = _parted(text)
    if not found:
        return ""
    written = _MARKS.sub("", after).strip()
    return _HEADER.sub("", written, count=1).strip()


# A refrain sung four times is music; eight times on end, over a page of text, is a model that is stuck. Codes hold
# still over a long note, but not for more than half a minute.
_REPEATS = 8
_TEXT_RUN, _TOKEN_RUN = 240, 160
_PERIOD_MAX = 400
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def degenerate(written: str | Sequence[int]) -> str | None:
    """Why an answer, as text or as tokens, should be thrown away and made again; None where nothing is wrong.

    Text: bytes that are no characters, control characters, nothing but blanks. Both: one stretch said at least eight
    times on end, for 240 characters or 160 tokens or more.
    """
    if isinstance(written, str):
        if not written.strip():
            return "it is empty"
        if "\ufffd" in written:
            return "it holds bytes that are no characters"
        control = _CONTROL.search(written)
        if control:
            return f"it holds the control character {control[0]!r}"
        sequence, least, unit = np.frombuffer(written.encode("utf-32-le"), dtype=np.uint32), _TEXT_RUN, "characters"
    else:
        sequence, least, unit = np.asarray(written, dtype=np.int64), _TOKEN_RUN, "tokens"
    found = _loop(sequence, least)
    if found is None:
        return None
    start, period, length = found
    return f"it repeats {period} {unit} {length // period} times from {unit[:-1]} {start}"


def _loop(sequence: np.ndarray[Any, Any], least: int) -> tuple[int, int, int] | None:
    """(start, period, length) of the first stretch by the shortest period that is repeated often and long enough."""
    for period in range(1, min(_PERIOD_MAX, len(sequence) // _REPEATS) + 1):
        same = sequence[period:] == sequence[:-period]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False]))))
        starts, lengths = edges[::2], edges[1::2] - edges[::2] + period
        long_enough = np.flatnonzero(lengths >= max(least, _REPEATS * period))
        if long_enough.size:
            first = int(long_enough[0])
            return int(starts[first]), period, int(lengths[first])
    return None
