"""Reading of a tokenizer file: a `tokenizers` JSON file, as every model family ships one.

Knows nothing of what its tokens mean, and loads no torch.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from partita.errors import ModelError


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
