import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from types import ModuleType
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from partita.errors import PartitaError, RequestError
from partita.service.config import Limits, ServiceConfig
from partita.service.http import limits, server, server_protocol
from partita.service.http.server import Place, Stop, check_exposure, serve


class Bare(AbstractContextManager["Bare"]):
    """In a service's place: says whether it was closed."""

    closed = False

    def __exit__(self, *_: object) -> None:
        self.closed = True


class Seen:
    """What the application saw."""

    def __init__(self) -> None:
        self.bytes = 0
        self.vanished = threading.Event()
        self.streaming = threading.Event()


def tiny(seen: Seen) -> Starlette:
    async def echo(request: Request) -> JSONResponse:
        try:
            async for piece in request.stream():
                seen.bytes += len(piece)
        except ClientDisconnect:
            seen.vanished.set()
            raise
        return JSONResponse({"bytes": seen.bytes})

    async def ticks(request: Request) -> StreamingResponse:
        async def each() -> Any:
            try:
                while True:
                    yield b"tick\n"
                    seen.streaming.set()
                    await asyncio.sleep(0.01)
            finally:
                seen.vanished.set()

        return StreamingResponse(each())

    async def flood(request: Request) -> StreamingResponse:
        async def each() -> Any:
            try:
                for _ in range(4096):
                    yield b"x" * 65536
            finally:
                seen.vanished.set()

        return StreamingResponse(each())

    async def slow(request: Request) -> JSONResponse:
        seen.streaming.set()
        await asyncio.sleep(0.3)
        return JSONResponse({})

    return Starlette(
        routes=[
            Route("/echo", echo, methods=["POST"]),
            Route("/ticks", ticks),
            Route("/flood", flood),
            Route("/slow", slow),
            Route("/health", lambda request: JSONResponse({})),
        ]
    )


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """A tiny application for the API and for both doors."""
    monkeypatch.setattr(limits, "LINGER_S", 0.2)
    monkeypatch.setattr(server, "GRACE_S", 0.5)
    seen = Seen()
    for name in ("http", "doors.acestep", "doors.openai"):
        module: Any = ModuleType(f"partita.service.{name}.app")
        module.create_app = lambda service: tiny(seen)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("acestep", "openai"):
        door: Any = ModuleType(f"partita.service.doors.{name}")
        door.PORT = 0
        monkeypatch.setitem(sys.modules, door.__name__, door)
    return seen


@contextmanager
def running(config: ServiceConfig | None = None, **more: Any) -> Iterator[tuple[Sequence[Place], Callable[[], Bare]]]:
    """A server in a thread: its places, and what stops it and gives its service."""
    stop, ready, service = Stop(), threading.Event(), Bare()
    places: list[Place] = []
    faults: list[BaseException] = []

    def on_ready(found: Sequence[Place]) -> None:
        places.extend(found)
        ready.set()

    def work() -> None:
        try:
            serve(config or ServiceConfig(port=0), lambda: service, on_ready=on_ready, stop=stop, **more)  # type: ignore
        except BaseException as error:  # noqa: BLE001  (raised again below)
            faults.append(error)
            ready.set()

    def end() -> Bare:
        stop.ask()
        thread.join(20)
        assert not thread.is_alive()
        return service

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        if faults:
            raise faults[0]
        yield places, end
    finally:
        end()


def connect(place: Place) -> socket.socket:
    return socket.create_connection((place.host, place.port), timeout=20)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


def config(**given: Any) -> ServiceConfig:
    return ServiceConfig(port=0, limits=Limits(**given))


def test_every_app_listens_at_a_port_of_its_own(seen):
    with running(ServiceConfig(port=0, doors=("acestep", "openai"))) as (places, _):
        assert [place.name for place in places] == ["api", "acestep", "openai"]
        assert len({place.port for place in places}) == 3
        for place in places:
            assert httpx.get(f"{place.url}/health").status_code == 200


def test_a_door_may_have_a_key_of_its_own(seen):
    both = ServiceConfig(port=0, doors=("acestep", "openai"), token="the server's token")
    with running(both, keys={"acestep": "key"}) as (places, _):
        for place, token in zip(places, ("the server's token", "key", "the server's token"), strict=True):
            asked = {word: httpx.get(f"{place.url}/slow", headers={"Authorization": f"Bearer {word}"}).status_code
                     for word in ("key", "the server's token")}  # fmt: skip
            assert asked == {word: 200 if word == token else 401 for word in asked}


def test_a_port_in_use_is_told(seen):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PartitaError, match="is taken"):  # noqa: SIM117
        with running(ServiceConfig(port=taken.getsockname()[1])):
            pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_told(seen, host):
    with (
        pytest.raises(RequestError, match=r"no address of this machine"),
        running(ServiceConfig(host=host, port=0, token="long enough")),
    ):
        pass


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.2", "::", "fe80::1%eth0", "::ffff:10.0.0.1"])
def test_whoever_can_be_reached_needs_a_token(address):
    with pytest.raises(RequestError, match="PARTITA_TOKEN"):
        check_exposure(ServiceConfig(host=address), address, {})
    told = ServiceConfig(host=address, token="long enough")
    check_exposure(told, address, {})
    with pytest.raises(RequestError, match="acestep"):
        check_exposure(told, address, {"acestep": "short"})


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.1.2.3"])
def test_on_loopback_none_is_needed(address):
    check_exposure(ServiceConfig(host=address), address, {"acestep": "short"})


