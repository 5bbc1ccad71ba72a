"""What stands before every application: who may ask, how often, how much, and how slowly; and what goes with answers.

An application that is `guarded` sees a request only when it may be answered, and its body only as far as it may go.
A body that is cut looks to it like a caller who went away. Knows no routes but the public ones.
"""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from partita.errors import BusyError, PartitaError, TooLargeError
from partita.service.config import MIB, ServiceConfig
from partita.service.http.problems import Problem, problem, problem_of, respond
from partita.service.http.security import (
    SAFE_METHODS,
    Callers,
    caller_of,
    check_host,
    check_origin,
    check_token,
    is_named,
)

TEXT_BYTES = 32 * MIB
"""Largest body that is no file: JSON and plain forms are held in memory as a whole."""
SLOWEST_BYTES_PER_S = 1024
"""A body that comes in drops, each in time, must come as fast as this on average."""
LINGER_S = 1.0
LINGER_BYTES = 4 * MIB
"""What is still read, and for how long, from a caller whose body was refused: one that does not look at the answer
before it has sent everything would else see only a broken connection."""

_FILE_TYPES = ("multipart/", "audio/", "video/", "application/octet-stream")
_EXPOSED = "Accept-Ranges, Content-Disposition, Content-Range, ETag, Location, Retry-After"
_PREFLIGHT = {"access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE", "access-control-max-age": "600"}

_log = logging.getLogger(__name__)


def guarded(app: ASGIApp, config: ServiceConfig, *, public: frozenset[str] = frozenset({"/health"})) -> ASGIApp:
    """`app` behind the token, limits and CORS of `config`. `public` paths need no token.

    Every refusal is a problem document: 401 and 403 for who asks, 408 for a slow body, 413 for a large one, 429 for
    too many. An error that the application does not answer itself is logged and is a 500 that tells nothing of it.
    """
    return _Guard(app, config, public)


class _Guard:
    def __init__(self, app: ASGIApp, config: ServiceConfig, public: frozenset[str]) -> None:
        self._app, self._config, self._public = app, config, public
        self._callers = Callers(config.limits.requests_per_minute, config.limits.open_requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers, began_at = Headers(scope=scope), time.monotonic()
        answer = _Answer(scope, send, self._always(headers.get("origin")))
        caller = caller_of((scope.get("client") or (None,))[0])
        try:
            self._check(scope, headers, caller)
            if (allowed := self._preflight(scope, headers)) is not None:
                await answer.send_whole(204, allowed)
                return
            self._callers.enter(caller)
        except PartitaError as error:
            await answer.refuse(problem_of(error))
            await answer.linger(receive, _has_body(headers))
        else:
            try:
                await self._answer(scope, headers, receive, answer)
            finally:
                self._callers.leave(caller)
        finally:
            # Never the query or a header: they may hold what is secret.
            took_ms = 1000 * (time.monotonic() - began_at)
            _log.info("%s %s %r %s %.0f ms", caller, scope["method"], scope["path"], answer.status, took_ms)

    def _check(self, scope: Scope, headers: Headers, caller: str) -> None:
        """Raises AccessError, BusyError or TooLargeError for a request that is not to be answered."""
        config = self._config
        self._callers.ask(caller)
        if config.token is None:
            check_host(headers.getlist("host"), config.host)
        if scope["method"] not in SAFE_METHODS:
            check_origin(headers.get("origin"), headers.get("host"), config.cors_origins)
        elif _is_preflight(scope, headers):
            return  # carries no token: browsers send none before they were told that they may
        if config.token is not None and scope["path"] not in self._public:
            check_token(headers.getlist("authorization"), config.token)
        declared = headers.get("content-length", "")
        largest = self._largest(headers)
        if declared.isdecimal() and int(declared) > largest:
            raise too_large(largest, f"{int(declared)} bytes")

    def _preflight(self, scope: Scope, headers: Headers) -> dict[str, str] | None:
        """Headers of the answer to a browser that asks whether a page may call, or none where it did not ask that."""
        if not _is_preflight(scope, headers):
            return None
        if not is_named(headers["origin"], self._config.cors_origins):
            return {}
        # A page that may call may send what it likes; what a header means is the application's business.
        asked = headers.get("access-control-request-headers", "")
        allowed = {"access-control-allow-headers": asked} if asked else {}
        if headers.get("access-control-request-private-network") == "true":
            allowed["access-control-allow-private-network"] = "true"
        return _PREFLIGHT | allowed

    def _largest(self, headers: Headers) -> int:
        kind = headers.get("content-type", "").strip().lower()
        limit = self._config.limits.upload_bytes
        return limit if kind.startswith(_FILE_TYPES) else min(limit, TEXT_BYTES)

    def _always(self, origin: str | None) -> dict[str, str]:
        """Headers of every answer."""
        named = self._config.cors_origins
        headers = {
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",
            # Pages of other sites may not even play our songs, unless some are named.
            "cross-origin-resource-policy": "cross-origin" if named else "same-site",
        }
        if named:
            headers["vary"] = "Origin"
        if origin is not None and is_named(origin, named):
            headers |= {"access-control-allow-origin": origin, "access-control-expose-headers": _EXPOSED}
        return headers

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, answer: _Answer) -> None:
        body = _Body(receive, answer, self._largest(headers), self._config.limits.body_timeout_s, _has_body(headers))
        try:
            await self._app(scope, body, answer)
        except ClientDisconnect:
            _log.info("%s %r: the caller went away", scope["method"], scope["path"])
        except Exception:  # noqa: BLE001  (the server's boundary: what an app raises is logged and told to nobody)
            if not answer.refused:
                _log.exception("%s %r failed", scope["method"], scope["path"])
                if not answer.started:
                    await answer.refuse(problem_of(RuntimeError()))
        if answer.refused:
            await answer.linger(receive, body.arriving)


