"""Where the next song begins, and what both sound like together."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from partita.measure.defects import defects
from partita.radio.mix import CEILING_DB, RATE_HZ, Join, Piece, outline_of, overlap, plan_join
from partita.score.types import Grid


def noise(duration_s: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """A song that merely stops."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((round(duration_s * RATE_HZ), 2))).astype(np.float32)


def ringing(duration_s: float, last_s: float, tail_s: float, seed: int = 0) -> np.ndarray:
    """A song that is struck the last time at `last_s` before its end, and rings out within `tail_s`."""
    audio = noise(duration_s, seed=seed)
    since = np.arange(len(audio)) / RATE_HZ - (duration_s - last_s)
    return (audio * np.where(since > 0, 10 ** (-3 * np.maximum(since, 0) / tail_s), 1.0)[:, None]).astype(np.float32)


def off_beat_ms(ending: Piece, new: Piece, join: Join) -> float:
    """How far the first downbeat of `new` lies from a beat of `ending`."""
    assert ending.grid is not None
    downbeat = new.downbeat_from(join.skip)
    assert downbeat is not None
    heard = (join.at + downbeat - join.skip) / RATE_HZ
    beats = (heard - ending.grid.offset_s) / ending.grid.beat_s
    return abs(beats - round(beats)) * ending.grid.beat_s * 1000


class TestOutline:
    def test_a_song_that_stops_has_no_tail(self):
        assert outline_of(noise(3)).fall is None

    def test_the_tail_begins_where_the_song_has_fallen_by_20_decibels(self):
        audio = ringing(10, last_s=2.0, tail_s=1.5)
        # 20 dB are a third of the 60 that the tail falls within 1.5 s.
        assert outline_of(audio).fall == pytest.approx(8.5 * RATE_HZ, abs=0.06 * RATE_HZ)

    def test_silence_around_the_sound_is_seen(self):
        audio = np.concatenate([np.zeros((RATE_HZ, 2), np.float32), noise(1), np.zeros((2 * RATE_HZ, 2), np.float32)])
        outline = outline_of(audio)
        assert (outline.first, outline.end) == (RATE_HZ, 2 * RATE_HZ)
        assert outline.fall is not None

    @pytest.mark.parametrize("frames", [1, 479, 480, 481, 5000])
    def test_the_shortest_songs_have_one(self, frames: int):
        outline = outline_of(noise(1)[:frames])
        assert outline.first == 0
        assert outline.end == frames


class TestCrossfade:
    def test_it_takes_two_seconds_in_whole_beats_and_begins_on_one(self):
        ending, new = Piece(noise(30), Grid(100, "4/4")), Piece(noise(30, seed=1), Grid(90, "4/4"))
        join = plan_join(ending, new)
        assert join.fades
        assert join.length == round(3 * 0.6 * RATE_HZ)  # three beats of 0.6 s are nearest
        assert off_beat_ms(ending, new, join) < 0.05
        assert 30 - 0.6 <= (join.at + join.length) / RATE_HZ <= 30

    def test_songs_that_are_short_give_a_quarter(self):
        ending, new = Piece(noise(4)), Piece(noise(2, seed=1))
        join = plan_join(ending, new)
        assert join.length == RATE_HZ // 2
        assert join.at + join.length == 4 * RATE_HZ

    def test_a_bar_that_begins_late_is_what_is_laid_on_the_beat(self):
        ending, new = Piece(noise(30), Grid(120, "4/4")), Piece(noise(30, seed=1), Grid(80, "3/4", offset_s=0.7))
        join = plan_join(ending, new)
        assert new.downbeat_from(0) == pytest.approx(0.7 * RATE_HZ)
        assert off_beat_ms(ending, new, join) < 0.05

    def test_silence_before_a_song_is_passed_over(self):
        audio = np.concatenate([np.zeros((RATE_HZ, 2), np.float32), noise(20, seed=1)])
        ending, new = Piece(noise(30), Grid(120, "4/4")), Piece(audio, Grid(120, "4/4"))
        join = plan_join(ending, new)
        assert join.skip == RATE_HZ
        assert off_beat_ms(ending, new, join) < 0.05

    def test_equal_power_keeps_the_level_of_two_different_songs(self):
        ending, new = Piece(noise(20)), Piece(noise(20, seed=1))
        join = plan_join(ending, new)
        both = overlap(ending, new, join)
        levels = [np.sqrt(np.mean(part**2)) for part in np.array_split(both, 20)]
        assert min(levels) > 0.095
        assert max(levels) < 0.105

    def test_nothing_of_either_song_is_moved_by_a_sample(self):
        click = np.zeros((10 * RATE_HZ, 2), np.float32)
        click[::4800] = 0.5
        ending, new = Piece(click), Piece(noise(10, level=0.0001))
        join = plan_join(ending, new)
        both = overlap(ending, new, join)
        assert set(np.flatnonzero(both[:, 0] > 0.01) % 4800) == {-join.at % 4800}

    def test_two_loud_songs_stay_under_the_ceiling(self):
        loud = np.ones((8 * RATE_HZ, 2), np.float32) * np.float32(0.89)
        ending, new = Piece(loud), Piece(loud)
        both = overlap(ending, new, plan_join(ending, new))
        assert np.abs(both).max() <= 10 ** (CEILING_DB / 20) + 1e-4

    def test_without_one_the_songs_stand_whole_beside_each_other(self):
        assert plan_join(Piece(noise(3)), Piece(noise(3)), crossfade_s=0) == Join(3 * RATE_HZ, 0, 0, False)


