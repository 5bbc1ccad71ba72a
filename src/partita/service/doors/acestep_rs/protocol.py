"""The lines of ace-step-rs's daemon: a request's fields and checks, the answers, and which format a file name means.

Pure, and quick to import. Texts and the order of the checks are those of `generation-daemon`; what its JSON parser says
of a bad line is said in our words. A fault is a RequestError whose text goes to the client as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any, Literal, NoReturn

from partita.errors import RequestError

SHORTEST_S, LONGEST_S = 1, 600
DEFAULT_DURATION_S = 30.0
SAMPLE_RATE_HZ, CHANNELS = 48_000, 2
LARGEST_SEED = 2**64 - 1
MAX_LINE_BYTES = 2**20
"""Longest line that is read: more than the longest caption and lyrics that are taken."""

FileFormat = Literal["wav", "ogg", "mp3"]
_FORMATS: dict[str, FileFormat] = {"wav": "wav", "ogg": "ogg", "vorbis": "ogg", "mp3": "mp3"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asked for. `duration_s` none leaves the length to the planner, else 30 s. `given` are the names
    of the fields that were there."""

    caption: str
    lyrics: str = ""
    metas: str = ""
    language: str = "en"
    duration_s: float | None = DEFAULT_DURATION_S
    shift: float = 3.0
    seed: int | None = None
    output: str | None = None
    given: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True)
class Command:
    """A line with a `command` in place of a caption."""

    name: str


FIELDS = tuple(one.name for one in fields(Asked) if one.name != "given")


def read_line(line: str) -> Asked | Command:
    """What a line asks for. Raises RequestError: `empty request`, or `invalid JSON request: ` with the reason."""
    if not line.strip():
        raise RequestError("empty request")
    found: dict[str, Any] = {}
    for name, value, end in _members(line):
        if name not in FIELDS and name != "command":
            continue
        if name in found:
            _refuse(f"duplicate field `{name}`", end)
        found[name] = value if name == "command" else _typed(name, value, end)
    command = found.pop("command", None)
    if "caption" not in found:
        if isinstance(command, str):
            return Command(command)
        _refuse("missing field `caption`", len(line))
    return Asked(**found, given=frozenset(found))


def check(asked: Asked) -> FileFormat:
    """The format of the file, where nothing is wrong with the values. Raises RequestError."""
    if not asked.caption.strip():
        raise RequestError("'caption' field is required and must not be empty", field="caption", value=asked.caption)
    if asked.duration_s is not None and not SHORTEST_S <= asked.duration_s <= LONGEST_S:
        raise RequestError(
            f"duration_s must be between {SHORTEST_S} and {LONGEST_S}, got {number(asked.duration_s)}",
            field="duration_s",
            value=asked.duration_s,
        )
    return "ogg" if asked.output is None else format_of(asked.output)


def format_of(output: str) -> FileFormat:
    """The format that a file name asks for; without an extension it is WAV. Raises RequestError for any other."""
    stem, dot, extension = PurePath(output).name.rpartition(".")
    if not dot or not stem:  # a dot in front makes a hidden file and no extension
        return "wav"
    found = _FORMATS.get(extension.lower())
    if found is None:
        raise RequestError(
            f"unsupported output format '{extension.lower()}'. Use .wav or .ogg", field="output", value=output
        )
    return found


def number(value: float) -> str:
    """A number without decimals where it is whole, as ace-step-rs writes it."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return str(int(value)) if value == int(value) else repr(value)


def song_answer(path: str, duration_s: float) -> str:
    """The line that says where a song lies."""
    values = {"ok": True, "path": path, "duration_s": float(duration_s)}
    return compact({**values, "sample_rate": SAMPLE_RATE_HZ, "channels": CHANNELS})


def error_answer(text: str) -> str:
    """The line that says what went wrong."""
    return compact({"ok": False, "error": text})


def message_answer(text: str) -> str:
    """The line that says that a command was carried out."""
    return compact({"ok": True, "message": text})


def compact(value: Any) -> str:
    """JSON without spaces, its text as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def system_text(error: OSError | ValueError) -> str:
    """What the system says of a fault with a file, as Rust writes it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} (os error {error.errno})"
    return str(error)


def _typed(name: str, value: Any, end: int) -> Any:
    """The value of a field in its type; `end` is where it ends in the line."""
    if name in ("duration_s", "shift"):
        if value is None and name == "duration_s":
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            _refuse(f"invalid type: {_kind(value)}, expected f64 for `{name}`", end)
        try:
            given = float(value)
        except OverflowError:
            given = math.inf
        if math.isinf(given):
            _refuse("number out of range", end)
        return given
    if name == "seed":
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            _refuse(f"invalid type: {_kind(value)}, expected u64 for `seed`", end)
        if not 0 <= value <= LARGEST_SEED:
            _refuse(f"invalid value: {_kind(value)}, expected u64 for `seed`", end)
        return value
    if value is None and name == "output":
        return None
    if not isinstance(value, str):
        _refuse(f"invalid type: {_kind(value)}, expected a string for `{name}`", end)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        _refuse("lone surrogate in a string", end)
    return value


def _members(line: str) -> Iterator[tuple[str, Any, int]]:
    """Name, value and end of each member of the object that the line is, in order."""
    at = _after_space(line, 0)
    if line[at] != "{":
        value, end = _value(line, at)
        _refuse(f"invalid type: {_kind(value)}, expected an object", end)
    at = _after_space(line, at + 1)
    closed = line[at : at + 1] == "}"
    while not closed:
        if line[at : at + 1] != '"':
            _refuse("expected a name in double quotes", at + 1)
        name, at = _value(line, at)
        at = _after_space(line, at)
        if line[at : at + 1] != ":":
            _refuse("expected `:`", at + 1)
        value, at = _value(line, _after_space(line, at + 1))
        yield name, value, at
        at = _after_space(line, at)
        if line[at : at + 1] not in (",", "}"):
            _refuse("expected `,` or `}`", at + 1)
        closed = line[at] == "}"
        if not closed:
            at = _after_space(line, at + 1)
    at = _after_space(line, at + 1)
    if at != len(line):
        _refuse("trailing characters", at + 1)


def _after_space(line: str, at: int) -> int:
    while at < len(line) and line[at] in " \t\r\n":
        at += 1
    return at


def _value(line: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at `at`, and where it ends."""
    try:
        return _DECODER.raw_decode(line, at)
    except json.JSONDecodeError as error:
        words = error.msg[:1].lower() + error.msg[1:]
        _refuse(words if error.pos < len(line) else "the line ends within a value", min(error.pos, len(line)) + 1)
    except RecursionError:
        _refuse("recursion limit exceeded", at + 1)
    except ValueError:  # an integer of thousands of digits
        _refuse("number out of range", at + 1)


def _no_constant(name: str) -> NoReturn:
    raise RequestError(f"invalid JSON request: {name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _refuse(words: str, column: int) -> NoReturn:
    raise RequestError(f"invalid JSON request: {words} at line 1 column {column}")


def _kind(value: Any) -> str:
    """A value as a fault names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"boolean `{'true' if value else 'false'}`"
    if isinstance(value, int):
        return f"integer `{value if abs(value) < 2**70 else 'of many digits'}`"
    if isinstance(value, float):
        return f"floating point `{value!r}`"
    if isinstance(value, str):
        return f"string {json.dumps(value[:40])}"
    return "sequence" if isinstance(value, list) else "map"
