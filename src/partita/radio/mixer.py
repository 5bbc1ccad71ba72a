"""Songs one after another as one stream of samples, block by block; silence, counted, only where there is no song.

Songs are added from any thread and read by one. It holds the song that plays and those that wait, and no other. Knows
no clock: how fast it is read is the reader's business.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from partita.radio.mix import CROSSFADE_S, Join, Piece, overlap, plan_join


class Mixer:
    """`began` and `ended` are called from `read` with each piece, at the block in which it does.

    `underruns` counts the times that there was no song to play after the first one had begun, and `silent_frames` how
    long that was in all.
    """

    def __init__(
        self,
        *,
        crossfade_s: float = CROSSFADE_S,
        began: Callable[[Piece], None] = lambda piece: None,
        ended: Callable[[Piece], None] = lambda piece: None,
    ) -> None:
        self.crossfade_s = crossfade_s
        self.underruns = 0
        self.silent_frames = 0
        self._began, self._ended = began, ended
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[Piece] = deque()
        self._now: Piece | None = None
        self._at = 0  # samples of `_now` that were read
        self._join: Join | None = None
        self._both: np.ndarray | None = None  # what is heard during the join, from the moment that it begins
        self._skipping = self._closed = self._started = self._dry = False

    @property
    def waiting(self) -> tuple[Piece, ...]:
        """Pieces that wait, the next one first."""
        with self._changed:
            return tuple(self._waiting)

    @property
    def now(self) -> Piece | None:
        """What plays; during a join, what begins."""
        with self._changed:
            return self._waiting[0] if self._both is not None else self._now

    def add(self, piece: Piece) -> None:
        """Put a piece behind those that wait. Empty ones are passed over."""
        if len(piece.audio):
            _ = piece.outline  # worked out here, so that the reader does not wait for it
            with self._changed:
                self._waiting.append(piece)
                self._changed.notify_all()

    def skip(self) -> None:
        """Go on with the next song at the next beat, or as soon as there is a next song."""
        with self._changed:
            self._skipping = self._now is not None

    def close(self) -> None:
        """No more pieces come: what is here is read to its end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_for_next(self, timeout_s: float) -> bool:
        """Wait until it is known how what plays goes on: a song waits, or no more come. False where time was up."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._waiting or self._closed), timeout_s)

    def wait_for_change(self, until: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until what `until` says of this mixer holds. False where time was up."""
        with self._changed:
            return self._changed.wait_for(until, timeout_s)

    def nudge(self) -> None:
        """Have those who wait for a change look again."""
        with self._changed:
            self._changed.notify_all()

    def read(self, frames: int) -> np.ndarray:
        """The next `frames` samples [frames, 2]; fewer, or none, only after `close`, at the very end."""
        out = np.zeros((frames, 2), np.float32)
        told: list[tuple[Callable[[Piece], None], Piece]] = []
        with self._changed:
            filled = 0
            while filled < frames:
                if self._now is None and not self._start(told):
                    break
                filled += self._copy(out[filled:], told)
            if filled < frames and not self._closed and self._started:
                self.underruns += not self._dry
                self._dry = True
                self.silent_frames += frames - filled
            if told:
                self._changed.notify_all()
            ended = self._closed and filled < frames
        for tell, piece in told:  # outside the lock: who is told may ask and wait
            tell(piece)
        return out[:filled] if ended else out

    def _start(self, told: list[tuple[Callable[[Piece], None], Piece]]) -> bool:
        """Begin the next piece from nothing."""
        if not self._waiting:
            return False
        self._now, self._at, self._skipping = self._waiting.popleft(), 0, False
        self._started, self._dry = True, False
        told.append((self._began, self._now))
        return True

    def _copy(self, out: np.ndarray, told: list[tuple[Callable[[Piece], None], Piece]]) -> int:
        """Fill the beginning of `out` from what plays, up to the next change; how much that was."""
        assert self._now is not None
        if self._both is None:
            self._plan()
        audio, join = self._now.audio, self._join
        stop = len(audio) if join is None else join.at + (join.length if self._both is not None else 0)
        count = min(len(out), stop - self._at)
        if join is not None and self._both is not None:
            out[:count] = self._both[self._at - join.at :][:count]
        else:
            out[:count] = audio[self._at : self._at + count]
        self._at += count
        if self._at < stop:
            return count
        if join is None:
            told.append((self._ended, self._now))
            self._now = None
        elif self._both is None:
            self._both = overlap(self._now, self._waiting[0], join)
            told.append((self._began, self._waiting[0]))
        else:
            self._follow(join, told)
        return count

    def _plan(self) -> None:
        """Settle how the next song follows, once it is known; again, where this one is to be skipped."""
        if self._now is None or not self._waiting:
            return
        if self._skipping or self._join is None:
            self._join = plan_join(
                self._now,
                self._waiting[0],
                crossfade_s=self.crossfade_s,
                earliest=self._at,
                soon=self._skipping,
            )
            self._skipping = False

    def _follow(self, join: Join, told: list[tuple[Callable[[Piece], None], Piece]]) -> None:
        """The join is over: what began is what plays."""
        assert self._now is not None
        told.append((self._ended, self._now))
        self._now, self._at = self._waiting.popleft(), join.skip + join.length
        self._join = self._both = None
