"""`partita probe`: the meters of any audio file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from partita.cli.common import json_flag


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_flag
def command(file: Path, as_json: bool) -> None:
    """Measure FILE: tempo, key, loudness, clipping, silence, bandwidth; and say how it was made, if it knows."""
    from partita.audio.read import read
    from partita.audio.tags import read_record
    from partita.cli.meters import meter_lines
    from partita.measure.report import measure

    audio = read(file)
    report = measure(audio.samples, audio.sample_rate_hz)
    record = read_record(file)
    if as_json:
        made = json.loads(record) if record else None
        click.echo(json.dumps({"file": str(file), "meters": report.to_json(), "record": made}, ensure_ascii=False))
        return
    for line in meter_lines(report):
        click.echo(line)
    if record:
        request = json.loads(record)["request"]
        click.echo(f"made by Partita with {request['model']}, seed {request['seeds'][0]}: {request['caption']}")
