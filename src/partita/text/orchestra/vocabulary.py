"""What a language calls instruments and parts, and the words with which it says who plays and who does not.

Values only; `partita.text.orchestra.lexicon` looks words up, `partita.text.orchestration` reads texts. Words are
compared without case, accents and hyphens, so tables are written as people write.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from partita.score.instruments import INSTRUMENTS
from partita.score.types import Role

LanguageCode = Literal["en", "es", "fr", "de", "it", "pt"]
Part = tuple[Role, int]
"""A role and the General MIDI program (for drums the kit) that plays it."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "guitar": (
        "nylon guitar", "acoustic guitar", "jazz guitar", "clean guitar", "muted guitar", "distorted guitar",
    ),
    "electric guitar": ("clean guitar", "muted guitar", "distorted guitar"),
    "synth": ("square lead", "saw lead", "polysynth", "warm pad"),
    "synth lead": ("square lead", "saw lead"),
    "synth pad": ("warm pad", "polysynth", "fantasia", "halo pad", "sweep pad", "synth strings"),
    "keyboard": ("piano", "electric piano", "FM piano", "organ"),
    "drum kit": ("standard kit", "room kit"),
    "woodwinds": ("clarinet", "oboe", "flute"),
    "bells": ("celesta", "music box", "vibraphone"),
    "mallets": ("marimba", "vibraphone"),
}  # fmt: skip
"""Names of several instruments, any of which answers to them."""

MORE_EXCLUDED: Mapping[str, tuple[str, ...]] = {
    "piano": ("piano", "electric piano", "FM piano"),
    "organ": ("organ", "church organ"),
    "strings": ("strings", "slow strings", "synth strings", "pizzicato strings"),
    "synth": (
        "square lead", "saw lead", "polysynth", "warm pad", "fantasia", "halo pad", "sweep pad", "synth strings",
        "space voice", "synth bass", "sub bass",
    ),
    "trumpet": ("trumpet", "muted trumpet"),
    "choir": ("choir", "space voice"),
}  # fmt: skip
"""Without a piano is without an electric one; with a piano is not with an electric one."""

DRUM_PART = "drum part"
"""Single drums and cymbals: to ask for one is to ask for drums."""


def _parts(names: tuple[str, ...]) -> tuple[Part, ...]:
    return tuple((role, one.program) for one in INSTRUMENTS if one.name in names for role in one.roles)


SENSES: Mapping[str, tuple[Part, ...]] = (
    {one.name: _parts((one.name,)) for one in INSTRUMENTS}
    | {family: _parts(names) for family, names in FAMILIES.items()}
    | {DRUM_PART: _parts(tuple(one.name for one in INSTRUMENTS if one.is_kit))}
)
"""What each name may be played as: instruments by the names of `partita.score.instruments`, and families."""


def excluded_parts(sense: str) -> tuple[Part, ...]:
    """What a text rules out that does without `sense`."""
    return _parts(MORE_EXCLUDED[sense]) if sense in MORE_EXCLUDED else SENSES[sense]


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one sense: those that captions are trained with, those kept for testing, and those only read."""

    common: tuple[str, ...]
    held_out: tuple[str, ...]
    read: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.common, *self.held_out, *self.read)


@dataclass(frozen=True)
class Vocabulary:
    """One language. `names` of senses are `common | held out | read`, each separated by commas; `roles` name parts,
    `words` the words around them by what they do, `strangers` instruments that no score has, by their English names.
    `plurals` gives other forms of one word."""

    language: LanguageCode
    plurals: Callable[[str], tuple[str, ...]]
    names: Mapping[str, str]
    roles: Mapping[str, str]
    words: Mapping[str, str]
    strangers: Mapping[str, str]

    def names_of(self, sense: str) -> Names:
        """What `sense` is called, as the language writes it."""
        return self._names[sense]

    @cached_property
    def _names(self) -> dict[str, Names]:
        rows = {sense: [*text.split("|"), "", ""][:3] for sense, text in self.names.items()}
        return {sense: Names(*(split(cell) for cell in cells)) for sense, cells in rows.items()}


def split(cell: str) -> tuple[str, ...]:
    """The entries of a list with commas."""
    return tuple(entry for entry in map(str.strip, cell.split(",")) if entry)


def fold(text: str) -> str:
    """`text` without case and accents."""
    plain = unicodedata.normalize("NFD", text.casefold().replace("œ", "oe").replace("æ", "ae"))
    return "".join(letter for letter in plain if unicodedata.category(letter) != "Mn")


def plural_s(word: str) -> tuple[str, ...]:
    """Plurals of English, Spanish and French, of a folded word."""
    return (word + "s", word + "es", word + "x")


def plural_portuguese(word: str) -> tuple[str, ...]:
    """`violão`, `violões`; `bandolim`, `bandolins`."""
    if word.endswith("ao"):
        return (word[:-2] + "oes", word + "s")
    if word.endswith(("m", "l")):
        return (word[:-1] + ("ns" if word.endswith("m") else "is"),)
    return plural_s(word)


def plural_italian(word: str) -> tuple[str, ...]:
    """`violino`, `violini`; `chitarra`, `chitarre`."""
    if word.endswith("io"):
        return (word[:-1],)
    endings = {"o": ("i",), "a": ("e", "he"), "e": ("i",)}
    return tuple(word[:-1] + ending for ending in endings.get(word[-1:], ()))


def plural_german(word: str) -> tuple[str, ...]:
    """Plurals and cases; umlauts are folded away."""
    return tuple(word + ending for ending in ("n", "en", "e", "s", "es", "er", "ern"))
