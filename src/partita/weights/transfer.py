"""One file over HTTP, resumable: what arrived stays on disk, and the next try goes on from there.

`huggingface_hub` from 2.0 on deletes what arrived when a transfer breaks, and ModelScope has no client that could be
depended on; so the transfer is here, once, for both. It knows nothing of models, repositories or caches.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import certifi

from partita.errors import DownloadError, ResourceError

CHUNK_BYTES = 1 << 20
TRIES = 5
FIRST_PAUSE_S = 0.5
TIMEOUT_S = 30.0
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_NETWORK_FAULTS = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)
_REDIRECTS = (301, 302, 303, 307, 308)


class FileAbsentError(DownloadError):
    """The server is there and has no such file."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and headers of a request without a body."""

    status: int
    headers: Mapping[str, str]


def head(url: str, *, token: str | None = None, pause_s: float = FIRST_PAUSE_S) -> Reply:
    """What the server says of `url`. A redirect to another host is not followed: its own headers are the reply.

    Raises FileAbsentError for a file that is not there, DownloadError where the server cannot be reached or refuses.
    """
    with _retrying(url, pause_s, lambda: _open(url, token, method="HEAD")) as response:
        return Reply(response.status, _lower(response.headers))


def get(url: str, *, token: str | None = None, pause_s: float = FIRST_PAUSE_S) -> bytes:
    """The whole body of a small file. Raises as `head` does."""

    def whole() -> bytes:
        with _open(url, token) as response:
            return response.read()

    return _retrying(url, pause_s, whole)


def transfer(
    url: str,
    partial: Path,
    *,
    size_bytes: int | None,
    token: str | None = None,
    on_bytes: Callable[[int], None] = lambda done: None,
    pause_s: float = FIRST_PAUSE_S,
) -> None:
    """Bring `partial` to the whole of `url`, going on from what it holds already.

    `on_bytes` is told how many bytes the file holds, at the start and after every chunk. A broken connection is tried
    again, up to five times in a row without a new byte. Whatever stops it (an error, a full disk, KeyboardInterrupt),
    `partial` keeps what arrived. Raises DownloadError, and ResourceError where the disk is full.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    tries, pause = TRIES, pause_s
    while True:
        before = _held(partial, size_bytes)
        on_bytes(before)
        if size_bytes is not None and before == size_bytes:
            return
        try:
            whole = _append(url, partial, before, size_bytes, token, on_bytes)
            if whole:
                return
            fault = "the connection broke"
        except _NETWORK_FAULTS as error:
            fault = _fault(url, error)
        except OSError as error:
            raise _disk_error(partial, size_bytes, error) from error
        if _held(partial, size_bytes) > before:
            tries, pause = TRIES, pause_s
        tries -= 1
        if tries < 1:
            raise DownloadError(
                f"{url} could not be fetched: {fault}. {_held(partial, size_bytes)} bytes are kept in {partial}; the "
                "next try goes on from there.",
                path=partial,
            )
        time.sleep(pause)
        pause *= 2


def digest(path: Path, kind: str) -> str:
    """Hex digest of a file: `sha256`, or `git-sha1`, which Git gives a file that it stores itself."""
    hasher = hashlib.sha1(usedforsecurity=False) if kind == "git-sha1" else hashlib.sha256()
    if kind == "git-sha1":
        hasher.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def _append(
    url: str, partial: Path, start: int, size: int | None, token: str | None, on_bytes: Callable[[int], None]
) -> bool:
    """Ask for what is missing and append it; true where the file is whole afterwards."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    with _open(url, token, headers=headers) as response:
        if response.status != 206:
            start = 0  # the server sends the file from its beginning, whatever was asked for
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise http.client.HTTPException(f"asked for bytes from {start}, got {response.headers['Content-Range']}")
        length = response.headers.get("Content-Length")
        end = start + int(length) if length is not None and length.isdigit() else size
        done = start
        with partial.open("r+b" if partial.exists() else "wb") as file:
            file.truncate(start)
            file.seek(start)
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                on_bytes(done)
            file.flush()
    return done == size if size is not None else end is None or done == end


def _held(partial: Path, size: int | None) -> int:
    """Bytes that are worth keeping: none where there are more than the file has."""
    held = partial.stat().st_size if partial.exists() else 0
    return 0 if size is not None and held > size else held


def _open(url: str, token: str | None, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Any:
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))
    request.add_header("User-Agent", f"partita/{metadata.version('partita')}")
    request.add_header("Accept-Encoding", "identity")
    if token:
        # Not sent on when the server redirects: the storage behind it is another host's.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        return _opener().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code in _REDIRECTS and method == "HEAD":
            return error
        with error:
            if error.code in _PASSING or (error.code == 416 and method == "GET"):
                raise http.client.HTTPException(f"the server answered {error.code} {error.reason}") from None
            raise _refusal(url, error) from None


def _refusal(url: str, error: urllib.error.HTTPError) -> DownloadError:
    if error.code in (404, 410):
        return FileAbsentError(f"{url} does not exist on the server (HTTP {error.code}).")
    if error.code in (401, 403):
        return FileAbsentError(
            f"{url}: access was refused (HTTP {error.code}). The repository does not exist there, or needs a licence "
            "accepted on its page and a token (`hf auth login`, or HF_TOKEN)."
        )
    return DownloadError(f"{url} could not be fetched: HTTP {error.code} {error.reason}.")


def _retrying(url: str, pause_s: float, action: Callable[[], Any]) -> Any:
    for attempt in range(TRIES):
        try:
            return action()
        except _NETWORK_FAULTS as error:
            if attempt == TRIES - 1 or _hopeless(error):
                raise DownloadError(f"{url} could not be reached: {_fault(url, error)}.") from error
            time.sleep(pause_s * 2**attempt)
    raise AssertionError("unreachable")


def _hopeless(error: Exception) -> bool:
    """True for what another try will not mend: a name that does not resolve, a port where nothing listens, a bad
    certificate."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, (OSError, ssl.SSLError)) and not isinstance(reason, (TimeoutError, ConnectionResetError))


def _fault(url: str, error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    host = urllib.parse.urlsplit(url).hostname
    return f"{host}: {reason}" if str(reason) else f"{host}: {type(error).__name__}"


def _disk_error(partial: Path, size: int | None, error: OSError) -> ResourceError | DownloadError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        held = partial.stat().st_size if partial.exists() else 0
        need = f"{(size - held) / 1e9:.2f} GB more are needed" if size else "more room is needed"
        return ResourceError(
            f"The disk of {partial.parent} is full: {need}. What arrived is kept; make room and try again, or choose "
            "another folder with PARTITA_CACHE."
        )
    return DownloadError(f"{partial} could not be written: {error.strerror or error}.", path=partial)


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; a HEAD stays a HEAD, and stays on its host, where the headers of interest are."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        same_host = urllib.parse.urlsplit(newurl).netloc == urllib.parse.urlsplit(req.full_url).netloc
        if req.get_method() == "HEAD" and not same_host:
            return None
        request = urllib.request.Request(
            newurl, headers=dict(req.headers), method=req.get_method(), origin_req_host=req.origin_req_host
        )
        if same_host:
            for name, value in req.unredirected_hdrs.items():
                if name == "Authorization":
                    request.add_unredirected_header(name, value)
        return request


@cache
def _opener() -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # some Pythons find no certificates of the system
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects())


def replace(source: Path, target: Path) -> None:
    """Move a whole file to its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
