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
from partita.errors import RequestError, SaveError
from partita.settings import Settings

if TYPE_CHECKING:
    from partita.cli.progress import ProgressView
    from partita.engine.engine import Engine
    from partita.engine.song import Song
    from partita.engine.targets import Target
    from partita.song.request import SongRequest
    from partita.song.resolve import ResolvedRequest
    from partita.song.scores import Candidate

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
    count = len(resolved.groups)
    beside = (delivery.midi, delivery.stems, delivery.lrc, delivery.vtt)
    if delivery.keep_all and resolved.best_of == 1:
        raise RequestError(
            "--keep-all keeps the songs that are not the best, and best_of is 1: say --best-of N, or use --count.",
            field="best_of",
            value=1,
        )
    if delivery.output is not None:
        target = Target(delivery.output, *beside)
        check_target(target, resolved.output, count, delivery.overwrite)
        if delivery.keep_all:
            for seed in () if delivery.overwrite else resolved.seeds:
                check_target(target.renamed(f"-seed-{seed}"), resolved.output, 1, overwrite=False)
    else:
        check_beside(Target(_FOLDER, *beside), count, delivery.overwrite)
    return resolved


def _make_each(engine: Engine, resolved: ResolvedRequest, delivery: Delivery, name: str | None) -> list[dict[str, Any]]:
    from partita.cli.progress import ProgressView

    with ProgressView(quiet=delivery.as_json) as view:
        desk = _Desk(engine, delivery, view, name)
        if resolved.best_of > 1:
            for number, seeds in enumerate(resolved.groups):
                _make_best(engine, [resolved.one(seed) for seed in seeds], number, desk)
        else:
            _make_all(engine, [resolved.one(seed) for seed in resolved.seeds], desk)
    return desk.told()


def _make_all(engine: Engine, singles: list[ResolvedRequest], desk: _Desk) -> None:
    from partita.engine.events import Finished

    with closing(engine.run_many(singles)) as events:
        for number, event in events:
            desk.view(event)
            if isinstance(event, Finished):
                desk.deliver(event.song, number)


def _make_best(engine: Engine, singles: list[ResolvedRequest], number: int, desk: _Desk) -> None:
    """Song `number`: the best of these."""
    from partita.engine.events import Chosen, Finished

    made: list[Song] = []
    with closing(engine.run_best(singles)) as events:
        for event in events:
            desk.view(event)
            if isinstance(event, Finished) and desk.keep_all:
                made.append(event.song)
            elif isinstance(event, Chosen):
                desk.deliver(event.song, number, scores=event.ranked)
                for song in made:
                    if song.record.seed != event.song.record.seed:
                        desk.deliver(song, number, beside_best=True)


class _Desk:
    """Saves songs and tells of them. A song that cannot be saved where it is wanted does not keep others back."""

    def __init__(self, engine: Engine, delivery: Delivery, view: ProgressView, name: str | None) -> None:
        self.view, self.keep_all = view, delivery.keep_all
        self._engine, self._delivery, self._name = engine, delivery, name
        self._told: dict[int, dict[str, Any]] = {}
        self._failed: list[SaveError] = []

    def deliver(
        self, song: Song, number: int, *, scores: tuple[Candidate, ...] = (), beside_best: bool = False
    ) -> None:
        """Save song `number`, or one that is not the best beside it, and tell of it."""
        from partita.cli.summary import print_summary, song_json
        from partita.engine.meter import StageMeter
        from partita.engine.save import save

        meter = StageMeter()
        meter.enter("write")
        try:
            saved = save(song, self._target(song, number, beside_best), self._engine.settings)
        except SaveError as error:  # the song is kept elsewhere, and the others are still to come
            self._failed.append(error)
            return
        finally:
            meter.enter(None)
        if not self._delivery.as_json:
            with self.view.aside():
                print_summary(song, saved, meter.costs())
            return
        told = song_json(song, saved, meter.costs())
        if beside_best:
            self._told.setdefault(number, {}).setdefault("kept", []).append(told)
        else:
            self._told[number] = told | (
                {"candidates": [one.model_dump(mode="json") for one in scores]} if scores else {}
            )

    def told(self) -> list[dict[str, Any]]:
        """What is told of all songs as JSON, in order. Raises SaveError where one is not where it was wanted."""
        for further in self._failed[1:]:
            self._failed[0].add_note(str(further))
        if self._failed:
            raise self._failed[0]
        return [self._told[number] for number in sorted(self._told)]

    def _target(self, song: Song, number: int, beside_best: bool) -> Target:
        from partita.engine.targets import Target, song_target

        given, request, seed = self._delivery, song.record.request, song.record.seed
        if beside_best and given.output is not None:
            own = Target(given.output, given.midi, given.stems, given.lrc, given.vtt)
            return own.renamed(f"-seed-{seed}")
        return song_target(
            *(request, seed, 0 if beside_best else number, _FOLDER, given.output),
            *((None, None) if beside_best else (given.midi, given.stems)),
            lrc=None if beside_best else given.lrc,
            vtt=None if beside_best else given.vtt,
            name=self._name,
        )