class _Answer:
    """The way back to the caller: adds headers, and once the request is refused lets nothing else through."""

    def __init__(self, scope: Scope, send: Send, always: dict[str, str]) -> None:
        self._scope, self._send, self._always = scope, send, always
        self.started = self.refused = False
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if self.refused:
            return
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in self._always.items():
                if name == "vary":
                    headers.add_vary_header(value)
                else:
                    headers.setdefault(name, value)
            message = {**message, "headers": headers.raw}
        await self._send(message)

    async def send_whole(self, status: int, headers: dict[str, str]) -> None:
        """An answer without a body."""
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": status, "headers": raw})
        await self({"type": "http.response.body", "body": b""})

    async def refuse(self, told: Problem) -> None:
        """Send all of a refusal, but leave the connection open: `linger` closes it."""
        response = respond(told.model_copy(update={"instance": self._scope["path"]}), {"Connection": "close"})
        await self({"type": "http.response.start", "status": told.status, "headers": response.raw_headers})
        await self({"type": "http.response.body", "body": bytes(response.body), "more_body": True})
        self.refused = True

    async def linger(self, receive: Receive, arriving: bool) -> None:
        """End a refusal, after reading on for a moment where a body is `arriving`: so the caller comes to see it."""
        seen = 0
        try:
            async with asyncio.timeout(LINGER_S):
                while arriving and seen < LINGER_BYTES:
                    message = await receive()
                    seen += len(message.get("body", b""))
                    arriving = message["type"] == "http.request" and message.get("more_body", False)
        except TimeoutError:
            pass  # it was given its time
        await self._send({"type": "http.response.body", "body": b""})


class _Body:
    """The request as the application reads it: no larger and no slower than may be."""

    def __init__(self, receive: Receive, answer: _Answer, largest: int, pause_s: float, expected: bool) -> None:
        self._receive, self._answer = receive, answer
        self._largest, self._pause_s = largest, pause_s
        self.arriving, self._gone = expected, False
        self._bytes, self._waited_s = 0, 0.0

    async def __call__(self) -> Message:
        if self._gone:
            return {"type": "http.disconnect"}
        if not self.arriving:
            return await self._receive()
        began_at = time.monotonic()
        try:
            async with asyncio.timeout(self._patience_s()):
                message = await self._receive()
        except TimeoutError:
            told = f"The body came too slowly: {self._bytes} bytes, and then nothing for {self._pause_s:g} s or drops."
            return await self._give_up(problem(408, told, kind="slow-body"))
        self._waited_s += time.monotonic() - began_at  # not what the application itself took
        self._bytes += len(message.get("body", b""))
        self.arriving = message["type"] == "http.request" and message.get("more_body", False)
        if self._bytes > self._largest:
            return await self._give_up(problem_of(too_large(self._largest, "longer")))
        return message

    def _patience_s(self) -> float:
        """The longest pause, or less where so far it has come too slowly on average."""
        left_s = self._pause_s + self._bytes / SLOWEST_BYTES_PER_S - self._waited_s
        return min(self._pause_s, max(0.0, left_s))

    async def _give_up(self, told: Problem) -> Message:
        self._gone = True
        if not self._answer.started:
            await self._answer.refuse(told)
        return {"type": "http.disconnect"}


def too_large(largest: int, seen: str) -> TooLargeError:
    """The error of a body of more than `largest` bytes."""
    return TooLargeError(
        f"The body is {seen}, and this server takes {largest} bytes of this kind (--max-upload-bytes).", field="body"
    )


def busy(app_name: str) -> ASGIApp:
    """An application that answers 429 to everything, for connections beyond what a server can hold."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        said = BusyError(f"{app_name} has as many connections as it can hold.", retry_after_s=1.0)
        refusal = _Answer(scope, send, {})
        await refusal.refuse(problem_of(said))
        await refusal.linger(receive, _has_body(Headers(scope=scope)))

    return answer


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    return scope["method"] == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
