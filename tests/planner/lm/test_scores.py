"""Scores of a language model: ranks, probabilities, information, and what they add up to."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from partita.errors import RequestError
from partita.planner.lm import scores as S


def logits_of(*ranks: int, vocabulary: int = 50) -> tuple[Tensor, Tensor]:
    """Rows in which token 7 has the given rank."""
    rows = torch.zeros(len(ranks), vocabulary)
    others = [token for token in range(vocabulary) if token != 7]
    for row, rank in zip(rows, ranks, strict=True):
        row[others] = torch.arange(len(others), 0, -1).float()
        row[7] = len(others) + 1.5 - rank
    return rows, torch.full((len(ranks),), 7)


def test_a_rank_counts_the_less_the_lower_it_is():
    found = S.top_k_recall(*logits_of(1, 2, 10, 11))
    assert found.score == pytest.approx((1.0 + 0.9 + 0.1 + 0.0) / 4)
    assert found.hits == (0.25,) + (0.5,) * 8 + (0.75,)


def test_more_rows_than_are_read_at_once_count_the_same():
    rows, ids = logits_of(*range(1, 31))
    once = S.top_k_recall(rows, ids)
    assert S.top_k_recall(rows.repeat(5, 1), ids.repeat(5)).score == pytest.approx(once.score)
    assert S.mean_log_probability(rows.repeat(5, 1), ids.repeat(5)) == pytest.approx(
        S.mean_log_probability(rows, ids), abs=1e-5
    )


def test_of_equal_logits_the_lower_id_ranks_first():
    assert S.top_k_recall(torch.zeros(1, 9), torch.tensor([3])).score == pytest.approx(0.7)


def test_a_vocabulary_smaller_than_k_keeps_the_steps_of_k():
    assert S.top_k_recall(torch.tensor([[2.0, 1.0]]), torch.tensor([1])).score == pytest.approx(0.9)


def test_log_probabilities_are_means_over_the_targets():
    rows = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])
    expected = (math.log(3 / 4) + math.log(1 / 2)) / 2
    assert S.mean_log_probability(rows, torch.tensor([1, 0])) == pytest.approx(expected, abs=1e-6)
    assert S.mean_log_probability(rows.bfloat16() * 0, torch.tensor([1, 0])) == pytest.approx(math.log(0.5), abs=1e-6)


def test_an_empty_target_is_recalled_never_and_has_no_probability():
    rows, ids = torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64)
    assert S.top_k_recall(rows, ids) == S.Recall(0.0, ())
    assert S.mean_log_probability(rows, ids) == -math.inf


def test_rows_that_do_not_fit_the_targets_are_refused():
    with pytest.raises(RequestError, match="one row a target"):
        S.mean_log_probability(torch.zeros(3, 5), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(RequestError, match="k is 0"):
        S.top_k_recall(torch.zeros(1, 5), torch.zeros(1, dtype=torch.int64), 0)


def test_each_target_is_predicted_by_the_row_before_it():
    logits, ids = torch.arange(5.0)[:, None].expand(5, 3), torch.arange(5)
    rows, targets = S.after_prompt(logits, ids, 3)
    assert rows[:, 0].tolist() == [2.0, 3.0]
    assert targets.tolist() == [3, 4]
    with pytest.raises(RequestError, match="at least one token"):
        S.after_prompt(logits, ids, 0)


def test_information_becomes_a_score():
    assert S.information_score(1.0, 1.0) == pytest.approx(0.7311, abs=1e-4)
    assert S.information_score(0.0) == 0.5
    assert S.information_score(-200.0, 0.1) == 0.0
    assert S.information_score(200.0, 0.1) == 1.0
    assert S.information_score(-math.inf) == 0.0


@given(st.floats(-60, 60), st.floats(0.1, 2.0))
def test_no_information_overflows_and_its_opposite_scores_the_rest(information: float, scale: float):
    score = S.information_score(information, scale)
    assert 0.0 <= score <= 1.0
    assert score + S.information_score(-information, scale) == pytest.approx(1.0)
    assert score == pytest.approx(S.information_score(information, scale, original=True))


def test_the_original_formula_overflows():
    with pytest.raises(RequestError, match="overflows"):
        S.information_score(-71.0, 0.1, original=True)
    with pytest.raises(RequestError, match="above 0"):
        S.information_score(1.0, 0.0)
    with pytest.raises(RequestError, match="nan"):
        S.information_score(math.nan)


@pytest.mark.parametrize(
    ("fields", "total"),
    [
        ({"caption": 0.75}, 0.75),
        ({"bpm": 1.0, "duration": 0.5}, 0.75),
        ({"caption": 0.8, "lyrics": 0.6, "bpm": 0.9}, 0.76),
    ],
)
def test_totals_share_the_weights_among_what_is_there(fields: dict[str, float], total: float):
    found = S.total_score(fields)
    assert found.score == pytest.approx(total)
    assert sum(part.weight for part in found.parts) == pytest.approx(1.0)
    assert sum(part.contribution for part in found.parts) == pytest.approx(total)


def test_weights_may_be_given_for_some_parts_only():
    found = S.total_score({"caption": 1.0, "lyrics": 0.0}, {"lyrics": 1.5})
    assert [part.name for part in found.parts] == ["lyrics", "caption"]
    assert found.score == pytest.approx(0.25)


def test_nothing_to_weigh_is_an_error():
    with pytest.raises(RequestError, match="nothing to weigh"):
        S.total_score({})
    with pytest.raises(RequestError, match="caption"):
        S.total_score({"caption": 1.0}, {"caption": 0.0})


def test_what_the_planner_left_out_comes_from_the_request():
    merged = S.merged_metadata(
        {"bpm": 90, "caption": " ", "genres": "pop"},
        {"bpm": 120, "caption": "soft", "duration": 31.9, "language": "", "seed": 5},
    )
    assert merged == {"bpm": 90, "genres": "pop", "caption": "soft", "duration": 31}
    assert S.merged_metadata(None, {"duration": "30"}) == {"duration": 30}


def test_targets_are_the_texts_that_the_planner_writes():
    targets = S.targets_of("soft", "la\nla", {"language": "no", "bpm": 120, "duration": None, "mood": "sad"})
    assert [(one.name, one.text, one.judged_by) for one in targets] == [
        ("bpm", "<think>\nbpm: 120\n</think>\n", "recall"),
        ("language", "<think>\nlanguage: 'no'\n</think>\n", "recall"),
        ("caption", "<think>\ncaption: soft\n</think>\n", "pmi"),
        ("lyrics", "<think>\n</think>\n# Lyric\nla\nla\n", "pmi"),
    ]


def test_the_metadatas_own_caption_comes_first():
    assert S.targets_of("a", "", {"caption": "b"})[0].text == "<think>\ncaption: b\n</think>\n"


def test_an_empty_caption_is_scored_by_the_original_alone():
    assert S.targets_of("", " ", None) == ()
    assert [one.text for one in S.targets_of("", "", {}, original=True)] == ["<think>\ncaption: ''\n</think>\n"]


def test_conditions_are_told_by_the_codes_or_they_are_not():
    asked: list[tuple[str, str]] = []

    def forced(name: str, odds: float) -> S.Forced:
        def predict(text: str) -> tuple[Tensor, Tensor]:
            asked.append((name, text))
            return torch.tensor([[0.0, math.log(odds)]] * 2), torch.tensor([1, 1])

        return predict

    found = S.score_conditions("soft", "la", {"bpm": 90}, forced("codes", 3.0), forced("nothing", 1.0), scale=1.0)
    assert found.fields["bpm"] == 1.0
    # probabilities 3/4 and 1/2: the sigmoid of the logarithm of 3/2
    assert found.fields["caption"] == found.fields["lyrics"] == pytest.approx(0.6, abs=1e-6)
    assert found.total.score == pytest.approx(0.8 * 0.6 + 0.2 * 1.0)
    assert [name for name, _ in asked] == ["codes", "codes", "nothing", "codes", "nothing"]
    with pytest.raises(RequestError, match="no fields"):
        S.score_conditions("", "", {}, forced("codes", 1), forced("nothing", 1))
