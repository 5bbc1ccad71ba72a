"""What the verbs that write words share: flags about the planner, and how a description is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from partita.cli.common import json_flag, machine_flags
from partita.cli.flags import field_flags, planner_flags
from partita.song.planning import Description

Command = TypeVar("Command", bound=Callable[..., Any])
_OPTIONS = ("model", "temperature", "top_k", "top_p", "min_p", "weight_format")


def word_flags(*fields: str) -> Callable[[Command], Command]:
    """Decorator: which planner and how it chooses, a seed, these `fields` of a request, and the machine."""

    def decorate(command: Command) -> Command:
        return field_flags(*fields, "seed", "parity")(planner_flags(*_OPTIONS)(machine_flags(json_flag(command))))

    return decorate


def tell(description: Description, as_json: bool) -> None:
    """Print a description: as JSON, or as lines of values with the lyrics behind them."""
    if as_json:
        click.echo(json.dumps(description.model_dump(mode="json"), ensure_ascii=False))
        return
    for name, value in (
        ("caption", description.caption),
        ("genres", description.genres),
        ("tempo", description.bpm and f"{description.bpm} BPM"),
        ("length", description.duration_s and f"{description.duration_s:g} s"),
        ("key", description.key),
        ("metre", description.time_signature),
        ("language", description.language),
        ("seed", description.seed),
    ):
        if value not in (None, ""):
            click.echo(f"{name:<10}{value}")
    for note in description.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"\n{description.lyrics}")
