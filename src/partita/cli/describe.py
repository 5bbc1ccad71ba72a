"""`partita describe`: what audio sounds like, in a planner's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partita.cli.common import make_engine
from partita.cli.flags import audio_ref, planner_options
from partita.cli.words import tell, word_flags
from partita.settings import Settings


@click.command()
@click.argument("file")
@word_flags("model")
def command(
    file: str,
    model: str | None,
    seed: int | None,
    parity: bool | None,
    checkpoint_dir: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Describe FILE in words: caption, lyrics, tempo, key, metre and language. It is heard through the codec of an
    ACE-Step 1.5 model, --model, as semantic codes.

    How planners work: docs/planner.md.
    """
    from partita.cli.progress import ProgressView
    from partita.engine.planning import DESCRIBING

    machine = {name: value for name, value in given.items() if not name.startswith("planner__")}
    engine = make_engine(Settings.load(), checkpoint_dir, **machine)
    with ProgressView(quiet=as_json) as view:
        description = engine.describe(
            audio_ref(file),
            model=model,
            planner=planner_options(given, temperature=DESCRIBING.temperature),
            seed=seed,
            parity=bool(parity),
            on_progress=view,
        )
    tell(description, as_json)
