"""What is told of a finished song: its files, its meters, and what each stage took."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from partita.cli.meters import meter_lines
from partita.engine.save import Saved
from partita.engine.song import Song, StageCost
from partita.measure.report import measure
from partita.song.record import Record
from partita.song.source import SAMPLE_RATE_HZ


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
    for line in edit_lines(song.record):
        click.echo(line)
    for line in meter_lines(measure(song.audio, song.sample_rate_hz)):
        click.echo(line)
    for line in choice_lines(song.record):
        click.echo(line)
    for path in saved.paths()[1:]:
        click.echo(f"also: {path}")
    click.echo(f"song: {saved.audio}")


def choice_lines(record: Record) -> list[str]:
    """Why the song was chosen, and how the others did; empty where it is the only one."""
    if record.choice is None:
        return []
    others = [
        f"            seed {one.seed}: {one.overall:.3f}  {'; '.join(one.said)}" for one in record.choice.candidates
    ]
    notes = [f"            {note}" for note in record.choice.notes]
    return [f"chosen      {record.choice.reason}", *others, *notes]


def edit_lines(record: Record) -> list[str]:
    """What the song was made from, what of it was made, and whether the rest is untouched; empty without a source."""
    request, edit = record.request, record.edit
    if request.source is None:
        return []
    own = f", a song of {request.source.song.model}" if request.source.song is not None else ""
    lines = [f"source      {request.source.sha256[:16]}, {request.source.duration_s:.2f} s{own}"]
    if edit is None or not edit.spans:
        return [*lines, "made        all of it"]
    ranges = ", ".join(f"{first / SAMPLE_RATE_HZ:.3f} to {end / SAMPLE_RATE_HZ:.3f} s" for first, end in edit.spans)
    fades = f", cross-fades of {1000 * edit.crossfade_samples / SAMPLE_RATE_HZ:g} ms beside it"
    lines.append(f"made        {ranges}{fades if edit.crossfade_samples else ''}")
    if edit.kept:
        lines.append("untouched   every other sample is the source's own")
    elif record.loudness.mode != "off":
        lines.append(f"untouched   nothing: normalise {record.loudness.mode} set the level of the whole song")
    else:
        lines.append("untouched   nothing: all of the song was decoded anew")
    return lines
