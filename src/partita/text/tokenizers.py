"""Text to token ids as ACE-Step 1.5's text encoder was trained on them: one end token appended, padded on the right.

Reads a tokenizer folder of the Qwen family (its tokenizer.json). Knows nothing of prompts, and nothing of the encoder
but that its padding and end token are the same, `<|endoftext|>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from partita.errors import ModelError

END_TOKEN = "<|endoftext|>"
FILE = "tokenizer.json"


@dataclass(frozen=True)
class Tokens:
    """A padded batch: ids int64 [B, S], and mask int64 [B, S] with 1 where a token is real."""

    ids: Tensor
    mask: Tensor


def read_tokenizer(path: Path, reader: str) -> Tokenizer:
    """The tokenizer in a file, for `reader`; without padding or truncation of its own.

    Raises ModelError if the file is missing or unreadable.
    """
    if not path.is_file():
        raise ModelError(f"{reader} needs {path}, which does not exist; fetch the model again.", path=path)
    try:
        # from_str and not from_file: the library cannot open every path that Python can, on Windows.
        tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:
        raise ModelError(f"{path} is not a tokenizer file: {error}. Fetch the model again.", path=path) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


class TextTokenizer:
    """A tokenizer held ready. The end token is appended here and nothing else is, whatever the post-processor of the
    file does, so that files from different conversions give the same ids."""

    def __init__(self, tokenizer: Tokenizer, end_id: int) -> None:
        self._tokenizer = tokenizer
        self.end_id = end_id

    @classmethod
    def load(cls, folder: Path) -> TextTokenizer:
        """Read `folder/tokenizer.json`.

        Raises ModelError if it is missing, unreadable, or without `<|endoftext|>`.
        """
        path = folder / FILE
        tokenizer = read_tokenizer(path, "The tokenizer")
        end_id = tokenizer.token_to_id(END_TOKEN)
        if end_id is None:
            raise ModelError(
                f"{path} has no {END_TOKEN} token, so it is not the tokenizer of this text encoder (Qwen3-Embedding).",
                path=path,
                key=END_TOKEN,
            )
        return cls(tokenizer, end_id)

    @property
    def size(self) -> int:
        """How many ids there are, added tokens included."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str, max_tokens: int) -> list[int]:
        """Ids of `text` and the end token, at most `max_tokens` in all; a longer text loses its tail."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [*ids[: max_tokens - 1], self.end_id]

    def encode_batch(self, texts: Sequence[str], max_tokens: int) -> Tokens:
        """Each text on its own, then padded on the right to the longest with the end token and mask 0."""
        rows = [self.encode(text, max_tokens) for text in texts]
        length = max((len(row) for row in rows), default=0)
        ids = torch.full((len(rows), length), self.end_id, dtype=torch.int64)
        mask = torch.zeros((len(rows), length), dtype=torch.int64)
        for b, row in enumerate(rows):
            ids[b, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[b, : len(row)] = 1
        return Tokens(ids, mask)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens included."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)
