"""Lyrics in time: paths, filters, agreement of heads, texts of tokens, and the score."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from partita.errors import RequestError
from partita.measure import alignment as A
from partita.text.subtitles import lrc

WORDS = ["[", "verse", "]", "\n", "hello", "\n"]


def words(ids: Sequence[int]) -> str:
    return "".join(WORDS[token] for token in ids)


def letters(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


def diagonal(heads: int = 2) -> Tensor:
    """Six tokens that take two frames each of twelve, the first of them more strongly."""
    one = torch.zeros(6, 12)
    for token in range(6):
        one[token, 2 * token], one[token, 2 * token + 1] = 4.0, 3.0
    return one.expand(heads, -1, -1)


def slow_warp(cost: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The rule of `warp`, cell by cell."""
    tokens, frames = cost.shape
    total = np.full((tokens + 1, frames + 1), np.inf, dtype=np.float32)
    total[0, 0] = 0
    came: dict[tuple[int, int], tuple[int, int]] = {}
    for i in range(1, tokens + 1):
        for j in range(1, frames + 1):
            a, b, c = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
            step, best = ((1, 1), a) if a < b and a < c else ((1, 0), b) if b < a and b < c else ((0, 1), c)
            came[i, j], total[i, j] = step, cost[i - 1, j - 1] + best
    path, place = [], (tokens, frames)
    while min(place) > 0:
        path.append((place[0] - 1, place[1] - 1))
        step = came[place]
        place = (place[0] - step[0], place[1] - step[1])
    return path[::-1]


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [((2, 5), [0, 1, 1, 1, 1, 1], [0, 0, 1, 2, 3, 4]), ((3, 3), [0, 1, 2, 2, 2], [0, 0, 0, 1, 2])],
)
def test_where_all_costs_are_equal_tokens_come_first(shape: tuple[int, int], rows: list[int], columns: list[int]):
    assert A.warp(np.zeros(shape, np.float32)).T.tolist() == [rows, columns]


costs = st.integers(1, 7).flatmap(
    lambda n: st.integers(1, 9).flatmap(
        lambda m: arrays(np.float32, (n, m), elements=st.sampled_from([-1.0, -0.5, -0.25, 0.0, 0.25, 1.0]))
    )
)


@settings(max_examples=150, deadline=None)
@given(costs)
def test_all_cells_of_a_wave_at_once_go_the_way_of_one_by_one(cost: NDArray[np.float32]):
    path = A.warp(cost)
    assert [tuple(pair) for pair in path.tolist()] == slow_warp(cost)
    assert path[0].tolist() == [0, 0]
    assert path[-1].tolist() == [len(cost) - 1, cost.shape[1] - 1]


def test_costs_add_up_in_float32_whatever_they_came_in():
    cost = np.random.default_rng(3).standard_normal((40, 90)).astype(np.float32)
    assert np.array_equal(A.warp(cost), A.warp(cost.astype(np.float64)))


def test_the_path_of_a_long_song_takes_no_time_to_speak_of():
    cost = np.random.default_rng(1).standard_normal((600, 7500)).astype(np.float32)
    start = time.perf_counter()
    A.warp(cost)
    assert time.perf_counter() - start < 2.0


@pytest.mark.parametrize("cost", [np.zeros((0, 3)), np.zeros(4), np.array([[0.0, np.nan]]), np.array([[np.inf]])])
def test_costs_without_a_path_are_refused(cost: NDArray[np.float64]):
    with pytest.raises(RequestError, match="finite costs"):
        A.warp(cost)


def test_the_median_filter_mirrors_the_ends():
    x = torch.tensor([[5.0, 1.0, 2.0, 9.0, 4.0]])
    assert A.median_filter(x, 3).tolist() == [[1.0, 2.0, 2.0, 4.0, 9.0]]
    assert A.median_filter(x, 1) is x
    assert A.median_filter(x[:, :1], 3).tolist() == [[5.0]]  # too short to mirror


