"""The control socket of a radio: many clients, a line at a time, and all events to all of them.

A Unix socket where there are such, else TCP on loopback. Knows sockets; what lines mean is `protocol`'s business.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from partita.errors import PartitaError, RequestError
from partita.radio.events import Event
from partita.radio.protocol import SHUTTING_DOWN, Answer, OnAir, answer, event_line, state_line

DEFAULT_PATH = "/tmp/ace-radio.sock"
DEFAULT_PORT = 8471
LONGEST_LINE = 256 * 1024
_UNTAKEN_BYTES = 1 << 20
"""A client who leaves more than this unread is dropped."""

logger = logging.getLogger(__name__)


class ControlSocket:
    """Takes clients while it is entered. `path` is where the Unix socket is to be, or `HOST:PORT` of loopback.

    `quit` is called when a client ends the radio. Raises PartitaError where another radio listens there already,
    RequestError for a place that cannot be listened on.
    """

    def __init__(self, show: OnAir, path: str = DEFAULT_PATH, *, quit: Callable[[], None]) -> None:
        self._show, self._quit = show, quit
        self._clients: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._socket, self._path = _bind(path)
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="radio-control")

    @property
    def address(self) -> str:
        """Where it listens, for people."""
        if self._path is not None:
            return str(self._path)
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()
        self._loop.close()
        self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def tell(self, event: Event) -> None:
        """Send an event to all clients. From any thread."""
        line = event_line(event)
        if line is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._broadcast, line)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        if self._path is not None:
            server = await asyncio.start_unix_server(self._attend, sock=self._socket, limit=LONGEST_LINE)
        else:
            server = await asyncio.start_server(self._attend, sock=self._socket, limit=LONGEST_LINE)
        await self._done.wait()
        server.close()
        for writer in tuple(self._clients):
            writer.close()
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=1.0)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its first line to its last."""
        self._say(writer, state_line(self._show.state))
        self._clients.add(writer)
        try:
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than the limit
                    self._say(writer, f"event:error a line is longer than {LONGEST_LINE} bytes")
                    return
                if not line:
                    return
                self._obey(line, writer)
                await writer.drain()
        except OSError:
            pass  # the client is gone
        finally:
            self._clients.discard(writer)
            writer.close()

    def _obey(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            told = answer(line.decode("utf-8"), self._show)
        except UnicodeDecodeError:
            told = Answer("event:error a line is not UTF-8 text")
        except Exception:  # a fault of ours must not end the socket for all
            logger.exception("a command failed")
            told = Answer("event:error the radio failed to do that; its log says why")
        if told.quits:
            self._broadcast(SHUTTING_DOWN)
            self._quit()
        elif told.text:
            self._say(writer, told.text)

    def _broadcast(self, line: str) -> None:
        for writer in tuple(self._clients):
            self._say(writer, line)

    def _say(self, writer: asyncio.StreamWriter, text: str) -> None:
        if writer.is_closing():
            return
        if writer.transport.get_write_buffer_size() > _UNTAKEN_BYTES:
            writer.transport.abort()
            return
        writer.write(text.encode("utf-8", "replace") + b"\n")


def _bind(path: str) -> tuple[socket.socket, Path | None]:
    """A listening socket, and its file where it has one."""
    host, colon, port = path.rpartition(":")
    if colon and port.isdecimal() and "/" not in path:
        return _bind_loopback(host, int(port)), None
    if not hasattr(socket, "AF_UNIX"):
        if path != DEFAULT_PATH:
            raise RequestError(
                f"There are no Unix sockets on this system, and {path} was asked for: say 127.0.0.1:PORT.",
                field="socket",
                value=path,
            )
        return _bind_loopback("127.0.0.1", DEFAULT_PORT), None
    return _bind_unix(Path(path)), Path(path)


def _bind_loopback(host: str, port: int) -> socket.socket:
    if host not in ("127.0.0.1", "localhost"):
        raise RequestError(
            f"The control socket asks for no token and listens on this machine only, not on {host!r}: say "
            f"127.0.0.1:{port}.",
            field="socket",
            value=f"{host}:{port}",
        )
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise PartitaError(f"127.0.0.1:{port} cannot be listened on ({error.strerror}): choose another port.") from None


def _bind_unix(path: Path) -> socket.socket:
    try:
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise RequestError(
                f"{path} is there and is no socket: choose another path.", field="socket", value=str(path)
            )
        if path.exists():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise PartitaError(f"Another radio listens on {path}: stop it, or choose another --socket.")
            path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(64)
        return listener
    except OSError as error:
        raise RequestError(
            f"{path} cannot be listened on ({error.strerror or error}): choose another path.",
            field="socket",
            value=str(path),
        ) from None
