"""A station on the air: one thread makes songs, one ahead of what is heard, and one plays them to an output.

Whoever listens, by whatever way, is `Output`'s business. The clock is an argument, so that hours can pass in seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from partita.audio.resample import resample
from partita.audio.samples import to_stereo
from partita.errors import Cancelled, ModelError, PartitaError, RequestError
from partita.measure.tempo import tempo
from partita.radio.events import Event, Failed, Generating, Noted, Playing, Ready, SongDone, SongReady
from partita.radio.mix import CROSSFADE_S, RATE_HZ, Piece
from partita.radio.mixer import Mixer
from partita.radio.request import RadioRequest
from partita.radio.station import RadioSong, RadioStation
from partita.score.types import Grid

BLOCK_FRAMES = 4096
AFTER_FAILURE_S = 1.0
_LATEST_S = 2.0  # further behind the clock, as after the machine has slept, the lost time is let go of
_STEADY = 0.03  # heard beats that vary more than this share are no grid to join on
_HEARD_S = 30.0

logger = logging.getLogger(__name__)


class Clock:
    """Real time. A faster one stands in for it in tests."""

    def now(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait so long, or until `stop` is set; whether it is."""
        return stop.wait(seconds)


class Output(Protocol):
    """Where the sound goes. `live`: it is never kept waiting, and hears silence where there is no song. `paced`: it
    takes sound as fast as it is given, and is given it at the pace of the clock. `keeps`: it wants songs whole, with
    their latents and scores."""

    live: bool
    paced: bool
    keeps: bool

    def begin(self, heard: RadioSong) -> None:
        """A song begins with the next block. Called from the thread that plays."""
        ...

    def write(self, block: np.ndarray) -> None:
        """The next samples [n, 2] float32 at 48 kHz. May wait until there is room."""
        ...

    def close(self) -> None:
        """No more comes."""
        ...


@dataclass(frozen=True, slots=True)
class State:
    """What is on the air. `history` and `total` are of the songs that were heard, this one included."""

    playing: RadioSong | None
    queued: tuple[RadioRequest, ...]
    history: tuple[RadioRequest, ...]
    total: int
    underruns: int
    silent_s: float


