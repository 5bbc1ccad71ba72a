"""What several verbs share: the flags about the machine, an engine made from them, and reading a song's record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from partita.errors import ReplayError
from partita.settings import Settings

if TYPE_CHECKING:
    from partita.engine.engine import Engine
    from partita.song.record import Record

Command = TypeVar("Command", bound=Callable[..., Any])

json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output, nothing else.")

_MACHINE = (
    click.option(
        "--checkpoint-dir",
        type=click.Path(path_type=Path),
        help="Folder with published files, in any of the known layouts.",
    ),
    click.option("--device", help="cpu, cuda, mps or xpu. Default: the best that torch sees."),
    click.option("--number-format", help="float32, bfloat16 or float16. Default: what the device computes natively."),
    click.option("--threads", type=int, help="Processor threads. Default: one a core."),
    click.option(
        "--policy",
        type=click.Choice(["keep", "one-at-a-time"]),
        help="Keep every part in memory, or one at a time. Default: by the memory there is.",
    ),
)


def machine_flags(command: Command) -> Command:
    """Decorator: where to run and from which files."""
    for option in reversed(_MACHINE):
        command = option(command)
    return command


def make_engine(settings: Settings, checkpoint_dir: Path | None, **machine: Any) -> Engine:
    """An engine for these flags. Raises RequestError or ResourceError where one cannot be honoured. Imports torch."""
    from partita.engine.engine import Engine
    from partita.runtime import Runtime

    return Engine(runtime=Runtime.detect(**machine), settings=settings, checkpoint_dir=checkpoint_dir)


def record_of(file: Path) -> Record:
    """The record that a song file carries, or that a JSON file is.

    Raises AudioError where the file is no sound, and ReplayError where it is not there or carries no record.
    """
    from partita.audio.tags import read_record
    from partita.song.record import Record

    if not file.exists():
        raise ReplayError(f"{file} does not exist.")
    text = file.read_text(encoding="utf-8") if file.suffix == ".json" else read_record(file)
    if text is None:
        raise ReplayError(f"{file} carries no record: it was not made by Partita, or its tags were removed.")
    return Record.from_json(text)
