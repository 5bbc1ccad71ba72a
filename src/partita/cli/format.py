"""`partita format`: a caption and lyrics in a planner's own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partita.cli.common import make_engine
from partita.cli.flags import planner_options, read_words
from partita.cli.words import tell, word_flags
from partita.settings import Settings

_KEPT = ("bpm", "duration_s", "key", "time_signature", "language")


@click.command()
@click.argument("caption", required=False)
@click.option("--lyrics", metavar="FILE|-", help="Text file with lyrics, or - for standard input.")
@word_flags(*_KEPT)
def command(
    caption: str | None,
    lyrics: str | None,
    seed: int | None,
    parity: bool | None,
    checkpoint_dir: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Put CAPTION and lyrics into a planner's own words, which song models read best. Tempo, length, key, metre and
    language stay as they are given.

    How planners work: docs/planner.md.
    """
    from partita.cli.progress import ProgressView

    words = "" if lyrics is None else read_words(lyrics, "lyrics")
    kept = {name: given.pop(name) for name in _KEPT}
    machine = {name: value for name, value in given.items() if not name.startswith("planner__")}
    engine = make_engine(Settings.load(), checkpoint_dir, **machine)
    with ProgressView(quiet=as_json) as view:
        description = engine.format(
            caption or "",
            words,
            **kept,
            planner=planner_options(given),
            seed=seed,
            parity=bool(parity),
            on_progress=view,
        )
    tell(description, as_json)
