"""What a value may be, token by token: trees of listed values, the spelling of fixed strings, and genre vocabularies.

Everything follows the vocabulary's own way of writing `name: value`, so that a forced value is the one that the
planner saw in training. Knows nothing of states.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from partita.errors import RequestError
from partita.planner.lm.vocabulary import PlannerVocabulary

Tree = Mapping[tuple[int, ...], tuple[int, ...]]
"""Ids written so far -> ids that may follow, ascending. A complete value may be followed by a line feed."""


def value_tree(vocabulary: PlannerVocabulary, name: str, values: Iterable[str], starts: str = "") -> Tree:
    """The tree of `values` after `name:`, the blank between them included.

    A value is left out if the vocabulary writes it so that `name:` is no longer a token prefix of it, or if its first
    token begins with none of the letters `starts`.
    """
    head = vocabulary.encode(f"{name}:")
    grown: dict[tuple[int, ...], set[int]] = {}
    for value in values:
        ids = vocabulary.encode(f"{name}: {value}")
        if ids[: len(head)] != head or len(ids) == len(head):
            continue
        tail = tuple(ids[len(head) :])
        if starts and vocabulary.text(tail[0]).lstrip()[:1].upper() not in starts:
            continue
        for end, following in enumerate((*tail, vocabulary.newline_id)):
            grown.setdefault(tail[:end], set()).add(following)
    return {prefix: tuple(sorted(following)) for prefix, following in grown.items()}


def natural_spelling(vocabulary: PlannerVocabulary, text: str) -> dict[int, int]:
    """Character position -> token, along the way in which the vocabulary writes `text`."""
    spelling, position = {}, 0
    for token in vocabulary.encode(text):
        spelling[position] = token
        position += len(vocabulary.text(token))
    return spelling


def longest_spelling(vocabulary: PlannerVocabulary, text: str) -> dict[int, int]:
    """Character position -> the longest piece from there that is a single token; every position has one."""
    spelling = {}
    for position in range(len(text)):
        for end in range(len(text), position, -1):
            ids = vocabulary.encode(text[position:end])
            if len(ids) == 1:
                spelling[position] = ids[0]
                break
    return spelling


@dataclass(frozen=True, slots=True)
class GenreVocabulary:
    """Genre entries, lower-case, sorted, each once. An entry is a whole value, commas and all."""

    entries: tuple[str, ...]

    @classmethod
    def of(cls, lines: Iterable[str]) -> GenreVocabulary:
        """One entry a line; blank lines and those that begin with `#` say nothing."""
        stripped = (line.strip() for line in lines)
        return cls(tuple(sorted({line.lower() for line in stripped if line and not line.startswith("#")})))

    @classmethod
    def load(cls, path: Path) -> GenreVocabulary:
        """Read a vocabulary file. Raises RequestError where there is none, or it has no entry."""
        try:
            found = cls.of(path.read_text("utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(
                f"genres: {path} cannot be read as a list of genres: {error}.", field="genres", value=str(path)
            ) from error
        if not found.entries:
            raise RequestError(
                f"genres: {path} holds no genre; write one on each line.", field="genres", value=str(path)
            )
        return found

    def __contains__(self, text: str) -> bool:
        place = bisect_left(self.entries, text)
        return place < len(self.entries) and self.entries[place] == text

    def begins(self, text: str) -> bool:
        """Whether an entry begins with `text`."""
        place = bisect_left(self.entries, text)
        return place < len(self.entries) and self.entries[place].startswith(text)

    def letters_after(self, text: str) -> Iterator[str]:
        """The letters with which entries go on after `text`, each once, ascending."""
        place = bisect_left(self.entries, text)
        while place < len(self.entries) and self.entries[place].startswith(text):
            if len(self.entries[place]) == len(text):
                place += 1
                continue
            letter = self.entries[place][len(text)]
            yield letter
            place = bisect_left(self.entries, f"{text}{chr(ord(letter) + 1)}", place)


def tokens_by_first_letter(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """First character of a token's text, lower-case -> ids; a token that begins with blanks is also listed under its
    first character that is none."""
    found: dict[str, list[int]] = {}
    for token, text in enumerate(texts):
        if not text:
            continue
        bare = text.lstrip()
        for letter in dict.fromkeys((text[0].lower(), *((bare[0].lower(),) if bare and bare != text else ()))):
            found.setdefault(letter, []).append(token)
    return {letter: tuple(ids) for letter, ids in found.items()}
