"""A real `partita serve` in a process of its own, for tests and benches: start it, ask it, stop it, kill it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

SMALL = {"caption": "lofi piano, slow", "duration_s": 1}
STARTS_WITHIN_S = 120.0
_SERVE = (sys.executable, "-c", "from partita.cli.main import run; run()", "serve", "--json", "--port=0", "--threads=1")


class ServerProcess:
    """Runs on `home/service`, with settings of its own and a free port for each app. Leaving it kills what is left."""

    def __init__(self, home: Path, *flags: str, **environment: str) -> None:
        self.home, self.folder = home, home / "service"
        self._flags, self._environment = flags, environment
        self.urls: dict[str, str] = {}
        self.process: subprocess.Popen[str] = None  # type: ignore[assignment]

    def __enter__(self) -> Self:
        self.start()
        assert self.wait_ready(), self.log()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Begin to start, without waiting."""
        self.home.mkdir(parents=True, exist_ok=True)
        own = {
            "PARTITA_DATA": str(self.home / "data"),
            "PARTITA_CACHE": str(self.home / "cache"),
            "TMPDIR": str(self._temporary()),
        }
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PARTITA_", "ACESTEP_"))
        }
        self.urls = {}
        with (self.home / "log").open("a") as log:
            self.process = subprocess.Popen(
                [
                    *_PARTITA,
                    "serve",
                    "--json",
                    "--port",
                    "0",
                    "--threads",
                    "1",
                    "--folder",
                    str(self.folder),
                    *self._flags,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**environment, **own, "OMP_NUM_THREADS": "1", **self._environment},
            )
        threading.Thread(target=self._read_address, args=(self.process,), daemon=True).start()

    def _temporary(self) -> Path:
        folder = self.home / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def _read_address(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            line = output.readline()
        if line and process is self.process:
            self.urls = {row["name"]: row["url"] for row in json.loads(line).get("listening", ())}

    def wait_ready(self) -> bool:
        """Whether it says where it listens, before it ends."""
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self.urls and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return bool(self.urls)

    @property
    def url(self) -> str:
        return self.urls["api"]

    def connect(self, name: str = "api") -> socket.socket:
        """A bare connection to an app."""
        address = httpx.URL(self.urls[name])
        return socket.create_connection((address.host, address.port or 80), timeout=60)

    def client(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **more)

    def terminate(self, number: int = signal.SIGTERM) -> int:
        """Stop it as a person or a service manager does; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def kill(self) -> None:
        """Stop it as a power cut does."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)

    def log(self) -> str:
        return (self.home / "log").read_text()

    def files(self) -> set[str]:
        """Files below the service's folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def open_files(self) -> int:
        """Files and sockets that the process holds."""
        return psutil.Process(self.process.pid).num_fds()

    def memory_bytes(self) -> int:
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


def wait_until(holds, timeout_s: float = 20.0) -> None:
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
