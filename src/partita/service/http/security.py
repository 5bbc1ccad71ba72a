"""Who may ask: the token, the name under which a server is called, the page that a browser calls from, and how often.

Decisions only, on values of one request. Knows no application and sends nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from partita.errors import AccessError, BusyError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LOCAL_PAGES = "local"
"""Stands for every page that a program on this machine serves, whatever its port."""
REMEMBERED_CALLERS = 4096
"""Rates of so many callers are kept; of more, the one that has been quiet longest starts afresh."""


def check_token(given: Sequence[str], token: str) -> None:
    """`given` is every Authorization header. Raises AccessError unless it is one, and says `token`.

    The time taken tells nothing of the token, its length included. Some clients leave out the word Bearer.
    """
    if not given:
        raise AccessError("This server asks for a token: send the header Authorization: Bearer TOKEN.")
    scheme, _, rest = given[0].strip().partition(" ")
    said = rest.strip() if scheme.lower() == "bearer" and rest else given[0].strip()
    if len(given) > 1 or not hmac.compare_digest(_digest(said), _digest(token)):
        raise AccessError("The token is not this server's: look it up where the server was started.")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def check_host(given: Sequence[str], configured: str) -> None:
    """`given` is every Host header, `configured` the address that the server listens on.

    Raises AccessError for a name that is not of this machine: a page elsewhere may have its own name resolve to
    loopback (DNS rebinding), and is then of the same origin for the browser.
    """
    name = host_name(given[0]) if len(given) == 1 else None
    if name is None or not (name in ("localhost", configured.lower()) or _is_loopback(name)):
        seen = repr(given[0][:80]) if given else "no name"
        raise AccessError(
            f"This server answers to localhost and was called as {seen}. To reach it under another name, start it "
            "with --token.",
            known=True,
        )


def check_origin(origin: str | None, host: str | None, named: Sequence[str]) -> None:
    """Raises AccessError for a page of elsewhere that wants to change something: neither ours nor `named`, nor of a
    program on this machine."""
    if origin is None or is_named(origin, (*named, LOCAL_PAGES)):
        return
    if host is not None and origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return
    raise AccessError(
        f"Pages of {origin[:80]!r} may not call this server: start it with --cors-origin {origin[:80]} if they should.",
        known=True,
    )


def is_named(origin: str, named: Sequence[str]) -> bool:
    """Whether a page's origin is among those of the configuration, of which `LOCAL_PAGES` is all of this machine."""
    return origin in named or "*" in named or (LOCAL_PAGES in named and _is_page_here(origin))


def _is_page_here(origin: str) -> bool:
    scheme, _, netloc = origin.partition("://")
    name = host_name(netloc) if scheme in ("http", "https") else None
    return name is not None and (name == "localhost" or _is_loopback(name))


def host_name(netloc: str) -> str | None:
    """The name of `name:port`, `1.2.3.4` or `[::1]:port`, in small letters; none where there is none."""
    try:
        name = urlsplit(f"//{netloc}").hostname
    except ValueError:
        return None
    return name.rstrip(".") if name and "@" not in netloc else None


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def caller_of(address: str | None) -> str:
    """What counts as one caller: an IPv4 address, or the network of 64 bits that a household has in IPv6."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return address or "local"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return str(getattr(found, "ipv4_mapped", None) or found)


class Callers:
    """What each caller has asked lately, and what is being answered. For one event loop; not for threads."""

    def __init__(self, per_minute: int, open_requests: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._open_requests, self._clock = per_minute, open_requests, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._open: Counter[str] = Counter()

    def ask(self, caller: str) -> None:
        """Count a request. Raises BusyError where a minute's worth was asked and too little time has passed."""
        if not self._per_minute:
            return
        at, per_s = self._clock(), self._per_minute / 60
        left, before = self._buckets.pop(caller, (float(self._per_minute), at))
        left = min(float(self._per_minute), left + (at - before) * per_s)
        self._buckets[caller] = (max(0.0, left - 1) if left >= 1 else left, at)
        while len(self._buckets) > REMEMBERED_CALLERS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise BusyError(
                f"More than {self._per_minute} requests in a minute came from {caller}; that is this server's limit "
                "(--max-requests-per-minute).",
                retry_after_s=(1 - left) / per_s,
            )

    def enter(self, caller: str) -> None:
        """Begin to answer a request. Raises BusyError where too many of this caller are open."""
        if self._open[caller] >= self._open_requests:
            raise BusyError(
                f"{self._open_requests} requests of {caller} are being answered already; that is this server's limit "
                "(--max-open-requests).",
                retry_after_s=1.0,
            )
        self._open[caller] += 1

    def leave(self, caller: str) -> None:
        """What was entered is answered."""
        self._open[caller] -= 1
        if self._open[caller] <= 0:
            del self._open[caller]

    @property
    def remembered(self) -> int:
        """Callers that take memory."""
        return len(self._buckets) + len(self._open)
