"""The decode loop with a tiny network and a fake grammar."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from partita.errors import RequestError
from partita.models.native_step import build
from partita.models.quantised import Int8Linear
from partita.models.qwen3_decoder import Qwen3Decoder
from partita.planner.lm.decode import TOKENS_AT_ONCE, Continuation, Notice, Progress, Written, decode, score
from partita.planner.lm.sampling import Sampling
from partita.planner.lm.steps import GraphedBody, GuardedStep, Speed
from tests.models.tiny_qwen3 import pair

END = 99
PROMPT, OTHER = [5, 6, 7, 8, 9], [1, 2]


@dataclass(frozen=True)
class Fake:
    """Anything up to `length` tokens or END, `script` (place -> run) in between; `columns` are the head's tokens."""

    length: int = 10**6
    script: tuple[tuple[int, tuple[int, ...]], ...] = ()
    looks: bool = True
    banned: tuple[int, ...] = ()
    at: int = 0
    ended: bool = False
    columns: tuple[int, ...] = tuple(range(100))

    @property
    def done(self) -> bool:
        return self.ended or self.at >= self.length

    def forced(self) -> tuple[int, ...]:
        return dict(self.script).get(self.at, ())

    def steady(self) -> int:
        return 1 if self.looks or self.script else max(1, self.length - self.at)

    def remaining(self) -> int | None:
        return None if self.length == 10**6 else self.length - self.at

    def masked(self, logits: Tensor) -> tuple[Tensor, Fake]:
        assert logits.shape == (len(self.columns),)
        wall = torch.tensor([token in self.banned for token in self.columns])
        return logits.masked_fill(wall, -torch.inf), self

    def advance(self, token: int) -> Fake:
        assert token not in self.banned
        return replace(self, at=self.at + 1, ended=token == END)


@pytest.fixture(scope="module")
def decoder() -> Qwen3Decoder:
    return pair()[1]


def work(**changes: Any) -> Continuation:
    settings = {
        "prompt": PROMPT,
        "seeds": [1, 2, 3],
        "constraint": Fake(),
        "max_tokens": 40,
        "sampling": Sampling(temperature=1.0, top_p=1.0, guidance=1.0),
    }
    return Continuation(**settings | changes)


def written(decoder: Qwen3Decoder, head: Any = None, speed: Speed | None = None, **changes: Any) -> Written:
    *_, last = decode(decoder, head or decoder.head(), work(**changes), speed)
    assert isinstance(last, Written)
    return last


def greedy(published: Any, prompt: list[int], count: int) -> list[int]:
    """The best tokens one after another, up to the first END."""
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        for _ in range(count):
            ids = torch.cat((ids, published(ids).logits[:, -1].argmax(-1, keepdim=True)), dim=1)
    found = ids[0, len(prompt) :].tolist()
    return found[: found.index(END) + 1] if END in found else found


BEST = Sampling(temperature=0.0, top_p=1.0, guidance=1.0)


@pytest.mark.parametrize("looks", [True, False])
def test_without_temperature_it_writes_what_transformers_writes(looks: bool):
    published, ours = pair()
    found = written(ours, seeds=[0], sampling=BEST, constraint=Fake(looks=looks, length=40))
    assert list(found.tokens[0]) == greedy(published, PROMPT, 40)


def test_guidance_of_two_prompts_of_different_lengths_equals_two_models_side_by_side():
    published, ours = pair()
    found = written(
        ours,
        seeds=[0],
        max_tokens=30,
        unconditional=OTHER,
        sampling=Sampling(temperature=0.0, top_p=1.0, guidance=2.5),
        constraint=Fake(looks=False, length=30),
    )
    expected: list[int] = []
    with torch.inference_mode():
        for _ in range(30):
            with_, without = (published(torch.tensor([[*p, *expected]])).logits[0, -1] for p in (PROMPT, OTHER))
            expected.append(int((without + 2.5 * (with_ - without)).argmax()))
    assert list(found.tokens[0]) == expected
    assert expected != greedy(published, PROMPT, 30)


@pytest.mark.parametrize("looks", [True, False])
def test_a_row_is_the_same_whatever_its_neighbours(decoder: Qwen3Decoder, looks: bool):
    constraint = Fake(looks=looks)
    guided = {"unconditional": OTHER, "sampling": Sampling(guidance=2.0), "constraint": constraint}
    together = written(decoder, seeds=[1, 2, 3], **guided)
    assert len(set(together.tokens)) == 3
    for row, seed in enumerate((1, 2, 3)):
        assert written(decoder, seeds=[seed], **guided).tokens[0] == together.tokens[row]
    assert written(decoder, seeds=[3, 3, 2], **guided).tokens == (together.tokens[2],) * 2 + (together.tokens[1],)


def test_a_phase_of_its_own_draws_otherwise(decoder: Qwen3Decoder):
    assert written(decoder, phase=1).tokens != written(decoder, phase=0).tokens