class TestNaturalEnding:
    def test_it_is_left_whole_and_the_next_song_enters_on_a_beat_over_its_tail(self):
        ending = Piece(ringing(20, last_s=3.0, tail_s=2.4), Grid(100, "4/4"))
        new = Piece(noise(20, seed=1), Grid(70, "3/4"))
        join = plan_join(ending, new)
        fall, end = ending.outline.fall, ending.outline.end
        assert fall is not None
        assert not join.fades
        assert fall - 0.25 * 0.6 * RATE_HZ <= join.at < end
        assert off_beat_ms(ending, new, join) < 0.05
        both = overlap(ending, new, join)
        alone = ending.audio[join.at : end] + new.audio[: end - join.at]
        np.testing.assert_allclose(both[:-240], alone[:-240], atol=1e-6)

    def test_there_is_no_silence_between_the_songs(self):
        for bpm in (50, 73, 120, 180):
            ending = Piece(ringing(20, last_s=2.0, tail_s=1.0), Grid(bpm, "4/4"))
            new = Piece(noise(20, seed=1), Grid(90, "4/4"))
            join = plan_join(ending, new)
            whole = np.concatenate(
                [ending.audio[: join.at], overlap(ending, new, join), new.audio[join.skip + join.length :]]
            )
            assert defects(whole, RATE_HZ).longest_silence_s <= 0.05

    def test_silence_behind_it_is_not_played(self):
        audio = np.concatenate([ringing(10, last_s=2.0, tail_s=1.5), np.zeros((4 * RATE_HZ, 2), np.float32)])
        join = plan_join(Piece(audio), Piece(noise(10)))
        assert join.at < 10 * RATE_HZ


class TestSoon:
    def test_a_skip_goes_on_at_the_next_beat_within_a_beat(self):
        ending, new = Piece(noise(60), Grid(100, "4/4")), Piece(noise(60, seed=1), Grid(90, "4/4"))
        join = plan_join(ending, new, earliest=10 * RATE_HZ + 100, soon=True)
        assert 0 < join.at - (10 * RATE_HZ + 100) <= 0.6 * RATE_HZ
        assert join.length == round(1.2 * RATE_HZ)
        assert off_beat_ms(ending, new, join) < 0.05

    def test_near_the_end_it_takes_what_is_left(self):
        ending, new = Piece(noise(10)), Piece(noise(10, seed=1))
        join = plan_join(ending, new, earliest=10 * RATE_HZ - 1000, soon=True)
        assert join.at == 10 * RATE_HZ - 1000
        assert join.length == 1000


GRIDS = st.one_of(
    st.none(),
    st.builds(
        Grid,
        st.floats(50, 180),
        st.sampled_from(["2/4", "3/4", "4/4", "6/8"]),
        st.floats(0, 3),
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    first=st.floats(0.0001, 6), second=st.floats(0.0001, 6), grids=st.tuples(GRIDS, GRIDS), tail=st.booleans(),
    crossfade_s=st.sampled_from([0.0, 0.5, 2.0, 8.0]), played=st.floats(0, 1), soon=st.booleans(),
)  # fmt: skip
def test_any_two_songs_can_be_joined(first, second, grids, tail, crossfade_s, played, soon):
    audio = ringing(max(first, 0.001), last_s=first / 2, tail_s=max(first / 3, 1e-3)) if tail else noise(first)
    if not len(audio) or not len(noise(second)):
        return
    ending, new = Piece(audio, grids[0]), Piece(noise(second, seed=1), grids[1])
    earliest = int(played * len(audio))
    join = plan_join(ending, new, crossfade_s=crossfade_s, earliest=earliest, soon=soon)
    assert earliest <= join.at <= len(audio)
    assert 0 <= join.skip <= len(new.audio)
    both = overlap(ending, new, join)
    assert both.shape == (join.length, 2)
    assert join.at + join.length <= len(audio)
    assert join.skip + join.length <= len(new.audio)
    assert np.isfinite(both).all()
