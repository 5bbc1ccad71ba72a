"""`partita radio`: whole songs one after another, to the sound card, a folder or listeners over HTTP."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from partita.cli.common import machine_flags, make_engine
from partita.errors import PartitaError, RequestError
from partita.settings import Settings

if TYPE_CHECKING:
    from types import FrameType

    from partita.radio.control import ControlSocket
    from partita.radio.events import Event
    from partita.radio.show import Output, Show
    from partita.radio.station import RadioStation
    from partita.service.manager import Manager

_FOLDER = Path("radio")
_SOCKET = "/tmp/ace-radio.sock"


class _RadioCommand(click.Command):
    """Takes `--to folder PATH` as it is written, though an option has one value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for at in range(len(args) - 2):
            if args[at : at + 2] == ["--to", "folder"] and not args[at + 2].startswith("-"):
                args = [*args[: at + 2], "--folder", *args[at + 2 :]]
                break
        return super().parse_args(ctx, args)


@click.command(cls=_RadioCommand)
@click.argument("words", required=False)
@click.option(
    "--to",
    type=click.Choice(["sound", "folder", "http"]),
    help="Where to: the sound card, files in a folder (--to folder PATH), or listeners. Default: sound.",
)
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Folder for the songs. Implies it.")
@click.option("--format", type=click.Choice(["flac", "wav", "mp3", "ogg", "opus"]), help="Of songs in a folder: flac.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on with --to http.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port with --to http. Default: 8470; 0 is any free one.")
@click.option("--token", envvar="PARTITA_TOKEN", show_envvar=True, help="What listeners say, as a header or ?token=.")
@click.option("--socket", "socket_path", help=f"Control socket: a path, or 127.0.0.1:PORT. Default: {_SOCKET}.")
@click.option("--no-socket", is_flag=True, help="Without a control socket.")
@click.option("--songs", type=click.IntRange(1), help="Stop after so many songs.")
@click.option(
    "--duration", type=click.FloatRange(1, 600), help="Seconds of a song. Default: as its lyrics need, or 180."
)
@click.option("--model", help="Model id. Default: PARTITA_MODEL, else built-in.")
@click.option(
    "--crossfade",
    "--crossfade-s",
    "crossfade_s",
    type=click.FloatRange(0, 20),
    default=2.0,
    show_default=True,
    help="Seconds that songs overlap.",
)
@click.option("--no-crossfade", is_flag=True, help="Each song whole, and the next one at its end.")
@machine_flags
def command(
    words: str | None,
    to: str | None,
    folder: Path | None,
    format: str | None,
    crossfade_s: float,
    no_crossfade: bool,
    songs: int | None,
    socket_path: str | None,
    no_socket: bool,
    **given: Any,
) -> None:
    """Play songs around WORDS, such as "lofi, rainy evening", until Ctrl-C; without words, a bit of everything.

    While it plays, send lines to the control socket: a caption queues a song; skip, like, dislike, queue, history,
    state, clear and quit do what they say.
    """
    where = to or ("folder" if folder else "sound")
    _check(where, to, folder, format, given["port"])
    settings = Settings.load()
    with ExitStack() as stack:
        output, heard_at = _output(where, folder, words, songs, settings, given)
        stack.callback(output.close)
        station = _station(words, settings, format, given)
        from partita.radio.show import Show

        tellers: list[Callable[[Event], None]] = [_tell]

        def told(event: Event) -> None:
            for tell in tellers:
                tell(event)

        show = Show(
            station,
            output,
            crossfade_s=0.0 if no_crossfade else crossfade_s,
            songs=songs,
            told=told,
        )
        if where == "http":
            output.state = lambda: show.state  # pyright: ignore[reportAttributeAccessIssue]
        control = None if no_socket else _control(show, socket_path)
        if control is not None:
            stack.enter_context(control)
            tellers.append(control.tell)
        click.echo(f"radio: {words or 'a bit of everything'}; model {station.card.id}; {heard_at}")
        click.echo(f"control socket: {control.address if control else 'none'}; Ctrl-C ends the radio")
        stack.enter_context(_ending_by_signal())
        try:
            with show:
                while not show.wait(0.5):
                    pass
        except KeyboardInterrupt:
            click.echo("The radio is off.")
        state = show.state
        click.echo(f"{state.total} songs were played.")
        if late := getattr(output, "late", 0):
            click.echo(f"The sound card ran dry {late} times: this machine was too busy.", err=True)
        if output.live and state.underruns:
            click.echo(
                f"Between songs there was silence {state.underruns} times, {state.silent_s:.1f} s in all.", err=True
            )


