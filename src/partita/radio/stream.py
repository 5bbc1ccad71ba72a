"""One sound to many listeners: encoded once, and handed to each of them from a few seconds ago on.

The sound comes from one thread, and listeners live in an event loop. A format is encoded only while somebody listens to
it. A listener who does not keep up is dropped, and so nobody holds up anybody. Knows no HTTP but the ICY metadata.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from partita.errors import BusyError
from partita.radio.encoders import DEFAULT_KBPS, Encoder, StreamFormat, open_encoder
from partita.radio.mix import RATE_HZ
from partita.radio.request import cut

BURST_S = 4.0
"""What a listener gets at once, so that playing begins at once and a short hitch of the network is not heard."""
BEHIND_S = 20.0
"""A listener who is so far behind is dropped."""
MOST_LISTENERS = 200
META_BYTES = 16_000
"""Sound between two pieces of ICY metadata."""
_TITLE_BYTES = 400


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole frames or pages, and what is playing in them."""

    data: bytes
    title: str


class Listener:
    """Who listens to one mount. Belongs to the event loop."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0
        self._something = asyncio.Event()
        self.dropped = self.closed = False

    def put(self, chunk: Chunk) -> None:
        """Hand over a chunk; a listener who has not taken the ones before is dropped."""
        if self._bytes + len(chunk.data) > self._most_bytes:
            self.dropped = True
            self.close()
            return
        self._chunks.append(chunk)
        self._bytes += len(chunk.data)
        self._something.set()

    def close(self) -> None:
        """End the stream; what was not taken is let go of."""
        self.closed = True
        self._chunks.clear()
        self._something.set()

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Chunk after chunk, until it is closed."""
        while True:
            await self._something.wait()
            if self.closed:
                return
            chunk = self._chunks.popleft()
            self._bytes -= len(chunk.data)
            if not self._chunks:
                self._something.clear()
            yield chunk


class Mount:
    """One format of the sound. `feed` is for the thread that plays; all else belongs to the event loop."""

    def __init__(self, name: StreamFormat, kbps: int | None = None) -> None:
        self.name: StreamFormat = name
        self.kbps = kbps or DEFAULT_KBPS[name]
        open_encoder(name, self.kbps).close()  # refuses a rate that it does not have
        self.listeners: set[Listener] = set()
        self._encoder: Encoder | None = None
        self._header = Chunk(b"", "")
        self._recent: deque[Chunk] = deque()
        self._begun = self._stale = False

    @property
    def bytes_per_s(self) -> int:
        return self.kbps * 1000 // 8

    def join(self) -> Listener:
        """Somebody who listens from a few seconds ago on."""
        listener = Listener(round(BEHIND_S * self.bytes_per_s))
        if self._begun:
            for chunk in (self._header, *self._recent):
                if chunk.data:
                    listener.put(chunk)
        self.listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Somebody is gone. With the last one what was encoded goes too."""
        self.listeners.discard(listener)
        if not self.listeners:
            self._begun, self._stale = False, True
            self._recent.clear()

    def begin(self, header: Chunk) -> None:
        """A stream begins: a header, where the format has one."""
        self._header, self._begun = header, True
        self._recent.clear()
        self._hand(header)

    def deliver(self, chunk: Chunk) -> None:
        """The next of the sound, for everybody."""
        if not self._begun:
            return
        self._recent.append(chunk)
        held = sum(len(one.data) for one in self._recent)
        while held - len(self._recent[0].data) > BURST_S * self.bytes_per_s:
            held -= len(self._recent.popleft().data)
        self._hand(chunk)

    def _hand(self, chunk: Chunk) -> None:
        for listener in tuple(self.listeners) if chunk.data else ():
            listener.put(chunk)
            if listener.dropped:
                self.leave(listener)

    def feed(
        self, block: np.ndarray, before: Sequence[np.ndarray], title: str, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Encode a block, where somebody listens; `before` is the sound just before it, with which a stream begins."""
        if self._encoder is not None and (self._stale or not self.listeners):
            self._encoder.close()
            self._encoder = None
        self._stale = False
        if not self.listeners:
            return
        if self._encoder is None:
            self._encoder = open_encoder(self.name, self.kbps)
            data = self._encoder.feed(np.concatenate([*before, block]))
            loop.call_soon_threadsafe(self.begin, Chunk(self._encoder.header, title))
        else:
            data = self._encoder.feed(block)
        if data:
            loop.call_soon_threadsafe(self.deliver, Chunk(data, title))


class Hub:
    """All mounts of a show. Listeners may join once `loop` is known; blocks that come before are not heard."""

    def __init__(self, rates_kbps: dict[StreamFormat, int] | None = None) -> None:
        self.mounts = {name: Mount(name, (rates_kbps or {}).get(name)) for name in DEFAULT_KBPS}
        self.loop: asyncio.AbstractEventLoop | None = None
        self.title = ""
        self._before: deque[np.ndarray] = deque()
        self._held = 0
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return sum(len(mount.listeners) for mount in self.mounts.values())

    def join(self, name: StreamFormat) -> Listener:
        """Listen to a mount. Raises BusyError where there are too many listeners, or the show is over."""
        if self._closed or self.listeners >= MOST_LISTENERS:
            raise BusyError(f"{self.listeners} listen already, which is all that this radio takes.", retry_after_s=30.0)
        return self.mounts[name].join()

    def write(self, block: np.ndarray) -> None:
        """The next block of sound, from the thread that plays."""
        if self.loop is not None and not self._closed:
            with suppress(RuntimeError):  # the loop was closed between the two
                for mount in self.mounts.values():
                    mount.feed(block, self._before, self.title, self.loop)
        self._before.append(block)
        self._held += len(block)
        while self._held - len(self._before[0]) > BURST_S * RATE_HZ:
            self._held -= len(self._before.popleft())

    def close(self) -> None:
        """End all streams. For the event loop."""
        self._closed = True
        for mount in self.mounts.values():
            for listener in tuple(mount.listeners):
                listener.close()


class IcyWriter:
    """Puts ICY metadata into a stream of bytes: after every `META_BYTES` a title, or nothing where it is the same."""

    def __init__(self) -> None:
        self._left = META_BYTES
        self._told: str | None = None

    def write(self, chunk: Chunk) -> bytes:
        """The bytes of a chunk with the metadata that belongs among them."""
        out, data = bytearray(), memoryview(chunk.data)
        while len(data) >= self._left:
            out += data[: self._left]
            out += self._metadata(chunk.title)
            data = data[self._left :]
            self._left = META_BYTES
        out += data
        self._left -= len(data)
        return bytes(out)

    def _metadata(self, title: str) -> bytes:
        if title == self._told:
            return b"\0"
        self._told = title
        return icy_metadata(title)


def icy_metadata(title: str) -> bytes:
    """A title as ICY has it: a length in units of 16 bytes, and text filled up with zeros."""
    plain = cut(" ".join(title.split()).replace("'", "’"), _TITLE_BYTES)
    text = f"StreamTitle='{plain}';".encode()
    units = -(-len(text) // 16)
    return bytes([units]) + text.ljust(16 * units, b"\0")
