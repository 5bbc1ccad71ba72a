"""Prompts of the built-in model as padded token tensors. Its byte-pair tokenizer knows every text; pad is token 0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor


class ScoreTokens:
    """A `tokenizer.json` with a limit: longer prompts lose their beginning, since the plan comes last."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.max_tokens = max_tokens

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def __call__(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokens `[B, S]` and which of them are text `[B, S]` (bool). An empty prompt is one pad token that counts."""
        rows = [encoding.ids[-self.max_tokens :] or [0] for encoding in self._tokenizer.encode_batch(list(prompts))]
        longest = max(map(len, rows))
        tokens = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        for index, row in enumerate(rows):
            tokens[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = True
        return tokens, mask
