"""The condition encoders of ACE-Step 1.5: text projector, lyric encoder, timbre encoder, and their packing.

Input is what a text encoder and a codec computed; tokenizers and audio are unknown here. Masks are true (or nonzero)
where a position holds something. Sizes come from the checkpoint's configuration: `Dt` text width, `He` encoder width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.layers import EncoderLayer, RMSNorm, run_encoder


@dataclass(frozen=True)
class PackedCondition:
    """What the transformer's cross-attention reads: `hidden` `[B, L, He]`, `mask` bool `[B, L]`.

    Valid positions come first: lyrics, timbre, text. Padding rows behind them still hold computed states.
    """

    hidden: Tensor
    mask: Tensor


def pack(first: PackedCondition, second: PackedCondition) -> PackedCondition:
    """Join two sequences along time, valid positions before padding, each in their original order."""
    hidden = torch.cat((first.hidden, second.hidden), dim=1)
    mask = torch.cat((first.mask, second.mask), dim=1).bool()
    order = mask.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    packed = hidden.gather(1, order.unsqueeze(-1).expand_as(hidden))
    return PackedCondition(packed, mask.gather(1, order))


def unpack_references(vectors: Tensor, owner: Tensor, batch: int) -> PackedCondition:
    """Hand out reference vectors `[Nref, He]` to their items: `owner` `[Nref]` holds batch indices.

    Returns `[batch, n, He]` with n the largest number of references of an item; missing slots are zero and masked.
    """
    counts = torch.bincount(owner, minlength=batch)
    slot = (owner[:, None] == owner[None, :]).tril(-1).sum(dim=1)
    most = int(counts.max()) if len(owner) else 0
    unpacked = vectors.new_zeros(batch, most, vectors.shape[-1])
    unpacked = unpacked.index_put((owner, slot), vectors)
    mask = torch.arange(most, device=owner.device)[None, :] < counts[:, None]
    return PackedCondition(unpacked, mask)


class LyricEncoder(nn.Module):
    """Bidirectional encoder over embedded lyric tokens."""

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        size, depth = config.encoder_block, config.num_lyric_encoder_hidden_layers
        self.config = config
        self.embed_tokens = nn.Linear(config.text_hidden_dim, size.hidden_size)
        self.layers = nn.ModuleList(EncoderLayer(size) for _ in range(depth))
        self.norm = RMSNorm(size.hidden_size, size.eps)

    def forward(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """`embedded` `[B, Ll, Dt]` rows of the text encoder's embedding table, `mask` `[B, Ll]` -> `[B, Ll, He]`."""
        return self.encode(self.embed_tokens(embedded), mask)

    def encode(self, x: Tensor, mask: Tensor) -> Tensor:
        """The layers and the norm alone, on `[B, Ll, He]`."""
        config = self.config
        # The published class never runs more encoder layers than the transformer has.
        layers = self.layers[: config.num_hidden_layers]
        windows = [config.window(index) for index in range(len(layers))]
        return self.norm(run_encoder(layers, x, windows, config.rope_theta, config.head_dim, key_mask=mask.bool()))


class TimbreEncoder(nn.Module):
    """Encoder over reference latents, read out at the first position.

    In XL models a class token is put in front and takes position 0; elsewhere position 0 is the first frame and
    `special_token`, though stored, has no part.
    """

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        size, depth = config.encoder_block, config.num_timbre_encoder_hidden_layers
        self.config = config
        self.embed_tokens = nn.Linear(config.timbre_hidden_dim, size.hidden_size)
        self.layers = nn.ModuleList(EncoderLayer(size) for _ in range(depth))
        self.norm = RMSNorm(size.hidden_size, size.eps)
        self.special_token = nn.Parameter(torch.randn(1, 1, size.hidden_size) * 0.02)

    def forward(self, references: Tensor) -> Tensor:
        """Latents of references `[Nref, T, 64]` (T = 750 in published models) -> `[Nref, He]`."""
        config = self.config
        x = self.embed_tokens(references)
        if config.timbre_class_token:
            x = torch.cat((self.special_token.to(x.dtype).expand(len(x), 1, -1), x), dim=1)
        layers = self.layers[: config.num_hidden_layers]
        windows = [config.window(index) for index in range(len(layers))]
        first = run_encoder(layers, x, windows, config.rope_theta, config.head_dim, first_only=True)
        return self.norm(first[:, 0])


class ConditionEncoder(nn.Module):
    """Text, lyrics and references to one packed condition."""

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        self.text_projector = nn.Linear(config.text_hidden_dim, config.encoder_block.hidden_size, bias=False)
        self.lyric_encoder = LyricEncoder(config)
        self.timbre_encoder = TimbreEncoder(config)

    def forward(
        self,
        text_hidden: Tensor,
        text_mask: Tensor,
        lyric_embedded: Tensor,
        lyric_mask: Tensor,
        references: Tensor,
        reference_owner: Tensor,
    ) -> PackedCondition:
        """Encode a batch.

        `text_hidden` `[B, Lt, Dt]` and `text_mask` `[B, Lt]`: the text encoder's last states of the prompt.
        `lyric_embedded` `[B, Ll, Dt]` and `lyric_mask` `[B, Ll]`: embedding rows of the lyric tokens, right-padded.
        `references` `[Nref, T, 64]` and `reference_owner` `[Nref]`: reference latents and the item each belongs to.
        Returns the packed condition with L = Ll + n + Lt, n the largest number of references of an item.
        """
        lyrics = self.encode_lyrics(lyric_embedded, lyric_mask)
        return self.join(
            lyrics, self.encode_references(references, reference_owner, len(text_hidden)), text_hidden, text_mask
        )

    def encode_lyrics(self, embedded: Tensor, mask: Tensor) -> PackedCondition:
        """The lyrics' part, `[B, Ll, He]`."""
        return PackedCondition(self.lyric_encoder(embedded, mask), mask.bool())

    def encode_references(self, references: Tensor, owner: Tensor, batch: int) -> PackedCondition:
        """The timbre's part, `[B, n, He]`."""
        return unpack_references(self.timbre_encoder(references), owner, batch)

    def join(
        self, lyrics: PackedCondition, timbre: PackedCondition, text_hidden: Tensor, text_mask: Tensor
    ) -> PackedCondition:
        """The whole condition from its parts, so that conditions which share a part need it once."""
        return pack(pack(lyrics, timbre), PackedCondition(self.text_projector(text_hidden), text_mask.bool()))


def context_latents(
    source: Tensor, chunk_mask: Tensor, hint: Tensor | None = None, is_cover: Tensor | None = None
) -> Tensor:
    """The transformer's context `[B, T, 128]`: source latents beside the chunk mask, one value a channel.

    `source` `[B, T, 64]`, `chunk_mask` `[B, T]`. Items whose `is_cover` `[B]` is true take `hint` `[B, >=T, 64]` (what
    the detokenizer makes of their codes), cropped to T, in place of their source.
    """
    if hint is not None and is_cover is not None:
        hint = hint[:, : source.shape[1]].to(source.dtype)
        source = torch.where(is_cover.bool()[:, None, None], hint, source)
    mask = chunk_mask.to(source.dtype).unsqueeze(-1).expand_as(source)
    return torch.cat((source, mask), dim=-1)
