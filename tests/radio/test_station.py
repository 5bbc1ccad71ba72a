"""Requests in a queue, songs out of it."""

import pytest

from partita.errors import Cancelled, RequestError
from partita.radio.fillers import CAPTIONS
from partita.radio.request import RadioRequest
from partita.radio.station import RadioStation, quoted


class TestQueue:
    def test_it_is_first_in_first_out(self, station):
        station.enqueue("first")
        station.enqueue(RadioRequest(caption="second"))
        assert len(station) == 2
        assert [one.caption for one in station.queue] == ["first", "second"]
        assert station.pop().caption == "first"
        station.clear()
        assert (len(station), station.pop()) == (0, None)

    def test_what_can_be_no_song_is_refused_at_once(self, station):
        with pytest.raises(RequestError, match="empty"):
            station.enqueue("")
        assert len(station) == 0

    def test_where_nobody_asks_there_is_a_filler(self, station):
        station.enqueue("asked")
        assert [station.next().caption for _ in range(3)] == ["asked", *CAPTIONS[:2]]


class TestSongRequest:
    def test_it_is_the_request_that_every_engine_takes(self, tones, settings):
        station = RadioStation(tones, settings=settings)
        asked = RadioRequest(caption="rock", bpm=120, key_scale="A minor", time_signature="3/4", seed=7)
        made = station.song_request(asked)
        assert (made.caption, made.bpm, made.key, made.time_signature) == ("rock", 120, "A minor", "3/4")
        assert (made.seed, made.duration_s, made.instrumental, made.model) == (7, 180.0, True, "built-in")

    def test_lyrics_set_the_length(self, tones, settings):
        station = RadioStation(tones, settings=settings)
        assert station.song_request(RadioRequest(lyrics="la\n" * 20)).duration_s == 160.0

    def test_a_length_of_the_station_is_for_songs_that_ask_for_none(self, station):
        assert station.length_of(RadioRequest(caption="x")) == 2.0
        assert station.length_of(RadioRequest(caption="x", duration_s=120)) == 120.0
        assert station.length_of(RadioRequest(caption="x", duration_s=180, auto_generated=True)) == 2.0

    def test_a_seed_of_64_bits_counts_by_its_lower_half(self, station):
        assert station.song_request(RadioRequest(caption="x", seed=2**40 + 5)).seed == 5

    def test_without_a_seed_two_songs_differ(self, station):
        seeds = {station.song_request(RadioRequest(caption="x")).seed for _ in range(3)}
        assert len(seeds) == 3

    def test_what_the_model_cannot_honour_is_left_out_and_written_into_the_record(self, station):
        heard = station.generate(RadioRequest(caption="x", key_scale="nonsense", bpm=400))
        assert heard.song.record.request.bpm == 180
        said = " ".join(heard.song.record.warnings)
        assert "key_scale 'nonsense' was asked for and is not applied" in said
        assert "bpm 400 was asked for and is not applied" in said

    def test_an_unknown_model_is_refused(self, settings):
        with pytest.raises(RequestError, match="nothing-like-it"):
            RadioStation(settings=settings, model="nothing-like-it")


class TestHistory:
    def test_it_keeps_ten_songs_and_counts_all(self, station):
        for number in range(12):
            station.generate(RadioRequest(caption=f"song {number}", seed=number))
        assert [one.caption for one in station.history] == [f"song {number}" for number in range(2, 12)]
        assert station.total == 12
        assert station.history[-1].seed == 11

    def test_its_summary_is_a_line_a_song(self, station):
        assert station.summary() == "No songs played yet."
        station.generate(RadioRequest(caption="a " * 60, seed=1))
        station.generate(RadioRequest(caption='say "x"', bpm=90, key_scale="A minor", language="es", seed=1))
        assert station.summary().splitlines() == [
            f'  1. [en] caption="{"a " * 40}" bpm=N/A key=N/A dur=2s',
            '  2. [es] caption="say \\"x\\"" bpm=90 key=A minor dur=2s',
        ]

    def test_a_song_that_failed_is_not_in_it(self, station, tones):
        def fail(request):
            raise RequestError("no")

        tones.before = fail
        with pytest.raises(RequestError):
            station.generate(RadioRequest(caption="x"))
        assert (station.total, station.history) == (0, ())

    def test_a_song_can_be_cancelled(self, station):
        class Set:
            def is_set(self) -> bool:
                return True

        with pytest.raises(Cancelled):
            station.generate(RadioRequest(caption="x"), cancel=Set())


class TestTaste:
    def test_a_disliked_filler_does_not_come_again(self, station, memory):
        heard = station.generate(station.next())
        station.dislike(heard)
        later = RadioStation(station.maker, memory=memory, settings=station.settings)
        assert CAPTIONS[0] not in [later.next().caption for _ in range(20)]

    def test_what_is_liked_is_known_with_its_tempo_and_key(self, station, memory):
        heard = station.generate(station.next())
        station.like(heard)
        plan = heard.song.record.plan
        (one,) = memory.history()
        assert (one.verdict, one.bpm, one.key, one.seed) == (1, plan.bpm, plan.key, heard.seed)

    def test_without_a_memory_nothing_can_be_liked(self, tones, settings):
        station = RadioStation(tones, settings=settings, duration_s=2)
        with pytest.raises(RequestError, match="no memory"):
            station.like(station.generate(station.next()))


def test_text_is_quoted_on_one_line():
    assert quoted('a "b" \\ ü\n\x07') == '"a \\"b\\" \\\\ ü\\n\\u{7}"'
