"""Command-line flags made from the request and task types, so that they cannot differ.

Every field of SongRequest, of its groups `sampling`, `output` and `planner`, and of a task becomes a flag of its name
without the unit: `duration_s` is `--duration`. What takes another form on a command line is listed below.
"""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Callable, Container
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from partita.audio.formats import SUFFIX
from partita.errors import RequestError
from partita.song.plan import Plan
from partita.song.planning import PlannerOptions
from partita.song.request import Output, Sampling, SongRequest
from partita.song.source import AudioRef
from partita.song.task import Task, TextToMusic
from partita.song.values import Asked

_UNITS = ("_s", "_lufs", "_db", "_kbps")
_GROUPS: dict[str, type[BaseModel]] = {"planner": PlannerOptions, "sampling": Sampling, "output": Output}
# The caption is an argument; lyrics and a plan come from a file; the task is the verb; midi, stems, lrc and vtt take a
# path; references and adapters are given one by one.
_OTHERWISE = ("caption", "lyrics", "plan", "task", "references", "adapters", "midi", "stems", "lrc", "vtt")
# The verb says the kind, the source is its argument, and the seed of what is taken again stands in its record.
_NOT_OF_TASK = ("kind", "source", "of_seed")
_FROM_FILE = {
    "codes": "Text file with semantic codes to follow: numbers, or <|audio_code_N|>; - for standard input.",
    "source_lyrics": "Text file with the source's words, or -. Default: its own, where recorded.",
}
# Where a name that is plain within a task says too little beside all other flags.
_RENAMED: dict[tuple[type[BaseModel], str], str] = {
    (TextToMusic, "strength"): "--codes-strength",
    (PlannerOptions, "mode"): "--planner",
    **{
        (PlannerOptions, name): f"--planner-{name.replace('_', '-')}"
        for name in PlannerOptions.model_fields
        if name != "mode"
    },
}

_PLAN = (
    "JSON file with the plan to follow exactly, as `partita plan --json` gives it, or a song's own JSON record; - for "
    "standard input."
)

Command = TypeVar("Command", bound=Callable[..., Any])


class _Listed(click.ParamType):
    """Values between commas."""

    def __init__(self, name: str, one: Callable[[str], Any], wanted: str) -> None:
        self.name, self._one, self._wanted = name, one, wanted

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._one(part.strip()) for part in str(value).split(",") if part.strip())
        except ValueError:
            self.fail(f"{value!r} is not {self._wanted}.", param, ctx)


def flag_name(field: str) -> str:
    """`time_signature` is `--time-signature`, `duration_s` is `--duration`."""
    for unit in _UNITS:
        field = field.removesuffix(unit)
    return "--" + field.replace("_", "-")


def request_flags(
    *, hidden: Container[str] = (), groups: Container[str] = tuple(_GROUPS)
) -> Callable[[Command], Command]:
    """Decorator: one click option for every field of a request and of its `groups`, `None` or `()` where it is not
    given.

    `hidden` fields (or groups) are those that do not go with the verb: the request says why, and `--help` leaves them
    out.
    """
    plan = click.option("--plan", metavar="FILE|-", hidden="plan" in hidden, help=_PLAN)
    options = [_lyrics, _references, _adapters, plan, *_options(SongRequest, "", _OTHERWISE, hidden)]
    for group, kind in _GROUPS.items():
        if group in groups:
            out = tuple(kind.model_fields) if group in hidden else ()
            options += _options(kind, f"{group}__", _OTHERWISE, out)
    return lambda command: _all_of(options, command)


def planner_flags(*names: str) -> Callable[[Command], Command]:
    """Decorator: the flags of these planner options alone."""
    others = [name for name in PlannerOptions.model_fields if name not in names]
    return lambda command: _all_of(_options(PlannerOptions, "planner__", others), command)


def field_flags(*names: str) -> Callable[[Command], Command]:
    """Decorator: the flags of these fields of a request alone."""
    others = [name for name in SongRequest.model_fields if name not in names]
    return lambda command: _all_of(_options(SongRequest, "", others), command)


