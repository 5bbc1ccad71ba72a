"""The program `partita-ace-step`: ace-step-rs's one-shot command line, with Partita playing.

It owns the order of the checks, the exit codes and the two streams: the summary is the last line of standard output,
all else goes to standard error. Nothing heavy is imported before the options are right.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from partita.errors import PartitaError, RequestError
from partita.service.doors.acestep_rs.arguments import number, u64
from partita.service.doors.acestep_rs.logs import log_to_stderr
from partita.service.doors.acestep_rs.protocol import (
    CHANNELS,
    LONGEST_S,
    SAMPLE_RATE_HZ,
    SHORTEST_S,
    Asked,
    FileFormat,
    compact,
    format_of,
    number as in_digits,
    system_text,
)

if TYPE_CHECKING:
    from partita.service.doors.acestep_rs.player import Player

log = logging.getLogger(__name__)


def run() -> None:
    """The entry point."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Make one song, and return the exit code: 0, or 1 after a line that begins with `Error: `. Options that make no
    sense end the process with code 2."""
    options = _parser().parse_args(arguments)
    log_to_stderr(os.environ.get("RUST_LOG"))
    try:
        _make(options)
    except RequestError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _make(options: argparse.Namespace) -> None:
    """Raises RequestError with the program's words for the step that failed."""
    if not SHORTEST_S <= options.duration <= LONGEST_S:
        raise RequestError(
            f"duration must be between {SHORTEST_S} and {LONGEST_S} seconds, got {in_digits(options.duration)}"
        )
    file_format = format_of(options.output)
    path = Path(options.output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise RequestError(system_text(error)) from error
    asked = Asked(
        caption=options.caption,
        lyrics=options.lyrics,
        metas=options.metas,
        language=options.language,
        duration_s=options.duration,
        shift=options.shift,
        seed=options.seed,
        output=options.output,
    )
    try:
        player = _player()
        player.load()
    except (PartitaError, OSError) as error:
        raise RequestError(f"failed to load pipeline: {error}") from error
    _play(player, asked, file_format, path)
    summary = {"path": options.output, "duration_s": 0, "sample_rate": SAMPLE_RATE_HZ, "channels": CHANNELS}
    line = compact(summary).replace('"duration_s":0', f'"duration_s":{in_digits(options.duration)}', 1)
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(line) + b"\n")
    sys.stdout.buffer.flush()


def _player() -> Player:
    from partita.service.doors.acestep_rs.player import Player
    from partita.service.manager import Manager
    from partita.settings import Settings

    return Player(Manager(), Settings.load())


def _play(player: Player, asked: Asked, file_format: FileFormat, path: Path) -> None:
    from partita.errors import SaveError

    try:
        song = player.play(asked, file_format)
    except PartitaError as error:
        raise RequestError(f"generation failed: {error}") from error
    for note in song.warnings:
        log.warning("%s", note)
    try:
        player.write(song, path, file_format)
    except SaveError as error:
        raise RequestError(f"failed to write audio: {error}") from error


def _fail(text: str) -> int:
    sys.stderr.write(f"Error: {text}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="partita-ace-step",
        description="Make a song from a caption and write it as WAV, Ogg Vorbis or MP3, by the extension of its name.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-c", "--caption", required=True, help="what it should sound like, in words")
    add("-o", "--output", required=True, metavar="PATH", help=".wav, .ogg or .mp3; without an extension it is WAV")
    add("-l", "--lyrics", default="", help="words to sing; empty is instrumental")
    add("--language", default="en", help="language code of the lyrics (default: en)")
    add("--metas", default="", help="such as 'bpm: 120, key: C major'")
    add("-d", "--duration", type=number, default=30.0, metavar="S", help="seconds, 1 to 600 (default: 30)")
    add("-s", "--seed", type=u64, help="same seed, same song (default: drawn at random)")
    add("--shift", type=number, default=3.0, help="table of times of the turbo models: 1, 2 or 3 (default: 3)")
    return parser
