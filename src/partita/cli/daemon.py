"""`partita daemon`: songs by one JSON line in and one out, over a Unix socket, as ace-step-rs's generation-daemon."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from partita.cli.common import machine_flags, make_engine
from partita.errors import PartitaError
from partita.service.doors.acestep_rs import SOCKET
from partita.service.doors.acestep_rs.logs import log_to_stderr
from partita.service.doors.acestep_rs.sockets import Claimed, claim_tcp, claim_unix
from partita.settings import Settings

MIB = 2**20


@click.command(name="daemon", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--socket", "path", type=click.Path(path_type=Path), help=f"Unix socket to listen on. Default: {SOCKET}.")
@click.option(
    "--tcp",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Listen on this port of this machine instead, where there are no Unix sockets; 0 takes a free one.",
)
@click.option(
    "--model", help="Model id. Default: an ACE-Step 1.5 turbo that is here, else PARTITA_MODEL, else built-in."
)
@click.option("--use-lm", is_flag=True, help="Have a planner fill in what a request leaves open, where one is here.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write songs only in this folder. Default: anywhere; with --tcp, the spool folder.",
)
@click.option(
    "--min-free-mb",
    type=click.IntRange(min=0),
    help="Below so much free memory of the device a song is made on the processor; 0 does not look. Default: 2048, "
    "with --use-lm 512.",
)
@machine_flags
def command(
    path: Path | None,
    tcp: int | None,
    model: str | None,
    use_lm: bool,
    folder: Path | None,
    min_free_mb: int | None,
    checkpoint_dir: Path | None,
    **machine: Any,
) -> int:
    """Answer requests for songs, one JSON line each.

    \b
    echo '{"caption":"lofi, rainy evening","duration_s":20,"output":"/tmp/rain.ogg"}' |
        socat - UNIX-CONNECT:PATH

    Programs that speak to ace-step-rs's generation-daemon can speak to this; docs/daemon.md has its fields. --device
    takes the number of a CUDA device, too. The variable RUST_LOG sets how much is logged.
    """
    if path is not None and tcp is not None:
        raise click.UsageError("--socket and --tcp are two places to listen: give one of them.")
    log_to_stderr(os.environ.get("RUST_LOG"))
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, _end)  # until the daemon listens to them itself
    least_free_mb = min_free_mb if min_free_mb is not None else 512 if use_lm else 2048
    try:
        claimed = claim_tcp(tcp) if tcp is not None else claim_unix(path or Path(SOCKET))
        return _serve(claimed, model, use_lm, folder, least_free_mb * MIB, checkpoint_dir, machine)
    except (PartitaError, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        return 1


def _end(number: int, frame: Any) -> NoReturn:
    raise SystemExit(0)


def _serve(
    claimed: Claimed,
    model: str | None,
    use_lm: bool,
    folder: Path | None,
    min_free_bytes: int,
    checkpoint_dir: Path | None,
    machine: dict[str, Any],
) -> int:
    """Callers may connect while all this is imported and loaded: they wait."""
    try:
        from partita.engine.engine import Engine
        from partita.service.doors.acestep_rs.daemon import Daemon
        from partita.service.doors.acestep_rs.player import Player, spool_folder
        from partita.service.manager import Manager, ManagerConfig

        settings = Settings.load()
        if checkpoint_dir is not None:
            settings = settings.model_copy(update={"checkpoint_dir": checkpoint_dir})
        machine["device"] = _device(machine["device"])

        def engine_on(device: str | None) -> Engine:
            return make_engine(settings, checkpoint_dir, **(machine | {"device": device or machine["device"]}))

        manager = Manager(engine_on, ManagerConfig(min_free_bytes=min_free_bytes))
        kept_in = folder if folder is not None or claimed.is_unix else spool_folder()
        daemon = Daemon(Player(manager, settings, model=model, use_lm=use_lm, folder=kept_in), claimed)
        code = daemon.run()
    finally:
        claimed.release()
    if daemon.is_busy:
        # A step of a song that nobody waits for is still being computed, and an orderly end would wait for it.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    return code


def _device(asked: str | None) -> str | None:
    """A device's name; a number is that of a CUDA device, or the processor where there is none."""
    if asked is None or not asked.isdecimal():
        return asked
    import torch

    if torch.cuda.is_available() and int(asked) < torch.cuda.device_count():
        return f"cuda:{int(asked)}"
    logging.getLogger(__name__).info("CUDA device %s cannot be opened: the processor plays", asked)
    return "cpu"
