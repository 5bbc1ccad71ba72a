"""The program `partita-ace-step-client`: asks a running daemon for a song, and prints where it lies.

One line is sent, the writing half is shut down, one line is read. It imports nothing of the engine.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from partita.errors import PartitaError
from partita.service.doors.acestep_rs import SOCKET
from partita.service.doors.acestep_rs.arguments import number, u64
from partita.service.doors.acestep_rs.protocol import compact, system_text

CONNECT_S = 10.0
_LONGEST_WAIT_S = 10 * 365 * 86_400
"""What a wait of 2^64 seconds comes to: more than a socket's clock holds."""


def run() -> None:
    """The entry point."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Ask and print, and return the exit code: 0, or 1 after a line that begins with `Error: `."""
    options = _parser().parse_args(arguments)
    try:
        line = _ask(options)
        told, path = _read(line)
    except PartitaError as error:
        _write(sys.stderr, f"Error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    _write(sys.stderr, told)
    if path is not None:
        _write(sys.stdout, path)
    return 0


def _fault(text: str, cause: str | None = None) -> PartitaError:
    """What is told on standard error, with its cause below where there is one."""
    return PartitaError(text if cause is None else f"{text}\n\nCaused by:\n    {cause}")


def _ask(options: argparse.Namespace) -> str:
    """The daemon's line. Raises PartitaError."""
    request = compact(_request(options)) + "\n"
    with _connected(options) as connection:
        until = time.monotonic() + min(options.timeout_secs, _LONGEST_WAIT_S)
        try:
            connection.sendall(request.encode("utf-8", errors="replace"))
            connection.shutdown(socket.SHUT_WR)
            line = _line(connection, until)
        except TimeoutError:
            raise _fault("timed out waiting for daemon response") from None
        except OSError as error:
            raise _fault("failed to read the daemon's response", system_text(error)) from None
    if not line.strip():
        raise _fault("daemon closed connection without sending a response")
    return line.decode("utf-8", errors="replace")


def _request(options: argparse.Namespace) -> dict[str, Any]:
    if options.unload:
        return {"command": "unload"}
    if options.caption is None:
        raise _fault("--caption is required for generation")
    request: dict[str, Any] = {"caption": options.caption}
    for name in ("output", "lyrics", "metas", "seed"):
        if getattr(options, name) is not None:
            request[name] = getattr(options, name)
    return request | {"duration_s": options.duration, "language": options.language, "shift": options.shift}


def _connected(options: argparse.Namespace) -> socket.socket:
    place: Any = options.socket
    if options.tcp is not None:
        place, family = ("127.0.0.1", options.tcp), socket.AF_INET
    elif hasattr(socket, "AF_UNIX"):
        family = socket.AF_UNIX
    else:
        raise _fault("this system has no Unix sockets: use --tcp PORT")
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_S)
    try:
        connection.connect(place)
    except TimeoutError:
        connection.close()
        raise _fault("timed out connecting to daemon socket") from None
    except (OSError, OverflowError, ValueError) as error:
        connection.close()
        name = options.socket if options.tcp is None else f"127.0.0.1:{options.tcp}"
        cause = str(error) if isinstance(error, OverflowError) else system_text(error)
        raise _fault(f"failed to connect to {name}", cause) from None
    return connection


def _line(connection: socket.socket, until: float) -> bytes:
    """What arrives up to the end of a line, or of the stream. Raises TimeoutError."""
    found = bytearray()
    while b"\n" not in found:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        chunk = connection.recv(65_536)
        if not chunk:
            break
        found += chunk
    return bytes(found.partition(b"\n")[0])


def _read(line: str) -> tuple[str, str | None]:
    """What to tell, and the path of the song where there is one. Raises PartitaError."""
    try:
        answer = json.loads(line)
        is_ok = answer["ok"]
        if not isinstance(is_ok, bool):
            raise TypeError("`ok` is neither true nor false")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        cause = f"missing field {error}" if isinstance(error, KeyError) else str(error)
        raise _fault("failed to parse daemon response", cause) from None
    if not is_ok:
        text = answer.get("error")
        if text is None:
            raise _fault(f"daemon returned ok=false without error field (raw: {line})")
        raise _fault(f"generation failed: {text}")
    path, duration_s = answer.get("path"), answer.get("duration_s")
    if path is None:
        return "ok", None
    if isinstance(duration_s, (int, float)):
        return f"generated {duration_s:.1f}s of audio → {path}", str(path)
    return f"done → {path}", str(path)


def _write(stream: Any, text: str) -> None:
    """A line in UTF-8, whatever the locale is: a path is not to be lost for its accents."""
    stream.flush()
    stream.buffer.write(os.fsencode(text) if sys.platform != "win32" else text.encode("utf-8", errors="replace"))
    stream.buffer.write(b"\n")
    stream.buffer.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="partita-ace-step-client",
        description="Ask a running `partita daemon` for a song, and print the path of its file.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--caption", help="what it should sound like, in words")
    add("--output", metavar="PATH", help="where the daemon writes the song (default: its spool folder)")
    add("--duration", type=number, default=30.0, metavar="S", help="seconds (default: 30)")
    add("--lyrics", help="words to sing")
    add("--metas", help="such as 'bpm: 120, key: C major'")
    add("--language", default="en", help="language code of the lyrics (default: en)")
    add("--shift", type=number, default=3.0, help="1, 2 or 3 (default: 3)")
    add("--seed", type=u64, help="same seed, same song")
    add("--socket", default=SOCKET, metavar="PATH", help=f"the daemon's socket (default: {SOCKET})")
    add("--tcp", type=int, metavar="PORT", help="a port on this machine, in place of a socket")
    add("--timeout-secs", type=u64, default=300, metavar="N", help="how long to wait for the song (default: 300)")
    add("--unload", action="store_true", help="have the daemon let go of its model, and make nothing")
    return parser
