"""Whole lyrics to token ids, line by line: each in its own language, tags of song structure in English.

Knows what a line means to ACE-Step v1; which language a line is in is `segments`' (the original's rules) or
`text.detection`'s, and what becomes of its words `cleaners`' and `tokenizer`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from partita.text.v1.tokenizer import LyricTokenizer

Detection = Literal["simple", "reference"]


@dataclass(frozen=True, slots=True)
class LineRead:
    """One line: as it was read, the language it was encoded in, its ids and its cleaned words.

    A blank line has no language and no ids. The id that ends a line is not among `ids`.
    """

    text: str
    language: str
    ids: tuple[int, ...]
    normalised: str


@dataclass(frozen=True, slots=True)
class LyricTokens:
    """Ids of whole lyrics, the lines they come from, and what a writer should know of them."""

    ids: tuple[int, ...]
    lines: tuple[LineRead, ...]
    notes: tuple[str, ...]

    @property
    def mask(self) -> tuple[int, ...]:
        """1 for each id, and 0 for the single id of lyrics that are empty."""
        return (0,) if self.ids == (0,) else (1,) * len(self.ids)


def tokenize_lyrics(
    lyrics: str,
    tokenizer: LyricTokenizer,
    *,
    language: str | None = None,
    parity: bool = False,
    detection: Detection | None = None,
) -> LyricTokens:
    """Ids of `lyrics`: the start id, then each line and the id that ends it; empty lyrics are the id 0, masked.

    `language`: the language of every line that is no tag, where it is known. `parity`: exactly as the original does.
    `detection`: how the language of a line is found; by default `reference` in parity and else `simple`.

    Raises RequestError where a line cannot be read or `language` is not one of the model's.
    """
    raise NotImplementedError
