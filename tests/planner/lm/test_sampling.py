"""Guidance, penalties, filters and draws, on small distributions that can be checked by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from partita.errors import RequestError
from partita.planner.lm.sampling import (
    Sampling,
    draw,
    draws,
    filtered,
    guide,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    mark_seen,
    penalise,
    seen_tokens,
    warm,
)

PROBABILITIES = torch.tensor([[0.1, 0.5, 0.3, 0.1]])


def kept(logits: Tensor) -> list[int]:
    return logits[0].isfinite().nonzero().flatten().tolist()


def test_guidance_pushes_away_from_the_unconditional_branch() -> None:
    guided = guide(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0]]), 2.0)
    assert guided.tolist() == [[2.0, 1.0]]
    assert guide(torch.tensor([[1.0]]), torch.tensor([[9.0]]), 1.0).tolist() == [[1.0]]
    assert (
        guide(torch.ones(1, 2, dtype=torch.bfloat16), torch.ones(1, 2, dtype=torch.bfloat16), 3.0).dtype
        == torch.float32
    )


def test_a_penalty_pulls_seen_tokens_down_whatever_their_sign() -> None:
    seen = mark_seen(seen_tokens(torch.tensor([[0]]), 4), torch.tensor([[2]]))
    logits = torch.tensor([[2.0, 2.0, -1.0, -1.0]])
    assert penalise(logits, seen, 2.0).tolist() == [[1.0, 2.0, -2.0, -1.0]]
    assert penalise(logits, seen, 1.0) is logits


def test_top_k_keeps_ties() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0, 2.0]])
    assert kept(keep_top_k(logits, 2)) == [1, 2, 3]
    assert kept(keep_top_k(logits, 0)) == kept(keep_top_k(logits, None)) == kept(keep_top_k(logits, 9)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("p", "left"), [(0.4, [1]), (0.55, [1, 2]), (0.0, [0, 1, 2, 3]), (1.0, [0, 1, 2, 3])])
def test_top_p_keeps_the_first_that_exceeds_it(p: float, left: list[int]) -> None:
    assert kept(keep_top_p(PROBABILITIES.log(), p)) == left


def test_min_p_is_relative_to_the_best() -> None:
    assert kept(keep_min_p(PROBABILITIES.log(), 0.5)) == [1, 2]
    assert kept(keep_min_p(PROBABILITIES.log(), 0.0)) == [0, 1, 2, 3]


def test_temperature_zero_takes_the_best() -> None:
    assert kept(warm(PROBABILITIES.log(), 0.0)) == [1]
    assert warm(torch.tensor([[2.0]]), 0.5).tolist() == [[4.0]]


def test_filters_come_after_the_temperature() -> None:
    logits = PROBABILITIES.log()
    assert kept(filtered(logits, Sampling(temperature=0.2, top_p=0.9))) == [1]
    assert kept(filtered(logits, Sampling(temperature=1.0, top_p=0.9))) != [1]
    assert kept(filtered(logits, Sampling(temperature=0.0))) == [1]


def test_filters_leave_what_the_grammar_forbade_forbidden() -> None:
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf"), -50.0]])
    seen = torch.ones(1, 4, dtype=torch.bool)
    settings = Sampling(top_k=3, top_p=0.999, min_p=0.0, repetition_penalty=1.5)
    assert set(kept(filtered(logits, settings, seen))) <= {1, 3}


@given(st.integers(0, 2**32), st.floats(0.0, 1.0, exclude_max=True, width=32))
def test_a_draw_is_always_possible(seed: int, uniform: float) -> None:
    logits = 5 * torch.randn(3, 50, generator=torch.Generator().manual_seed(seed))
    logits[:, 10:] = float("-inf")
    found = draw(logits, torch.full((3,), uniform))
    assert bool((found < 10).all())


def test_draws_follow_the_distribution() -> None:
    grid = (torch.arange(1000) + 0.5) / 1000
    found = draw(PROBABILITIES.log().expand(1000, 4), grid)
    assert found.bincount().tolist() == [100, 500, 300, 100]


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    logits = torch.randn(4, 100, generator=torch.Generator().manual_seed(0))
    uniform = draws(5, 4)
    alone = [int(draw(logits[b : b + 1], uniform[b : b + 1])) for b in range(4)]
    assert draw(logits, uniform).tolist() == alone


def test_draws_are_the_seeds_own() -> None:
    assert torch.equal(draws(5, 10), draws(5, 100)[:10])
    assert not torch.equal(draws(5, 10), draws(6, 10))
    assert not torch.equal(draws(5, 10), draws(5, 10, phase=1))
    assert bool((draws(5, 10_000) < 1).all())


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", -0.1), ("top_p", 1.5), ("top_k", -1), ("min_p", float("nan")), ("repetition_penalty", 0.0)],
)
def test_settings_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(RequestError, match=f"{field} is") as caught:
        Sampling(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.999, 1.0 - 2.0**-20])
@pytest.mark.parametrize("spread", [0.0, 0.1, 2.0, 30.0])
def test_top_p_keeps_what_a_sort_of_all_keeps(p: float, spread: float) -> None:
    logits = spread * torch.randn(3, 5000, generator=torch.Generator().manual_seed(0))
    logits[1] = logits[1].bfloat16()  # with many equals
    logits[2, 100:] = -torch.inf
    for row, found in zip(logits, keep_top_p(logits, p), strict=True):
        ordered, order = row.softmax(dim=-1).double().sort(descending=True, stable=True)
        count = int((ordered.cumsum(dim=-1) <= p).sum()) + 1
        expected = torch.full_like(row, -torch.inf).index_copy_(0, order[:count], row[order[:count]])
        assert torch.equal(found, expected)
