"""A Unix socket of our own: taken where it is free or left over, never from a program that still listens; and TCP on
loopback where a system has no such sockets."""

from __future__ import annotations

import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from partita.errors import ConflictError, ResourceError

BACKLOG = 256
_CONNECT_S = 2.0
_LOCK_S = 5.0
HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX")


class Claimed:
    """A listening socket, and the file that goes with it."""

    def __init__(self, listener: socket.socket, path: Path | None) -> None:
        self.listener, self._path = listener, path
        self._inode = path.stat().st_ino if path is not None else None

    def __str__(self) -> str:
        if self._path is not None:
            return str(self._path)
        host, port = self.listener.getsockname()[:2]
        return f"{host}:{port}"

    @property
    def is_unix(self) -> bool:
        return self._path is not None

    def release(self) -> None:
        """Stop listening, and remove the file unless another program has put its own there."""
        path, self._path = self._path, None
        if path is not None:
            with suppress(FileNotFoundError):
                # While the socket is open no other file has its number.
                if path.stat().st_ino == self._inode:
                    path.unlink()
        self.listener.close()


def claim_unix(path: Path) -> Claimed:
    """Listen at `path`. A socket that nobody answers at is replaced.

    Raises ConflictError where a program listens there or something else lies there, ResourceError where the system
    does not allow it or has no Unix sockets.
    """
    if not HAS_UNIX_SOCKETS:
        raise ResourceError("This system has no Unix sockets: listen on loopback instead, with --tcp PORT.")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _alone_in(path.parent):
            _clear(path)
            listener.bind(str(path))
            listener.listen(BACKLOG)
            return Claimed(listener, path)
    except OSError as error:
        listener.close()
        raise ResourceError(f"could not listen on {path}: {error.strerror or error}") from error
    except BaseException:
        listener.close()
        raise


def claim_tcp(port: int) -> Claimed:
    """Listen on a port of the loopback interface; 0 takes a free one. Raises ResourceError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ResourceError(f"could not listen on 127.0.0.1:{port}: {error.strerror or error}") from error
    return Claimed(listener, None)


def _clear(path: Path) -> None:
    """Remove a socket that was left over."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ConflictError(f"{path} exists and is no socket: remove it, or choose another path with --socket.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(_CONNECT_S)
        try:
            caller.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            with suppress(FileNotFoundError):
                path.unlink()
            return
        except TimeoutError:
            pass  # nobody accepts, but somebody listens
    raise ConflictError(f"another program is listening on {path}: stop it, or choose another path with --socket.")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other programs that start in this moment from looking at the same socket: a lock on its folder."""
    import fcntl
    import os

    place = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:  # somebody holds the folder for another reason
                    break
                time.sleep(0.02)
        yield
    finally:
        os.close(place)
