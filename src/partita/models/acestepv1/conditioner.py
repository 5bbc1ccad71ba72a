"""What ACE-Step v1's cross-attention reads: a speaker, the states of a text and encoded lyrics, one after another.

Input is what a text encoder and a lyric tokenizer made; both are unknown here. Shapes come from `TransformerConfig`:
`Dt` text width, `Dp` speaker width, `Dl` lyric width, `D` the transformer's; parameter names are the published ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.models.acestepv1.config import TransformerConfig, Weaken
from partita.models.acestepv1.lyric_encoder import LyricEncoder


@dataclass(frozen=True, slots=True)
class Context:
    """`hidden` `[B, S, D]` and `mask` bool `[B, S]`, true where a position may be seen.

    Order: speaker, text, lyrics. Positions count over all of it, masked ones too.
    """

    hidden: Tensor
    mask: Tensor


def batch_contexts(contexts: Sequence[Context]) -> Context:
    """Contexts of any lengths as one batch, padded on the right with positions that are not seen."""
    longest = max(one.hidden.shape[1] for one in contexts)
    hidden = [F.pad(one.hidden, (0, 0, 0, longest - one.hidden.shape[1])) for one in contexts]
    mask = [F.pad(one.mask.bool(), (0, longest - one.mask.shape[1])) for one in contexts]
    return Context(torch.cat(hidden), torch.cat(mask))


class Conditioner(nn.Module):
    """Speaker, text and lyrics to one context."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.speaker_embedder = nn.Linear(config.speaker_embedding_dim, config.width)
        self.genre_embedder = nn.Linear(config.text_embedding_dim, config.width)
        self.lyric_embs = nn.Embedding(config.lyric_encoder_vocab_size, config.lyric_hidden_size)
        self.lyric_encoder = LyricEncoder(config.lyric_encoder)
        self.lyric_proj = nn.Linear(config.lyric_hidden_size, config.width)

    def forward(
        self,
        text: Tensor,
        text_mask: Tensor,
        speaker: Tensor,
        lyric_ids: Tensor,
        lyric_mask: Tensor,
        *,
        weaken: Weaken | None = None,
        see: Callable[[str, Tensor], None] | None = None,
    ) -> Context:
        """Encode a batch; S = 1 + Lt + Ll.

        `text` `[B, Lt, Dt]` and `text_mask` `[B, Lt]`: states of a text encoder. `speaker` `[B, Dp]`, zeros for the
        published weights. `lyric_ids` `[B, Ll]` whole numbers and `lyric_mask` `[B, Ll]`; without lyrics one id 0 with
        mask 0. `weaken` multiplies queries of the lyric encoder. `see` is handed `lyric_encoder_out`, `lyric_proj_out`.
        """
        lyrics = self.lyric_encoder(self.lyric_embs(lyric_ids), lyric_mask, weaken=weaken)
        projected = self.lyric_proj(lyrics)
        if see is not None:
            see("lyric_encoder_out", lyrics)
            see("lyric_proj_out", projected)
        hidden = torch.cat((self.speaker_embedder(speaker).unsqueeze(1), self.genre_embedder(text), projected), dim=1)
        always = lyric_mask.new_ones(len(lyric_mask), 1, dtype=torch.bool)
        return Context(hidden, torch.cat((always, text_mask.bool(), lyric_mask.bool()), dim=1))
