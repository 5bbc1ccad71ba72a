"""Bytes from an http(s) address that a caller named: only from the public internet, only so many, only for so long.

A name is resolved once, its addresses are checked, and the connection is made to one of those very addresses, so that
no second answer of a name server leads elsewhere. Proxies of the environment are not used. Knows no audio and no jobs.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from urllib.parse import quote, urljoin, urlsplit

import certifi

from partita.errors import AccessError, RequestError, TooLargeError

PORTS = {"http": 80, "https": 443}
MOST_REDIRECTS = 3
LONGEST_URL = 2048
_PIECE_BYTES = 64 * 1024
_CONNECT_S = 10.0
_REDIRECTS = (301, 302, 303, 307, 308)
_AS_IT_IS = "%/:@!$&'()*+,;=~-._?"
# All of the public internet in IPv6; and what in it leads inside all the same, for it carries another address.
_GLOBAL = IPv6Network("2000::/3")
_SIX_TO_FOUR, _TEREDO = IPv6Network("2002::/16"), IPv6Network("2001::/32")

Resolve = Callable[[str, int], Sequence[str]]
Allow = Callable[[str, int], bool]


def is_public(address: str) -> bool:
    """Whether an IP address is of the public internet: not private, loopback, link-local, shared (CGNAT), multicast,
    reserved or unspecified, and none that stands for another one."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found not in _GLOBAL or found in _SIX_TO_FOUR or found in _TEREDO:
            return False
    # `is_global` alone leaves multicast and a part of what is reserved.
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def is_public_web(address: str, port: int) -> bool:
    """Whether an address is public and the port one where the web is."""
    return port in PORTS.values() and is_public(address)


def resolve_name(host: str, port: int) -> Sequence[str]:
    """Every address of a host, as the system resolves it. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def fetch(
    url: str,
    *,
    largest_bytes: int,
    timeout_s: float,
    resolve: Resolve = resolve_name,
    allow: Allow = is_public_web,
) -> Generator[bytes]:
    """The body at `url`, in pieces, as it arrives. `timeout_s` is for all of it.

    `allow(address, port)` says where a connection may be made; a host with any address where it may not is refused, and
    so is each redirect. Raises, once it is iterated, AccessError for what is not allowed, TooLargeError beyond
    `largest_bytes`, and RequestError for what is no http(s) address or gives no bytes in time.
    """
    deadline_s, at = time.monotonic() + timeout_s, url
    for _ in range(MOST_REDIRECTS + 1):
        target = _target_of(at)
        with _answer(target, _addresses(target, resolve, allow), deadline_s) as (response, late):
            if response.status not in _REDIRECTS or not (place := response.headers.get("Location")):
                yield from _pieces(target, response, largest_bytes, late)
                return
            at = urljoin(at, place)
    raise _fault(url, f"it leads on more than {MOST_REDIRECTS} times")


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a URL leads; `path` with its query, as it is sent."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def _target_of(url: str) -> _Target:
    """Raises RequestError for what is no plain http(s) address."""
    if len(url) > LONGEST_URL or any(ord(letter) <= 32 for letter in url):
        raise _fault(url, f"it is no URL of at most {LONGEST_URL} characters")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
        host = host if ":" in host else host.rstrip(".").encode("idna").decode("ascii")
    except ValueError:
        raise _fault(url, "its host or port makes no sense") from None
    if parts.scheme not in PORTS or not host:
        raise _fault(url, "it does not begin with http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise _fault(url, "it holds a user name or a password")
    path = quote(parts.path or "/", safe=_AS_IT_IS) + ("?" + quote(parts.query, safe=_AS_IT_IS) if parts.query else "")
    return _Target(url, parts.scheme, host, PORTS[parts.scheme] if port is None else port, path)


def _addresses(target: _Target, resolve: Resolve, allow: Allow) -> Sequence[str]:
    try:
        found = resolve(target.host, target.port)
    except (OSError, UnicodeError):
        raise _fault(target.url, f"there is no host {target.host!r}") from None
    if not found or not all(allow(address, target.port) for address in found):
        # Not which address: what a name stands for inside this network is nobody's business.
        raise AccessError(
            f"{_shown(target.url)} is not fetched: only public addresses at the ports 80 and 443 are. Send the file "
            "itself as an upload.",
            known=True,
        )
    return found


@contextmanager
def _answer(
    target: _Target, addresses: Sequence[str], deadline_s: float
) -> Iterator[tuple[http.client.HTTPResponse, threading.Event]]:
    """The head of what is at `target`. The event is set once the time was up, when nothing further arrives."""
    late = threading.Event()
    plain = _connected(target, addresses, deadline_s)
    # Timeouts of a socket are for each read, and a host may send a byte now and then: one clock ends them all.
    handle = plain.dup()

    def end() -> None:
        late.set()
        with suppress(OSError):
            handle.shutdown(socket.SHUT_RDWR)

    clock = threading.Timer(max(0.0, deadline_s - time.monotonic()), end)
    clock.daemon = True
    clock.start()
    connection = http.client.HTTPConnection(target.host, target.port)
    try:
        connection.sock = plain
        if target.scheme == "https":
            context = ssl.create_default_context(cafile=certifi.where())
            connection.sock = context.wrap_socket(plain, server_hostname=target.host)
        connection.putrequest("GET", target.path, skip_host=True, skip_accept_encoding=True)
        for name, value in (("Host", target.netloc), ("User-Agent", "partita"), ("Accept-Encoding", "identity")):
            connection.putheader(name, value)
        connection.endheaders()
        yield connection.getresponse(), late
    except (OSError, http.client.HTTPException) as error:
        why = "its time is up" if late.is_set() else f"it failed ({type(error).__name__})"
        raise _fault(target.url, why) from None
    finally:
        clock.cancel()
        connection.close()
        plain.close()
        handle.close()


def _connected(target: _Target, addresses: Sequence[str], deadline_s: float) -> socket.socket:
    for address in addresses:
        left_s = min(_CONNECT_S, deadline_s - time.monotonic())
        if left_s <= 0:
            break
        with suppress(OSError):
            connected = socket.create_connection((address, target.port), timeout=left_s)
            connected.settimeout(max(left_s, deadline_s - time.monotonic()))
            return connected
    raise _fault(target.url, "its host cannot be reached")


def _pieces(
    target: _Target, response: http.client.HTTPResponse, largest_bytes: int, late: threading.Event
) -> Generator[bytes]:
    if response.status != 200:
        raise _fault(target.url, f"the answer is HTTP {response.status}")
    declared, seen = response.length, 0
    if declared is not None and declared > largest_bytes:
        raise _too_large(target, largest_bytes)
    while piece := response.read1(_PIECE_BYTES):
        seen += len(piece)
        if seen > largest_bytes:
            raise _too_large(target, largest_bytes)
        yield piece
    if late.is_set():
        raise _fault(target.url, "its time is up")
    if declared is not None and seen < declared:
        raise _fault(target.url, f"it ended after {seen} of {declared} bytes")


def _too_large(target: _Target, largest_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"{_shown(target.url)} has more than {largest_bytes} bytes, the most that are taken.",
        field="url",
        value=target.url,
    )


def _fault(url: str, why: str) -> RequestError:
    return RequestError(f"{_shown(url)} cannot be fetched: {why}.", field="url", value=url[:LONGEST_URL])


def _shown(url: str) -> str:
    return repr(url[:100])