def test_choosing_blindly_writes_what_looking_at_every_token_writes(decoder: Qwen3Decoder):
    blind = written(decoder, seeds=range(8), constraint=Fake(looks=False))
    assert written(decoder, seeds=range(8), constraint=Fake(looks=True)).tokens == blind.tokens
    assert {len(row) for row in blind.tokens} != {40}  # some ended early
    assert all(END not in row[:-1] for row in blind.tokens)
    assert [row[-1] == END for row in blind.tokens] == list(blind.ended)


def test_a_forced_run_is_written_as_if_token_by_token():
    published, ours = pair()
    script = ((0, (11, 12, 13)), (5, (20, 21, 22, 23, 24)), (12, (30,)))
    found = list(written(ours, seeds=[0], max_tokens=20, sampling=BEST, constraint=Fake(script=script)).tokens[0])
    expected: list[int] = []
    while len(expected) < 20:
        run = dict(script).get(len(expected)) or greedy(published, [*PROMPT, *expected], 1)
        expected += run
    assert found == expected[:20]


def test_rows_that_are_forced_at_different_places_do_not_disturb_each_other(decoder: Qwen3Decoder):
    @dataclass(frozen=True)
    class AfterLow(Fake):
        """A long run after every token below 30."""

        queue: tuple[int, ...] = ()

        def forced(self) -> tuple[int, ...]:
            return self.queue

        def advance(self, token: int) -> AfterLow:
            queue = self.queue[1:] if self.queue else (60, 61, 62) * (1 + token % 3) if token < 30 else ()
            return replace(self, at=self.at + 1, ended=token == END, queue=queue)

    together = written(decoder, seeds=range(6), constraint=AfterLow(), unconditional=OTHER, sampling=Sampling())
    for seed in range(6):
        alone = written(decoder, seeds=[seed], constraint=AfterLow(), unconditional=OTHER, sampling=Sampling())
        assert alone.tokens[0] == together.tokens[seed]


def test_a_forced_end_stops_at_once_and_a_forced_run_at_the_limit(decoder: Qwen3Decoder):
    ended = written(decoder, constraint=Fake(script=((4, (END,)),)))
    assert all(len(row) <= 5 and row[-1] == END for row in ended.tokens)
    cut = written(decoder, constraint=Fake(script=((1, (7,) * 100),), banned=(END,)))
    assert [len(row) for row in cut.tokens] == [40] * 3
    assert cut.ended == (False,) * 3


def test_all_that_is_forced_needs_no_choice(decoder: Qwen3Decoder):
    found = written(decoder, constraint=Fake(script=((0, (3, 4, END)),)))
    assert found.tokens == ((3, 4, END),) * 3


def test_with_a_cut_head_only_its_tokens_are_written(decoder: Qwen3Decoder):
    columns = (*range(40, 80), END)
    found = written(decoder, decoder.head(columns), constraint=Fake(columns=columns, looks=False))
    assert {token for row in found.tokens for token in row} <= set(columns)
    banned = tuple(set(range(100)) - set(columns))
    assert found.tokens == written(decoder, constraint=Fake(banned=banned)).tokens


def test_a_repetition_penalty_counts_prompt_and_what_is_written(decoder: Qwen3Decoder):
    strong = Sampling(temperature=0.0, top_p=1.0, guidance=1.0, repetition_penalty=10.0)
    length = 30
    for looks in (True, False):
        found = written(decoder, seeds=[0], sampling=strong, constraint=Fake(looks=looks, length=length, banned=(END,)))
        assert len({*found.tokens[0], *PROMPT}) == length + len(PROMPT)


def test_progress_says_how_far_how_fast_and_how_long(decoder: Qwen3Decoder):
    length = TOKENS_AT_ONCE * 2 + 3
    constraint = Fake(looks=False, length=length, banned=(END,))
    *events, _ = decode(decoder, decoder.head(), work(constraint=constraint, max_tokens=99))
    assert [event.tokens for event in events] == [0, TOKENS_AT_ONCE, 2 * TOKENS_AT_ONCE, length]
    assert [event.total for event in events] == [length] * 4
    assert events[0].seconds_left is None
    assert events[1].tokens_per_s > 0
    assert events[1].seconds_left == pytest.approx(3 * (length - TOKENS_AT_ONCE) / events[1].tokens_per_s)
    assert events[-1].seconds_left == 0


def test_without_a_settled_count_nothing_is_foretold(decoder: Qwen3Decoder):
    first, second, *_ = decode(decoder, decoder.head(), work(constraint=Fake(banned=(END,))))
    assert (first.total, second.total, second.seconds_left) == (None, None, None)
    assert second.tokens == 1


def test_who_stops_iterating_has_cancelled(decoder: Qwen3Decoder):
    run = decode(decoder, decoder.head(), work(constraint=Fake(banned=(END,))))
    assert [event.tokens for event in islice(run, 3)] == [0, 1, 2]
    run.close()
    assert next(run, None) is None