def retake_flags(command: Command) -> Command:
    """Decorator: the flags of a request that are not settled by the song that is taken again."""
    settled = [name for name in SongRequest.model_fields if name not in ("seed", "count", "best_of")]
    return _all_of([*_options(SongRequest, "", settled), *_options(Output, "output__", _OTHERWISE)], command)


def task_flags(kind: type[Asked]) -> Callable[[Command], Command]:
    """Decorator: one click option for every field that only this kind of task has."""
    return lambda command: _all_of(_options(kind, "task__", _NOT_OF_TASK), command)


def value_flags(kind: type[Asked], prefix: str) -> Callable[[Command], Command]:
    """Decorator: one click option for every field of a value, such as `--max-songs` for `songs` with the prefix `max`.
    The parameters are named `max__songs` and so on."""

    def decorate(command: Command) -> Command:
        options = [
            _option(f"--{prefix}-{flag_name(name)[2:]}", name, field, f"{prefix}__{name}", hidden=False)
            for name, field in kind.model_fields.items()
        ]
        return _all_of(options, command)

    return decorate


_lyrics = click.option("--lyrics", metavar="FILE|-", help="Text file with words to sing, or - for standard input.")
_references = click.option(
    "--reference",
    "references",
    metavar="FILE",
    multiple=True,
    help="Audio whose timbre the song should have. May be given several times.",
)
_adapters = click.option(
    "--adapter",
    "adapters",
    metavar="NAME[:STRENGTH]",
    multiple=True,
    help="Trained adapter (LoRA, LoKr): a file, a folder, or its name. May be given several times.",
)


