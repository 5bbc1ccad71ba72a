"""`partita retake`: the song of a record taken again, a little otherwise, with all else as it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from partita.cli.common import record_of
from partita.cli.flags import build_request, build_task, retake_flags, task_flags
from partita.cli.songs import Delivery, make_songs, name_after, song_flags
from partita.errors import RequestError
from partita.settings import Settings
from partita.song.task import Retake, TextToMusic

if TYPE_CHECKING:
    from partita.song.record import Record
    from partita.song.request import AdapterChoice


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@task_flags(Retake)
@retake_flags
@song_flags
def command(file: Path, delivery: Delivery, **given: Any) -> None:
    """Take the song FILE again, from the record inside it (or from its JSON record): a little otherwise, as --variance
    says. Model, words, tempo, key and sampling are the song's own; --seed is that of the other song that it is turned
    towards.

    What the variance means: docs/tasks.md.
    """
    record = record_of(file)
    request = build_request(
        given,
        midi=delivery.midi,
        stems=delivery.stems,
        lrc=delivery.lrc,
        vtt=delivery.vtt,
        task=build_task(Retake, given, of_seed=record.seed),
        **_settled(record, file),
    )
    make_songs(request, delivery, name=name_after(file.stem, "retake"))


def _settled(record: Record, file: Path) -> dict[str, Any]:
    """Fields of a request for all that decides a song but its noise. Raises RequestError where that is not known."""
    from partita.song.request import Sampling
    from partita.song.source import AudioRef

    was = record.request  # what it left open is left open again: the planner draws it from the song's own seed
    if not isinstance(was.task, TextToMusic):
        raise RequestError(
            f"{file} was made by {was.task.kind}, and only songs made from words alone can be taken again: retake the "
            f"song that it was made from, or use {was.task.kind} again with another seed.",
            field="task",
            value=was.task.kind,
        )
    if was.task.codes is not None:
        raise RequestError(
            f"{file} follows given semantic codes, which a retake cannot: use generate again with the same codes and "
            "another seed.",
            field="task.codes",
            value=len(was.task.codes),
        )
    if record.plan.planner is not None or record.plan.codes is not None:  # rules would not make this plan again
        words = {"plan": record.plan}
    else:
        words = {
            "caption": was.caption,
            "lyrics": "" if was.instrumental else was.lyrics,
            # Without words and the tag for none: only in parity.
            "instrumental": was.instrumental and bool(was.lyrics),
            "duration_s": record.plan.duration_s,
            "bpm": was.bpm,
            "key": was.key,
            "time_signature": was.time_signature,
            "language": was.language,
        }
    sampling = was.sampling
    own_times = sampling.timesteps is not None
    return {
        **words,
        "model": was.model,
        "references": tuple(AudioRef(sha256=one.sha256) for one in was.references),
        "adapters": _adapters(record),
        "parity": was.parity,
        "sampling": Sampling(
            steps=None if own_times else sampling.steps,
            shift=None if own_times else sampling.shift,
            timesteps=sampling.timesteps,
            timesteps_verbatim=sampling.timesteps_verbatim,
            solver=sampling.solver,
            guidance=sampling.guidance if sampling.guidance_scale > 1 else None,
            guidance_scale=sampling.guidance_scale,
            guidance_interval=sampling.guidance_interval,
        ),
    }


def _adapters(record: Record) -> tuple[AdapterChoice, ...]:
    """The song's adapters, each at its strength. Raises ReplayError where one is not here as it was."""
    if not record.request.adapters:
        return ()
    from partita.engine.intake import shelf_of
    from partita.song.request import AdapterChoice

    shelf = shelf_of(Settings.load())
    return tuple(
        AdapterChoice(name=str(shelf.find_again(one.facts)), strength=one.strength) for one in record.request.adapters
    )
