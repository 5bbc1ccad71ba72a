"""What a language needs for captions: words for each aspect of a piece, and sentences to put them in.

Values only. Words and patterns are kept apart in those that captions are trained with and those that only test
captions have. In cells these are `common | held out`, each a list with commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from partita.score.keys import parse_key
from partita.score.types import Role
from partita.text.orchestra.vocabulary import LanguageCode, split

Patterns = tuple[tuple[str, ...], tuple[str, ...]]
"""Those of training, and those held out."""


def unchanged(text: str) -> str:
    return text


@dataclass(frozen=True)
class Wording:
    """The words of one language.

    `moods` are in the form that stands alone; `attribute` makes that of one before or after a noun. `openings` and
    `requests` have the slots `{mood}` and `{genre}`, the others one slot. `missing` says that a part is not there,
    `missing_two` that `{}` and `{}` of `parts` are not; `only` that nobody but `{}` plays. `after_with` is the form of
    an instrument's name behind the first of `with_`, none where it has none that is safe. `polish` tidies a sentence.
    """

    language: LanguageCode
    genres: Mapping[str, str]
    moods: Mapping[str, str]
    tempos: tuple[str, str, str, str, str]
    energies: Mapping[str, str]
    roles: Mapping[Role, Patterns]
    parts: Mapping[Role, str]
    missing: Mapping[Role, str]
    missing_two: Patterns
    only: Patterns
    uses: Mapping[str, str]
    bpm: Patterns
    key: Patterns
    modes: Mapping[str, str]
    metres: Mapping[str, str]
    instrumental: str
    forms: Mapping[str, str]
    openings: Patterns
    with_: Patterns
    at: Patterns
    requests: Patterns
    seconds: Patterns
    and_: str
    major: str
    minor: str
    major_tonics: str
    minor_tonics: str
    attribute: Callable[[str], str] = unchanged
    joined_attributes: str = " {and_} "
    after_with: Callable[[str], str | None] = unchanged
    polish: Callable[[str], str] = unchanged

    def key_words(self, key: str) -> str:
        """A key such as `F# minor` as the language writes it."""
        tonic, mode = parse_key(key)
        tonics, pattern = (self.major_tonics, self.major) if mode == "major" else (self.minor_tonics, self.minor)
        return pattern.format(split(tonics)[tonic])


def choices(cell: str, held_out: bool) -> tuple[str, ...]:
    """The entries of a cell of one of the two kinds; those of training where none are held out."""
    common, _, rest = cell.partition("|")
    return (split(rest) if held_out else ()) or split(common)


def elide(text: str) -> str:
    """French: `de` before a vowel is `d'`."""
    return re.sub(r"\b([Dd])e (?=[aeiouyéèêàâîôûœAEIOUYÉÈ])", r"\1'", text)