def test_it_stops_within_seconds_whoever_listens(seen):
    with running() as (places, end):
        (place,) = places
        with httpx.stream("GET", f"{place.url}/ticks") as stream, connect(place) as idle:
            assert seen.streaming.wait(10)
            began = time.monotonic()
            assert end().closed
            assert time.monotonic() - began < server.GRACE_S + 3
            assert seen.vanished.is_set()
            with pytest.raises(httpx.TransportError):
                stream.read()
            assert rest(idle) == b""


def test_what_is_being_answered_is_answered_before_it_stops(seen):
    with running() as (places, end), connect(places[0]) as asking:
        asking.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert seen.streaming.wait(10)
        end()
        assert rest(asking).startswith(b"HTTP/1.1 200")


def test_a_head_that_comes_slowly_is_given_up(seen):
    with running(config(body_timeout_s=0.2)) as (places, _), connect(places[0]) as one, connect(places[0]) as other:
        one.sendall(b"GET /health HTTP/1.1\r\nHost: local")
        assert rest(one).startswith(b"HTTP/1.1 408 ")
        assert rest(other) == b"", "who says nothing is told nothing"


def test_the_second_head_may_not_be_slower(seen):
    with running(config(body_timeout_s=0.2)) as (places, _), connect(places[0]) as asking:
        asking.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea")
        answers = rest(asking)
        assert answers.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in answers


def test_a_body_that_stops_is_given_up_over_the_wire(seen):
    with running(config(body_timeout_s=0.2)) as (places, _), connect(places[0]) as asking:
        asking.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
        head, _, body = rest(asking).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["status"] == 408
        assert seen.vanished.wait(10), "the application sees a caller who went away"


def test_a_reader_who_does_not_read_is_left(seen):
    with running(config(body_timeout_s=0.3)) as (places, _), connect(places[0]) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asking.sendall(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert seen.vanished.wait(10)


def test_two_gigabytes_declared_are_refused_at_once(seen):
    with running() as (places, _), connect(places[0]) as asking:
        asking.sendall(
            b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\n"
            b"Content-Length: 2147483648\r\n\r\n" + b"x" * 1000
        )
        assert rest(asking).startswith(b"HTTP/1.1 413 ")
        assert seen.bytes == 0


def test_a_client_that_first_sends_everything_still_sees_the_refusal(seen):
    with running(config(upload_bytes=1000)) as (places, _):
        answer = httpx.post(f"{places[0].url}/echo", content=iter([b"x" * 65536] * 30))
        assert answer.status_code == 413
        assert seen.bytes <= 65536


def test_a_client_that_waits_for_leave_to_send_is_told_before(seen):
    with running(config(upload_bytes=1000)) as (places, _), connect(places[0]) as asking:
        asking.sendall(
            b"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
        )
        assert asking.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_what_is_no_http_is_a_problem_document(seen):
    get, post = b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    strange = {
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        "no host": b"GET / HTTP/1.1\r\n\r\n",
        "two hosts": get + b"Host: b\r\n\r\n",
        "a length below nought": post + b"Content-Length: -1\r\n\r\n",
        "two lengths": post + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "a long header": get + b"X: " + b"x" * 400_000 + b"\r\n\r\n",
        "a long path": b"GET /" + b"x" * 400_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "NUL in a path": b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a bad chunk": post.replace(b"/ ", b"/echo ") + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n",
    }
    with running() as (places, _):
        for name, sent in strange.items():
            with connect(places[0]) as asking:
                with suppress(ConnectionError):  # it may be refused before all of it is sent
                    asking.sendall(sent)
                head, _, body = rest(asking).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 "), name
            assert b"application/problem+json" in head, name
            assert json.loads(body)["status"] == 400, name


def test_connections_beyond_what_it_holds_are_told_so(seen, monkeypatch):
    monkeypatch.setattr(server_protocol, "CONNECTIONS_OF_ONE", 3)
    monkeypatch.setattr(server_protocol, "FAR_BEYOND", 2)
    with running() as (places, _):
        held = [connect(places[0]) for _ in range(3)]
        for connection in held:
            connection.sendall(b"GET /ticks HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        answer = httpx.get(f"{places[0].url}/health")
        assert answer.status_code == 429
        assert answer.headers["retry-after"]
        idle = [connect(places[0]) for _ in range(2)]
        with connect(places[0]) as beyond:
            assert rest(beyond) == b""
        for connection in [*held, *idle]:
            connection.close()
        deadline = time.monotonic() + 10
        while httpx.get(f"{places[0].url}/health").status_code != 200:
            assert time.monotonic() < deadline


def test_an_app_that_does_not_start_is_told(seen, monkeypatch):
    @contextmanager
    def fails(app: Any) -> Iterator[None]:
        raise ValueError("no")
        yield

    module = sys.modules["partita.service.http.app"]
    monkeypatch.setattr(module, "create_app", lambda service: Starlette(lifespan=fails), raising=False)  # type: ignore
    with pytest.raises(PartitaError, match="did not start"), running():
        pass


def test_nothing_listens_where_the_service_cannot_be_opened(seen):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def broken() -> Bare:
        raise PartitaError("no")

    with pytest.raises(PartitaError, match="no"):
        serve(ServiceConfig(port=port), broken, on_ready=lambda places: None)  # type: ignore[arg-type]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
