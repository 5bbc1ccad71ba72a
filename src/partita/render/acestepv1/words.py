"""The words of a job as ACE-Step v1 reads them: tags for its text encoder, lyrics for its lyric tokenizer.

It knows tags, tokens and the text encoder; what the states are for is the conditioner's business. v1 has no metadata:
what is settled of tempo, key and metre is said in the tags. Source: specification of v1, sections 6, 11 and 16.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from partita.models.umt5 import WEAK_TAGS, Umt5Encoder
from partita.render.protocol import Job
from partita.song.plan import Plan
from partita.song.task import FlowEdit
from partita.text.prompts import INSTRUMENTAL_LYRICS
from partita.text.v1.cleaners import LANGUAGES
from partita.text.v1.lyrics import LyricTokens, tokenize_lyrics
from partita.text.v1.tokenizer import LyricTokenizer

TAGS_MAX_TOKENS = 256
LYRICS_MAX_IDS = 4096
"""In training no song had more."""
UNSUNG = "[inst]"
"""A tag that v1 was trained on, and what its own page says to write for songs without a voice."""
SetName = Literal["main", "source"]
"""main: what is wanted. source: what an edit starts from."""


class TagTokenizer(Protocol):
    """Text to ids, the end token among them."""

    def encode(self, text: str, max_tokens: int) -> list[int]: ...


class TextEncoder(Protocol):
    """What the part `text_encoder` is: a tokenizer and the network that reads its ids."""

    @property
    def tokenizer(self) -> TagTokenizer: ...

    @property
    def model(self) -> Umt5Encoder: ...


@dataclass(frozen=True)
class Wording:
    """What one set of conditions says: tags, lyrics, and the language of these where it is known."""

    tags: str
    lyrics: str
    language: str | None


@dataclass(frozen=True)
class Tags:
    """States `[1, L, Dt]` of tags; `weak` are those of guidance's other half, where they are wanted."""

    states: Tensor
    weak: Tensor | None


def wordings_of(job: Job) -> dict[SetName, Wording]:
    """The words of every set of conditions that the job needs."""
    plan, resolved = job.plan, job.resolved
    task, parity = resolved.task, resolved.parity
    known = resolved.language if resolved.language in LANGUAGES else None

    def sung(lyrics: str) -> str:
        unsung = not lyrics.strip() or lyrics == INSTRUMENTAL_LYRICS
        return UNSUNG if unsung and not parity else lyrics

    tags = plan.caption if parity else with_details(plan.caption, plan)
    sets: dict[SetName, Wording] = {"main": Wording(tags, sung(plan.lyrics), known)}
    if isinstance(task, FlowEdit):
        own = resolved.source.song.plan if resolved.source is not None and resolved.source.song is not None else None
        caption = task.source_caption or ""
        tags = with_details(caption, own) if own is not None and not parity else caption
        sets["source"] = Wording(tags, sung(task.source_lyrics or ""), known)
    return sets


def with_details(caption: str, plan: Plan) -> str:
    """The caption, and as further tags what the plan has settled of tempo, key and metre, unless it says that too."""
    said = caption.lower()
    details = []
    if plan.bpm is not None and not re.search(rf"(?<![\d.]){plan.bpm}\s*-?bpm\b", said):
        details.append(f"{plan.bpm} bpm")
    if plan.key is not None and not re.search(rf"(?<![\w#]){re.escape(plan.key.lower())}\b", said):
        details.append(plan.key)
    if plan.time_signature is not None and not re.search(rf"(?<![\d/]){plan.time_signature}(?![\d/])", said):
        details.append(f"{plan.time_signature} time")
    return ", ".join([*([caption.rstrip(" ,.;")] if caption.strip() else []), *details]) if details else caption


def notes_on_language(job: Job) -> Iterator[str]:
    """Where the language that is named is none that v1 sings in."""
    language = job.resolved.language
    if language not in (*LANGUAGES, "unknown") and not job.resolved.instrumental:
        yield (
            f"The language {language} is none that ACE-Step v1 sings in: each line is read as the one of its own that "
            f"it is most like ({', '.join(LANGUAGES)})."
        )


def truncation(tokenizer: TagTokenizer, name: SetName, wording: Wording) -> Iterator[str]:
    """A note where there are more tags than the model reads."""
    count = len(tokenizer.encode(wording.tags, sys.maxsize))
    if count > TAGS_MAX_TOKENS:
        whose = "source's " if name == "source" else ""
        yield f"The {whose}caption makes {count} tokens; the model reads the first {TAGS_MAX_TOKENS}."


def read_tags(encoder: TextEncoder, wording: Wording, *, weak: bool) -> Tags:
    """States of the tags, and with `weak` those that guidance is led away from."""
    ids = encoder.tokenizer.encode(wording.tags, TAGS_MAX_TOKENS)
    tokens = torch.tensor([ids], device=encoder.model.shared.weight.device)
    mask = torch.ones_like(tokens)
    return Tags(encoder.model(tokens, mask), encoder.model(tokens, mask, weaken=WEAK_TAGS) if weak else None)


def read_lyrics(tokenizer: LyricTokenizer, wording: Wording, *, parity: bool) -> LyricTokens:
    """Ids of the lyrics, and what a writer should know of them. The original reads them all, however many.

    Raises RequestError where a line cannot be read.
    """
    read = tokenize_lyrics(wording.lyrics, tokenizer, language=wording.language, parity=parity)
    if parity or len(read.ids) <= LYRICS_MAX_IDS:
        return read
    note = f"The lyrics make {len(read.ids)} tokens; the model reads the first {LYRICS_MAX_IDS}."
    return replace(read, ids=read.ids[:LYRICS_MAX_IDS], notes=(*read.notes, note))
