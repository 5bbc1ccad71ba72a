"""ace-step-rs's `generation-daemon`: one JSON line in, one JSON line out, songs one after another in order of arrival.

It knows connections, the waiting line and signals. Connections are served by one asyncio loop, and all work is done by
one thread beside it, so that nobody who is slow or silent keeps others waiting.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from partita.engine.cancel import check_cancel
from partita.errors import Cancelled, PartitaError, RequestError, SaveError
from partita.service.doors.acestep_rs.player import Player
from partita.service.doors.acestep_rs.protocol import (
    DEFAULT_DURATION_S,
    MAX_LINE_BYTES,
    Asked,
    Command,
    FileFormat,
    check,
    error_answer,
    message_answer,
    read_line,
    song_answer,
)
from partita.service.doors.acestep_rs.sockets import Claimed

log = logging.getLogger(__name__)

MOST_WAITING = 64
GRACE_S = 5.0
"""How long an ending daemon waits for the step that is being computed."""
_LAST_ANSWERS_S = 1.0
_MOST_DISCARDED_BYTES, _DISCARDING_S = 16 * 2**20, 1.0
STOPPED = "the daemon was stopped"


@dataclass(eq=False)
class _Work:
    """Something for the one thread to do; `answer` is the line that it returns, or none where there is none."""

    do: Callable[[], str | None]
    answer: asyncio.Future[str | None]


class Daemon:
    """Serves one listening socket with one player. `is_busy` says after `run` that its thread is still computing."""

    def __init__(self, player: Player, claimed: Claimed) -> None:
        self._player, self._claimed = player, claimed
        self._cancel = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="songs")
        self._handlers: set[asyncio.Task[None]] = set()
        self.is_busy = False

    def run(self) -> int:
        """Serve until a signal, and return the exit code: 0, or 1 where no song can be made any longer.

        Raises ModelError or ResourceError where the model cannot be loaded. The socket is gone afterwards.
        """
        try:
            return asyncio.run(self._run())
        finally:
            self._claimed.release()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """End soon: the song that is being made is given up within a step. For any thread, while `run` runs."""
        self._cancel.set()
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def _run(self) -> int:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[_Work | None] = asyncio.Queue(MOST_WAITING)
        self._entrance = asyncio.Lock()  # who comes first is served first, however long a folder takes to be made
        self._stopping = asyncio.Event()
        self._listen_to_signals()
        serve = asyncio.start_unix_server if self._claimed.is_unix else asyncio.start_server
        server = await serve(self._connected, sock=self._claimed.listener, limit=MAX_LINE_BYTES)
        log.info("listening on %s", self._claimed)
        worker = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({worker, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.close()
        self._claimed.release()
        if not self._stopping.is_set():  # nothing can be made: the callers' connections end without an answer
            worker.result()
            return 1
        log.info("stopping")
        self._turn_away()
        await asyncio.wait({worker}, timeout=GRACE_S)
        self.is_busy = not worker.done()
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=_LAST_ANSWERS_S)
        return 0

    def _listen_to_signals(self) -> None:
        """The first signal ends the daemon in order, the second at once."""
        loop = self._loop

        def heard(number: int) -> None:
            for one in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(one)
                signal.signal(one, signal.SIG_DFL)
            self.stop()

        for one in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(one, heard, one)
            except (NotImplementedError, RuntimeError):  # Windows, or not the main thread: Ctrl-C raises by itself
                return

    async def _work(self) -> None:
        """Load, then do one thing after another. Returns where the daemon stops, or nothing can be made any longer."""
        await self._loop.run_in_executor(self._pool, self._player.load)
        log.info("ready")
        while (work := await self._queue.get()) is not None:
            line = await self._loop.run_in_executor(self._pool, work.do)
            if not self._player.manager.alive:
                return
            if not work.answer.done():
                work.answer.set_result(line)

    def _turn_away(self) -> None:
        """Answer all that wait, and wake the worker. What is asked from here on is answered the same way."""
        while not self._queue.empty():
            work = self._queue.get_nowait()
            if work is not None and not work.answer.done():
                work.answer.set_result(error_answer(f"generation failed: {STOPPED}"))
        self._queue.put_nowait(None)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: one line, one answer."""
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            line = await self._line(reader)
            answer = await self._answer(line) if line is not None else None
            if answer is not None:
                writer.write(answer.encode("utf-8", errors="replace") + b"\n")
                await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()
                await _discard(reader)
        except ConnectionError as error:
            log.debug("a client left: %s", error)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _line(self, reader: asyncio.StreamReader) -> str | None:
        """The first line; none where it is no text, or too long a one to be read."""
        try:
            raw = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            raw = end.partial
        except asyncio.LimitOverrunError:
            raw = b" " * (MAX_LINE_BYTES + 1)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            log.warning("a request is not UTF-8 (%s): its connection is closed", error)
            return None

    async def _answer(self, line: str) -> str | None:
        if len(line) > MAX_LINE_BYTES:
            return error_answer(f"invalid JSON request: the line is longer than {MAX_LINE_BYTES} bytes")
        try:
            asked = read_line(line)
            if isinstance(asked, Command):
                return await self._command(asked)
            file_format = check(asked)
            async with self._entrance:
                told, path = await asyncio.to_thread(self._player.place, asked.output)
                work = await self._enter(lambda: self._song(asked, file_format, told, path))
        except RequestError as error:
            return error_answer(str(error))
        return await work.answer

    async def _command(self, command: Command) -> str | None:
        if command.name != "unload":
            return error_answer(f"unknown command '{command.name[:100]}'. There is: unload")
        async with self._entrance:
            work = await self._enter(self._unload)
        return await work.answer

    async def _enter(self, do: Callable[[], str | None]) -> _Work:
        """Put something into the waiting line, when there is a place. That its client leaves changes nothing."""
        work = _Work(do, self._loop.create_future())
        putting = asyncio.create_task(self._queue.put(work))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({putting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._stopping.is_set() and not work.answer.done():
            putting.cancel()
            work.answer.set_result(error_answer(f"generation failed: {STOPPED}"))
        return work

    # In the thread that works.

    def _song(self, asked: Asked, file_format: FileFormat, told: str, path: Path) -> str | None:
        try:
            check_cancel(self._cancel)
            song = self._player.play(asked, file_format, cancel=self._cancel)
            self._player.write(song, path, file_format)
        except Cancelled:
            return error_answer(f"generation failed: {STOPPED}")
        except SaveError as error:
            log.error("%s", error)
            return error_answer(f"failed to write audio file: {error}")
        except PartitaError as error:
            log.error("%s", error)
            return error_answer(f"generation failed: {error}")
        except Exception:
            # The boundary of a request: the daemon goes on, and the trace stays in its log.
            log.exception("a request failed in a way that nobody foresaw")
            return error_answer("generation failed: a fault of this program, which its log tells")
        plan = song.record.plan
        duration_s = asked.duration_s if asked.duration_s is not None else plan.duration_s or DEFAULT_DURATION_S
        log.info("wrote %s", path)
        return song_answer(told, duration_s)

    def _unload(self) -> str | None:
        try:
            self._player.unload()
        except PartitaError as error:
            return error_answer(str(error))
        log.info("pipeline unloaded")
        return message_answer("pipeline unloaded")


async def _discard(reader: asyncio.StreamReader) -> None:
    """Read what a client still sends: a connection that is closed before loses its answer on the way."""
    left = _MOST_DISCARDED_BYTES
    try:
        async with asyncio.timeout(_DISCARDING_S):
            while left > 0 and (chunk := await reader.read(65_536)):
                left -= len(chunk)
    except TimeoutError:
        return
