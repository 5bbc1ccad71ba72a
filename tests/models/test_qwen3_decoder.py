"""The decoder with its static cache against transformers' Qwen3ForCausalLM."""

from __future__ import annotations

import pytest
import torch

from partita.errors import RequestError
from partita.models.qwen3_decoder import Qwen3Decoder, last_states, padded, prefill
from tests.models.tiny_qwen3 import pair

IDS = torch.randint(0, 100, (2, 40), generator=torch.Generator().manual_seed(1))
UNEVEN = [IDS[0, :23].tolist(), IDS[1, :9].tolist(), IDS[0, 5:36].tolist()]
# Logits reach 11; in bfloat16 each of the two is up to 0.28 from the float32 one, and they are up to 0.23 apart.
LIMITS = {torch.float32: 2e-4, torch.bfloat16: 0.4}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def whole(decoder: Qwen3Decoder, ids: torch.Tensor) -> torch.Tensor:
    cache = decoder.new_cache(ids.shape[0], ids.shape[1])
    start = torch.zeros(ids.shape[0], dtype=torch.int64)
    return decoder.head()(decoder(ids, start, cache, ids.shape[1]))


@pytest.mark.parametrize("dtype", LIMITS)
def test_logits_of_one_pass_equal_those_of_transformers(dtype: torch.dtype):
    published, ours = pair(dtype)
    torch.testing.assert_close(whole(ours, IDS), published(IDS).logits.float(), atol=LIMITS[dtype], rtol=0)


def test_in_bfloat16_it_is_as_near_to_float32_as_transformers_is():
    exact = pair()[0](IDS).logits
    published, ours = pair(torch.bfloat16)
    error, theirs = whole(ours, IDS) - exact, published(IDS).logits.float() - exact
    assert error.square().mean().sqrt() < 1.15 * theirs.square().mean().sqrt()


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("run", [1, 7])
def test_token_by_token_and_run_by_run_equal_one_pass(dtype: torch.dtype, run: int):
    _, ours = pair(dtype)
    cache, start, steps = ours.new_cache(2, 40), torch.zeros(2, dtype=torch.int64), []
    for at in range(0, 40, run):
        part = IDS[:, at : at + run]
        steps.append(ours(part, start + at, cache, at + part.shape[1]))
    torch.testing.assert_close(ours.head()(torch.cat(steps, 1)), whole(ours, IDS), atol=LIMITS[dtype], rtol=0)


@pytest.mark.parametrize("dtype", LIMITS)
def test_rows_of_any_length_prefill_and_go_on_as_if_alone(dtype: torch.dtype):
    published, ours = pair(dtype)
    once, last = prefill(ours, UNEVEN)
    cache = once.spread(ours.config, [0, 1, 2], 50)
    more = [[7, 8, 9, 10], [11], [12, 13]]
    start = torch.tensor([len(row) for row in UNEVEN])
    states = ours(padded(more, last.device), start, cache, 45)
    after = ours.head()(last_states(states, [len(run) for run in more]))
    for row, (prompt, run) in enumerate(zip(UNEVEN, more, strict=True)):
        alone = published(torch.tensor([[*prompt, *run]])).logits.float()[0]
        torch.testing.assert_close(ours.head()(last)[row], alone[len(prompt) - 1], atol=LIMITS[dtype], rtol=0)
        torch.testing.assert_close(after[row], alone[-1], atol=LIMITS[dtype], rtol=0)


def test_padding_is_overwritten_by_the_tokens_that_follow():
    _, ours = pair()
    once, _ = prefill(ours, UNEVEN)
    cache = once.spread(ours.config, [1, 1], 50)
    ours(padded([[7, 8, 9], [7]], once.keys[0].device), torch.tensor([9, 9]), cache, 12)
    states = ours(torch.tensor([[1], [8]]), torch.tensor([12, 10]), cache, 13)
    states = ours(torch.tensor([[1], [9]]), torch.tensor([13, 11]), cache, 14)
    again = prefill(ours, [[*UNEVEN[1], 7, 8, 9]])[1]
    torch.testing.assert_close(states[1], again, atol=1e-4, rtol=0)


def test_one_prefill_spread_to_many_rows_equals_a_prefill_of_each():
    _, ours = pair()
    one, _ = prefill(ours, UNEVEN)
    spread = one.spread(ours.config, [1, 0, 1], 64)
    assert (spread.rows, spread.capacity) == (3, 64)
    for layer in range(3):
        assert torch.equal(spread.keys[layer][0, :, :9], one.keys[layer][1, :, :9])
        assert torch.equal(spread.values[layer][1, :, :23], one.values[layer][0, :, :23])
    ids, start = torch.tensor([[3], [4], [5]]), torch.tensor([9, 23, 9])
    states = ours(ids, start, spread, 24)
    for row, prompt in enumerate((UNEVEN[1], UNEVEN[0], UNEVEN[1])):
        alone = prefill(ours, [[*prompt, int(ids[row])]])[1]
        torch.testing.assert_close(states[row], alone, atol=1e-4, rtol=0)


def test_looking_at_more_of_the_cache_changes_nothing():
    _, ours = pair()
    caches = [prefill(ours, UNEVEN)[0].spread(ours.config, [0, 1, 2], 256) for _ in range(2)]
    ids, start = torch.tensor([[3], [4], [5]]), torch.tensor([23, 9, 31])
    exact, wide = (ours(ids, start, cache, span) for cache, span in zip(caches, (32, 256), strict=True))
    torch.testing.assert_close(wide, exact, atol=2e-5, rtol=0)


def test_what_lies_beyond_the_cache_harms_no_token_with_meaning():
    _, ours = pair()
    cache = prefill(ours, UNEVEN)[0].spread(ours.config, [1, 2], 34)
    # The second row has room for two tokens and one spare place; the first brings four, so two of padding fall there.
    states = ours(torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]), torch.tensor([9, 31]), cache, 33)
    alone = prefill(ours, [[*UNEVEN[2], 7, 8]])[1]
    torch.testing.assert_close(states[1, 1:2], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("ids", [range(10, 60), [99, *range(40, 80)], [5]])
def test_a_cut_head_gives_the_columns_of_the_whole_one(ids):
    _, ours = pair()
    _, last = prefill(ours, UNEVEN)
    head = ours.head(ids)
    assert head.ids.tolist() == list(ids)
    torch.testing.assert_close(head(last), ours.head()(last)[:, list(ids)], atol=1e-5, rtol=0)


def test_a_head_over_a_range_takes_no_memory_of_its_own():
    _, ours = pair()
    weight = ours.head(range(10, 60)).linear.weight
    assert weight.untyped_storage().data_ptr() == ours.embed_tokens.weight.untyped_storage().data_ptr()


@pytest.mark.parametrize("prompts", [[], [[]], [[1], []]])
def test_a_prompt_without_tokens_is_refused(prompts):
    _, ours = pair()
    with pytest.raises(RequestError, match="at least one token"):
        prefill(ours, prompts)
