"""From a request to songs on disk: what `generate` and every verb that edits share.

All that can be refused is refused before torch is imported. Each song is saved as soon as it is finished.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from partita.cli.common import json_flag, machine_flags, make_engine
from partita.cli.flags import format_of
from partita.errors import SaveError
from partita.settings import Settings

if TYPE_CHECKING:
    from partita.engine.engine import Engine
    from partita.song.request import SongRequest
    from partita.song.resolve import ResolvedRequest

_FOLDER = Path("songs")
_NAME_CHARACTERS = 48  # what `caption_name` keeps
_MACHINE = ("device", "number_format", "threads", "policy")


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where songs are wanted, and on what they are made. Paths are none where the default name is meant."""

    output: Path | None
    midi: Path | None
    stems: Path | None
    lrc: Path | None
    vtt: Path | None
    keep_all: bool
    overwrite: bool
    checkpoint_dir: Path | None
    machine: dict[str, Any]
    as_json: bool


def song_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator: the flags about files and machine, which reach the command as `delivery`.

    The suffix of the output becomes the format where that is not given. To be nearest the function of all decorators.
    """

    @functools.wraps(command)
    def called(**given: Any) -> None:
        delivery = Delivery(
            output=given.pop("output_path"),
            midi=given.pop("midi"),
            stems=given.pop("stems"),
            lrc=given.pop("lrc"),
            vtt=given.pop("vtt"),
            keep_all=given.pop("keep_all"),
            overwrite=given.pop("overwrite"),
            checkpoint_dir=given.pop("checkpoint_dir"),
            machine={name: given.pop(name) for name in _MACHINE},
            as_json=given.pop("as_json"),
        )
        if given["output__format"] is None and delivery.output is not None:
            given["output__format"] = format_of(delivery.output)
        command(delivery=delivery, **given)

    return _output_flags(machine_flags(json_flag(called)))


def _output_flags(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option(
                "--output",
                "output_path",
                type=click.Path(path_type=Path),
                help="File to write; its suffix decides the format. Default: songs/NAME-SEED.SUFFIX.",
            ),
            click.option(
                "--midi", type=click.Path(path_type=Path, dir_okay=False), help="Write the score to this MIDI file."
            ),
            click.option(
                "--stems",
                type=click.Path(path_type=Path, file_okay=False),
                help="Write one file a track to this folder.",
            ),
            click.option(
                "--lrc",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Write when each line is sung to this LRC file.",
            ),
            click.option(
                "--vtt",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Write when each line is sung to this WebVTT file.",
            ),
            click.option(
                "--keep-all", is_flag=True, help="With --best-of: write the others too, named by their seeds."
            ),
            click.option("--overwrite", is_flag=True, help="Replace the output file if it exists."),
        )
    ):
        command = option(command)
    return command


def name_after(source: str, verb: str) -> str:
    """Beginning of a file name for what `verb` makes of `source`: a long name of the source is cut, the verb is not."""
    return f"{source[: _NAME_CHARACTERS - len(verb) - 1]}-{verb}"


def make_songs(request: SongRequest, delivery: Delivery, name: str | None = None) -> None:
    """Make every song of the request, save each and tell of it.

    `name` begins the default file names; without it the caption does. Raises the errors of `partita.errors`; a song
    that cannot be saved where it is wanted does not keep the others from being made.
    """
    settings = Settings.load()
    resolved = _resolve_before_work(request, settings, delivery)
    engine = make_engine(settings, delivery.checkpoint_dir, **delivery.machine)
    told = _make_each(engine, resolved, delivery, name)
    if delivery.as_json:
        click.echo(json.dumps({"songs": told}, ensure_ascii=False))


def _resolve_before_work(request: SongRequest, settings: Settings, delivery: Delivery) -> ResolvedRequest:
    from partita.engine.intake import resolve_request
    from partita.engine.targets import Target, check_beside, check_target

    resolved = resolve_request(request, settings)
    count = len(resolved.seeds)
    if delivery.output is not None:
        target = Target(delivery.output, delivery.midi, delivery.stems)
        check_target(target, resolved.output, count, delivery.overwrite)
    else:
        check_beside(Target(_FOLDER, delivery.midi, delivery.stems), count, delivery.overwrite)
    return resolved


def _make_each(engine: Engine, resolved: ResolvedRequest, delivery: Delivery, name: str | None) -> list[dict[str, Any]]:
    from partita.cli.progress import ProgressView
    from partita.cli.summary import print_summary, song_json
    from partita.engine.events import Finished
    from partita.engine.meter import StageMeter
    from partita.engine.save import save
    from partita.engine.targets import song_target

    told: dict[int, dict[str, Any]] = {}
    failed: list[SaveError] = []
    singles = [resolved.one(seed) for seed in resolved.seeds]
    with (
        ProgressView(quiet=delivery.as_json) as view,
        closing(engine.run_many(singles)) as events,
    ):
        for number, event in events:
            view(event)
            if not isinstance(event, Finished):
                continue
            single = singles[number]
            target = song_target(
                single, single.seeds[0], number, _FOLDER, delivery.output, delivery.midi, delivery.stems, name=name
            )
            meter = StageMeter()
            meter.enter("write")
            try:
                saved = save(event.song, target, engine.settings)
            except SaveError as error:  # the song is kept elsewhere, and the others are still to come
                failed.append(error)
                continue
            finally:
                meter.enter(None)
            if delivery.as_json:
                told[number] = song_json(event.song, saved, meter.costs())
            else:
                with view.aside():
                    print_summary(event.song, saved, meter.costs())
    for further in failed[1:]:
        failed[0].add_note(str(further))
    if failed:
        raise failed[0]
    return [told[number] for number in sorted(told)]
