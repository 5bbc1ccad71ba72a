"""A real `partita serve` in a process of its own, for tests and benches: start it, ask it, stop it, kill it.

Each is forked from a process that has the libraries loaded already, where the system can do that: a start takes
a fraction of a second then, and a server can be killed fifty times.
"""

import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

SMALL = {"caption": "lofi piano, slow", "duration_s": 1}
STARTS_WITHIN_S = 120.0
_PRELOADED = ["partita.cli.serve", "partita.service.http.server", "partita.service.http.app", "partita.engine.engine"]
_WAYS = multiprocessing.get_all_start_methods()
_CONTEXT: Any = multiprocessing.get_context("forkserver" if "forkserver" in _WAYS else "spawn")


def _serve(home: str, flags: tuple[str, ...], environment: dict[str, str]) -> None:
    """In the process: `partita serve` with its output in files."""
    for name in [name for name in os.environ if name.startswith(("PARTITA_", "ACESTEP_"))]:
        del os.environ[name]
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "log")):
        handle = os.open(Path(home) / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    from partita.cli.main import main

    sys.exit(
        main(["serve", "--json", "--port", "0", "--threads", "1", "--folder", str(Path(home) / "service"), *flags])
    )


class ServerProcess:
    """Runs on `home/service`, with settings of its own and a free port for each app. Leaving it kills what is left."""

    def __init__(self, home: Path, *flags: str, **environment: str) -> None:
        self.home, self.folder = home, home / "service"
        own = {"PARTITA_DATA": str(home / "data"), "PARTITA_CACHE": str(home / "cache"), "TMPDIR": str(home / "tmp")}
        self._flags, self._environment = flags, {**own, "OMP_NUM_THREADS": "1", **environment}
        self.urls: dict[str, str] = {}
        self.process: Any = None

    def __enter__(self) -> Self:
        self.start()
        assert self.wait_ready(), self.log()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Begin to start, without waiting."""
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        (self.home / "out").write_bytes(b"")
        self.urls = {}
        _CONTEXT.set_forkserver_preload(_PRELOADED)
        given = (str(self.home), self._flags, self._environment)
        self.process = _CONTEXT.Process(target=_serve, args=given, daemon=True)
        self.process.start()

    def wait_ready(self) -> bool:
        """Whether it says where it listens, before it ends."""
        deadline = time.monotonic() + STARTS_WITHIN_S
        while self.process.is_alive() and time.monotonic() < deadline:
            line = (self.home / "out").read_text()
            if line.endswith("\n"):
                self.urls = {row["name"]: row["url"] for row in json.loads(line).get("listening", ())}
                return bool(self.urls)
            time.sleep(0.01)
        return False

    @property
    def url(self) -> str:
        return self.urls["api"]

    def connect(self, name: str = "api") -> socket.socket:
        """A bare connection to an app."""
        address = httpx.URL(self.urls[name])
        return socket.create_connection((address.host, address.port or 80), timeout=60)

    def client(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **more)

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait(self) -> int | None:
        """Its exit code, when it ended."""
        self.process.join(60)
        return self.process.exitcode

    def terminate(self, number: int = signal.SIGTERM) -> int | None:
        """Stop it as a person or a service manager does; its exit code."""
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """Stop it as a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.join(60)

    def log(self) -> str:
        """What it wrote to standard error."""
        return (self.home / "log").read_text()

    def files(self) -> set[str]:
        """Files below the service's folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def open_files(self) -> int:
        """Files and sockets that the process holds."""
        return psutil.Process(self.process.pid).num_fds()

    def memory_bytes(self) -> int:
        """What it occupies in memory."""
        return psutil.Process(self.process.pid).memory_info().rss


def wait_over(client: httpx.Client, job_id: str, timeout_s: float = 120.0) -> dict[str, Any]:
    """The job when it is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        job = client.get(f"/v1/songs/{job_id}").raise_for_status().json()
        if job["state"] in ("done", "failed", "cancelled"):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def wait_until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Until `holds()` is true."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found