def _check(where: str, to: str | None, folder: Path | None, format: str | None, port: int | None) -> None:
    if folder is not None and to not in (None, "folder"):
        raise click.UsageError(f"--folder is for --to folder, and --to {to} was given: leave out one of them.")
    if format is not None and where != "folder":
        raise click.UsageError("--format is of songs in a folder: say --to folder PATH, or leave it out.")
    if port is not None and where != "http":
        raise click.UsageError("--port is for listeners: say --to http, or leave it out.")


def _station(words: str | None, settings: Settings, format: str | None, given: dict[str, Any]) -> RadioStation:
    from partita.radio.fillers import Rotation, Variations
    from partita.radio.memory import Memory
    from partita.radio.station import RadioStation
    from partita.song.request import Output

    return RadioStation(
        _manager(settings, given.pop("checkpoint_dir"), {name: given[name] for name in _MACHINE}),
        fillers=Rotation() if words is None else Variations(words),
        memory=Memory(settings.data / "radio"),
        settings=settings,
        model=given["model"],
        duration_s=given["duration"],
        output=Output.model_validate({"format": format or "flac"}),
    )


_MACHINE = ("device", "number_format", "threads", "policy")


def _manager(settings: Settings, checkpoint_dir: Path | None, machine: dict[str, Any]) -> Manager:
    from partita.service.manager import Manager

    def make(device: str | None) -> Any:
        return make_engine(settings, checkpoint_dir, **(machine if device is None else {**machine, "device": device}))

    return Manager(make)


def _output(
    where: str, folder: Path | None, words: str | None, songs: int | None, settings: Settings, given: dict[str, Any]
) -> tuple[Output, str]:
    """The output, and where it can be heard."""
    if where == "http":
        if find_spec("uvicorn") is None or find_spec("starlette") is None:
            raise RequestError(
                'Listeners over HTTP need the server extra: pip install "partita[server]".', field="to", value="http"
            )
        from partita.radio.web import PORT, HttpOutput

        port = PORT if given["port"] is None else given["port"]
        web = HttpOutput(words or "Partita", host=given["host"], port=port, token=given["token"])
        ask = "?token=TOKEN" if given["token"] else ""
        return web, f"listen at {web.url}/stream.mp3{ask} or {web.url}/stream.opus{ask}"
    if where == "folder":
        from partita.radio.folder import PLAYLIST, Folder

        path = folder or _FOLDER
        # Without an end it keeps the pace of the music, so that a night does not fill the disk.
        return Folder(path, settings, paced=songs is None), f"songs in {path}, playlist {path / PLAYLIST}"
    from partita.radio.sound import SoundCard

    return SoundCard(), "on the sound card"


def _control(show: Show, path: str | None) -> ControlSocket | None:
    """The control socket; none where the usual place is another radio's and no place was asked for."""
    from partita.radio.control import ControlSocket

    try:
        return ControlSocket(show, path or _SOCKET, quit=show.stop)
    except PartitaError as error:
        if path is not None:
            raise
        click.echo(f"note: {error}", err=True)
        return None


def _tell(event: Event) -> None:
    from partita.radio.events import Failed, Noted, Playing

    match event:
        case Playing(heard):
            plan, seconds = heard.song.record.plan, round(heard.song.duration_s)
            parts = (f"{plan.bpm} BPM" if plan.bpm else "", plan.key or "", f"{seconds // 60}:{seconds % 60:02d}")
            about = ", ".join([*filter(None, parts), f"seed {heard.seed}"])
            click.echo(f"playing {heard.index + 1}: {heard.request.caption} ({about})")
            for warning in heard.song.warnings:
                click.echo(f"note: {warning}", err=True)
        case Failed(message) | Noted(message):
            click.echo(f"note: {message}", err=True)
        case _:
            pass


@contextmanager
def _ending_by_signal() -> Iterator[None]:
    """SIGTERM ends the radio as Ctrl-C does, so that nothing of it is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
