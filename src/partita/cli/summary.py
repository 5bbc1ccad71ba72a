"""What is told of a finished song: its files, its meters, and what each stage took."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from partita.cli.meters import meter_lines
from partita.engine.save import Saved
from partita.engine.song import Song, StageCost
from partita.measure.report import measure


def song_json(song: Song, saved: Saved, write: tuple[StageCost, ...] = ()) -> dict[str, Any]:
    """One song as JSON values; `write` is what saving it took."""
    return {
        "path": str(saved.audio),
        "files": [str(path) for path in saved.paths()],
        "duration_s": song.duration_s,
        "record": song.record.model_dump(mode="json"),
        "meters": measure(song.audio, song.sample_rate_hz).to_json(),
        "costs": [asdict(cost) for cost in (*song.costs, *write)],
    }


def print_summary(song: Song, saved: Saved, write: tuple[StageCost, ...] = ()) -> None:
    """Files, meters and costs in a few lines on standard output; the last line is `song: PATH`."""
    click.echo(f"{'stage':<12}{'seconds':>9}{'peak memory':>14}")
    for cost in (*song.costs, *write):
        steps = " ".join(f"{seconds:.2f}" for seconds in cost.steps_s)
        each = f"   {len(cost.steps_s)} steps: {steps}" if steps else ""
        click.echo(f"{cost.name:<12}{cost.seconds:>9.2f}{cost.peak_bytes / 2**30:>10.2f} GiB{each}")
    for line in meter_lines(measure(song.audio, song.sample_rate_hz)):
        click.echo(line)
    for path in saved.paths()[1:]:
        click.echo(f"also: {path}")
    click.echo(f"song: {saved.audio}")
