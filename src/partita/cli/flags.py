"""Command-line flags made from the request type, so that the two cannot differ.

Every field of SongRequest and of its groups `sampling` and `output` becomes a flag of its name without the unit:
`duration_s` is `--duration`. Three fields take another form on a command line, and are listed below.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from partita.audio.formats import SUFFIX
from partita.errors import RequestError
from partita.song.request import Output, Sampling, SongRequest

_UNITS = ("_s", "_lufs", "_db", "_kbps")
_GROUPS: dict[str, type[BaseModel]] = {"sampling": Sampling, "output": Output}
# The caption is an argument; lyrics come from a file; the task is the verb; midi and stems take a path; references and
# adapters are given one by one.
_OTHERWISE = ("caption", "lyrics", "task", "references", "adapters", "midi", "stems")

Command = TypeVar("Command", bound=Callable[..., Any])


class _Numbers(click.ParamType):
    name = "t,t,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(",") if part.strip())
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 1,0.8,0.5", param, ctx)


def flag_name(field: str) -> str:
    """`time_signature` is `--time-signature`, `duration_s` is `--duration`."""
    for unit in _UNITS:
        field = field.removesuffix(unit)
    return "--" + field.replace("_", "-")


def request_flags(command: Command) -> Command:
    """Decorator: one click option for every field of a request, `None` where it is not given."""
    options = [*_options(SongRequest, "")]
    for group, kind in _GROUPS.items():
        options += _options(kind, f"{group}__")
    for option in reversed(options):
        command = option(command)
    return command


def _options(kind: type[BaseModel], prefix: str) -> list[Callable[[Command], Command]]:
    return [
        _option(name, field, prefix + name)
        for name, field in kind.model_fields.items()
        if name not in _OTHERWISE and name not in _GROUPS
    ]


def _option(name: str, field: FieldInfo, parameter: str) -> Callable[[Command], Command]:
    kind = _inner(field.annotation)
    flag, text = flag_name(name), field.description or ""
    if kind is bool:
        return click.option(flag, parameter, is_flag=True, default=None, help=text)
    return click.option(flag, parameter, type=_click_type(kind), default=None, help=text, metavar=_metavar(kind))


def _inner(annotation: Any) -> Any:
    """The type inside Optional and Annotated."""
    if get_origin(annotation) is Annotated:
        return _inner(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        (inner,) = [part for part in get_args(annotation) if part is not type(None)]
        return _inner(inner)
    return annotation


def _click_type(kind: Any) -> click.ParamType:
    if get_origin(kind) is Literal:
        values = get_args(kind)
        return click.INT if all(isinstance(value, int) for value in values) else click.Choice(values)
    if get_origin(kind) is tuple:
        return _Numbers()
    return {int: click.INT, float: click.FLOAT, str: click.STRING}[kind]


def _metavar(kind: Any) -> str | None:
    if get_origin(kind) is Literal and isinstance(get_args(kind)[0], int):
        return "|".join(map(str, get_args(kind)))
    return None


def build_request(
    caption: str | None, lyrics: str | None, given: dict[str, Any], *, midi: Path | None, stems: Path | None
) -> SongRequest:
    """The request that a command line describes. Raises RequestError where a field is bad."""
    fields: dict[str, Any] = {"caption": caption or "", "lyrics": read_lyrics(lyrics) if lyrics else ""}
    groups: dict[str, dict[str, Any]] = {group: {} for group in _GROUPS}
    for name, value in given.items():
        if value is None:
            continue
        group, _, field = name.rpartition("__")
        (groups[group] if group else fields)[field] = value
    groups["output"] |= {"midi": True} if midi else {}
    groups["output"] |= {"stems": True} if stems else {}
    fields |= {group: _GROUPS[group](**values) for group, values in groups.items()}
    return SongRequest(**fields)


def format_of(output: Path) -> str | None:
    """The format that a file name's suffix stands for, or none."""
    return next((name for name, suffix in SUFFIX.items() if suffix == output.suffix.lower()), None)


def read_lyrics(source: str) -> str:
    """Lyrics from a text file, or from standard input for `-`. Raises RequestError where that is not text."""
    try:
        if source == "-":
            return sys.stdin.read()
        return Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"The lyrics file {source} cannot be read ({error.strerror}): give a text file, or - for standard input.",
            field="lyrics",
            value=source,
        ) from None
    except UnicodeDecodeError:
        raise RequestError(f"The lyrics file {source} is not UTF-8 text.", field="lyrics", value=source) from None
