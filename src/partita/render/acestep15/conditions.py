"""Conditions and contexts: what the transformer is told of a song, apart from noise.

Words, references, source and codes are tensors by the time they come here; which frames of them are used a layout
says. Nothing is sampled. Shapes: hidden states `[L, He]`, contexts `[T, 128]`.
Source: specification of the original's acoustic pipeline, sections 6, 7, 8 and 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from partita.models.acestep15.condition import ConditionEncoder, PackedCondition, context_latents
from partita.models.acestep15.layout import Layout, chunk_mask_of, fill
from partita.models.acestep15.tokenizer import AudioDetokenizer, AudioTokenizer
from partita.render.acestep15.recipe import Recipe
from partita.render.acestep15.sources import REFERENCE_FRAMES, Heard
from partita.render.acestep15.words import Wording, Words


class Conditioner(Protocol):
    """What the part `conditioner` is."""

    encoder: ConditionEncoder
    null_condition_emb: Tensor


@dataclass(frozen=True)
class ConditionSet:
    """One set of conditions: packed states `[L, He]` and context `[T, 128]`."""

    hidden: Tensor
    context: Tensor


@dataclass(frozen=True)
class Material:
    """The latents that a song's layout is filled from, in the model's number format on its device.

    `silence` `[15000, 64]`; `source` `[Ts, 64]` or None; `codes` `[5 n, 64]`, what the detokenizer makes of codes.
    """

    silence: Tensor
    source: Tensor | None = None
    codes: Tensor | None = None

    @classmethod
    def of(cls, heard: Heard, recipe: Recipe, silence: Tensor) -> Material:
        """What was heard beside the silence latent, which stands in for a source that the original finds silent."""
        if heard.silent and recipe.encode is not None:
            return cls(silence, silence)
        return cls(silence, None if heard.source is None else heard.source.to(silence))

    def source_channels(self, layout: Layout) -> Tensor:
        """The context's source channels before any codes, `[T, 64]`."""
        return fill(layout.source, layout.frames, silence=self.silence, source=self.source, codes=self.codes)


class ConditionReader:
    """Makes condition states; what several conditions share, such as lyrics, is encoded once."""

    def __init__(self, encoder: ConditionEncoder, silence: Tensor) -> None:
        self._encoder, self._silence = encoder, silence
        self._lyrics: dict[tuple[str, ...], PackedCondition] = {}
        self._timbres: dict[object, PackedCondition] = {}
        self._states: dict[object, Tensor] = {}

    def states(self, wordings: Sequence[Wording], words: Words, references: Sequence[Tensor | None]) -> Tensor:
        """Packed states `[B, L, He]` of a batch: padded rows behind the others where its items differ in length.

        `words` are those of `wordings`. `references` has `[n, 750, 64]` for each item, or None: then the item hears
        the silence latent.
        """
        # Tensors of references live as long as their songs, so that they may stand for what is in them.
        heard = tuple(None if one is None else id(one) for one in references)
        key = (tuple(wordings), heard)
        if key not in self._states:
            lyrics = tuple(wording.lyrics for wording in wordings)
            if lyrics not in self._lyrics:
                self._lyrics[lyrics] = self._encoder.encode_lyrics(words.lyrics, words.lyric_mask)
            if heard not in self._timbres:
                self._timbres[heard] = self._timbre(references)
            joined = self._encoder.join(self._lyrics[lyrics], self._timbres[heard], words.text, words.text_mask)
            self._states[key] = joined.hidden
        return self._states[key]

    def _timbre(self, references: Sequence[Tensor | None]) -> PackedCondition:
        silence = self._silence
        each = [one.to(silence) if one is not None else silence[None, :REFERENCE_FRAMES] for one in references]
        owner = torch.cat([torch.full((len(one),), item, dtype=torch.int64) for item, one in enumerate(each)])
        return self._encoder.encode_references(torch.cat(each), owner.to(silence.device), len(each))


def embed_codes(tokenizer: AudioTokenizer, codes: Sequence[int], device: torch.device) -> Tensor:
    """Embeddings `[1, n, D]` of given codes."""
    return tokenizer.quantizer.decode(torch.tensor([list(codes)], device=device))


def embed_source(tokenizer: AudioTokenizer, layout: Layout, material: Material) -> Tensor:
    """Embeddings `[1, ceil(T / 5), D]` of the codes of the source channels."""
    codes = tokenizer(material.source_channels(layout)[None], material.silence[None])
    return tokenizer.quantizer.decode(codes)


def latents_of_codes(detokenizer: AudioDetokenizer, embedded: Tensor) -> Tensor:
    """The 25 Hz hint `[5 n, 64]` of embeddings `[1, n, D]`."""
    return detokenizer(embedded)[0]


def context_of(layout: Layout, material: Material) -> Tensor:
    """The context `[T, 128]`. Covers take the hint in place of the source channels: that of given codes, or, with
    `material.codes` being the source's trip through codes, that trip."""
    mask = chunk_mask_of(layout, device=material.silence.device)
    if not layout.is_cover:
        return context_latents(material.source_channels(layout)[None], mask[None])[0]
    assert material.codes is not None  # a cover's are made before its context
    if layout.hint is None:
        hint = material.codes[: layout.frames]
    else:
        hint = fill(layout.hint, layout.frames, silence=material.silence, codes=material.codes)
    return context_latents(hint.to(material.silence)[None], mask[None])[0]


def plain_context(layout: Layout, silence: Tensor) -> Tensor:
    """The context that takes over from a cover: silence under the same chunk mask."""
    mask = chunk_mask_of(layout, device=silence.device)
    return context_latents(silence[None, : layout.frames], mask[None])[0]


def clean_latents(layout: Layout, material: Material) -> Tensor:
    """The source without holes and before any codes, `[T, 64]`: what noised starts and injection go back to."""
    return fill(layout.clean, layout.frames, silence=material.silence, source=material.source, codes=material.codes)
