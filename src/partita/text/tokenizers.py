"""Text to token ids as text encoders were trained on them: one end token appended, padded on the right.

Reads a tokenizer folder (its tokenizer.json), of Qwen's for ACE-Step 1.5 or of UMT5's for v1. Knows nothing of prompts,
and nothing of an encoder but its end token and its padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from partita.errors import ModelError
from partita.text.tokenizer_file import read_tokenizer

END_TOKEN = "<|endoftext|>"
FILE = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Specials:
    """The tokens that end a text and pad a batch, and what the encoder that expects them is called."""

    end: str
    padding: str
    encoder: str


QWEN3 = Specials(END_TOKEN, END_TOKEN, "Qwen3-Embedding")
UMT5 = Specials("</s>", "<pad>", "umt5-base")


@dataclass(frozen=True)
class Tokens:
    """A padded batch: ids int64 [B, S], and mask int64 [B, S] with 1 where a token is real."""

    ids: Tensor
    mask: Tensor


class TextTokenizer:
    """A tokenizer held ready. The end token is appended here and nothing else is, whatever the post-processor of the
    file does, so that files from different conversions give the same ids."""

    def __init__(self, tokenizer: Tokenizer, end_id: int, padding_id: int) -> None:
        self._tokenizer = tokenizer
        self.end_id = end_id
        self.padding_id = padding_id

    @classmethod
    def load(cls, folder: Path, specials: Specials = QWEN3) -> TextTokenizer:
        """Read `folder/tokenizer.json`.

        Raises ModelError if it is missing, unreadable, or without one of `specials`.
        """
        path = folder / FILE
        tokenizer = read_tokenizer(path, "The tokenizer")
        ids: list[int] = []
        for token in (specials.end, specials.padding):
            found = tokenizer.token_to_id(token)
            if found is None:
                raise ModelError(
                    f"{path} has no {token} token, so it is not the tokenizer of this text encoder "
                    f"({specials.encoder}).",
                    path=path,
                    key=token,
                )
            ids.append(found)
        return cls(tokenizer, *ids)

    @property
    def size(self) -> int:
        """How many ids there are, added tokens included."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str, max_tokens: int) -> list[int]:
        """Ids of `text` and the end token, at most `max_tokens` in all; a longer text loses its tail."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [*ids[: max_tokens - 1], self.end_id]

    def encode_batch(self, texts: Sequence[str], max_tokens: int) -> Tokens:
        """Each text on its own, then padded on the right to the longest, with mask 0."""
        rows = [self.encode(text, max_tokens) for text in texts]
        length = max((len(row) for row in rows), default=0)
        ids = torch.full((len(rows), length), self.padding_id, dtype=torch.int64)
        mask = torch.zeros((len(rows), length), dtype=torch.int64)
        for b, row in enumerate(rows):
            ids[b, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[b, : len(row)] = 1
        return Tokens(ids, mask)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens included."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)
