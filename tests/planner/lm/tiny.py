"""Small planners with the recorded tokenizer: a network of random numbers that writes plain words, and a script."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any, TypeVar

import torch

from partita.models.qwen3_decoder import Head, KVCache, Qwen3Decoder
from partita.planner.lm.planner import LanguagePlanner
from partita.planner.lm.vocabulary import PlannerVocabulary
from tests.models.tiny_qwen3 import pair
from tests.planner.lm.material import tables

T = TypeVar("T")
_TURN = tables().vocabulary.encode("<|im_start|>")[0]


def tiny_decoder(vocabulary: PlannerVocabulary, **sizes: int) -> Qwen3Decoder:
    """Tokens that are no plain words are never likely."""
    decoder = pair(**({"vocab_size": vocabulary.size} | sizes))[1]
    likely = [_is_plain(text) or vocabulary.code_of(i) is not None for i, text in enumerate(vocabulary.texts)]
    likely += [False] * (decoder.config.vocab_size - len(likely))
    with torch.no_grad():
        decoder.embed_tokens.weight.mul_(torch.tensor(likely)[:, None])
    return decoder


def _is_plain(text: str) -> bool:
    return text.isascii() and (text.strip().isalpha() or text == "\n") and "think" not in text


def tiny_planner(**sizes: int) -> LanguagePlanner:
    return LanguagePlanner(tiny_decoder(tables().vocabulary, **sizes), tables())


def ran(run: Generator[Any, None, T]) -> tuple[T, list[Any]]:
    """What a generator returns, and its events."""
    events: list[Any] = []
    while True:
        try:
            events.append(next(run))
        except StopIteration as stop:
            return stop.value, events


class Script:
    """Stands in for a decoder: it writes the values that are in `runs`, one mapping for each prompt that it reads, and
    the last for all further ones. Those with `codes` answer prompts with a finished thought, the others all else.
    `lyrics` follow the thought, every other name is a field.

    Values are what the network would like best; forced ones and given ones are not asked for. `prompts` are the texts
    that it read, `read` counts the tokens that it was called for afterwards.
    """

    def __init__(self, *runs: dict[str, Any], vocab_size: int | None = None) -> None:
        self._vocabulary = tables().vocabulary
        self._runs = {
            with_codes: [run for run in runs if ("codes" in run) == with_codes] for with_codes in (True, False)
        }
        self._run: dict[str, Any] = {}
        self.config = SimpleNamespace(
            vocab_size=vocab_size or self._vocabulary.size,
            num_hidden_layers=1, num_key_value_heads=1, head_dim=2, rope_theta=1e4,
        )  # fmt: skip
        self.like, self.native = torch.zeros(1), None
        self.prompts: list[str] = []
        self.read = 0
        self._rows: list[list[int]] = []
        self._reading = False

    def head(self, ids: Any = None, form: Any = None) -> Head:
        chosen = torch.tensor(list(range(self.config.vocab_size) if ids is None else ids))
        return Head(_Points(chosen), chosen)

    def new_cache(self, rows: int, capacity: int) -> KVCache:
        return KVCache.allocate(self.config, rows, capacity, self.like)  # type: ignore[arg-type]

    def __call__(self, ids: torch.Tensor, start: torch.Tensor, cache: KVCache, span: int) -> torch.Tensor:
        if not start.any():  # a prompt, or after it the one to guide away from
            rows = [self._without_padding(row) for row in ids.tolist()]
            if not self._reading:
                self._rows = []
                self.prompts.append(self._vocabulary.decode(rows[0]))
                left = self._runs[self._vocabulary.close_think_id in rows[0]] or [{}]
                self._run = left.pop(0) if len(left) > 1 else left[0]
            self._reading = True
            self._rows += rows
            wanted = [[self._next(row, 0)] * ids.shape[1] for row in rows]
            return torch.tensor(wanted, dtype=torch.float32)[..., None]
        self._reading = False
        self.read += 1
        prompts = len(self._rows) if cache.rows % len(self._rows) == 0 else 1
        if len(self._rows) != cache.rows:
            self._rows = [row[:] for row in self._rows for _ in range(cache.rows // prompts)]
        wanted = []
        for row, (known, place) in enumerate(zip(self._rows, start.tolist(), strict=True)):
            self._rows[row] = known = known[:place]
            wanted.append([])
            for token in ids[row].tolist():
                known.append(token)
                wanted[-1].append(self._next(known, row))
        return torch.tensor(wanted, dtype=torch.float32)[..., None]

    def _without_padding(self, row: list[int]) -> list[int]:
        while row[-1] == 0:
            row = row[:-1]
        return row

    def _next(self, known: list[int], row: int) -> int:
        vocabulary, run = self._vocabulary, self._run
        turn = len(known) - known[::-1].index(_TURN)
        answer = known[turn:]
        if vocabulary.close_think_id in answer:
            after = answer[answer.index(vocabulary.close_think_id) + 1 :]
            if "codes" in run:
                count = sum(vocabulary.code_of(token) is not None for token in after)
                codes = [vocabulary.encode(f"<|audio_code_{code}|>")[0] for code in run["codes"]]
                return codes[count] if count < len(codes) else vocabulary.end_id
            lyrics = [*vocabulary.encode(run.get("lyrics", "")), vocabulary.end_id]
            return lyrics[len(after)] if len(after) < len(lyrics) else vocabulary.end_id
        line: list[int] = []
        for token in reversed(answer):
            if vocabulary.text(token).endswith("\n"):
                break
            line.insert(0, token)
        if not line:
            return vocabulary.encode("duration:")[0]  # what a caption is left by
        name = vocabulary.decode(line).partition(":")[0]
        if name not in run:
            return vocabulary.newline_id
        full = [*vocabulary.encode(f"{name}: {run[name]}"), vocabulary.newline_id]
        return full[len(line)] if len(line) < len(full) else vocabulary.newline_id


class _Points(torch.nn.Module):
    """Logits that are large at the token that a state names."""

    read_bytes = 0

    def __init__(self, ids: torch.Tensor) -> None:
        super().__init__()
        self._ids = ids

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return 40.0 * (self._ids == states)


SONG = {
    "bpm": 96,
    "caption": "soft piano, warm and slow",
    "duration": 12,
    "genres": "ballad",
    "keyscale": "F# minor",
    "language": "en",
    "timesignature": 4,
}
"""Metadata as a planner writes it."""


def codes_for(seconds: int) -> list[int]:
    """Codes that the tokenizer knows, none of them like the one before."""
    known = sorted(code for i in tables().vocabulary.code_ids if (code := tables().vocabulary.code_of(i)) is not None)
    return [known[(7 * place) % len(known)] for place in range(5 * seconds)]


def scripted(*runs: dict[str, Any]) -> tuple[LanguagePlanner, Script]:
    script = Script(*runs)
    return LanguagePlanner(script, tables()), script  # type: ignore[arg-type]