def test_the_median_filter_needs_a_middle():
    x = torch.arange(6.0)[None]
    with pytest.raises(RequestError, match="odd"):
        A.median_filter(x, 2)
    assert A.median_filter(x, 2, original=True).shape == (1, 7)


@pytest.mark.parametrize("shape", [(5, 8), (6, 9), (1, 1), (2, 2)])
@pytest.mark.parametrize("dim", [-1, -2])
def test_medians_are_those_of_torch(shape: tuple[int, int], dim: int):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(A._median(x, dim), torch.quantile(x, 0.5, dim=dim, keepdim=True), atol=0, rtol=1e-7)


def test_two_lines_of_known_attention_have_known_times():
    made = A.align(diagonal(), range(6), words, 6.0)
    assert lrc(made.sentences) == "[00:00.00][verse]\n[00:04.00]hello"
    assert (made.tokens[0].start_s, made.tokens[0].end_s) == (0.0, 0.5)
    assert (made.tokens[4].start_s, made.tokens[4].end_s) == (4.0, 4.5)
    assert [len(line.tokens) for line in made.sentences] == [4, 2]


def test_one_head_is_as_good_as_two_equal_ones_but_in_the_original():
    assert A.align(diagonal(1), range(6), words, 6.0).sentences == A.align(diagonal(), range(6), words, 6.0).sentences
    assert A.consensus(diagonal(1)).calc.shape == (6, 12)
    assert A.consensus(diagonal(1), original=True).calc.shape == (12,)
    assert np.array_equal(A.consensus(diagonal(), original=True).calc, A.consensus(diagonal()).calc)
    with pytest.raises(RequestError, match="tokens by frames"):
        A.align(diagonal(1), range(6), words, 6.0, original=True)


def test_frames_that_every_token_attends_to_lead_nobody():
    crossed = diagonal().clone()
    crossed[:, :, 7] += 5.0
    found, plain = (A.align(heads, range(6), words, 6.0).sentences for heads in (crossed, diagonal()))
    assert found == plain


def test_a_token_that_is_not_on_the_path_stands_at_the_end_of_the_one_before():
    path = np.array([[1, 0], [1, 1], [3, 2]], np.int32)
    timed = A.token_times(path, [0, 1, 2, 3], ["a", "b", "c", "d"], 6.0, 3)
    assert [(one.start_s, one.end_s) for one in timed] == [(0.0, 0.0), (0.0, 2.0), (2.0, 2.0), (4.0, 4.0)]


def test_blank_lines_are_left_out_and_a_last_line_needs_no_break():
    ids = list(b"ab\n\n \ncd")
    timed = A.token_times(np.array([[i, i] for i in range(8)], np.int32), ids, list(letters(ids)), 8.0, 8)
    lines = A.sentence_times(timed, letters)
    assert [(line.text, line.start_s, line.end_s) for line in lines] == [("ab", 0.0, 2.0), ("cd", 6.0, 7.0)]


@given(st.text(max_size=30))
def test_what_tokens_add_is_what_the_whole_text_so_far_adds(text: str):
    data = text.encode("utf-8", "surrogatepass")
    expected, known = [], b""
    for end in range(1, len(data) + 1):
        so_far = letters(list(data[:end])).encode()
        try:
            expected.append(so_far[len(known) :].decode())
        except UnicodeDecodeError:
            expected.append("")
        known = so_far
    assert list(A.incremental_texts(list(data), letters)) == expected


def test_a_character_of_several_tokens_shows_once():
    assert A.incremental_texts(list("aé\n".encode()), letters) == ("a", "�", "", "\n")


def test_tags_are_not_sung():
    assert A.is_lyric(range(5), words).tolist() == [0, 0, 0, 1, 1]
    assert A.is_lyric([2, 4, 0, 4], words).tolist() == [0, 1, 0, 0]


