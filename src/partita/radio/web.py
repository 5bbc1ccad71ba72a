"""A show over HTTP: `/stream.mp3` and `/stream.opus` as Icecast serves them, and what plays as JSON at `/` and `/now`.

Tokens, limits and hosts are the service's; a player that can send no header gives the token as `?token=`.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from partita.errors import PartitaError, RequestError
from partita.radio.encoders import MEDIA_TYPES, StreamFormat
from partita.radio.show import State
from partita.radio.station import RadioSong
from partita.radio.stream import META_BYTES, Chunk, Hub, IcyWriter, Listener
from partita.service.config import SHORTEST_TOKEN, Limits, ServiceConfig
from partita.service.http.limits import guarded
from partita.service.http.problems import problem, problem_of, respond
from partita.service.http.server import check_exposure, uvicorn_config

PORT = 8470
STREAMS: dict[str, StreamFormat] = {"/stream.mp3": "mp3", "/stream.opus": "opus", "/stream.ogg": "opus"}
SEND_BYTES = 64 * 1024
GRACE_S = 1.0
"""How long a listener may take for the end of the stream."""
SLOWEST_S = 10.0
"""A listener whose connection takes nothing for so long is dropped."""


class HttpOutput:
    """An output that listeners connect to. It listens from the moment that it is made until it is closed.

    `state` says what plays, for `/now`. Raises RequestError for an address that cannot be listened on, or not without
    a token, and PartitaError where the port is taken.
    """

    live, paced, keeps = True, True, False

    def __init__(self, name: str, *, host: str = "127.0.0.1", port: int = PORT, token: str | None = None) -> None:
        self.state: Callable[[], State] | None = None
        self._hub = Hub()
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise RequestError(f"The token has fewer than {SHORTEST_TOKEN} characters.", field="token")
        config = ServiceConfig(host=host, port=port, token=token, limits=Limits(body_timeout_s=SLOWEST_S))
        self._listener = _listen(config)
        self.host, self.port = host, int(self._listener.getsockname()[1])
        app = _token_in_query(guarded(create_app(name, self._hub, self._told), config, public=frozenset()))
        self._server = uvicorn.Server(uvicorn_config(app, "radio", pause_s=SLOWEST_S))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="radio-http")
        self._thread.start()
        self._ready.wait()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def listeners(self) -> int:
        """How many listen."""
        return self._hub.listeners

    def begin(self, heard: RadioSong) -> None:
        """The title of what follows."""
        self._hub.title = heard.request.caption

    def write(self, block: np.ndarray) -> None:
        """The next of the sound, for all who listen."""
        self._hub.write(block)

    def close(self) -> None:
        """End all streams and stop listening."""
        loop = self._hub.loop
        self._server.should_exit = True
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(self._hub.close)
                loop.call_soon_threadsafe(loop.call_later, GRACE_S, self._hang_up)
        self._thread.join()
        self._listener.close()

    async def _serve(self) -> None:
        self._hub.loop = asyncio.get_running_loop()
        self._ready.set()
        await self._server.serve(sockets=[self._listener])

    def _hang_up(self) -> None:
        """Let go of those who do not take the end of their stream."""
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    def _told(self) -> dict[str, Any]:
        return state_json(self.state()) if self.state is not None else {}


def create_app(name: str, hub: Hub, now: Callable[[], dict[str, Any]]) -> Starlette:
    """The application; `name` is the station's."""

    async def status(request: Request) -> Response:
        streams = {
            path: {"type": MEDIA_TYPES[mount], "bitrate_kbps": hub.mounts[mount].kbps}
            for path, mount in STREAMS.items()
            if path != "/stream.ogg"
        }
        return JSONResponse(
            {"name": name, "streams": streams, "listeners": hub.listeners, "now": now()}, headers=_NO_STORE
        )

    async def playing(request: Request) -> Response:
        return JSONResponse(now(), headers=_NO_STORE)

    routes = [Route("/", status), Route("/now", playing)]
    routes += [Route(path, _Stream(name, hub, mount), methods=["GET"]) for path, mount in STREAMS.items()]
    return Starlette(routes=routes, exception_handlers={HTTPException: _not_here})


