"""A small server on this machine that speaks as Hugging Face and ModelScope do, and breaks off where a test says so.

Large files redirect to another host (`localhost` in place of `127.0.0.1`), as the hub's do to its storage.
"""

from __future__ import annotations

import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c" * 40


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: Message


@dataclass
class StandIn:
    """`files` maps `repository/path` to content. What a test changes takes effect at the next request."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    stored_apart: set[str] = field(default_factory=set)  # names behind a redirect to another host
    break_after: dict[str, list[int]] = field(default_factory=dict)  # bytes sent before the line drops, once each
    corrupt: set[str] = field(default_factory=set)
    statuses: dict[str, list[int]] = field(default_factory=dict)  # answers given instead, once each
    ranges: bool = True
    seen: list[Seen] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bodies(self, name: str) -> list[str | None]:
        """The Range header of every GET of the content of a file that is stored apart."""
        wanted = urllib.parse.quote(name.split("/")[-1])
        gets = [one for one in self.seen if one.method == "GET" and one.path.startswith(("/stored/", "/api/"))]
        return [one.headers["Range"] for one in gets if one.path.endswith(wanted)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `seen` instead."""

    def _answer(self) -> None:
        stand_in = self.stand_in
        stand_in.seen.append(Seen(self.command, self.path, self.headers))
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        path = urllib.parse.unquote(url.path)
        if path.startswith("/api/v1/models/") and path.endswith("/repo/files"):
            return self._listing(path.removeprefix("/api/v1/models/").removesuffix("/repo/files"))
        if path.startswith("/api/v1/models/") and path.endswith("/repo"):
            name = f"{path.removeprefix('/api/v1/models/').removesuffix('/repo')}/{query['FilePath']}"
            return self._content(name, {})
        if path.startswith("/stored/"):
            return self._content(path.removeprefix("/stored/"), {})
        repository, _, rest = path.lstrip("/").partition("/resolve/main/")
        return self._hub(f"{repository}/{rest}")

    def _hub(self, name: str) -> None:
        content = self.stand_in.files.get(name)
        if content is None:
            return self._plain(404)
        digest = hashlib.sha256(content).hexdigest()
        if name in self.stand_in.stored_apart:
            location = f"http://localhost:{self.stand_in.port}/stored/{urllib.parse.quote(name)}"
            headers = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{digest}"', "Location": location}
            return self._plain(302, {"X-Repo-Commit": COMMIT, **headers})
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        return self._content(name, {"X-Repo-Commit": COMMIT, "ETag": f'W/"{blob}"'})

    def _listing(self, repository: str) -> None:
        files = [
            {"Path": name.removeprefix(f"{repository}/"), "Type": "blob", "Size": len(content)}
            | {"Sha256": hashlib.sha256(content).hexdigest()}
            for name, content in self.stand_in.files.items()
            if name.startswith(f"{repository}/")
        ]
        body = json.dumps({"Code": 200, "Data": {"Files": files}}).encode()
        self._plain(200 if files else 404, {"Content-Type": "application/json"}, body)

    def _content(self, name: str, headers: dict[str, str]) -> None:
        stand_in = self.stand_in
        content = stand_in.files.get(name)
        if content is None:
            return self._plain(404)
        if self.command == "GET" and stand_in.statuses.get(name):
            return self._plain(stand_in.statuses[name].pop(0))
        if name in stand_in.corrupt:
            content = bytes([content[0] ^ 1]) + content[1:]
        start = 0
        asked = self.headers["Range"]
        if asked and stand_in.ranges:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            headers = headers | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        rest = content[start:]
        breaks = stand_in.break_after.get(name)
        sent = rest[: breaks.pop(0)] if self.command == "GET" and breaks else rest
        self.send_response(206 if start else 200)
        for key, value in {**headers, "Content-Length": str(len(rest))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(sent)
            self.close_connection = len(sent) < len(rest)
        return None

    def _plain(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def serving() -> Iterator[StandIn]:
    """A stand-in that listens on a free port until the context ends."""
    stand_in = StandIn()
    handler = type("Handler", (_Handler,), {"stand_in": stand_in})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    stand_in.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
