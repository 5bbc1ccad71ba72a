"""`partita generate`: words in, a song on disk out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from partita.cli.common import json_flag, machine_flags, make_engine
from partita.cli.flags import build_request, format_of, request_flags
from partita.settings import Settings

if TYPE_CHECKING:
    from partita.engine.engine import Engine
    from partita.song.request import SongRequest
    from partita.song.resolve import ResolvedRequest

_FOLDER = Path("songs")


@click.command()
@click.argument("caption", required=False)
@click.option("--lyrics", metavar="FILE|-", help="Text file with words to sing, or - for standard input.")
@request_flags
@click.option(
    "--output",
    "output_path",
    type=click.Path(path_type=Path),
    help="File to write; its suffix decides the format. Default: songs/CAPTION-SEED.SUFFIX.",
)
@click.option("--midi", type=click.Path(path_type=Path, dir_okay=False), help="Write the score to this MIDI file.")
@click.option(
    "--stems", type=click.Path(path_type=Path, file_okay=False), help="Write one file a track to this folder."
)
@click.option("--overwrite", is_flag=True, help="Replace the output file if it exists.")
@machine_flags
@json_flag
def command(
    caption: str | None,
    lyrics: str | None,
    output_path: Path | None,
    midi: Path | None,
    stems: Path | None,
    overwrite: bool,
    checkpoint_dir: Path | None,
    device: str | None,
    number_format: str | None,
    threads: int | None,
    policy: str | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Make a song from CAPTION, a description in words."""
    if fields["output__format"] is None and output_path is not None:
        fields["output__format"] = format_of(output_path)
    request = build_request(caption, lyrics, fields, midi=midi, stems=stems)
    settings = Settings.load()
    resolved = _resolve_before_work(request, settings, (output_path, midi, stems), overwrite)
    engine = make_engine(
        settings, checkpoint_dir, device=device, number_format=number_format, threads=threads, policy=policy
    )
    songs = _make_songs(engine, resolved, output_path, midi, stems, as_json)
    if as_json:
        click.echo(json.dumps({"songs": songs}, ensure_ascii=False))


def _resolve_before_work(
    request: SongRequest, settings: Settings, wanted: tuple[Path | None, Path | None, Path | None], overwrite: bool
) -> ResolvedRequest:
    """Everything that can be refused before torch is imported and weights are read is refused here."""
    from partita.engine.targets import check_free, check_target
    from partita.song.resolve import resolve
    from partita.weights.catalog import card as find_card

    resolved = resolve(request, find_card(request.model or settings.model))
    output_path, *beside = wanted
    if output_path is not None:
        check_target(output_path, resolved.output.format, len(resolved.seeds), overwrite)
    for path in beside:
        if path is not None:
            check_free(path, len(resolved.seeds), overwrite)
    return resolved


def _make_songs(
    engine: Engine,
    resolved: ResolvedRequest,
    output_path: Path | None,
    midi: Path | None,
    stems: Path | None,
    as_json: bool,
) -> list[dict[str, Any]]:
    from partita.cli.progress import ProgressView
    from partita.cli.summary import print_summary, song_json
    from partita.engine.events import Finished
    from partita.engine.meter import StageMeter
    from partita.engine.save import save
    from partita.engine.targets import song_target

    made: list[dict[str, Any]] = []
    for number, seed in enumerate(resolved.seeds):
        target = song_target(resolved, seed, number, _FOLDER, output_path, midi, stems)
        with ProgressView(quiet=as_json) as view:
            song = None
            for event in engine.run(resolved.one(seed)):
                view(event)
                if isinstance(event, Finished):
                    song = event.song
        assert song is not None  # a run ends with Finished or raises
        meter = StageMeter()
        meter.enter("write")
        saved = save(song, target, engine.settings)
        meter.enter(None)
        if as_json:
            made.append(song_json(song, saved, meter.costs()))
        else:
            print_summary(song, saved, meter.costs())
    return made
