"""What several verbs share: the flags about the machine, and the making of an engine from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from partita.settings import Settings

if TYPE_CHECKING:
    from partita.engine.engine import Engine

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