def test_a_known_score():
    energy = np.array([[1, 0.5, 0, 0, 0, 0], [0, 0.2, 1, 0.1, 0, 0], [0, 0, 0, 0, 0.8, 0.9]], np.float32)
    path = A.warp(-A.sharpened(energy))
    assert path.tolist() == [[0, 0], [0, 1], [1, 1], [1, 2], [1, 3], [2, 3], [2, 4], [2, 5]]
    scored = A.alignment_score(energy, path, np.ones(3, np.int32))
    assert (scored.score, scored.coverage, scored.monotonicity) == (0.5625, 1.0, 1.0)
    assert scored.confidence == pytest.approx(0.5625)


def test_what_makes_a_score_fall():
    energy = np.zeros((3, 30), np.float32)
    energy[0, 28], energy[1, 10], energy[2, 20] = 1.0, 1.0, 0.05
    path, sung = A.warp(-A.sharpened(energy)), np.ones(3, np.int32)
    scored = A.alignment_score(energy, path, sung)
    assert scored.coverage == pytest.approx(2 / 3)  # the last is too faint
    assert scored.monotonicity == 0.5  # 18 frames back, then 10 on
    assert A.alignment_score(energy, path, np.array([0, 1, 1], np.int32)).monotonicity == 1.0
    assert A.alignment_score(energy, path, np.zeros(3, np.int32)).coverage == 1.0
    energy[0, 28], energy[0, 19] = 0.0, 1.0
    assert A.alignment_score(energy, path, sung).monotonicity == 1.0  # nine frames back are forgiven


def test_words_in_their_order_score_and_in_the_opposite_order_do_not():
    slow = diagonal().repeat_interleave(6, dim=-1)
    followed, lost = (A.score(heads, [4] * 6, words) for heads in (slow, slow.flip(1)))
    assert followed.score > 0.8
    assert (lost.score, lost.coverage, lost.monotonicity) == (0.0, 1.0, 0.0)


def test_attention_that_does_not_vary_scores_nothing():
    assert A.score(torch.full((2, 6, 12), 0.3), range(6), words).score == 0.0


def test_heads_are_taken_in_their_order_and_cut_to_the_lyrics():
    maps = {(5, 8): torch.arange(12.0).view(3, 4), (2, 6): torch.zeros(3, 4), (0, 0): torch.ones(3, 4)}
    stacked = A.stack_heads(maps, 1, 3)
    assert stacked.shape == (2, 2, 3)
    assert stacked[1].tolist() == [[1.0, 5.0, 9.0], [2.0, 6.0, 10.0]]
    assert A.stack_heads({(2, 6): torch.zeros(3, 4, dtype=torch.bfloat16)}, 1, 9).shape == (1, 3, 3)


def test_maps_that_hold_no_lyrics_are_refused():
    with pytest.raises(RequestError, match="None of the heads"):
        A.stack_heads({(0, 0): torch.zeros(3, 4)}, 1, 3)
    with pytest.raises(RequestError, match="condition of 4"):
        A.stack_heads({(2, 6): torch.zeros(3, 4)}, 4, 9)


def test_lyrics_lie_between_the_header_and_the_first_end_token():
    assert A.lyric_span([5, 6, 7, 8, 0, 0], 2, 0) == (2, 4)
    assert A.lyric_span([5, 6, 7, 8], 2, 0) == (2, 4)
    with pytest.raises(RequestError, match="no lyric tokens"):
        A.lyric_span([5, 6, 0, 0], 2, 0)


def test_lyrics_without_tokens_and_maps_of_others_are_refused():
    with pytest.raises(RequestError, match="no lyric tokens"):
        A.align(torch.zeros(2, 0, 4), [], words, 6.0)
    with pytest.raises(RequestError, match="these lyrics"):
        A.score(diagonal(), range(5), words)
    with pytest.raises(RequestError, match="above 0"):
        A.align(diagonal(), range(6), words, 0.0)
