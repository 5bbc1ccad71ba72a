"""`partita score`: how good a song of ours is, and when its lines are sung."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from partita.cli.common import json_flag, machine_flags, make_engine, record_of
from partita.errors import RequestError
from partita.settings import Settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--lrc", type=click.Path(path_type=Path, dir_okay=False), help="Write when each line is sung as LRC.")
@click.option("--vtt", type=click.Path(path_type=Path, dir_okay=False), help="Write when each line is sung as WebVTT.")
@click.option("--overwrite", is_flag=True, help="Replace the LRC or WebVTT file if it exists.")
@machine_flags
@json_flag
def command(
    file: Path,
    lrc: Path | None,
    vtt: Path | None,
    overwrite: bool,
    checkpoint_dir: Path | None,
    as_json: bool,
    **machine: Any,
) -> None:
    """Score FILE, a song that Partita made: by the meters, by how its lyrics are sung, and by a planner where one is
    here. FILE may be its JSON record; then the meters are left out.

    What the scores mean: docs/scores.md.
    """
    record = record_of(file)

    from partita.engine.save import write_lrc, write_vtt
    from partita.engine.targets import check_free
    from partita.weights.catalog import card

    for path in (lrc, vtt):
        if path is not None and not overwrite:
            check_free(path)
    if (lrc or vtt) and (record.request.instrumental or not card(record.request.model).sings):
        raise RequestError(
            f"{file} is not sung, so there are no lines to write; leave out --lrc and --vtt.", field="lyrics"
        )
    engine = make_engine(Settings.load(), checkpoint_dir, **machine)
    what = record if file.suffix == ".json" else file
    lines = engine.align(what) if lrc or vtt else ()
    scores = engine.score(what)
    written = []
    if lrc is not None:
        written.append(write_lrc(lrc, lines))
    if vtt is not None:
        written.append(write_vtt(vtt, lines, record.frames / record.sample_rate_hz))
    if as_json:
        told = {
            "file": str(file),
            "scores": scores.model_dump(mode="json"),
            "lines": [{"text": one.text, "start_s": one.start_s, "end_s": one.end_s} for one in lines],
            "files": [str(path) for path in written],
        }
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for line in scores.lines():
        click.echo(line)
    for path in written:
        click.echo(f"also: {path}")
