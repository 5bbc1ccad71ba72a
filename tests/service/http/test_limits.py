import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from partita.errors import RequestError
from partita.service.config import Limits, ServiceConfig
from partita.service.http import limits
from partita.service.http.limits import guarded

TOKEN = "a token of tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    return JSONResponse({"bytes": len(body), "method": request.method})


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello", headers={"Vary": "Accept"})


async def broken(request: Request) -> JSONResponse:
    raise ValueError("the secret of /home/user")


async def health(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def app() -> Starlette:
    return Starlette(
        routes=[
            Route("/echo", echo, methods=["POST", "PUT", "DELETE"]),
            Route("/hello", hello),
            Route("/broken", broken),
            Route("/health", health, methods=["GET", "POST"]),
        ]
    )


def client(config: ServiceConfig | None = None, address: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(
        guarded(app(), config or ServiceConfig()), client=(address, 1234), raise_app_exceptions=True
    )
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8460")


def check_problem(answer: httpx.Response, status: int) -> dict:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    told = answer.json()
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    return told


def run(coroutine):
    return asyncio.run(coroutine)


async def get(path: str = "/hello", config: ServiceConfig | None = None, **more) -> httpx.Response:
    async with client(config) as asking:
        return await asking.get(path, **more)


async def post(config: ServiceConfig | None = None, **more) -> httpx.Response:
    async with client(config) as asking:
        return await asking.post("/echo", **more)


def test_what_is_in_order_passes():
    assert run(get()).text == "hello"
    assert run(post(content=b"12345")).json() == {"bytes": 5, "method": "POST"}


def test_answers_say_that_they_are_what_they_are():
    headers = run(get()).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-site"
    assert "server" not in headers


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong token"}, {"X-Api-Key": TOKEN}])
def test_without_the_token_nothing_is_answered_but_health(headers):
    config = ServiceConfig(token=TOKEN)
    answer = run(get(config=config, headers=headers))
    check_problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert TOKEN not in answer.text
    assert run(get("/health", config, headers=headers)).status_code == 200
    check_problem(run(get(f"/hello?token={TOKEN}", config, headers=headers)), 401)


@pytest.mark.parametrize(
    "path", ["/health/", "//health", "/Health", "/health/../hello", "/health%2f..%2fhello", "/nothing"]
)
def test_only_the_public_paths_themselves_are_public(path):
    check_problem(run(get(path, ServiceConfig(token=TOKEN))), 401)


def test_with_the_token_the_name_of_the_server_is_its_own_affair():
    config = ServiceConfig(token=TOKEN)
    answer = run(get(config=config, headers={**BEARER, "Host": "music.example"}))
    assert answer.text == "hello"


def test_a_page_whose_name_leads_to_loopback_is_refused():
    told = check_problem(run(get(headers={"Host": "evil.example"})), 403)
    assert "evil.example" in told["detail"]


def test_a_page_of_elsewhere_may_change_nothing():
    evil = {"Origin": "https://evil.example"}
    check_problem(run(post(headers=evil, content=b"x")), 403)
    answer = run(get(headers=evil))
    assert answer.text == "hello"
    assert "access-control-allow-origin" not in answer.headers


def test_pages_are_told_that_they_may_call_only_where_they_are_named():
    page, asks = "http://localhost:5173", {"Access-Control-Request-Method": "POST"}
    asks |= {"Access-Control-Request-Headers": "authorization,x-file-name"}
    config = ServiceConfig(cors_origins=(page,), token=TOKEN)

    async def ask(origin: str, config: ServiceConfig) -> httpx.Response:
        async with client(config) as asking:
            return await asking.options("/echo", headers={"Origin": origin, **asks})

    named = run(ask(page, config))
    assert named.status_code == 204
    assert named.headers["access-control-allow-origin"] == page
    assert named.headers["access-control-allow-headers"] == "authorization,x-file-name"
    assert "Origin" in named.headers["vary"]
    for answer in (run(ask("https://evil.example", config)), run(ask(page, ServiceConfig()))):
        assert answer.status_code == 204
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_named_page_can_read_answers_and_refusals():
    page = "http://localhost:5173"
    config = ServiceConfig(cors_origins=(page,), token=TOKEN)
    read = run(get(config=config, headers={**BEARER, "Origin": page}))
    assert read.headers["access-control-allow-origin"] == page
    assert set(read.headers["vary"].split(", ")) == {"Accept", "Origin"}
    refused = run(get(config=config, headers={"Origin": page}))
    check_problem(refused, 401)
    assert refused.headers["access-control-allow-origin"] == page


def small(**more) -> ServiceConfig:
    return ServiceConfig(limits=Limits(upload_bytes=1000, **more))


def test_a_body_that_is_declared_too_large_is_refused_before_any_of_it_is_read():
    seen = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            seen.append(number)
            yield b"x"

    class Raw(httpx.AsyncByteStream):
        def __aiter__(self):
            return pieces()

    async def ask():
        sent, read = [], []
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/echo",
            "headers": [(b"host", b"localhost"), (b"content-length", b"2147483648")],
            "client": ("127.0.0.1", 1),
            "query_string": b"",
        }

        async def receive():
            read.append(len(sent))
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await guarded(app(), ServiceConfig())(scope, receive, send)
        return sent, read

    sent, read = run(ask())
    assert sent[0]["status"] == 413
    assert b"2147483648" in sent[1]["body"]
    assert read == [2], "only after the refusal was sent is anything read, and only to close decently"


def test_a_body_that_grows_too_large_is_cut():
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 100

    told = check_problem(run(post(small(), content=pieces())), 413)
    assert told["field"] == "body"
    assert run(post(small(), content=b"x" * 1000)).json()["bytes"] == 1000


def test_what_is_no_file_may_be_less_large(monkeypatch):
    monkeypatch.setattr(limits, "TEXT_BYTES", 100)
    config = ServiceConfig()
    check_problem(run(post(config, content=b"{" + b" " * 200, headers={"Content-Type": "application/json"})), 413)
    check_problem(run(post(config, content=b"{" + b" " * 200)), 413)
    audio = run(post(config, content=b"x" * 200, headers={"Content-Type": "audio/wav"}))
    assert audio.json()["bytes"] == 200


def test_a_body_that_does_not_go_on_is_given_up():
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(5)
        yield b"x"

    check_problem(run(post(small(body_timeout_s=0.05), content=pieces())), 408)


def test_a_body_in_drops_is_given_up(monkeypatch):
    monkeypatch.setattr(limits, "SLOWEST_BYTES_PER_S", 10_000)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(500):
            yield b"x"
            await asyncio.sleep(0.01)

    check_problem(run(post(small(body_timeout_s=0.2), content=pieces())), 408)


def test_an_app_may_take_its_time_with_a_body():
    async def ask():
        async def slow(scope, receive, send):
            more, seen = True, 0
            while more:
                await asyncio.sleep(0.1)
                message = await receive()
                more, seen = message["more_body"], seen + len(message["body"])
            await JSONResponse({"bytes": seen})(scope, receive, send)

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield b"x"

        transport = httpx.ASGITransport(guarded(slow, small(body_timeout_s=0.15)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
            return await asking.post("/", content=pieces())

    assert run(ask()).json() == {"bytes": 4}


def test_a_caller_who_went_away_is_no_fault(caplog):
    async def ask():
        async def reads(scope, receive, send):
            await Request(scope, receive).body()

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "headers": [(b"host", b"localhost"), (b"content-length", b"9")],
            "client": ("127.0.0.1", 1),
            "query_string": b"",
        }

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            raise AssertionError("there is nobody to answer")

        await guarded(reads, ServiceConfig())(scope, receive, send)

    with caplog.at_level(logging.WARNING):
        run(ask())
    assert caplog.text == ""


def test_too_many_requests_in_a_minute_are_refused_with_the_time_to_wait():
    async def ask():
        async with client(small(requests_per_minute=3)) as asking:
            return [await asking.get("/hello") for _ in range(5)]

    answers = run(ask())
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    check_problem(answers[-1], 429)


def test_wrong_tokens_count_too():
    async def ask():
        config = ServiceConfig(token=TOKEN, limits=Limits(requests_per_minute=3))
        async with client(config) as asking:
            guesses = [await asking.get("/hello", headers={"Authorization": f"Bearer {n}"}) for n in range(4)]
            return guesses[-1]

    check_problem(run(ask()), 429)


def test_too_many_open_requests_are_refused_and_others_served_when_they_end():
    async def ask():
        going = asyncio.Event()

        async def slow(scope, receive, send):
            await going.wait()
            await JSONResponse({})(scope, receive, send)

        config = small(open_requests=2, requests_per_minute=0)
        transport = httpx.ASGITransport(guarded(slow, config))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
            first = [asyncio.create_task(asking.get("/")) for _ in range(5)]
            while sum(one.done() for one in first) < 3:
                await asyncio.sleep(0)
            going.set()
            return [(await one).status_code for one in first], (await asking.get("/")).status_code

    statuses, after = run(ask())
    assert sorted(statuses) == [200, 200, 429, 429, 429]
    assert after == 200


def test_what_goes_wrong_inside_is_logged_and_told_to_nobody(caplog):
    with caplog.at_level(logging.ERROR):
        answer = run(get("/broken"))
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.status_code == 500
    assert "the secret of /home/user" in caplog.text


def test_an_app_that_falls_is_a_problem_too(caplog):
    async def fall(scope, receive, send):
        raise RequestError("the secret of /home/user")

    async def ask():
        transport = httpx.ASGITransport(guarded(fall, ServiceConfig()))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
            return await asking.get("/")

    with caplog.at_level(logging.ERROR):
        answer = run(ask())
    assert "secret" not in check_problem(answer, 500)["detail"]


def test_the_log_holds_no_secrets(caplog):
    with caplog.at_level(logging.INFO):
        run(get(f"/hello?token={TOKEN}", ServiceConfig(token=TOKEN), headers=BEARER))
    assert "GET '/hello' 200" in caplog.text
    assert TOKEN not in caplog.text
