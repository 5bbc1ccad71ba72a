"""The server process: our API and the doors, each at its own port, on one event loop around one service.

Knows which applications there are and how a process begins and ends; of HTTP it knows only what it tells uvicorn.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from ipaddress import ip_address
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from partita.errors import PartitaError, RequestError
from partita.service.config import SHORTEST_TOKEN, ServiceConfig
from partita.service.http.limits import busy, guarded
from partita.service.http.server_protocol import HEAD_BYTES, protocol_for
from partita.service.service import Service

API = "api"
GRACE_S = 2.0
"""What is being answered when the server stops has so long to be answered; streams end then."""
_LAST_GRACE_S = 5
_OPEN_FILES = 8192

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """An application and where it listens: `api`, or the name of a door."""

    name: str
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@dataclass(slots=True)
class Stop:
    """How a running server is told to stop, from any thread or a signal. The second time it stops at once."""

    asked: bool = False
    _loop: asyncio.AbstractEventLoop | None = None
    _event: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self) -> None:
        """Begin to stop. Nothing is lost."""
        self.asked = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: it has stopped already
                self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Until it is asked."""
        self._loop = asyncio.get_running_loop()
        if not self.asked:
            await self._event.wait()

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """For `signal.signal`. Of a second signal nothing is heard any more: what runs is on disk as it is."""
        if self.asked:
            os._exit(130)
        self.ask()


def serve(
    config: ServiceConfig,
    make_service: Callable[[], Service],
    *,
    on_ready: Callable[[Sequence[Place]], None],
    keys: Mapping[str, str] | None = None,
    stop: Stop | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or `stop`. What was running is then queued again.

    `on_ready` is called once all accept connections. `keys` are tokens of doors that differ from the server's. Raises
    RequestError for an address that cannot be listened on or not without a token, PartitaError where a port is taken,
    and what `make_service` raises.
    """
    stop, keys = stop or Stop(), keys or {}
    _allow_many_files()
    with ExitStack() as stack:
        stack.enter_context(_signals(stop))
        bound = [(place, stack.enter_context(listener)) for place, listener in _bind(config, keys)]
        # Closed after the service: a request that waits for a job in a thread is woken by the queue's end.
        runner = stack.enter_context(asyncio.Runner())
        service = stack.enter_context(make_service())
        servers = [
            (place, _Server(_uvicorn_config(place, service, config, keys), listener)) for place, listener in bound
        ]
        runner.run(_run(servers, stop, on_ready))


def check_exposure(config: ServiceConfig, address: str, keys: Mapping[str, str]) -> None:
    """Raises RequestError where `address` can be reached from other machines and no good token stands before it."""
    if ip_address(address.partition("%")[0]).is_loopback:
        return
    if config.token is None:
        raise RequestError(
            f"Whoever reaches {config.host} could use this server: give a token (PARTITA_TOKEN or --token, at least "
            f"{SHORTEST_TOKEN} characters), or listen on 127.0.0.1.",
            field="host",
            value=config.host,
        )
    for name, key in keys.items():
        if len(key) < SHORTEST_TOKEN:
            raise RequestError(
                f"The key of the door {name} has fewer than {SHORTEST_TOKEN} characters, too few for {config.host}.",
                field="token",
            )


def _bind(config: ServiceConfig, keys: Mapping[str, str]) -> Iterator[tuple[Place, socket.socket]]:
    """Take every port before anything is loaded, so that a port in use is known at once."""
    yield _listen(API, config, config.port, keys)
    for name in dict.fromkeys(config.doors):
        usual: int = import_module(f"partita.service.doors.{name}").PORT
        yield _listen(name, config, config.door_ports.get(name, usual), keys)


def _listen(name: str, config: ServiceConfig, port: int, keys: Mapping[str, str]) -> tuple[Place, socket.socket]:
    host = config.host
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        check_exposure(config, str(address[0]), keys)
        listener = socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        raise _cannot_listen(name, host, port, error) from None
    listener.setblocking(False)
    return Place(name, host, listener.getsockname()[1]), listener


def _cannot_listen(name: str, host: str, port: int, error: OSError | UnicodeError) -> PartitaError:
    flag = "--port" if name == API else f"--door {name}=PORT"
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return PartitaError(f"Port {port} of {host} is taken, perhaps by another server: choose one with {flag}.")
    if number in (errno.EACCES, errno.EPERM):
        return PartitaError(f"This user may not listen on port {port}: choose one above 1023 with {flag}.")
    return RequestError(
        f"{host!r} is no address of this machine ({error}): listen on 127.0.0.1, ::1, 0.0.0.0 or one that it has.",
        field="host",
        value=host,
    )


def _uvicorn_config(place: Place, service: Service, config: ServiceConfig, keys: Mapping[str, str]) -> uvicorn.Config:
    own = config
    if place.name == API:
        app, public = import_module("partita.service.http.app").create_app(service), frozenset({"/health"})
    else:
        door = import_module(f"partita.service.doors.{place.name}")
        create_app = import_module(f"partita.service.doors.{place.name}.app").create_app
        pages = (*config.cors_origins, *getattr(door, "CORS_ORIGINS", ()))
        own = config.model_copy(update={"token": keys.get(place.name, config.token), "cors_origins": pages})
        in_body: frozenset[str] = getattr(door, "BODY_TOKEN_PATHS", frozenset())  # there the app looks for the token
        app = create_app(service, token=own.token) if in_body else create_app(service)
        public = getattr(door, "PUBLIC", frozenset({"/health"})) | in_body
    return uvicorn_config(guarded(app, own, public=public), place.name, pause_s=config.limits.body_timeout_s)


def uvicorn_config(app: ASGIApp, name: str, *, pause_s: float) -> uvicorn.Config:
    """What uvicorn is told of an application that is guarded already."""
    return uvicorn.Config(
        app,
        http=protocol_for(busy(name), pause_s=pause_s),
        ws="none",
        lifespan="auto",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_GRACE_S,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )


class _Server(uvicorn.Server):
    """One of several servers of this process: signals are not its business, and nobody is waited for long."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._listener = listener

    async def run_until_told(self) -> None:
        try:
            await self.serve(sockets=[self._listener])
        except SystemExit:  # how uvicorn tells that an application did not start; it has logged why
            raise PartitaError("A part of the server did not start; the log says why.") from None

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        timer = asyncio.get_running_loop().call_later(GRACE_S, self._hang_up)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        """To applications it looks as if all callers went away, and they stop as they do then."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


async def _run(
    servers: Sequence[tuple[Place, _Server]], stop: Stop, on_ready: Callable[[Sequence[Place]], None]
) -> None:
    asked = asyncio.create_task(stop.wait())
    running = [server for _, server in servers]
    all_ready = asyncio.create_task(_all_ready(running))
    runs = [asyncio.create_task(server.run_until_told()) for server in running]
    await asyncio.wait([asked, all_ready, *runs], return_when=asyncio.FIRST_COMPLETED)
    if all_ready.done():
        on_ready([place for place, _ in servers])
        await asyncio.wait([asked, *runs], return_when=asyncio.FIRST_COMPLETED)
    all_ready.cancel()
    asked.cancel()
    for server in running:
        server.should_exit = True
    await asyncio.gather(*runs)


async def _all_ready(servers: Sequence[_Server]) -> None:
    for server in servers:
        await server.ready.wait()


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """Have the signals that end a program ask for a stop. In another thread than the main one there are none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last is Windows' own
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, stop.on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _allow_many_files() -> None:
    """Where a process may have few open files by default, take more: every caller is one."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # it is a wish: fewer files mean fewer callers
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
