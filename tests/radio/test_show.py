"""A station on the air."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from partita.errors import ModelError, PartitaError, RequestError
from partita.measure.tempo import tempo
from partita.radio import show as module
from partita.radio.events import Event, Failed, Generating, Noted, Playing, Ready, SongDone, SongReady
from partita.radio.fillers import CAPTIONS
from partita.radio.mix import RATE_HZ
from partita.radio.show import Show, heard_grid
from partita.radio.station import RadioSong, RadioStation
from tests.radio.conftest import FastClock


class Ears:
    """An output that keeps what it hears. `gate` holds the player up at each block while it is shut."""

    keeps = False

    def __init__(self, *, live: bool = False, paced: bool = False) -> None:
        self.live, self.paced = live, paced
        self.blocks: list[np.ndarray] = []
        self.begun: list[RadioSong] = []
        self.begun_at: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def begin(self, heard: RadioSong) -> None:
        self.begun.append(heard)
        self.begun_at.append(sum(map(len, self.blocks)))

    def write(self, block: np.ndarray) -> None:
        self.gate.wait(20)
        self.blocks.append(block)

    def close(self) -> None:
        pass

    @property
    def sound(self) -> np.ndarray:
        return np.concatenate(self.blocks)


class Log:
    """Events, and waiting for one of them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, what: Callable[[Event], bool], count: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: sum(map(what, self.events)) >= count, 20), self.events

    def kinds(self, *of: type) -> list[tuple[str, int]]:
        return [
            (type(one).__name__, one.index if isinstance(one, Generating) else one.heard.index)
            for one in self.events
            if isinstance(one, of)
        ]


def ended(show: Show) -> Show:
    with show:
        assert show.wait(30)
    return show


