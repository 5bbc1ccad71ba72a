"""The verbs that work from a source, such as `partita repaint FILE`: one for each kind of task that has one.

A verb is named as its task, its flags are made from the task's fields, and beyond that all of them do the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partita.cli.flags import audio_ref, build_request, build_task, request_flags, task_flags
from partita.cli.songs import Delivery, make_songs, name_after, song_flags
from partita.song.task import TASKS

KINDS = {kind.model_fields["kind"].default: kind for kind in TASKS if "source" in kind.model_fields}

_SOURCE = "SOURCE is a sound file of any kind, latents (.safetensors), or the hash of kept audio."
_WORDS = "CAPTION says in words how it should sound; a song that Partita made brings its own words along."


def command_of(verb: str) -> click.Command:
    """The command of a verb, which is a key of `KINDS`."""
    kind = KINDS[verb]

    @click.command(verb, help=f"{kind.__doc__}\n\n{_SOURCE} {_WORDS}\n\nWhat the strengths mean: docs/tasks.md.")
    @click.argument("source")
    @click.argument("caption", required=False)
    @task_flags(kind)
    @request_flags(hidden=("duration_s", "planner", "plan"))
    @song_flags
    def command(source: str, caption: str | None, delivery: Delivery, **given: Any) -> None:
        ref = audio_ref(source)
        request = build_request(
            given,
            midi=delivery.midi,
            stems=delivery.stems,
            lrc=delivery.lrc,
            vtt=delivery.vtt,
            caption=caption or "",
            task=build_task(kind, given, source=ref),
        )
        make_songs(request, delivery, name=name_after(Path(source).stem if ref.path else source[:8], verb))

    return command
