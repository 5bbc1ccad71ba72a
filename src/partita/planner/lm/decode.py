"""The decode loop of the planner: one prompt to N continuations, as a generator of events.

It knows rows, caches and counts; what a token may be is a `Constraint`'s business, how it is chosen `sampling`'s, what
the network is `models.qwen3_decoder`'s. Who stops iterating has cancelled. Between two looks at the constraints nothing
waits for the device: `Constraint.steady` says how many tokens may be chosen blindly, and they are read back together.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from partita.errors import RequestError
from partita.models.qwen3_decoder import Head, Qwen3Decoder, padded, prefill
from partita.planner.lm.sampling import Sampling, draw, draws, filtered, guide, mark_seen, seen_tokens
from partita.planner.lm.steps import Speed, Step, make_step

TOKENS_AT_ONCE = 16
"""The most tokens that are chosen before any is read back: a fifth of a second's worth on a fast device, so that
progress moves and a row that ends early costs little."""


class Constraint(Protocol):
    """What may follow in one row. A value: `advance` and `masked` return the next one."""

    @property
    def done(self) -> bool:
        """Nothing follows."""
        ...

    def forced(self) -> Sequence[int]:
        """Tokens that follow without a choice; empty where there is one."""
        ...

    def steady(self) -> int:
        """For how many tokens, at least 1, `masked` would do the same whatever is chosen, the end apart."""
        ...

    def remaining(self) -> int | None:
        """How many tokens are still to come, where that is settled."""
        ...

    def masked(self, logits: Tensor) -> tuple[Tensor, Self]:
        """The row's raw logits `[V]`, one a column of the head, with what may not follow at minus infinity; and the
        constraint to go on from, as some look at the logits. Must not wait for the device where `steady` is above 1."""
        ...

    def advance(self, token: int) -> Self:
        """After `token`, chosen or forced."""
        ...


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What to write: `len(seeds)` continuations of one `prompt`, of at most `max_tokens` each.

    With `unconditional`, a prompt of its own length, and a guidance above 1 every continuation is guided by a second
    row. `phase` tells draws of one seed apart (`sampling.draws`).
    """

    prompt: Sequence[int]
    seeds: Sequence[int]
    constraint: Constraint
    max_tokens: int
    sampling: Sampling
    unconditional: Sequence[int] | None = None
    phase: int = 0

    @property
    def guided(self) -> bool:
        """Whether a second row runs beside each."""
        return self.unconditional is not None and self.sampling.guidance > 1.0

    @property
    def prompts(self) -> list[Sequence[int]]:
        """The prompt, and the unconditional one where it is needed."""
        return [self.prompt, self.unconditional] if self.guided and self.unconditional is not None else [self.prompt]


@dataclass(frozen=True, slots=True)
class Progress:
    """`tokens` of the longest row are written, of `total` where that is settled; rows together gain `tokens_per_s`."""

    tokens: int
    total: int | None
    tokens_per_s: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know, such as a fall-back."""

    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """The last event: each row's tokens, prompt excluded, and whether it ended by itself or at `max_tokens`."""

    tokens: tuple[tuple[int, ...], ...]
    ended: tuple[bool, ...]
    seconds: float


Event = Progress | Notice | Written


@torch.inference_mode()
def decode(decoder: Qwen3Decoder, head: Head, work: Continuation, speed: Speed | None = None) -> Iterator[Event]:
    """Write `work`: yields `Progress` after the prompt and after every few tokens, last `Written`.

    A row depends on its own seed and constraint alone; how many run beside it changes its logits by rounding at most.
    Raises RequestError for an empty prompt, no seed or no token to write, ModelError where the constraint refuses what
    was chosen.
    """
    if not work.seeds or work.max_tokens < 1:
        raise RequestError(
            f"{len(work.seeds)} seeds and {work.max_tokens} tokens leave nothing to write; give at least one of each.",
            field="seeds",
        )
    began = time.perf_counter()
    rows = _Rows(decoder, head, work)
    step, clock = make_step(decoder, head, rows.cache, speed or Speed()), _Clock(rows)
    yield clock.progress()
    logits = head(rows.first_states())
    while live := rows.live:
        rows.choose(logits, step, live)
        yield from (Notice(text) for text in step.notices())
        yield clock.progress()
        if rows.live:
            logits = rows.extend(step)
    tokens = tuple(tuple(row) for row in rows.tokens)
    yield Written(tokens, tuple(one.done for one in rows.constraints), time.perf_counter() - began)


@torch.inference_mode()
def score(decoder: Qwen3Decoder, head: Head, prompt: Sequence[int], targets: Sequence[Sequence[int]]) -> list[Tensor]:
    """Teacher forcing: for each of `targets` the float32 logits `[K, V]` that predict its K tokens after `prompt`.

    The prompt is read once. Raises RequestError for an empty one.
    """
    cache, last = prefill(decoder, [prompt])
    cache = cache.spread(decoder.config, [0], len(prompt) + max(map(len, targets), default=0))
    start = torch.tensor([len(prompt)], device=last.device)
    found: list[Tensor] = []
    for target in targets:
        states = last[: len(target)]
        if len(target) > 1:
            ids = padded([target[:-1]], last.device)
            states = torch.cat((last, decoder(ids, start, cache, len(prompt) + ids.shape[1])[0]))
        found.append(head(states))
    return found


