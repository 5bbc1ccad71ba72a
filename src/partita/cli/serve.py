"""`partita serve`: our HTTP API, and the doors of other protocols, from one process.

Says where it listens once it does, and runs until Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import click

from partita.cli.common import json_flag, machine_flags, make_engine
from partita.cli.flags import value_flags
from partita.errors import RequestError
from partita.service.config import SHORTEST_TOKEN, DoorName, Limits, Retention, ServiceConfig
from partita.settings import Settings

if TYPE_CHECKING:
    from partita.service.http.server import Place
    from partita.service.service import Service

_NEEDED = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "sse_starlette": "sse-starlette",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}
_DOORS = get_args(DoorName)
_KEYS: dict[DoorName, str] = {"acestep": "ACESTEP_API_KEY"}
"""Variables that clients of a protocol know its key by. Where one is set, that door asks for it instead."""


class _DoorType(click.ParamType):
    """`NAME`, or `NAME=PORT`."""

    name = "NAME[=PORT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int | None]:
        if isinstance(value, tuple):
            return value
        name, sign, port = str(value).partition("=")
        if name not in _DOORS:
            self.fail(f"There is no door {name!r}. Doors: {', '.join(_DOORS)}.", param, ctx)
        if sign and not (port.isdecimal() and int(port) <= 65535):
            self.fail(f"{port!r} is no port: give a number up to 65535, and 0 for any that is free.", param, ctx)
        return name, int(port) if sign else None


class _Keeping(click.ParamType):
    """A number of `unit`, or `forever`."""

    def __init__(self, unit: str) -> None:
        self.name = f"{unit}|forever"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "forever" or isinstance(value, int):
            return value
        if not str(value).isdecimal():
            self.fail(f"{value!r} is neither a whole number nor forever.", param, ctx)
        return int(value)


@click.command()
@click.option(
    "--host", help="Address to listen on; other than this machine's own only with a token. Default: 127.0.0.1."
)
@click.option("--port", type=int, help="Port of the API; 0 is any that is free. Default: 8460.")
@click.option(
    "--door",
    "doors",
    type=_DoorType(),
    multiple=True,
    help=f"Speak another protocol too, at a port of its own: {', '.join(_DOORS)}. May be given several times.",
)
@click.option("--token", envvar="PARTITA_TOKEN", show_envvar=True, help="What callers must send as a bearer token.")
@click.option(
    "--cors-origin",
    "cors_origins",
    metavar="ORIGIN",
    multiple=True,
    help="A web page that may call, such as http://localhost:5173. May be given several times.",
)
@click.option("--fetch-urls", is_flag=True, default=None, help="Take audio by http(s) address, never a private one.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where jobs, songs and uploads are kept.")
@value_flags(Limits, "max")
@click.option("--keep-age", type=_Keeping("seconds"), help="How long songs stay. Default: 30 days.")
@click.option("--keep-bytes", type=_Keeping("bytes"), help="How much all songs may take. Default: 20 GiB.")
@click.option("--verbose", "-v", is_flag=True, help="Log every request (never tokens) to standard error.")
@machine_flags
@json_flag
def command(**given: Any) -> None:
    """Serve the HTTP API, and other programs' protocols with --door. Ctrl-C stops it; what was running goes on later.

    Several devices, as in --device cuda:0,cuda:1, make songs side by side.

    Example:  partita serve --door acestep --door openai=8002
    """
    _need_server_extra()
    as_json, verbose = given.pop("as_json"), given.pop("verbose")
    machine = {name: given.pop(name) for name in ("number_format", "threads", "policy")}
    devices = [device.strip() or None for device in (given.pop("device") or "").split(",")]
    checkpoint_dir = given.pop("checkpoint_dir")
    config, settings = config_of(given), Settings.load()
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    from partita.service.http.server import serve

    def make_service() -> Service:
        from partita.service.manager import Manager
        from partita.service.service import Service

        def manager_of(own: str | None) -> Manager:
            return Manager(
                lambda moved: make_engine(settings, checkpoint_dir, **{**machine, "device": moved or own}),
            )

        return Service(config, settings=settings, managers=[manager_of(device) for device in devices])

    keys = {name: os.environ[key] for name, key in _KEYS.items() if name in config.doors and os.environ.get(key)}
    serve(config, make_service, keys=keys, on_ready=lambda places: _tell(places, config, as_json=as_json))


def config_of(given: dict[str, Any]) -> ServiceConfig:
    """The configuration that the flags describe. Raises RequestError where one is bad."""
    limits = {name.removeprefix("max__"): value for name, value in given.items() if name.startswith("max__")}
    fields = {
        name: value
        for name, value in given.items()
        if "__" not in name and name not in ("doors", "keep_age", "keep_bytes") and value not in (None, ())
    }
    if len(given["token"] or "x" * SHORTEST_TOKEN) < SHORTEST_TOKEN:
        # Said here, for what the value says of a bad field holds what was given.
        raise RequestError(f"The token has fewer than {SHORTEST_TOKEN} characters.", field="token")
    doors: tuple[tuple[DoorName, int | None], ...] = given["doors"]
    return ServiceConfig(
        **fields,
        doors=tuple(dict.fromkeys(name for name, _ in doors)),
        door_ports={name: port for name, port in doors if port is not None},
        limits=Limits(**{name: value for name, value in limits.items() if value is not None}),
        retention=_retention(given["keep_age"], given["keep_bytes"]),
    )


def _retention(age: int | str | None, size: int | str | None) -> Retention:
    told = {"age_s": age, "bytes": size}
    given = {name: None if value == "forever" else value for name, value in told.items() if value is not None}
    return Retention(**cast("dict[str, Any]", given))


def _need_server_extra() -> None:
    absent = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if absent:
        raise RequestError(
            f'Serving needs {", ".join(absent)}, which this installation lacks: pip install "partita[server]".'
        )


def _tell(places: Sequence[Place], config: ServiceConfig, *, as_json: bool) -> None:
    if as_json:
        rows = [{"name": place.name, "url": place.url, "host": place.host, "port": place.port} for place in places]
        click.echo(json.dumps({"listening": rows, "pid": os.getpid()}))
        return
    for place in places:
        what = "songs over HTTP" if place.name == "api" else "door"
        click.echo(f"{place.name:<8} {place.url}  {what}{'' if config.token is None else ', with a token'}")
