"""A radio station without its air: requests in a queue, fillers between them, and songs made one after another.

    from partita import RadioStation

    station = RadioStation()
    station.enqueue("slow piano ballad")
    heard = station.generate(station.next())
    heard.song.audio

Safe to use from any thread. How songs follow each other in the ears is `mixer`'s business, and who hears them `show`'s.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from partita.engine.cancel import CancelFlag
from partita.errors import RequestError
from partita.radio.fillers import Fillers, Rotation
from partita.radio.memory import Memory, Played, Tastes, Verdict
from partita.radio.request import RadioRequest, auto_duration_s, cut, usable_seed
from partita.service.doors.choice import fit
from partita.settings import Settings
from partita.song.request import Output, SongRequest
from partita.weights.catalog import card as find_card

if TYPE_CHECKING:
    from partita.engine.song import Song

HISTORY = 10
_JUDGED_LATE = 100
"""So many songs ago one can still be judged."""
NAMES = {"key": "key_scale", "sampling.shift": "shift"}
"""What a radio calls fields of a SongRequest."""


class Maker(Protocol):
    """What makes songs: a `Manager`, or an `Engine`."""

    def generate(self, request: SongRequest, *, cancel: CancelFlag | None = None) -> Song: ...


@dataclass(frozen=True, slots=True, eq=False)
class RadioSong:
    """A song that was made. `index` counts the station's songs from 0; `seconds` is what making it took.

    What of the request the model could not honour stands in the song's warnings.
    """

    index: int
    request: RadioRequest
    song: Song
    seconds: float

    @property
    def seed(self) -> int:
        return self.song.record.seed

    @property
    def played(self) -> Played:
        """What is remembered of it."""
        plan = self.song.record.plan
        style = self.request.style or self.song.record.request.style
        return Played(
            at=0.0,
            caption=self.request.caption,
            seed=self.seed,
            duration_s=self.song.duration_s,
            bpm=plan.bpm,
            key=plan.key,
            style=style,
            language=self.request.language,
        )


class RadioStation:
    """A queue of requests, first in, first out; what was made of them; and what to play when nobody asks.

    `manager` makes the songs (a `Manager` of its own by default), `model` by its name in the catalog, else as
    PARTITA_MODEL says. `duration_s` is the length of songs that name none, in place of what their lyrics ask for.
    `memory` keeps what was played and judged; without it nothing outlives the station. `clock` tells seconds.
    Raises RequestError for an unknown model.
    """

    def __init__(
        self,
        manager: Maker | None = None,
        *,
        fillers: Fillers | None = None,
        memory: Memory | None = None,
        settings: Settings | None = None,
        model: str | None = None,
        duration_s: float | None = None,
        output: Output = Output(),  # noqa: B008  (frozen)
        history_limit: int = HISTORY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or Settings.load()
        self.card = find_card(model or self.settings.model)
        self.duration_s = duration_s
        self.output = output
        self._maker, self._clock = manager, clock
        self._fillers = fillers or Rotation()
        self._memory = memory
        self._lock = threading.Lock()
        self._queue: deque[RadioRequest] = deque()
        self._history: deque[RadioRequest] = deque(maxlen=history_limit)
        self._recent: deque[str] = deque((one.caption for one in memory.history(HISTORY)) if memory else (), HISTORY)
        self._total = 0
        self._numbers: dict[int, int] = {}  # of songs in the memory, by their index

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    @property
    def queue(self) -> tuple[RadioRequest, ...]:
        """Requests that wait, the next one first."""
        with self._lock:
            return tuple(self._queue)

    @property
    def history(self) -> tuple[RadioRequest, ...]:
        """Requests of the last songs, the newest last, as they were made: with their seed and their length."""
        with self._lock:
            return tuple(self._history)

    @property
    def total(self) -> int:
        """Songs made so far."""
        return self._total

    def enqueue(self, request: RadioRequest | str) -> RadioRequest:
        """Put a request, or the one for a caption, at the end of the queue.

        Raises RequestError where no song can be made of it.
        """
        request = RadioRequest(caption=request) if isinstance(request, str) else request
        self.song_request(request)
        with self._lock:
            self._queue.append(request)
        return request

    def pop(self) -> RadioRequest | None:
        """Take the next request out of the queue; none where it is empty."""
        with self._lock:
            return self._queue.popleft() if self._queue else None

    def clear(self) -> None:
        """Forget all requests that wait."""
        with self._lock:
            self._queue.clear()

    def next(self) -> RadioRequest:
        """The next request, or a filler where nobody asked for anything."""
        return self.pop() or self._fillers.next(self.tastes, tuple(self._recent))

    @property
    def tastes(self) -> Tastes:
        """What the listeners liked and did not like."""
        return self._memory.tastes() if self._memory else Tastes()

    def length_of(self, request: RadioRequest) -> float:
        """How long the song of a request is to be, in seconds."""
        asked = request.duration_s is not None and not request.auto_generated
        if self.duration_s is not None and not asked:
            return self.duration_s
        return auto_duration_s(request)

    def song_request(self, request: RadioRequest, seed: int | None = None) -> SongRequest:
        """The request as every engine takes it, without what the model cannot honour.

        The seed is its own, else `seed`, else the clock's. Raises RequestError where no song can be made of it.
        """
        return self._fitted(request, seed)[0]

    def generate(self, request: RadioRequest, *, cancel: CancelFlag | None = None) -> RadioSong:
        """Make the song of a request and put it into the history.

        Raises the errors of `partita.errors`; Cancelled soon after `cancel` is set.
        """
        asked, notes = self._fitted(request, None)
        began = self._clock()
        song = self.maker.generate(asked, cancel=cancel)
        seconds = self._clock() - began
        if notes:
            record = song.record.model_copy(update={"warnings": (*notes, *song.record.warnings)})
            song = replace(song, record=record)
        made = request.model_copy(update={"seed": song.record.seed, "duration_s": song.duration_s})
        with self._lock:
            heard = RadioSong(self._total, made, song, seconds)
            self._total += 1
            self._history.append(made)
            self._recent.append(made.caption)
        return heard

    @property
    def maker(self) -> Maker:
        """What makes the songs; a Manager is made when it is first needed, and with it torch is imported."""
        if self._maker is None:
            from partita.service.manager import Manager

            self._maker = Manager()
        return self._maker

    def remember(self, heard: RadioSong) -> None:
        """Keep in the memory that a song went on the air. Raises ResourceError where the memory cannot be written."""
        if self._memory is not None:
            self._numbers[heard.index] = self._memory.add(heard.played)
            self._numbers.pop(heard.index - _JUDGED_LATE, None)

    def like(self, heard: RadioSong) -> None:
        """Have more of its kind: of its words, tempo, key and style."""
        self._judge(heard, 1)

    def dislike(self, heard: RadioSong) -> None:
        """Never have a filler of its caption again, and less of its kind."""
        self._judge(heard, -1)

    def summary(self) -> str:
        """The history in words: a numbered line a song."""
        lines = [
            f"  {number}. [{one.language}] caption={quoted(cut(one.caption, 80))} bpm={one.bpm or 'N/A'} "
            f"key={one.key_scale or 'N/A'} dur={'auto' if one.duration_s is None else f'{one.duration_s:.0f}s'}\n"
            for number, one in enumerate(self.history, start=1)
        ]
        return "".join(lines) or "No songs played yet."

    def _judge(self, heard: RadioSong, verdict: Verdict) -> None:
        if self._memory is None:
            raise RequestError("This station has no memory, so that nothing can be liked: give it one.")
        if heard.index not in self._numbers:
            self.remember(heard)
        self._memory.judge(self._numbers[heard.index], verdict)

    def _fitted(self, request: RadioRequest, seed: int | None) -> tuple[SongRequest, tuple[str, ...]]:
        if request.seed is not None:
            seed = request.seed
        fields = request.to_fields(
            model=self.card.id,
            family=self.card.family,
            duration_s=self.length_of(request),
            seed=usable_seed(time.time_ns() if seed is None else seed),
        )
        fields["output"] = self.output.model_dump(exclude_defaults=True)
        fitted = fit(fields, self.card, NAMES)
        return fitted.request, fitted.notes


def quoted(text: str) -> str:
    """Text in double quotes on one line, as the original's events have it."""
    marks = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
    plain = "".join(marks.get(one) or (one if one.isprintable() else f"\\u{{{ord(one):x}}}") for one in text)
    return f'"{plain}"'
