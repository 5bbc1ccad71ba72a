"""Scores a plan by its audio codes: a planner is shown the codes, and is forced to say what the song was made for.

It brings together prompts, the decoder and `scores`; where the codes come from is the caller's business.
Prompts and targets: the scoring published with ACE-Step 1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from partita.models.qwen3_decoder import Head, Qwen3Decoder
from partita.planner.lm.chat import chat_of
from partita.planner.lm.decode import score
from partita.planner.lm.fields import metre, wanted_language
from partita.planner.lm.prompts import NO_INPUT, Prompts
from partita.planner.lm.scores import ConditionScores, merged_metadata, score_conditions, targets_of
from partita.planner.lm.vocabulary import PlannerVocabulary, code_token
from partita.song.plan import Plan


def judge_codes(
    plan: Plan, codes: Sequence[int], network: Qwen3Decoder, head: Head, vocabulary: PlannerVocabulary
) -> ConditionScores:
    """How well `codes` (0..63999, 5 a second) fit the caption, lyrics and metadata of `plan`.

    `head` is that of the whole vocabulary. Raises `RequestError` where the plan says nothing.
    """
    metadata = metadata_of(plan)
    prompts = Prompts(chat=chat_of(vocabulary.chat_template))
    shown = prompts.understand("".join(map(code_token, codes)))
    nothing = prompts.understand(NO_INPUT)
    texts = [target.text for target in targets_of(plan.caption, plan.lyrics, metadata)]

    def forced(prompt: str) -> Forcing:
        return Forcing(vocabulary.encode(prompt), texts, network, head, vocabulary)

    return score_conditions(plan.caption, plan.lyrics, metadata, forced(shown), forced(nothing))


def metadata_of(plan: Plan) -> dict[str, Any]:
    """The plan's metadata in the planner's own form, what is open left out."""
    beats = None if plan.time_signature is None else metre(plan.time_signature)
    return merged_metadata(
        None,
        {
            "bpm": plan.bpm,
            "duration": plan.duration_s,
            "keyscale": plan.key,
            "language": wanted_language(plan.language),
            "timesignature": int(beats) if beats is not None and beats.isdecimal() else beats,
        },
    )


class Forcing:
    """`scores.Forced` of one prompt. Short targets share one reading of it; a long one, whose logits are large, has
    its own, and nothing is kept once it was asked for."""

    SHORT_TOKENS = 64

    def __init__(
        self,
        prompt: Sequence[int],
        texts: Sequence[str],
        network: Qwen3Decoder,
        head: Head,
        vocabulary: PlannerVocabulary,
    ) -> None:
        self._prompt, self._network, self._head, self._vocabulary = prompt, network, head, vocabulary
        self._short = [text for text in texts if len(vocabulary.encode(text)) <= self.SHORT_TOKENS]
        self._known: dict[str, Tensor] = {}

    def __call__(self, text: str) -> tuple[Tensor, Tensor]:
        if text not in self._known:
            together = self._short if text in self._short else [text]
            ids = [self._vocabulary.encode(one) for one in together]
            self._known |= zip(together, score(self._network, self._head, self._prompt, ids), strict=True)
        logits = self._known.pop(text)
        return logits, torch.tensor(self._vocabulary.encode(text), device=logits.device)