class TestShow:
    def test_so_many_songs_follow_each_other_and_then_it_is_over(self, station: RadioStation):
        ears, log = Ears(), Log()
        show = ended(Show(station, ears, songs=3, told=log))
        assert isinstance(log.events[0], Ready)
        assert log.kinds(Playing) == [("Playing", 0), ("Playing", 1), ("Playing", 2)]
        assert log.kinds(SongDone) == [("SongDone", 0), ("SongDone", 1), ("SongDone", 2)]
        assert [heard.request.caption for heard in ears.begun] == list(CAPTIONS[:3])
        # Tones stop: each join takes a quarter of two seconds.
        assert len(ears.sound) == pytest.approx(5 * RATE_HZ, abs=0.6 * RATE_HZ)
        assert show.state.total == 3
        assert show.state.playing is None

    def test_each_song_is_made_before_it_is_played_and_one_ahead(self, station: RadioStation):
        ears, log = Ears(), Log()
        ears.gate.clear()
        with Show(station, ears, told=log) as show:
            log.wait_for(lambda event: isinstance(event, SongReady), 2)
            # The first plays and the second waits, a filler: nothing more is made.
            assert not show.wait(0.3)
            assert log.kinds(Generating, SongReady) == [
                ("Generating", 0), ("SongReady", 0), ("Generating", 1), ("SongReady", 1)
            ]  # fmt: skip
            ears.gate.set()

    def test_a_request_is_made_at_once_where_only_a_filler_waits(self, station: RadioStation):
        ears, log = Ears(), Log()
        ears.gate.clear()
        with Show(station, ears, told=log) as show:
            log.wait_for(lambda event: isinstance(event, SongReady), 2)
            show.request("asked for")
            log.wait_for(lambda event: isinstance(event, SongReady), 3)
            show.request("asked for too")
            assert not show.wait(0.2)
            assert log.kinds(SongReady)[-1] == ("SongReady", 2)
            assert [one.caption for one in show.state.queued] == ["asked for too"]
            ears.gate.set()
            log.wait_for(lambda event: isinstance(event, Playing) and event.heard.request.caption == "asked for too")
        assert [heard.request.caption for heard in ears.begun[:4]] == [*CAPTIONS[:2], "asked for", "asked for too"]

    def test_skip_goes_on_with_the_song_that_is_ready(self, station: RadioStation):
        station.duration_s = 20.0
        ears, log = Ears(), Log()
        ears.gate.clear()
        with Show(station, ears, told=log) as show:
            log.wait_for(lambda event: isinstance(event, SongReady), 2)
            show.skip()
            ears.gate.set()
            log.wait_for(lambda event: isinstance(event, SongDone))
        assert ears.begun_at[1] < 3 * RATE_HZ

    def test_a_dislike_skips_and_is_remembered(self, station: RadioStation):
        station.duration_s = 20.0
        log = Log()
        with Show(station, Ears(live=True, paced=True), told=log, clock=FastClock(2)) as show:
            log.wait_for(lambda event: isinstance(event, SongReady), 2)
            assert show.dislike().request.caption == CAPTIONS[0]
            log.wait_for(lambda event: isinstance(event, Playing), 2)
            assert show.like().request.caption == CAPTIONS[1]
        assert station.tastes.bans(CAPTIONS[0])
        assert station.tastes.likes(CAPTIONS[1])

    def test_nothing_can_be_liked_before_something_plays(self, station: RadioStation):
        with pytest.raises(RequestError, match="nothing is playing"):
            Show(station, Ears()).like()

    def test_what_is_heard_has_no_silence_where_songs_are_ready(self, station: RadioStation):
        ears = Ears()
        ended(Show(station, ears, songs=4))
        loudness = np.abs(ears.sound[: len(ears.sound) // 480 * 480]).reshape(-1, 960).max(axis=1)
        assert loudness.min() > 0.05

    def test_songs_are_remembered_when_they_are_heard(self, station: RadioStation, memory):
        ended(Show(station, Ears(), songs=2))
        assert [one.caption for one in memory.history()] == list(CAPTIONS[:2])


class TestTrouble:
    def test_a_song_that_fails_is_said_and_the_next_one_is_made(self, station, tones, monkeypatch):
        monkeypatch.setattr(module, "AFTER_FAILURE_S", 0.01)
        failures = iter([RequestError("no such song")])

        def fail_once(request):
            for error in failures:
                raise error

        tones.before = fail_once
        log = Log()
        ended(Show(station, Ears(), songs=1, told=log))
        assert [one.message for one in log.events if isinstance(one, Failed)] == ["Generation failed: no such song"]
        assert log.kinds(Playing) == [("Playing", 0)]

    def test_a_model_that_cannot_be_used_ends_it(self, station, tones):
        def fail(request):
            raise ModelError("the weights are damaged")

        tones.before = fail
        with pytest.raises(ModelError, match="damaged"):
            ended(Show(station, Ears()))

    def test_an_output_that_breaks_ends_it(self, station):
        ears = Ears()

        def write(block: np.ndarray) -> None:
            raise PartitaError("the card is gone")

        ears.write = write
        with pytest.raises(PartitaError, match="the card is gone"):
            ended(Show(station, ears))

    def test_a_fault_of_ours_ends_it_without_its_insides(self, station, caplog):
        ears = Ears()
        ears.write = lambda block: 1 / 0
        with pytest.raises(PartitaError, match="ZeroDivisionError") as caught:
            ended(Show(station, ears))
        assert "Traceback" not in str(caught.value)
        assert "the radio stopped" in caplog.text

    def test_a_live_output_hears_silence_while_songs_are_late(self, station, tones):
        late = threading.Event()
        tones.before = lambda request: None if len(tones.asked) == 1 else late.wait(20)
        ears, log = Ears(live=True, paced=True), Log()
        with Show(station, ears, told=log, clock=FastClock(50)) as show:
            log.wait_for(lambda event: isinstance(event, SongDone))
            while show.state.silent_s < 0.5:
                assert not show.wait(0.01)
            late.set()
            log.wait_for(lambda event: isinstance(event, Playing), 2)
            assert show.state.underruns == 1

    def test_songs_that_take_longer_than_they_play_are_told_of_once(self, tones, settings):
        seconds = iter(range(0, 1000, 5))  # each look at the clock is five seconds later
        station = RadioStation(tones, settings=settings, duration_s=2.0, clock=lambda: float(next(seconds)))
        log = Log()
        ended(Show(station, Ears(), songs=3, told=log))
        assert len([one for one in log.events if isinstance(one, Noted)]) == 1

    def test_it_stops_in_the_middle_of_a_song(self, station, tones):
        working = threading.Event()

        def wait(request):
            working.set()

        tones.before = wait
        station.duration_s = 600.0
        with Show(station, Ears(live=True, paced=True)) as show:
            assert working.wait(20)
        assert not any(thread.name.startswith("radio-") for thread in threading.enumerate())
        assert show.wait(0)


class TestHeardGrid:
    def test_a_steady_pulse_is_found_where_it_lies(self):
        audio = np.zeros((20 * RATE_HZ, 2), np.float32)
        burst = np.random.default_rng(0).normal(size=(2400, 2)) * np.linspace(0.5, 0, 2400)[:, None]
        for beat in np.arange(0.3, 19.9, 0.5):
            audio[round(beat * RATE_HZ) :][:2400] += burst[: len(audio) - round(beat * RATE_HZ)].astype(np.float32)
        assert tempo(audio, RATE_HZ).bpm == pytest.approx(120, rel=0.01)
        grid = heard_grid(audio, 5 * RATE_HZ)
        assert grid is not None
        beats = (np.array([10.3, 18.3]) - grid.offset_s) / grid.beat_s
        assert np.abs(beats - np.round(beats)).max() * grid.beat_s < 0.02

    def test_noise_has_none(self):
        noise = np.random.default_rng(0).normal(size=(10 * RATE_HZ, 2)).astype(np.float32)
        assert heard_grid(0.1 * noise) is None
