"""What tests of the planner's language share: a small vocabulary, and answers written by a network of noise."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from partita.planner.lm.grammar import Grammar
from partita.planner.lm.masks import Masks
from partita.planner.lm.states import State
from partita.planner.lm.tables import Tables
from partita.planner.lm.vocabulary import PlannerVocabulary

TOKENIZER = Path(__file__).parents[2] / "golden" / "data" / "v15" / "10_tokenizer.json"
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")


@cache
def tables() -> Tables:
    """Those of the recorded tokenizer: 605 codes, not all side by side, and merges of usual words."""
    return Tables(PlannerVocabulary(Tokenizer.from_str(TOKENIZER.read_text("utf-8")), TOKENIZER))


def plain_tokenizer(*, marks: tuple[str, ...] = MARKS, codes: int = 0) -> Tokenizer:
    """A byte-level tokenizer with nothing merged."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in marks])
    tokenizer.add_tokens([AddedToken(f"<|audio_code_{code}|>", normalized=False) for code in range(codes)])
    return tokenizer


def answer(
    grammar: Grammar, seed: int, liked: dict[str, float] | None = None, most: int = 3000
) -> tuple[list[int], State]:
    """Tokens drawn from noise, with `liked` texts preferred, up to the end of the answer."""
    vocabulary = grammar.vocabulary
    generator = torch.Generator().manual_seed(seed)
    bias = torch.zeros(vocabulary.size)
    for text, weight in (liked or {}).items():
        bias[vocabulary.encode(text)[0]] += weight
    masks, state, tokens = Masks(grammar.tables), grammar.start(), []
    while not grammar.done(state) and len(tokens) < most:
        logits = 3 * torch.randn(vocabulary.size, generator=generator) + bias
        masked, state = grammar.mask(state, logits, masks)
        tokens.append(int(torch.multinomial(masked.softmax(-1), 1, generator=generator)))
        state = grammar.advance(state, tokens[-1])
    return tokens, state


def write(grammar: Grammar, state: State, text: str) -> State:
    """The state after `text`, token by token."""
    for token in grammar.vocabulary.encode(text):
        state = grammar.advance(state, token)
    return state
