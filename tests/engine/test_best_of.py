"""The best of several songs, with a renderer whose tempi and faults are known."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from partita.engine.events import Chosen, Finished
from partita.errors import Cancelled, RequestError
from partita.render.protocol import AudioChunk, Job
from partita.song.record import Record
from partita.song.request import SongRequest
from tests.engine.test_scoring import clicks
from tests.fakes import ToneRenderer

ASKED = 120


class ClickRenderer(ToneRenderer):
    """Clicks at a tempo that the seed decides; seeds in `holes` have drop-outs."""

    def __init__(self, bpm: dict[int, float], holes: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.bpm, self.holes = bpm, holes

    def _decode(self, job: Job, pitch_hz: float) -> Iterator[AudioChunk]:
        samples = clicks(self.bpm[job.seed], job.plan.duration_s)
        if job.seed in self.holes:
            for second in range(1, 4):
                samples[second * 48_000 + 200 : second * 48_000 + 1200] = 0
        yield AudioChunk(samples, 0, len(samples))


def request(**fields) -> SongRequest:
    return SongRequest(
        **{"caption": "clicks", "model": "built-in", "bpm": ASKED, "key": "A minor", "duration_s": 4, "seed": 5}
        | fields
    )


TEMPI = {5: 104.0, 6: 131.0, 7: 120.0, 8: 112.0}


def test_the_song_whose_tempo_agrees_is_delivered(make_engine):
    song = make_engine(ClickRenderer(TEMPI)).generate(request(best_of=4))
    assert song.record.seed == 7
    choice = song.record.choice
    assert (choice.best_of, choice.candidates[0].seed) == (4, 7)
    assert "Seed 7 is the best of 4" in choice.reason
    assert "120 asked" in choice.reason
    assert sorted(one.seed for one in choice.candidates) == [5, 6, 7, 8]


def test_a_fault_decides_where_tempi_agree(make_engine):
    song = make_engine(ClickRenderer(dict.fromkeys(range(5, 9), 120.0), holes=(5, 6))).generate(request(best_of=3))
    assert song.record.seed == 7
    assert "drop-outs" in song.record.choice.reason


def test_of_equals_the_first_seed_is_taken(make_engine):
    song = make_engine(ClickRenderer(dict.fromkeys(range(5, 9), 120.0))).generate(request(best_of=4))
    assert song.record.seed == 5
    assert "equally good" in song.record.choice.reason


def test_each_of_several_songs_is_the_best_of_its_own_seeds(make_engine):
    tempi = {5: 110.0, 6: 120.0, 7: 120.0, 8: 110.0}
    songs = make_engine(ClickRenderer(tempi)).generate_many([request(best_of=2, count=2)])
    assert [song.record.seed for song in songs] == [6, 7]


def test_plain_requests_and_choices_come_back_in_order(make_engine):
    requests = [request(seed=8), request(best_of=2), request(seed=6)]
    songs = make_engine(ClickRenderer(TEMPI)).generate_many(requests)
    assert [song.record.seed for song in songs] == [8, 6, 6]
    assert [song.record.choice is None for song in songs] == [True, False, True]


def test_the_record_is_that_of_the_song_alone_and_the_choice(make_engine):
    engine = make_engine(ClickRenderer(TEMPI))
    chosen, alone = engine.generate(request(best_of=4)), engine.generate(request(seed=7))
    assert chosen.record.model_copy(update={"choice": None}) == alone.record
    assert Record.from_json(chosen.record.model_dump_json()) == chosen.record
    np.testing.assert_array_equal(chosen.audio, alone.audio)


def test_a_replay_keeps_the_choice(make_engine):
    engine = make_engine(ClickRenderer(TEMPI))
    song = engine.generate(request(best_of=4))
    assert engine.replay(song.record).record == song.record


def test_candidates_are_one_pass_and_each_is_told(make_engine):
    renderer = ClickRenderer(TEMPI)
    events = []
    make_engine(renderer).generate(request(best_of=4), on_progress=events.append)
    assert [len(jobs) for jobs in renderer.passes] == [4]
    assert sum(isinstance(event, Finished) for event in events) == 4
    chosen = events[-1]
    assert isinstance(chosen, Chosen)
    scores = [one.scores.overall for one in chosen.ranked]
    assert scores == sorted(scores, reverse=True)


def test_a_cancel_while_songs_are_judged_takes_effect(make_engine):
    cancel = threading.Event()

    def watch(event):
        if isinstance(event, Finished):
            cancel.set()

    with pytest.raises(Cancelled):
        make_engine(ClickRenderer(TEMPI)).generate(request(best_of=2), on_progress=watch, cancel=cancel)


def test_a_stream_is_of_one_song(make_engine):
    with pytest.raises(RequestError, match="best_of is 2"):
        make_engine().stream(request(best_of=2))


@pytest.mark.parametrize("best_of", [0, 17])
def test_the_number_has_its_limits(best_of):
    with pytest.raises(RequestError, match="best_of"):
        request(best_of=best_of)


def test_seeds_go_round_at_their_end(make_engine):
    resolved = make_engine().resolve(request(seed=2**32 - 1, best_of=2, count=2))
    assert resolved.groups == ((2**32 - 1, 0), (1, 2))


def test_a_song_is_scored_as_a_candidate_is(make_engine):
    engine = make_engine(ClickRenderer(TEMPI))
    song = engine.generate(request(best_of=4))
    assert engine.score(song).overall == song.record.choice.candidates[0].overall


def test_a_model_that_does_not_sing_has_no_lines(make_engine):
    engine = make_engine(ClickRenderer(TEMPI))
    with pytest.raises(RequestError, match="does not sing"):
        engine.align(engine.generate(request()))
    for name in ("lrc", "vtt"):
        with pytest.raises(RequestError, match=f"output.{name}.*does not sing"):
            engine.resolve(request(lyrics="la", output={name: True}))
