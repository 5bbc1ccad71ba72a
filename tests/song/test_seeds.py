"""Seed texts as the original reads them."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, strategies as st

from partita.song.seeds import original_seeds


def read(seed: str | float | None, songs: int) -> tuple[int, ...]:
    fresh = count(1000)
    return original_seeds(seed, songs, lambda: next(fresh))


@pytest.mark.parametrize(
    ("seed", "songs", "seeds"),
    [
        ("5,6", 2, (5, 6)),
        ("5,6,7,8", 3, (5, 6, 7)),
        ("12.7", 1, (12,)),
        (" 5 , 6 ", 2, (5, 6)),
        ("1e3", 1, (1000,)),
        (7, 1, (7,)),
        (7.9, 1, (7,)),
        (7, 3, (7, 1000, 1001)),
        ("7", 2, (7, 1000)),
        ("5,6", 3, (5, 6, 1000)),
        ("5,,-1,seven,inf,9", 6, (5, 1000, 1001, 1002, 1003, 9)),
        ("", 2, (1000, 1001)),
        (-1, 2, (1000, 1001)),
        (-7, 1, (1000,)),
        (None, 2, (1000, 1001)),
    ],
)
def test_seeds_are_read_as_the_original_reads_them(seed: str | float | None, songs: int, seeds: tuple[int, ...]):
    assert read(seed, songs) == seeds


@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6), songs=st.integers(1, 8))
def test_every_song_gets_one_seed_and_given_ones_come_first(seeds: list[int], songs: int):
    got = read(",".join(map(str, seeds)), songs)
    assert len(got) == songs
    kept = min(songs, len(seeds))
    assert list(got[:kept]) == seeds[:kept]
    assert list(got[kept:]) == list(range(1000, 1000 + songs - kept))