class _Rows:
    """The rows of one run. The cache has all conditional ones first, then, where guided, all unconditional ones."""

    def __init__(self, decoder: Qwen3Decoder, head: Head, work: Continuation) -> None:
        self._work, self._head = work, head
        self._device = decoder.like.device
        self.constraints = [work.constraint for _ in work.seeds]
        self.tokens: list[list[int]] = [[] for _ in work.seeds]
        self._pending: list[list[int]] = [[] for _ in work.seeds]  # written, and not yet in the cache
        self._uniform = torch.stack([draws(seed, work.max_tokens, work.phase) for seed in work.seeds]).to(self._device)
        for row in range(len(work.seeds)):
            self._take(row, self.constraints[row].forced())
        prompts = [[*prompt, *self.tokens[0]] for prompt in work.prompts]  # what all begin with is read along
        once, self._last = prefill(decoder, prompts)
        self._copied = [at for at in range(len(prompts)) for _ in work.seeds]
        # One place more than a row can fill, for padding to fall on.
        self.cache = once.spread(decoder.config, self._copied, max(map(len, work.prompts)) + work.max_tokens + 1)
        self._seen: Tensor | None = None
        if work.sampling.repetition_penalty != 1.0:
            seen = seen_tokens(torch.tensor([prompts[0]], device=self._device), decoder.config.vocab_size)
            self._seen = seen.repeat(len(work.seeds), 1)

    @property
    def live(self) -> list[int]:
        """Rows that go on."""
        most = self._work.max_tokens
        return [r for r, one in enumerate(self.constraints) if not one.done and len(self.tokens[r]) < most]

    def first_states(self) -> Tensor:
        """States after the prompt, one for each row of the cache, `[B, D]`."""
        return self._last.index_select(0, self._tensor(self._copied))

    def choose(self, logits: Tensor, step: Step, live: list[int]) -> None:
        """From logits `[B, V]` on, choose as many tokens as can be before one must be looked at, then look at them."""
        room = (min(self.constraints[r].steady(), self._work.max_tokens - len(self.tokens[r])) for r in live)
        count = min(TOKENS_AT_ONCE, *room)
        places, span = self._tensor(self._cached()), self._span(live)
        written = self._tensor([len(row) for row in self.tokens])
        chosen = [self._one(logits, written, live)]
        for at in range(1, count):
            ids = chosen[-1].repeat(len(self._work.prompts))[:, None]
            chosen.append(self._one(step(ids, places + (at - 1), span + at), written + at, live))
        tokens = torch.stack(chosen, dim=1).tolist()
        for row in live:
            self._take(row, tokens[row])
            forced = self._take(row, self.constraints[row].forced())
            self._pending[row] = [tokens[row][-1], *forced]
            if self._seen is not None and forced:
                self._seen[row, self._tensor(forced)] = True

    def extend(self, step: Step) -> Tensor:
        """Read what is pending, and give the logits `[B, V]` of what follows."""
        live = self.live
        runs = [self._pending[row] if row in live else [0] for row in range(len(self.tokens))]
        ids = padded(runs * len(self._work.prompts), self._device)
        places = self._tensor(self._cached())
        self._pending = [[] for _ in self.tokens]
        lengths = None if ids.shape[1] == 1 else [len(run) for run in runs] * len(self._work.prompts)
        return step(ids, places, self._span(live), lengths)

    def _one(self, logits: Tensor, written: Tensor, live: list[int]) -> Tensor:
        """Logits `[B, V]` -> a token for each row, int64 `[N]`, drawn with its number at `written` `[N]`."""
        if self._work.guided:
            conditional, unconditional = logits.chunk(2)
            logits = guide(conditional, unconditional, self._work.sampling.guidance)
        masked = list(logits)
        for row in live:
            masked[row], self.constraints[row] = self.constraints[row].masked(masked[row])
        seen = None if self._seen is None else self._seen[:, self._head.ids]
        uniform = self._uniform.gather(1, written.clamp(max=self._work.max_tokens - 1)[:, None]).squeeze(1)
        tokens = self._head.ids[draw(filtered(torch.stack(masked), self._work.sampling, seen), uniform)]
        if self._seen is not None:
            self._seen = mark_seen(self._seen, tokens[:, None])
        return tokens

    def _take(self, row: int, tokens: Sequence[int]) -> list[int]:
        """Write `tokens` to `row`, as far as it goes on; gives those that were written."""
        taken: list[int] = []
        for token in tokens:
            if self.constraints[row].done or len(self.tokens[row]) == self._work.max_tokens:
                break
            self.constraints[row] = self.constraints[row].advance(token)
            self.tokens[row].append(token)
            taken.append(token)
        return taken

    def _cached(self) -> list[int]:
        """How many places each row of the cache has filled."""
        prompts = self._work.prompts
        own = [len(tokens) - len(pending) for tokens, pending in zip(self.tokens, self._pending, strict=True)]
        return [len(prompt) + count for prompt in prompts for count in own]

    def _span(self, live: list[int]) -> int:
        """How much of the cache the rows of `live` fill, pending tokens included."""
        return max(map(len, self._work.prompts)) + max(len(self.tokens[row]) for row in live)

    def _tensor(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.int64, device=self._device)


class _Clock:
    """Rates since the prompt was read."""

    def __init__(self, rows: _Rows) -> None:
        self._rows, self._began = rows, time.perf_counter()
        self._before = [len(tokens) for tokens in rows.tokens]

    def progress(self) -> Progress:
        """How far the rows are."""
        rows, lengths = self._rows, [len(tokens) for tokens in self._rows.tokens]
        left = [rows.constraints[row].remaining() for row in rows.live]
        known = [count for count in left if count is not None]
        to_come = max(known, default=0) if len(known) == len(left) else None
        seconds = time.perf_counter() - self._began
        gained = [now - then for now, then in zip(lengths, self._before, strict=True)]
        a_row = max(gained) / seconds if seconds > 0 else 0.0
        total = None if to_come is None else max(lengths) + to_come
        seconds_left = to_come / a_row if to_come is not None and a_row > 0 else None
        return Progress(max(lengths), total, sum(gained) / max(seconds, 1e-9), seconds_left)
