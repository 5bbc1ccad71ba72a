"""The words of a job as the text encoder reads them: prompt and lyrics of each set of conditions, and their states.

It knows prompts, tokens and the text encoder; what the states are for is the condition encoder's business.
Source: specification of the original's acoustic pipeline, section 10.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from partita.models.qwen3 import Qwen3
from partita.render.acestep15.recipe import Recipe
from partita.render.protocol import Job, Noted
from partita.song.task import FlowEdit
from partita.text.prompts import (
    INSTRUMENTAL_LYRICS,
    LYRICS_MAX_TOKENS,
    PROMPT_MAX_TOKENS,
    instruction_for,
    lyric_prompt,
    metadata_block,
    text_prompt,
)
from partita.text.tokenizers import TextTokenizer

SetName = Literal["main", "plain", "source"]
"""main: what is wanted. plain: what takes over from a cover. source: what an edit starts from."""


class TextEncoder(Protocol):
    """What the part `text_encoder` is: a tokenizer and the network that reads its ids."""

    tokenizer: TextTokenizer
    model: Qwen3


@dataclass(frozen=True)
class Wording:
    """The two texts of one set of conditions."""

    prompt: str
    lyrics: str


@dataclass(frozen=True)
class Words:
    """States of prompts and embedded lyric tokens, each `[B, S, 1024]`, with their masks `[B, S]`."""

    text: Tensor
    text_mask: Tensor
    lyrics: Tensor
    lyric_mask: Tensor


def wordings_of(job: Job, recipe: Recipe) -> dict[SetName, Wording]:
    """The texts of every set of conditions that the recipe needs."""
    plan, task = job.plan, job.resolved.task
    lyrics = lyric_prompt(plan.lyrics, plan.language)
    seconds = plan.duration_s
    if job.resolved.parity and job.source is not None:
        seconds = job.source.facts.duration_s  # the original counts it before anything is added to the source

    def prompt(instruction: str, caption: str) -> str:
        metre = None if plan.time_signature is None else plan.time_signature.split("/")[0]
        return text_prompt(instruction, caption, metadata_block(plan.bpm, metre, plan.key, seconds))

    sets: dict[SetName, Wording] = {"main": Wording(prompt(recipe.instruction, plan.caption), lyrics)}
    if recipe.strength < 1:
        sets["plain"] = Wording(prompt(instruction_for("text2music"), plan.caption), lyrics)
    if isinstance(task, FlowEdit):
        unsung = "" if job.resolved.parity else INSTRUMENTAL_LYRICS
        sung = task.source_lyrics if (task.source_lyrics or "").strip() else unsung
        caption = prompt(recipe.instruction, task.source_caption or "")
        sets["source"] = Wording(caption, lyric_prompt(sung or "", plan.language))
    return sets


def truncations(tokenizer: TextTokenizer, sets: Mapping[SetName, Wording]) -> Iterator[Noted]:
    """A note for each text that is longer than what the model reads of it."""
    for name, wording in sets.items():
        whose = "source's " if name == "source" else ""
        for what, text, limit in (
            ("caption", wording.prompt, PROMPT_MAX_TOKENS),
            ("lyrics", wording.lyrics, LYRICS_MAX_TOKENS),
        ):
            count = len(tokenizer.encode(text, sys.maxsize))
            # The plain set says the same as the main one under another instruction.
            if count > limit and name != "plain":
                yield Noted(
                    f"The {whose}{what} make {count} tokens with what surrounds them; the model reads the first "
                    f"{limit}."
                )


def token_counts(tokenizer: TextTokenizer, wording: Wording) -> tuple[int, int]:
    """How many tokens of prompt and lyrics are read."""
    prompt = tokenizer.encode(wording.prompt, PROMPT_MAX_TOKENS)
    return len(prompt), len(tokenizer.encode(wording.lyrics, LYRICS_MAX_TOKENS))


def read_words(encoder: TextEncoder, wordings: Sequence[Wording]) -> Words:
    """States of a batch of texts, padded on the right to the longest as the original pads them."""
    text = encoder.tokenizer.encode_batch([wording.prompt for wording in wordings], PROMPT_MAX_TOKENS)
    sung = encoder.tokenizer.encode_batch([wording.lyrics for wording in wordings], LYRICS_MAX_TOKENS)
    device = encoder.model.embed_tokens.weight.device
    return Words(
        text=encoder.model(text.ids.to(device)),
        text_mask=text.mask.to(device),
        lyrics=encoder.model.embed_tokens(sung.ids.to(device)),
        lyric_mask=sung.mask.to(device),
    )
