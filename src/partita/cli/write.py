"""`partita write`: caption, lyrics and metadata from a wish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partita.cli.common import make_engine
from partita.cli.flags import planner_options
from partita.cli.words import tell, word_flags
from partita.settings import Settings


@click.command()
@click.argument("wish")
@word_flags("language", "instrumental")
def command(
    wish: str,
    language: str | None,
    instrumental: bool | None,
    seed: int | None,
    parity: bool | None,
    checkpoint_dir: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Write a song in words from WISH: caption, lyrics, tempo, key, metre and length, by a planner.

    How planners work: docs/planner.md.
    """
    from partita.cli.progress import ProgressView

    machine = {name: value for name, value in given.items() if not name.startswith("planner__")}
    engine = make_engine(Settings.load(), checkpoint_dir, **machine)
    with ProgressView(quiet=as_json) as view:
        description = engine.write(
            wish,
            language=language,
            instrumental=bool(instrumental),
            planner=planner_options(given),
            seed=seed,
            parity=bool(parity),
            on_progress=view,
        )
    tell(description, as_json)
