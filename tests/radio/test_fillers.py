"""What plays when nobody asks."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from partita.errors import RequestError
from partita.radio.fillers import CAPTIONS, Rotation, Variations
from partita.radio.memory import Played, Tastes

PLAIN = Tastes()


def judged(caption: str, verdict: int, **more: object) -> Played:
    return replace(Played(at=0.0, caption=caption, seed=1, duration_s=1.0), verdict=verdict, **more)


class TestRotation:
    def test_sixteen_captions_go_round(self):
        rotation = Rotation()
        made = [rotation.next(PLAIN, ()) for _ in range(33)]
        assert len(set(CAPTIONS)) == 16
        assert [one.caption for one in made] == [*CAPTIONS, *CAPTIONS, CAPTIONS[0]]
        assert {(one.duration_s, one.auto_generated, one.lyrics) for one in made} == {(180.0, True, "")}

    def test_disliked_ones_are_passed_over(self):
        rotation = Rotation(("a", "b", "c"))
        tastes = Tastes([judged("b", -1)])
        assert [rotation.next(tastes, ()).caption for _ in range(4)] == ["a", "c", "a", "c"]

    def test_if_all_are_disliked_they_go_round_still(self):
        rotation = Rotation(("a", "b"))
        tastes = Tastes([judged("a", -1), judged("b", -1)])
        assert [rotation.next(tastes, ()).caption for _ in range(3)] == ["a", "b", "a"]


class TestVariations:
    def test_every_song_keeps_the_words_and_is_another(self):
        station = Variations("lofi, rainy evening", random=Random(1))
        made, recent = [], []
        for _ in range(12):
            made.append(station.next(PLAIN, recent))
            recent.append(made[-1].caption)
        assert all(one.caption.startswith("lofi, rainy evening, ") for one in made)
        assert len({one.caption for one in made}) >= 11
        assert len({one.bpm for one in made}) > 2
        assert all(70 <= (one.bpm or 0) <= 90 and one.style == "lo-fi" for one in made)

    def test_what_the_words_say_is_left_alone(self):
        one = Variations("tango, 120 bpm, in D minor", random=Random(1)).next(PLAIN, ())
        assert (one.bpm, one.key_scale) == (None, None)

    def test_a_style_gives_its_keys(self):
        station = Variations("tango", random=Random(1))
        assert station.style is not None
        assert {station.next(PLAIN, ()).key_scale for _ in range(30)} <= set(station.style.keys)

    def test_words_that_name_no_style_leave_the_key_to_the_planner(self):
        station = Variations("rainy evening", random=Random(1))
        assert station.style is None
        assert station.next(PLAIN, ()).key_scale is None

    def test_liked_ones_come_more_often(self):
        def share(tastes: Tastes) -> float:
            station = Variations("lofi", random=Random(3))
            drawn = Counter("dreamy" in station.next(tastes, ()).caption for _ in range(120))
            return drawn[True] / 120

        likes = Tastes([judged("lofi, dreamy, organ", 1)] * 3)
        assert share(likes) > 3 * share(PLAIN)

    def test_disliked_ones_never_come(self):
        first = Variations("lofi", random=Random(5)).next(PLAIN, ()).caption
        tastes = Tastes([judged(first, -1)])
        station = Variations("lofi", random=Random(5))
        assert first not in {station.next(tastes, ()).caption for _ in range(120)}

    def test_a_liked_tempo_comes_more_often(self):
        station = Variations("lofi", random=Random(3))
        tastes = Tastes([judged("x", 1, bpm=72)] * 3)
        drawn = [station.next(tastes, ()).bpm or 0 for _ in range(200)]
        assert sum(70 <= bpm < 80 for bpm in drawn) > 150

    @pytest.mark.parametrize("words", ["", " , ,", "\n"])
    def test_without_words_there_is_no_station(self, words: str):
        with pytest.raises(RequestError, match="no words"):
            Variations(words)