def _all_of(options: list[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _options(
    kind: type[BaseModel], prefix: str, without: Container[str], hidden: Container[str] = ()
) -> list[Callable[[Command], Command]]:
    return [
        _option(_RENAMED.get((kind, name), flag_name(name)), name, field, prefix + name, hidden=name in hidden)
        for name, field in kind.model_fields.items()
        if name not in without and (kind is not SongRequest or name not in _GROUPS)
    ]


def _option(flag: str, name: str, field: FieldInfo, parameter: str, *, hidden: bool) -> Callable[[Command], Command]:
    if name in _FROM_FILE:
        return click.option(flag, parameter, metavar="FILE|-", default=None, help=_FROM_FILE[name])
    kind, text = _inner(field.annotation), field.description or ""
    if kind is bool:
        flag = f"{flag}/--no-{flag.removeprefix('--')}" if field.default else flag
        return click.option(flag, parameter, is_flag=True, default=None, help=text, hidden=hidden)
    if not field.is_required() and field.default not in (None, ()) and "Default" not in text:
        text += f" Default: {_shown(field.default)}."
    needed: dict[str, Any] = {"required": True} if field.is_required() else {"default": None}
    return click.option(
        flag,
        parameter,
        type=_click_type(kind),
        **needed,
        help=text,
        hidden=hidden,
        metavar=_metavar(name, kind),
    )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


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
        one = _inner(get_args(kind)[0])
        if get_origin(one) is Literal:
            names = get_args(one)
            return _Listed("name,name,...", lambda name: names[names.index(name)], f"a list of {', '.join(names)}")
        if int in get_args(kind):
            return _Listed("n,n,...", int, "a list of whole numbers such as 16,29,52")
        return _Listed("t,t,...", float, "a list of numbers such as 1,0.8,0.5")
    return {int: click.INT, float: click.FLOAT, str: click.STRING}[kind]


def _metavar(name: str, kind: Any) -> str | None:
    if get_origin(kind) is Literal and isinstance(get_args(kind)[0], int):
        return "|".join(map(str, get_args(kind)))
    return "SECONDS" if name.endswith("_s") else None


def build_task(kind: type[Asked], given: dict[str, Any], **settled: Any) -> Task:
    """The task of a kind (one of `TASKS`) that a command line describes. Raises RequestError where a field is bad."""
    fields = {
        name.removeprefix("task__"): value
        for name, value in given.items()
        if name.startswith("task__") and value is not None
    }
    if "codes" in fields:
        fields["codes"] = _read_codes(fields["codes"])
    if "source_lyrics" in fields:
        fields["source_lyrics"] = read_words(fields["source_lyrics"], "source_lyrics")
    return cast("Task", kind(**fields, **settled))


def build_request(
    given: dict[str, Any],
    *,
    midi: Path | None,
    stems: Path | None,
    lrc: Path | None = None,
    vtt: Path | None = None,
    **settled: Any,
) -> SongRequest:
    """The request that a command line describes: `settled`, and what was given. Raises RequestError for a bad field."""
    fields: dict[str, Any] = dict(settled)
    groups: dict[str, dict[str, Any]] = {group: {} for group in _GROUPS}
    for name, value in given.items():
        group, _, field = name.rpartition("__")
        if value in (None, ()) or group == "task":
            continue
        (groups[group] if group else fields)[field] = value
    if "lyrics" in given and given["lyrics"] is not None:
        fields["lyrics"] = read_words(given["lyrics"], "lyrics")
    if given.get("plan") is not None:
        fields["plan"] = read_plan(given["plan"])
    if given.get("references"):
        fields["references"] = tuple(audio_ref(name) for name in given["references"])
    beside = {"midi": midi, "stems": stems, "lrc": lrc, "vtt": vtt}
    groups["output"] |= {name: True for name, path in beside.items() if path}
    fields |= {group: _GROUPS[group](**values) for group, values in groups.items() if group not in settled}
    return SongRequest(**fields)


def planner_options(given: dict[str, Any], **usual: Any) -> PlannerOptions:
    """The planner options that a command line describes, `usual` ones where it does not."""
    told = {name.removeprefix("planner__"): value for name, value in given.items() if name.startswith("planner__")}
    return PlannerOptions(**usual | {name: value for name, value in told.items() if value is not None})


def read_plan(source: str) -> Plan:
    """The plan in a JSON file, or from standard input for `-`: a plan, what `partita plan --json` tells, or a record.

    Raises RequestError where there is none, or more than one.
    """
    text = read_words(source, "plan")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise RequestError(f"The plan file {source} is not JSON: {error}.", field="plan", value=source) from None
    plans = found.get("plans", [found.get("plan", found)]) if isinstance(found, dict) else []
    if not isinstance(plans, list) or len(plans) != 1:
        count = len(plans) if isinstance(plans, list) else 0
        raise RequestError(
            f"The plan file {source} holds {count} plans: give one with exactly one, as `partita plan --json` makes.",
            field="plan",
            value=source,
        )
    return Plan.from_json(json.dumps(plans[0]))


def audio_ref(name: str) -> AudioRef:
    """Audio by its file or, where no file has that name, by the hash under which it is kept."""
    if re.fullmatch("[0-9a-f]{64}", name) and not Path(name).exists():
        return AudioRef(sha256=name)
    return AudioRef(path=name)


def format_of(output: Path) -> str | None:
    """The format that a file name's suffix stands for, or none."""
    return next((name for name, suffix in SUFFIX.items() if suffix == output.suffix.lower()), None)


def read_words(source: str, field: str) -> str:
    """Words from a text file, or from standard input for `-`. Raises RequestError where that is not text."""
    what = field.replace("_", " ")
    try:
        if source == "-":
            return sys.stdin.read()
        return Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"The {what} file {source} cannot be read ({error.strerror}): give a text file, or - for standard input.",
            field=field,
            value=source,
        ) from None
    except UnicodeDecodeError:
        raise RequestError(f"The {what} file {source} is not UTF-8 text.", field=field, value=source) from None


def _read_codes(source: str) -> str | tuple[int, ...]:
    text = read_words(source, "codes")
    if "<|audio_code_" in text:
        return text
    parts = re.split(r"[\s,\[\]]+", text.strip(" \t\r\n,[]"))
    if not all(re.fullmatch("[0-9]{1,9}", part) for part in parts):
        raise RequestError(
            f"The codes file {source} holds something else than codes: give whole numbers with spaces or commas "
            "between them, or text such as <|audio_code_123|>.",
            field="codes",
            value=source,
        )
    return tuple(int(part) for part in parts)
