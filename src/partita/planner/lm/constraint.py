"""The grammar as the decode loop wants it: one value a row that masks logits, knows what is forced, and moves on.

A head gives logits for the whole vocabulary, or for the codes and the end of the turn alone (`CodeColumns`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from partita.planner.lm.grammar import Grammar
from partita.planner.lm.masks import Masks
from partita.planner.lm.states import Place, State, Wide
from partita.planner.lm.vocabulary import PlannerVocabulary

_LONG = 2**31
_FORBIDDEN = float("-inf")


class CodeColumns:
    """The columns of a head for codes: `ids` are their tokens, a range where codes and the end lie close together, so
    that the head can share the memory of the embedding."""

    def __init__(self, vocabulary: PlannerVocabulary, device: torch.device | str = "cpu") -> None:
        wanted = sorted({*vocabulary.code_ids, vocabulary.end_id})
        spread = range(wanted[0], wanted[-1] + 1)
        self.ids = spread if len(spread) < 1.1 * len(wanted) else tuple(wanted)
        codes = set(vocabulary.code_ids)
        self.end = torch.tensor([token == vocabulary.end_id for token in self.ids], device=device)
        self.codes = torch.tensor([token in codes for token in self.ids], device=device)

    def mask(self, wide: Wide | None, logits: Tensor) -> Tensor:
        """Logits `[V]` of these columns with all but codes, codes and the end, or (None) the end forbidden."""
        allowed = {Wide.CODES: self.codes, Wide.CODES_OR_END: self.codes | self.end}.get(wide or Wide.ANY, self.end)
        return torch.where(allowed, logits, _FORBIDDEN)


@dataclass(frozen=True, slots=True)
class GrammarConstraint:
    """One row's place in a grammar: `columns` where the head has codes alone, `masks` where it has every token."""

    grammar: Grammar
    state: State
    masks: Masks | None = None
    columns: CodeColumns | None = None
    ended: bool = False

    @classmethod
    def begin(cls, grammar: Grammar, masks: Masks | None = None, columns: CodeColumns | None = None) -> Self:
        """Before the first token. Exactly one of `masks` and `columns` fits the head."""
        return cls(grammar, grammar.start(), masks, columns)

    @property
    def done(self) -> bool:
        return self.ended or self.grammar.done(self.state)

    def forced(self) -> tuple[int, ...]:
        """What follows without a choice."""
        return self.grammar.forced(self.state)

    def steady(self) -> int:
        """Codes up to their target, and free text, need no look at what was chosen."""
        state = self.state
        if self.grammar.looks_at_logits(state):
            return 1
        if state.place is Place.CODES:
            if state.target is not None:
                return max(1, state.target - state.codes)
            return _LONG if state.codes or self.grammar.original else 1
        return _LONG if state.place is Place.TEXT else 1

    def remaining(self) -> int | None:
        """Codes to come and the end, where a target settles them."""
        state = self.state
        if state.place is Place.CODES and state.target is not None:
            return max(0, state.target - state.codes) + 1
        return None

    def masked(self, logits: Tensor) -> tuple[Tensor, Self]:
        """Logits `[V]` with what may not follow at minus infinity."""
        if self.columns is not None:
            return self.columns.mask(self.grammar.allowed(self.state).wide, logits), self
        assert self.masks is not None  # one of the two fits the head
        masked, state = self.grammar.mask(self.state, logits, self.masks)
        return masked, replace(self, state=state)

    def advance(self, token: int) -> Self:
        """After `token`. The original's automaton knows no end: its loop stops at what ends or fills a turn."""
        vocabulary = self.grammar.vocabulary
        ended = self.grammar.original and token in (vocabulary.end_id, vocabulary.pad_id)
        return replace(self, state=self.grammar.advance(self.state, token), ended=ended)
