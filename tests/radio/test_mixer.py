"""Songs as one stream, block by block."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings, strategies as st

from partita.radio.mix import RATE_HZ, Piece, overlap, plan_join
from partita.radio.mixer import Mixer
from partita.score.types import Grid
from tests.radio.test_mix import noise, ringing


def read_all(mixer: Mixer, frames: int = 4096) -> np.ndarray:
    """Everything up to the end of a closed mixer."""
    blocks = []
    while True:
        blocks.append(mixer.read(frames))
        if len(blocks[-1]) < frames:
            return np.concatenate(blocks)


def joined(pieces: list[Piece]) -> np.ndarray:
    """What the stream of these is to be, made in one go."""
    out, at = [], 0
    for ending, new in pairwise(pieces):
        join = plan_join(ending, new, earliest=at)
        out += [ending.audio[at : join.at], overlap(ending, new, join)]
        at = join.skip + join.length
    return np.concatenate([*out, pieces[-1].audio[at:]])


class TestStream:
    def test_it_is_the_songs_and_their_joins_to_the_sample(self):
        pieces = [
            Piece(noise(3), Grid(120, "4/4")),
            Piece(ringing(4, last_s=1.5, tail_s=1.0, seed=1), Grid(90, "3/4")),
            Piece(noise(2.5, seed=2)),
        ]
        mixer = Mixer()
        for piece in pieces:
            mixer.add(piece)
        mixer.close()
        np.testing.assert_array_equal(read_all(mixer), joined(pieces))
        assert mixer.underruns == 0

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.integers(1, 9000), min_size=1, max_size=40))
    def test_the_size_of_the_blocks_changes_nothing(self, sizes):
        pieces = [Piece(noise(0.5), Grid(150, "4/4")), Piece(noise(0.7, seed=1), Grid(140, "4/4")), Piece(noise(0.3))]
        mixer = Mixer()
        for piece in pieces:
            mixer.add(piece)
        mixer.close()
        parts = [mixer.read(size) for size in sizes]
        np.testing.assert_array_equal(np.concatenate([*parts, read_all(mixer)]), joined(pieces))

    def test_without_crossfade_the_songs_stand_beside_each_other(self):
        first, second = noise(1), noise(1, seed=1)
        mixer = Mixer(crossfade_s=0)
        mixer.add(Piece(first))
        mixer.add(Piece(second))
        mixer.close()
        np.testing.assert_array_equal(read_all(mixer), np.concatenate([first, second]))

    def test_a_song_that_comes_late_joins_in_what_is_left(self):
        ending, new = Piece(noise(4), Grid(120, "4/4")), Piece(noise(4, seed=1), Grid(120, "4/4"))
        mixer = Mixer()
        mixer.add(ending)
        head = mixer.read(3 * RATE_HZ + 30_000)
        mixer.add(new)
        mixer.close()
        join = plan_join(ending, new, earliest=len(head))
        assert 0 < join.length < RATE_HZ // 2
        rest = read_all(mixer)
        np.testing.assert_array_equal(head, ending.audio[: len(head)])
        expected = [ending.audio[len(head) : join.at], overlap(ending, new, join), new.audio[join.length :]]
        np.testing.assert_array_equal(rest, np.concatenate(expected))


class TestUnderrun:
    def test_silence_is_counted_where_there_is_no_song(self):
        mixer = Mixer()
        assert not mixer.read(1000).any()
        assert (mixer.underruns, mixer.silent_frames) == (0, 0)  # nothing had begun
        mixer.add(Piece(noise(0.1)))
        mixer.read(4800 + 700)
        mixer.read(300)
        assert (mixer.underruns, mixer.silent_frames) == (1, 1000)
        mixer.add(Piece(noise(0.1)))
        mixer.read(4800)
        mixer.read(5)
        assert (mixer.underruns, mixer.silent_frames) == (2, 1005)

    def test_the_end_is_no_underrun(self):
        mixer = Mixer()
        mixer.add(Piece(noise(0.1)))
        mixer.close()
        assert len(mixer.read(10_000)) == 4800
        assert len(mixer.read(10_000)) == 0
        assert mixer.underruns == 0


class TestSkip:
    def test_it_waits_for_a_next_song_and_does_not_add_up(self):
        told: list[object] = []
        mixer = Mixer(began=lambda piece: told.append(piece.tag))
        mixer.add(Piece(noise(30), tag="first"))
        mixer.read(4096)
        mixer.skip()
        mixer.skip()
        mixer.read(RATE_HZ)
        assert told == ["first"]
        mixer.add(Piece(noise(30, seed=1), tag="second"))
        mixer.add(Piece(noise(30, seed=2), tag="third"))
        mixer.read(5 * RATE_HZ)
        assert told == ["first", "second"]

    def test_of_nothing_it_is_forgotten(self):
        mixer = Mixer()
        mixer.skip()
        mixer.add(Piece(noise(5), tag="first"))
        mixer.add(Piece(noise(5), tag="second"))
        mixer.read(RATE_HZ)
        assert mixer.now is not None
        assert mixer.now.tag == "first"

    def test_it_changes_a_join_that_was_settled(self):
        mixer = Mixer()
        mixer.add(Piece(noise(30), Grid(120, "4/4"), tag="first"))
        mixer.add(Piece(noise(30, seed=1), Grid(120, "4/4"), tag="second"))
        mixer.read(RATE_HZ)
        mixer.skip()
        mixer.read(RATE_HZ)
        assert mixer.now is not None
        assert mixer.now.tag == "second"


def test_who_begins_and_who_ends_is_told_in_order():
    told: list[tuple[str, object]] = []
    mixer = Mixer(
        began=lambda piece: told.append(("began", piece.tag)), ended=lambda piece: told.append(("ended", piece.tag))
    )
    for tag in ("a", "b"):
        mixer.add(Piece(noise(1), tag=tag))
    mixer.close()
    read_all(mixer)
    assert told == [("began", "a"), ("began", "b"), ("ended", "a"), ("ended", "b")]
