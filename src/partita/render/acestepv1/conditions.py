"""What the transformer is told of a song: contexts with the words, without them, and with the tags alone.

Which of them guidance needs, and how it weakens what it is led away from, is said by a song's manner. Nothing is
sampled. Contexts have one row a song. Source: specification of v1, sections 15 and 16.7.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from partita.models.acestepv1.conditioner import Conditioner, Context, batch_contexts
from partita.render.acestepv1.sampling import ERG_LYRICS, Conditions, Manner
from partita.render.acestepv1.words import Tags
from partita.text.v1.lyrics import LyricTokens


@dataclass(frozen=True)
class Needs:
    """Which contexts a song is sampled with.

    `null`: guidance's other half. `weak_tags`, `weak_lyrics`: it has both in a weaker reading, rather than not at all.
    `edit`: it is that of an edit, in which even the places of the lyrics are not seen. `text_only`: tags alone.
    """

    null: bool
    weak_tags: bool = False
    weak_lyrics: bool = False
    edit: bool = False
    text_only: bool = False

    @classmethod
    def of(cls, manner: Manner, *, edit: bool) -> Needs:
        """Those of a manner. In the original tags are weakened only where lyrics are."""
        if manner.scale <= 1:
            return cls(null=False)
        if edit:
            return cls(null=True, edit=True)
        lyrics = "lyrics" in manner.v1.erg
        return cls(
            null=True,
            weak_tags="tags" in manner.v1.erg and (lyrics or not manner.parity),
            weak_lyrics=lyrics,
            text_only=min(manner.v1.guidance_text, manner.v1.guidance_lyrics) > 1,
        )


@dataclass(frozen=True)
class Words:
    """What songs say, as the conditioner takes it: states `[B, Lt, Dt]` of tags, ids `[B, Ll]` of lyrics, their masks,
    and a speaker `[B, Dp]`. `weak` are the states of the tags' weaker reading, where there is one."""

    tags: Tensor
    tags_mask: Tensor
    lyrics: Tensor
    lyrics_mask: Tensor
    speaker: Tensor
    weak: Tensor | None = None


def conditions_of(conditioner: Conditioner, tags: Tags, lyrics: LyricTokens, needs: Needs) -> Conditions:
    """The contexts of one song."""
    weight = conditioner.genre_embedder.weight
    words = Words(
        tags=tags.states.to(weight),
        tags_mask=tags.states.new_ones(tags.states.shape[:2], dtype=torch.bool),
        lyrics=torch.tensor([lyrics.ids], device=weight.device),
        lyrics_mask=torch.tensor([lyrics.mask], device=weight.device),
        # The published weights know no speaker.
        speaker=weight.new_zeros(1, conditioner.config.speaker_embedding_dim),
        weak=None if tags.weak is None else tags.weak.to(weight),
    )
    return contexts_of(conditioner, words, needs)


def contexts_of(conditioner: Conditioner, words: Words, needs: Needs) -> Conditions:
    """The contexts of songs whose words are equally many. Places where nothing is said are seen all the same; in an
    edit those of the lyrics are not."""
    nobody = torch.zeros_like(words.speaker)
    lyrics, weaken = (words.lyrics, ERG_LYRICS) if needs.weak_lyrics else (torch.zeros_like(words.lyrics), None)

    def without(tags: Tensor, mask: Tensor) -> Context:
        return conditioner(tags, words.tags_mask, nobody, lyrics, mask, weaken=weaken)

    null = text_only = None
    if needs.null:
        tags = words.weak if needs.weak_tags and words.weak is not None else torch.zeros_like(words.tags)
        null = without(tags, torch.zeros_like(words.lyrics_mask) if needs.edit else words.lyrics_mask)
    if needs.text_only:
        text_only = without(words.tags, words.lyrics_mask)
    full = conditioner(words.tags, words.tags_mask, words.speaker, words.lyrics, words.lyrics_mask)
    return Conditions(full, null, text_only)


def together(songs: list[Conditions]) -> Conditions:
    """The conditions of a batch, padded where songs differ in length; they are of one manner."""

    def rows(each: list[Context | None]) -> Context | None:
        found = [one for one in each if one is not None]
        return batch_contexts(found) if found else None

    return Conditions(
        batch_contexts([one.full for one in songs]),
        rows([one.null for one in songs]),
        rows([one.text_only for one in songs]),
    )
