"""`partita replay`: a song file's own record, rendered again to the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import click

from partita.cli.common import json_flag, record_of
from partita.errors import ReplayError
from partita.settings import Settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="File to write. Default: FILE-replay beside FILE.")
@click.option("--checkpoint-dir", type=click.Path(path_type=Path), help="Folder with published files.")
@json_flag
def command(file: Path, output: Path | None, checkpoint_dir: Path | None, as_json: bool) -> None:
    """Render FILE again from the record inside it (or from its JSON record), to the same bytes."""
    record = record_of(file)

    from partita.audio.formats import SUFFIX
    from partita.cli.progress import ProgressView
    from partita.cli.summary import print_summary, song_json
    from partita.engine.engine import Engine
    from partita.engine.save import save
    from partita.engine.targets import Target, check_target, next_free
    from partita.runtime import Runtime

    audio_format = record.request.output.format
    if output is not None:
        check_target(Target(output), record.request.output, 1, overwrite=False)
    target = output or next_free(file.with_name(f"{file.stem}-replay{SUFFIX[audio_format]}"))
    was = record.runtime
    runtime = Runtime.detect(device=was.device, number_format=was.number_format, threads=was.threads)
    engine = Engine(runtime=runtime, settings=Settings.load(), checkpoint_dir=checkpoint_dir)
    with ProgressView(quiet=as_json) as view:
        song = engine.replay(record, on_progress=view)
    saved = save(song, Target(target), engine.settings)
    same = song.record.audio_sha256 == record.audio_sha256
    if as_json:
        click.echo(json.dumps({"same": same, "song": song_json(song, saved)}, ensure_ascii=False))
    else:
        print_summary(song, saved)
    if not same:
        raise ReplayError(
            f"The song was rendered again, and its samples differ from the recorded ones (it is in {target}). "
            "Nothing that the record names differs, so please report it with both records."
        )
