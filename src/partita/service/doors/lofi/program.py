"""The program `partita-lofi-daemon`: the command line and the streams of lofi.nvim's daemon, with Partita playing.

It owns the process: nothing but the protocol reaches standard output, the end of input ends everything at once, and
all work is done by threads of this process, so that killing it leaves no other behind.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from partita.errors import PartitaError
from partita.service.doors.lofi.asked import SEEDS, Order
from partita.service.doors.lofi.backends import BACKENDS
from partita.service.doors.lofi.config import SCHEDULERS, LofiConfig
from partita.service.doors.lofi.player import Player
from partita.service.doors.lofi.protocol import Framer
from partita.service.doors.lofi.rpc import Daemon
from partita.service.doors.lofi.tracks import Tracks

VERSION = "0.1.0"
"""Of the daemon whose protocol this is."""
_CHUNK_BYTES = 65_536
_MOST_LINES = 1000
"""Lines that were read and not answered; beyond them the client's pipe fills."""
_LAST_ANSWERS_S = 0.5
"""How long the end of input waits for the answers to what was read."""
_CLI_SEED, _CLI_STEPS, _CLI_SCHEDULER, _CLI_GUIDANCE = 42, 60, "euler", 7.0
"""Of the command line, for ace-step; requests of the daemon have other usual values."""

_USAGE = """lofi-daemon: music from words, by Partita

Usage:
  A song:  lofi-daemon --prompt "lofi hip hop beats" --duration 10 --output test.wav
  Longer:  lofi-daemon --backend ace-step --prompt "lofi beats" --duration 60 --output long.wav
  Daemon:  lofi-daemon --daemon

`lofi-daemon --help` lists every option."""

_log = logging.getLogger(__name__)


def run() -> None:
    """The entry point."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code; a daemon does not return."""
    options = _parser().parse_args(arguments)
    _log_to_stderr()
    if options.version:
        from importlib.metadata import version

        sys.stdout.write(f"lofi-daemon {VERSION} (partita {version('partita')})\n")
        return 0
    if options.daemon:
        serve(LofiConfig.of_environment(os.environ))
    if options.prompt is None:
        sys.stderr.write(f"{_USAGE}\n")
        return 0
    try:
        make_one(options)
    except (PartitaError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def make_one(options: argparse.Namespace) -> None:
    """Make one song and write it where the options say. Raises the errors of `partita.errors`, OSError."""
    config = LofiConfig.of_environment(os.environ)
    backend = BACKENDS[options.backend.replace("-", "_")]
    if options.model_dir is not None:
        name = "ace_step_path" if backend.takes_sampling else "musicgen_path"
        config = replace(config, **{name: options.model_dir.absolute()})
    seed = options.seed
    if seed is None:
        seed = _CLI_SEED if backend.takes_sampling else int.from_bytes(os.urandom(4), "big") % SEEDS
    if not backend.takes_sampling and options.duration > 30:
        _log.warning("Warning: MusicGen was made for up to 30 s; --backend ace-step is for longer songs.")
    given = {"inference_steps": options.steps, "scheduler": options.scheduler, "guidance_scale": options.guidance}
    order = Order(
        prompt=options.prompt,
        duration_s=options.duration,
        seed=seed,
        backend=backend,
        model_version=backend.model_version(config),
        steps=_CLI_STEPS if options.steps is None else options.steps,
        scheduler=options.scheduler or _CLI_SCHEDULER,
        guidance_scale=_CLI_GUIDANCE if options.guidance is None else options.guidance,
        given={name: value for name, value in given.items() if value is not None},
    )
    tenth = 0

    def report(share: float) -> None:
        nonlocal tenth
        if int(share * 10) > tenth:
            tenth = int(share * 10)
            _log.warning("Progress: %d %%", 10 * tenth)

    _log.warning("%s, %d s, seed %d: %s", backend.title, order.duration_s, seed, order.prompt)
    played = Player(config).play(order, options.output.absolute(), on_share=report)
    for note in played.notes:
        _log.warning("note: %s", note)
    _log.warning(
        "Saved to %s: %.2f s at %d Hz, made by %s in %.2f s",
        options.output,
        played.duration_s,
        played.sample_rate_hz,
        played.model,
        played.generation_s,
    )


def serve(config: LofiConfig) -> NoReturn:
    """Answer standard input on standard output until it ends, and end the process."""
    stdout = _own_stdout()
    tracks = Tracks(config.tracks)
    writing = threading.Lock()

    def leave(code: int = 0) -> NoReturn:
        # At once, in the middle of whatever the other threads do: an exit that waits for them takes as long as a song.
        tracks.tidy()
        os._exit(code)

    def send(line: bytes) -> None:
        try:
            with writing:
                while line:
                    line = line[os.write(stdout, line) :]
        except OSError:  # nobody reads any more
            leave()

    daemon = Daemon(config, Player(config), tracks, send=send, leave=leave)
    daemon.start()
    try:
        _read(daemon.handle)
    except KeyboardInterrupt:
        leave(130)
    leave()


def _read(handle: Callable[[bytes | None], None]) -> None:
    """Hand every line of standard input to `handle`, on a thread of its own: whatever a line takes, and whether or
    not the client reads, the end of input is seen when it comes."""
    lines: queue.Queue[list[bytes | None] | None] = queue.Queue(_MOST_LINES)

    def answer_all() -> None:
        while (batch := lines.get()) is not None:
            for line in batch:
                handle(line)

    answering = threading.Thread(target=answer_all, name="answers", daemon=True)
    answering.start()
    framer = Framer()
    while data := os.read(0, _CHUNK_BYTES):
        for line in framer.feed(data):
            lines.put([line])
    lines.put([*framer.end()])
    lines.put(None)
    answering.join(_LAST_ANSWERS_S)


def _own_stdout() -> int:
    """Standard output for the protocol alone: whatever else is printed in this process goes to standard error."""
    for stream in (0, 1, 2):
        try:
            os.fstat(stream)
        except OSError:  # closed; what is opened next would stand in its place
            os.open(os.devnull, os.O_RDWR)
    stdout = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    if os.name == "posix":
        for stream in (0, stdout):
            os.set_blocking(stream, True)
    return stdout


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lofi-daemon",
        description="Music from words: the daemon of lofi.nvim, with Partita playing.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-p", "--prompt", help="what the music should sound like")
    add("-d", "--duration", type=_duration, default=10, help="seconds, 5 to 240 (default 10)")
    add("-o", "--output", type=Path, default=Path("output.wav"), help="WAV file to write (default output.wav)")
    add("-m", "--model-dir", type=Path, help="folder with the backend's model files")
    add("-s", "--seed", type=_seed, help="same seed, same song")
    add("-b", "--backend", choices=("musicgen", "ace-step"), default="musicgen", help="default musicgen")
    add("--steps", type=int, help="sampler steps, for ace-step (default 60)")
    add("--scheduler", choices=SCHEDULERS, help="for ace-step (default euler)")
    add("--guidance", type=float, help="guidance scale, for ace-step (default 7.0)")
    add("--daemon", action="store_true", help="speak JSON-RPC over standard input and output")
    add("-V", "--version", action="store_true", help="print the version and exit")
    return parser


def _duration(text: str) -> int:
    if not 5 <= (value := int(text)) <= 240:
        raise argparse.ArgumentTypeError(f"{value} is not in 5..=240")
    return value


def _seed(text: str) -> int:
    if not 0 <= (value := int(text)) < 2**64:
        raise argparse.ArgumentTypeError(f"{value} is not in 0..2^64")
    return value
