"""The whole acoustic model of ACE-Step 1.5 as one module whose `state_dict` has exactly the published keys.

It only holds the networks together; what runs when is the renderer's business. Build it under
`torch.device("meta")` and fill it with `load_state_dict(tensors, assign=True)`: nothing but parameters has to be set.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from partita.models.acestep15.condition import ConditionEncoder
from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.dit import DiT
from partita.models.acestep15.tokenizer import AudioDetokenizer, AudioTokenizer


class AceStepModel(nn.Module):
    """Transformer (`decoder`), condition encoders (`encoder`), `tokenizer`, `detokenizer` and the null condition."""

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = DiT(config)
        self.encoder = ConditionEncoder(config)
        self.tokenizer = AudioTokenizer(config)
        self.detokenizer = AudioDetokenizer(config)
        self.null_condition_emb = nn.Parameter(torch.randn(1, 1, config.encoder_block.hidden_size))

    def null_condition(self, batch: int, length: int = 1) -> Tensor:
        """The condition of classifier-free guidance, `[batch, length, He]`.

        Its positions are all alike, so attention over one of them gives what attention over many gives: length 1 is
        enough, and saves work, unless it must stand in one batch with a longer condition.
        """
        return self.null_condition_emb.expand(batch, length, -1)

    def hint_from_codes(self, codes: Tensor) -> Tensor:
        """Audio codes `[B, T5]` in 0..63999 -> latents `[B, 5 * T5, 64]`."""
        return self.detokenizer(self.tokenizer.quantizer.decode(codes))

    def hint_from_latents(self, latents: Tensor, silence: Tensor) -> Tensor:
        """Latents `[B, T, 64]` through codes and back, cropped to T; `silence` `[1, >=4, 64]` fills the last window."""
        return self.hint_from_codes(self.tokenizer(latents, silence))[:, : latents.shape[1]]