_NO_STORE = {"Cache-Control": "no-cache, no-store"}


def _not_here(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    there = ", ".join(["/", "/now", *STREAMS])
    return respond(problem(status, f"This radio answers GET at {there}.", instance=request.url.path))


def state_json(state: State) -> dict[str, Any]:
    """What is on the air, as JSON values."""
    heard = state.playing
    playing = None
    if heard is not None:
        plan = heard.song.record.plan
        playing = {
            "song": heard.index,
            "caption": heard.request.caption,
            "seed": heard.seed,
            "duration_s": heard.song.duration_s,
            "bpm": plan.bpm,
            "key": plan.key,
            "filler": heard.request.auto_generated,
        }
    return {
        "playing": playing,
        "queued": [one.caption for one in state.queued],
        "history": [one.caption for one in state.history],
        "total": state.total,
        "underruns": state.underruns,
        "silent_s": round(state.silent_s, 3),
    }


class _Stream:
    """One mount as an ASGI application: a body without an end. The head alone for HEAD."""

    def __init__(self, name: str, hub: Hub, mount: StreamFormat) -> None:
        self._name, self._hub = name, hub
        self._mount: StreamFormat = mount

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        wants_titles = request.headers.get("icy-metadata", "").strip() == "1"
        head: Message = {
            "type": "http.response.start",
            "status": 200,
            "headers": self._headers(wants_titles),
        }
        if request.method == "HEAD":
            await send(head)
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            listener = self._hub.join(self._mount)
        except PartitaError as error:
            await respond(problem_of(error, request.url.path))(scope, receive, send)
            return
        gone = asyncio.create_task(_until_gone(receive, listener))
        try:
            await send(head)
            icy = IcyWriter() if wants_titles else None
            async for chunk in listener.chunks():
                await send({"type": "http.response.body", "body": _bytes_of(chunk, icy), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except OSError:
            pass  # how the server tells that the listener went away
        finally:
            gone.cancel()
            self._hub.mounts[self._mount].leave(listener)

    def _headers(self, wants_titles: bool) -> list[tuple[bytes, bytes]]:
        mount = self._hub.mounts[self._mount]
        name = "".join(one for one in self._name if one.isprintable()).strip()
        headers = {
            "content-type": MEDIA_TYPES[self._mount],
            "cache-control": _NO_STORE["Cache-Control"],
            "accept-ranges": "none",
            "icy-name": name or "Partita",
            "icy-pub": "0",
            "icy-br": str(mount.kbps),
        }
        if wants_titles:
            headers["icy-metaint"] = str(META_BYTES)
        return [(key.encode(), value.encode()) for key, value in headers.items()]


def _bytes_of(chunk: Chunk, icy: IcyWriter | None) -> bytes:
    return chunk.data if icy is None else icy.write(chunk)


async def _until_gone(receive: Receive, listener: Listener) -> None:
    """Close the stream as soon as the listener hangs up, even while nothing is sent."""
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.close()


def _token_in_query(app: ASGIApp) -> ASGIApp:
    """`app`, where `?token=` does for the header. It is taken out, so that no log has it."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and b"token=" in scope["query_string"]:
            said = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            tokens = [value for name, value in said if name == "token"]
            rest = urlencode([pair for pair in said if pair[0] != "token"])
            headers = list(scope["headers"])
            if tokens and not any(name == b"authorization" for name, _ in headers):
                headers.append((b"authorization", b"Bearer " + tokens[0].encode("utf-8", "replace")))
            scope = {**scope, "query_string": rest.encode(), "headers": headers}
        await app(scope, receive, send)

    return asked


def _listen(config: ServiceConfig) -> socket.socket:
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        check_exposure(config, str(address[0]), {})
        listener = socket.create_server(address[:2], family=family, backlog=128)
        # Each connection has it from here: who does not listen is known by what waits, not megabytes later.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise PartitaError(f"Port {config.port} of {config.host} is taken: choose one with --port.") from None
        raise RequestError(
            f"{config.host!r} port {config.port} cannot be listened on ({error}): use 127.0.0.1 and a port above 1023.",
            field="host",
            value=config.host,
        ) from None
    listener.setblocking(False)
    return listener