def test_nothing_to_write_is_refused(decoder: Qwen3Decoder):
    for changes in ({"seeds": []}, {"max_tokens": 0}):
        with pytest.raises(RequestError, match="nothing to write"):
            list(decode(decoder, decoder.head(), work(**changes)))


@pytest.mark.parametrize("target", [[3], [3, 4, 5, 6], []])
def test_scores_are_the_logits_of_a_whole_pass_at_the_target(target: list[int]):
    published, ours = pair()
    found = score(ours, ours.head(), PROMPT, [[50] * 6, target, target])
    with torch.inference_mode():
        whole = published(torch.tensor([[*PROMPT, *target]])).logits[0]
    for one in found[1:]:
        torch.testing.assert_close(one, whole[len(PROMPT) - 1 : len(PROMPT) + len(target) - 1], atol=2e-4, rtol=0)


def test_a_capture_that_fails_is_told_once_and_the_words_are_the_same(
    decoder: Qwen3Decoder, monkeypatch: pytest.MonkeyPatch
):
    def failing(function: Any) -> Any:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore lines")

    plain = written(decoder)
    monkeypatch.setattr("partita.planner.lm.steps.EagerStep", lambda body: graphed(body, failing))
    events = list(decode(decoder, decoder.head(), work()))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert len(notices) == 1
    assert "operation not permitted" in notices[0]
    assert "\n" not in notices[0]
    assert events[-1].tokens == plain.tokens


def test_what_was_captured_is_replayed_for_each_block_of_the_cache(
    decoder: Qwen3Decoder, monkeypatch: pytest.MonkeyPatch
):
    spans: list[Tensor] = []

    def recording(function: Any) -> Any:
        result = function().clone()
        spans.append(result)
        return lambda: result.copy_(function()), result

    changes = {"max_tokens": 290, "constraint": Fake(looks=False, banned=(END,))}
    plain = written(decoder, **changes)
    monkeypatch.setattr("partita.planner.lm.steps.EagerStep", lambda body: graphed(body, recording, 5 + 291))
    assert written(decoder, **changes).tokens == plain.tokens
    assert len(spans) == 2


def graphed(body: Any, capture: Any, capacity: int = 46) -> GuardedStep:
    return GuardedStep(GraphedBody(body, 3, torch.device("cpu"), capture), body, capacity, "The graph")


def test_a_compiled_step_writes_the_same(decoder: Qwen3Decoder, monkeypatch: pytest.MonkeyPatch):
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda body, **options: compiled(body, backend="eager", **options))
    events = list(decode(decoder, decoder.head(), work(), Speed(compiled=True)))
    assert not [event for event in events if isinstance(event, Notice)]
    assert isinstance(events[0], Progress)
    assert events[-1].tokens == written(decoder).tokens


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Qwen3Decoder:
    made = build(tmp_path_factory.mktemp("native"))
    if made.function is None:
        pytest.skip(f"no native step: {made.reason}")
    decoder = pair(torch.bfloat16, form=Int8Linear)[1]
    decoder.native = made.function
    return decoder


def test_a_step_built_for_the_processor_writes_what_torch_writes(native: Qwen3Decoder, monkeypatch: pytest.MonkeyPatch):
    exact = pair()[1]
    plain = written(exact).tokens
    exact.native = native.native
    monkeypatch.setattr(Qwen3Decoder, "forward", first_passes(Qwen3Decoder.forward, passes=1))
    assert written(exact).tokens == plain


def first_passes(forward: Any, passes: int) -> Any:
    """`forward` of a network so many times, and then never again."""

    def counted(self: Qwen3Decoder, *arguments: Any) -> Tensor:
        nonlocal passes
        passes -= 1
        assert passes >= 0
        return forward(self, *arguments)

    return counted


def test_with_it_a_seed_writes_the_same_beside_any_number_of_others(native: Qwen3Decoder):
    guided = {"unconditional": OTHER, "sampling": Sampling(temperature=1.0, top_p=0.95, guidance=2.0)}
    together = written(native, seeds=[1, 2, 3, 4, 5], **guided).tokens
    assert [written(native, seeds=[seed], **guided).tokens[0] for seed in (1, 2, 3, 4, 5)] == list(together)


def test_with_it_a_row_that_is_forced_is_the_same_beside_any_number_of_others(native: Qwen3Decoder):
    forced = {"constraint": Fake(script=((4, (3, 1, 4)), (9, (7,)), (20, (5, 5))))}
    together = written(native, seeds=[1, 2, 3, 4, 5], **forced).tokens
    assert [written(native, seeds=[seed], **forced).tokens[0] for seed in (1, 2, 3, 4, 5)] == list(together)


def test_it_has_a_switch(native: Qwen3Decoder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("partita.planner.lm.steps.NativeStep", lambda *_: pytest.fail("it was taken"))
    assert written(native, speed=Speed(native=False)).tokens
