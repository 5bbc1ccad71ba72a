"""`partita generate`: words in, a song on disk out."""

from __future__ import annotations

from typing import Any

import click

from partita.cli.flags import build_request, build_task, request_flags, task_flags
from partita.cli.songs import Delivery, make_songs, song_flags
from partita.song.task import TextToMusic


@click.command()
@click.argument("caption", required=False)
@request_flags()
@task_flags(TextToMusic)
@song_flags
def command(caption: str | None, delivery: Delivery, **given: Any) -> None:
    """Make a song from CAPTION, a description in words."""
    request = build_request(
        given,
        midi=delivery.midi,
        stems=delivery.stems,
        lrc=delivery.lrc,
        vtt=delivery.vtt,
        caption=caption or "",
        task=build_task(TextToMusic, given),
    )
    make_songs(request, delivery)
