"""What is told of a finished song: its files, its meters, and what each stage took."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from partita.cli.meters import meter_lines
from partita.engine.save import Saved
from partita.engine.song import Song
from partita.measure.report import measure


def song_json(song: Song, saved: Saved) -> dict[str, Any]:
    """One song as JSON values."""
    return {
        "path": str(saved.audio),
        "files": [str(path) for path in saved.paths()],
        "duration_s": song.duration_s,
        "record": song.record.model_dump(mode="json"),
        "meters": measure(song.audio, song.sample_rate_hz).to_json(),
        "costs": [asdict(cost) for cost in song.costs],
    }


def print_summary(song: Song, saved: Saved) -> None:
    """Files, meters and costs in a few lines on standard output; the last line is `song: PATH`."""
    click.echo(f"{'stage':<12}{'seconds':>9}{'peak memory':>14}")
    for cost in song.costs:
        steps = f"   {cost.steps} steps, {cost.seconds / cost.steps:.2f} s each" if cost.steps else ""
        click.echo(f"{cost.name:<12}{cost.seconds:>9.2f}{cost.peak_bytes / 2**30:>10.2f} GiB{steps}")
    for line in meter_lines(measure(song.audio, song.sample_rate_hz)):
        click.echo(line)
    for path in saved.paths()[1:]:
        click.echo(f"also: {path}")
    click.echo(f"song: {saved.audio}")
