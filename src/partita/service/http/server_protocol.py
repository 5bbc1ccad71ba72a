"""How a connection is treated before there is a request in it and while its answer is not taken: patience has an end.

On top of uvicorn's h11 protocol, which waits for ever for a head that comes slowly and for a reader who does not read.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from partita.service.http.problems import Problem, problem, respond

HEAD_TIMEOUT_S = 10.0
"""From the connection, or the answer before, to the end of a request's head."""
HEAD_BYTES = 16 * 1024
CONNECTIONS = 1000
CONNECTIONS_OF_ONE = 500
"""Of all callers and of one address, for each application. Those beyond are told so; far beyond, they are closed."""
FAR_BEYOND = 200
_LINGER_S = 1.0


def protocol_for(busy: ASGIApp, *, pause_s: float) -> type[H11Protocol]:
    """The protocol of one application's connections. `busy` answers those beyond what it can hold, `pause_s` is the
    longest time that a caller may leave an answer untaken."""
    addresses: Counter[str] = Counter()

    class PatientProtocol(H11Protocol):
        _head: asyncio.TimerHandle | None = None
        _taking: asyncio.TimerHandle | None = None
        _address: str | None = None
        _deaf = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._address = self.client[0] if self.client else "local"
            addresses[self._address] += 1
            beyond = max(len(self.connections) - CONNECTIONS, addresses[self._address] - CONNECTIONS_OF_ONE)
            if beyond > FAR_BEYOND:
                transport.abort()
            elif beyond > 0:
                self.app = busy
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head = _stop(self._head)
            self._taking = _stop(self._taking)
            if self._address is not None:
                addresses[self._address] -= 1
                if addresses[self._address] <= 0:
                    del addresses[self._address]
                self._address = None
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if not self._deaf:
                super().data_received(data)

        def handle_events(self) -> None:
            super().handle_events()
            if self._is_answering():
                self._head = _stop(self._head)

        def on_response_complete(self) -> None:
            self._await_head()  # first, for the next request may be here already
            super().on_response_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._taking = self.loop.call_later(pause_s, self.transport.abort)

        def resume_writing(self) -> None:
            self._taking = _stop(self._taking)
            super().resume_writing()

        def send_400_response(self, msg: str) -> None:
            self._refuse(problem(400, "That is no HTTP/1.1 request, or its head is too large.", kind="bad-http"))

        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _await_head(self) -> None:
            _stop(self._head)
            self._head = self.loop.call_later(min(HEAD_TIMEOUT_S, pause_s), self._head_is_late)

        def _head_is_late(self) -> None:
            if self.conn.trailing_data[0] and not self.transport.is_closing():
                self._refuse(problem(408, "The head of the request came too slowly.", kind="slow-head"))
            else:
                self.transport.close()

        def _refuse(self, told: Problem) -> None:
            """Answer without an application, and close. Written as it stands, for what came may be no HTTP.

            What still comes is read for a moment, or the answer would be lost with the connection.
            """
            if self._is_answering() and self.cycle.response_started:
                self.transport.abort()  # in the middle of an answer nothing else can be said
                return
            if self._is_answering():
                self.cycle.disconnected = True  # for the application the caller went away
                self.cycle.message_event.set()
            response = respond(told, {"Connection": "close"})
            lines = [f"HTTP/1.1 {told.status} {told.title}".encode("ascii")]
            lines += [name + b": " + value for name, value in response.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
            self.transport.write_eof()
            self._deaf = True
            _stop(self._head)
            self._head = self.loop.call_later(_LINGER_S, self.transport.close)

    return PatientProtocol


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