class Show:
    """On the air while it is entered. `songs` ends it after so many; `told` hears of all events, from any thread.
    Closing the output is the caller's business.

    An error that no further song can help ends the show, and `wait` raises it.
    """

    def __init__(
        self,
        station: RadioStation,
        output: Output,
        *,
        crossfade_s: float = CROSSFADE_S,
        songs: int | None = None,
        told: Callable[[Event], None] = lambda event: None,
        clock: Clock = Clock(),  # noqa: B008  (has no state)
    ) -> None:
        self.station, self.output = station, output
        self._songs, self._told, self._clock = songs, told, clock
        self._mixer = Mixer(crossfade_s=crossfade_s, began=self._begin, ended=self._end)
        self._stop, self._over = threading.Event(), threading.Event()
        self._error: PartitaError | None = None
        self._lock = threading.Lock()
        self._playing: RadioSong | None = None
        self._history: tuple[RadioRequest, ...] = ()
        self._total = 0
        self._slow_told = False
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"radio-{work.__name__.strip('_')}")
            for work in (self._make, self._play)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """End the show soon; leaving its context waits for that."""
        self._stop.set()
        self._mixer.close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the show is over; whether it is. Raises the error that ended it."""
        over = self._over.wait(timeout_s)
        if over and self._error is not None:
            raise self._error
        return over

    @property
    def state(self) -> State:
        """What is on the air at this moment."""
        with self._lock:
            return State(
                playing=self._playing,
                queued=self.station.queue,
                history=self._history,
                total=self._total,
                underruns=self._mixer.underruns,
                silent_s=self._mixer.silent_frames / RATE_HZ,
            )

    def request(self, request: RadioRequest | str) -> RadioRequest:
        """Queue a request, which is made at once where only a filler waits. Raises RequestError as `enqueue` does."""
        queued = self.station.enqueue(request)
        self._mixer.nudge()
        return queued

    def clear(self) -> None:
        """Forget all requests that wait."""
        self.station.clear()

    def skip(self) -> None:
        """Go on with the next song at the next beat, or as soon as it is ready. Skips do not add up."""
        self._mixer.skip()

    def like(self) -> RadioSong:
        """Remember that what plays is liked. Raises RequestError where nothing plays."""
        heard = self._judged()
        self.station.like(heard)
        return heard

    def dislike(self) -> RadioSong:
        """Remember that what plays is not liked, and skip it. Raises RequestError where nothing plays."""
        heard = self._judged()
        self.station.dislike(heard)
        self.skip()
        return heard

    def _judged(self) -> RadioSong:
        heard = self._playing
        if heard is None:
            raise RequestError("nothing is playing")
        return heard

    def _guarded(self, work: Callable[[], None]) -> None:
        """The top of a thread: whatever ends it ends the show, and is said."""
        try:
            work()
        except PartitaError as error:
            self._fail(error)
        except Exception as error:  # a fault of ours must not leave a silent radio behind
            logger.exception("the radio stopped")
            self._fail(PartitaError(f"The radio stopped by a fault of its own ({type(error).__name__}); see the log."))
        finally:
            if work == self._play:
                self._over.set()

    def _fail(self, error: PartitaError) -> None:
        if not isinstance(error, Cancelled):
            self._error = self._error or error
        self.stop()

    def _make(self) -> None:
        """Make songs, one ahead of what is heard, until the last one or the end."""
        load = getattr(self.station.maker, "load", None)
        if load is not None:
            load(self.station.card.id)
        self._told(Ready())
        made = 0
        while not self._stop.is_set() and (self._songs is None or made < self._songs):
            if not self._mixer.wait_for_change(self._may_make, timeout_s=1.0):
                continue
            if self._stop.is_set():
                break
            try:
                self._make_one()
                made += 1
            except Cancelled:
                break
            except PartitaError as error:
                self._told(Failed(f"Generation failed: {error}"))
                if (isinstance(error, ModelError) and not made) or not getattr(self.station.maker, "alive", True):
                    raise  # neither a model that cannot be used nor a dead manager heals by trying again
                self._stop.wait(AFTER_FAILURE_S)
        self._mixer.close()

    def _may_make(self) -> bool:
        """Whether a song is to be made: none waits, or only a filler does and somebody asked for a song."""
        waiting = [piece.tag for piece in self._mixer.waiting]
        if self._stop.is_set() or not waiting:
            return True
        fillers = all(isinstance(heard, RadioSong) and heard.request.auto_generated for heard in waiting)
        return fillers and len(waiting) == 1 and len(self.station) > 0

    def _make_one(self) -> None:
        request = self.station.next()
        self._told(Generating(self.station.total, request, self.station.length_of(request)))
        heard = self.station.generate(request, cancel=self._stop)
        piece = piece_of(heard)
        self._told(SongReady(heard))
        if heard.seconds > heard.song.duration_s and not self._slow_told:
            self._slow_told = True
            self._told(
                Noted(
                    f"Making a song takes longer ({heard.seconds:.0f} s) than playing it "
                    f"({heard.song.duration_s:.0f} s): songs are played whole, with a pause before the next one."
                )
            )
        if not self.output.keeps:
            slim = replace(heard.song, raw_audio=piece.audio, audio=piece.audio, latents=None, score=None, stems={})
            heard = replace(heard, song=slim)
        self._mixer.add(replace(piece, tag=heard))

    def _play(self) -> None:
        """Read the mixer and give what comes to the output, at the pace of the clock where the output has none."""
        began, given = self._clock.now(), 0
        while not self._stop.is_set():
            if not self.output.live and not self._mixer.wait_for_next(timeout_s=1.0):
                continue
            block = self._mixer.read(BLOCK_FRAMES)
            if len(block):
                self.output.write(block)
            given += len(block)
            if len(block) < BLOCK_FRAMES:
                break
            if self.output.paced:
                ahead_s = began + given / RATE_HZ - self._clock.now()
                if ahead_s > 0:
                    self._clock.wait(ahead_s, self._stop)
                elif ahead_s < -_LATEST_S:
                    began, given = self._clock.now(), 0

    def _begin(self, piece: Piece) -> None:
        heard = piece.tag
        assert isinstance(heard, RadioSong)
        self.output.begin(heard)
        with self._lock:
            self._playing = heard
            self._total = heard.index + 1
            self._history = tuple(one for one in self.station.history)
        try:
            self.station.remember(heard)
        except PartitaError as error:  # a full disk does not end the music
            self._told(Failed(str(error)))
        self._told(Playing(heard))

    def _end(self, piece: Piece) -> None:
        heard = piece.tag
        assert isinstance(heard, RadioSong)
        with self._lock:
            if self._playing is heard:
                self._playing = None
        self._told(SongDone(heard))


def piece_of(heard: RadioSong) -> Piece:
    """A song as the mixer needs it. Its beats are those of its score, else those that are heard at either end."""
    song = heard.song
    audio = np.ascontiguousarray(to_stereo(resample(song.audio, song.sample_rate_hz, RATE_HZ)), np.float32)
    if song.score is not None:
        return Piece(audio, song.score.grid, tag=heard)
    frames = round(_HEARD_S * RATE_HZ)
    return Piece(audio, heard_grid(audio, max(0, len(audio) - frames)), opening=heard_grid(audio[:frames]), tag=heard)


def heard_grid(audio: np.ndarray, start: int = 0) -> Grid | None:
    """The beats that are heard in `audio` [N, 2] at 48 kHz from sample `start` on; none where they are not steady.

    Its bars begin with the first beat that is heard: which beat of a bar that is, nobody can say.
    """
    found = tempo(audio[start:], RATE_HZ)
    if found.bpm is None or found.beat_deviation is None or found.beat_deviation > _STEADY:
        return None
    beats = np.array(found.beats_s)
    period_s, first_s = np.polyfit(np.arange(len(beats)), beats, 1)
    return Grid(60.0 / float(period_s), "4/4", float(first_s) + start / RATE_HZ)
