"""Looks up the words of a text in the vocabularies of six languages at once, and says which of them it is written in.

`items_of` turns a text into what matters of it, in order. It knows nothing of what the order means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

from partita.text.orchestra.de import GERMAN
from partita.text.orchestra.en import ENGLISH
from partita.text.orchestra.es import SPANISH
from partita.text.orchestra.fr import FRENCH
from partita.text.orchestra.it import ITALIAN
from partita.text.orchestra.pt import PORTUGUESE
from partita.text.orchestra.vocabulary import LanguageCode, Vocabulary, fold, split

VOCABULARIES: Mapping[LanguageCode, Vocabulary] = MappingProxyType(
    {one.language: one for one in (ENGLISH, SPANISH, FRENCH, GERMAN, ITALIAN, PORTUGUESE)}
)
Kind = Literal["name", "role", "stranger", "word", "filler", "comma", "stop", "other"]

# Articles and the like. They neither end nor begin anything; those that are indefinite begin a thing of its own.
_ARTICLES = (
    "the any some el la los las le les l un una unos unas une des der die das den dem ein eine einen einem einer il lo "
    "gli os as um uma uns umas a an this that its their our your my i"
)
_FILLERS = frozenset(_ARTICLES.split(" "))
INDEFINITE = frozenset(("a", "an", "un", "una", "une", "um", "uma", "ein", "eine", "einen", "einem", "einer"))
# Words that tell languages apart and mean nothing else here.
_MARKS: Mapping[LanguageCode, str] = {
    "en": "the a an and of with in for make me write song music track piece at to it its",
    "es": "el los las un una y con para de en hazme quiero cancion musica tema al por muy que bien lleve haya tenga "
    "sea estilo mas del ritmo",
    "fr": "le les un une et avec pour de du des au en dans musique morceau je fais tres qui est plutot bien style "
    "rythme",
    "de": "der die das ein eine und mit fur im in zu ich lied stuck musik sehr von auf bei eher ist etwas stil",
    "it": "il lo gli un una e con per di del della nel musica brano canzone molto che pezzo uno bene stile ritmo ben",
    "pt": "o os um uma e com para de do da em na musica faixa tema uns muito que ao quero bem mais andamento sem "
    "mas ritmo",
}
_MARKED = {language: frozenset(words.split(" ")) for language, words in _MARKS.items()}
_TOKEN = re.compile(r"[^\W_]+|[,;:.!?\n()\[\]{}/&+|•–—]")
_LONGEST_PHRASE = 6
_LESS = re.compile(r"(less|los|lose|loses|loser|losen|frei|freies|freie)$")
_SOLO_STEM = "solo"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a phrase is in one language: a `value` for a name, role or stranger, or what a word does (`uses`).

    `written` is the phrase with its accents.
    """

    kind: Kind
    value: str = ""
    uses: frozenset[str] = frozenset()
    written: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """Something of a text: `start`..`end` are places in it, `text` is folded; the rest is the entry's."""

    kind: Kind
    text: str
    start: int
    end: int
    value: str = ""
    uses: frozenset[str] = frozenset()

    @property
    def is_target(self) -> bool:
        """Whether it can play or be left out."""
        return self.kind in ("name", "role", "stranger")


_Words = tuple[str, ...]


@cache
def lexicon() -> Mapping[_Words, Mapping[LanguageCode, Entry]]:
    """Every phrase by its folded words, and what it is in each language that has it."""
    table: dict[_Words, dict[LanguageCode, Entry]] = {}
    for language, vocabulary in VOCABULARIES.items():
        for phrase, entry in _entries(vocabulary):
            table.setdefault(phrase, {})
            was = table[phrase].get(language)
            if was is None or "skip" in entry.uses:
                table[phrase][language] = entry
            elif was.kind == entry.kind == "word" and "skip" not in was.uses:
                table[phrase][language] = Entry("word", uses=was.uses | entry.uses, written=was.written)
    return table


def _entries(vocabulary: Vocabulary) -> Iterator[tuple[_Words, Entry]]:
    """Phrases of a language, each as written before any plural of any, so that no plural takes a name's place."""
    things: list[tuple[str, Entry]] = []
    for sense in vocabulary.names:
        things += [(name, Entry("name", sense, written=name.casefold())) for name in vocabulary.names_of(sense).all]
    kinds: tuple[tuple[Kind, Mapping[str, str]], ...] = (
        ("role", vocabulary.roles),
        ("stranger", vocabulary.strangers),
    )
    for kind, rows in kinds:
        things += [
            (name, Entry(kind, value, written=name.casefold())) for value, cell in rows.items() for name in split(cell)
        ]
    for use, cell in vocabulary.words.items():
        for phrase in split(cell):
            yield tuple(words_of(phrase)), Entry("word", uses=frozenset((use,)), written=phrase.casefold())
    for name, entry in things:
        yield tuple(words_of(name)), entry
    for name, entry in things:
        for phrase in _plurals(vocabulary, tuple(words_of(name))):
            yield phrase, entry


def _plurals(vocabulary: Vocabulary, words: _Words) -> Iterator[_Words]:
    """Plurals of the last word, of the first, and of both: `jazz guitars`, `cajas de música`, `guitarras acústicas`."""
    lasts = vocabulary.plurals(words[-1])
    for plural in lasts:
        yield (*words[:-1], plural)
    if len(words) > 1 and vocabulary.language not in ("en", "de"):
        for first in vocabulary.plurals(words[0]):
            yield (first, *words[1:])
            yield from ((first, *words[1:-1], last) for last in lasts)


def words_of(text: str) -> list[str]:
    """The folded words of a text."""
    return re.findall(r"[^\W_]+", fold(text))


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    raw: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Found:
    """A phrase of a text and what it is in each language (none: a word that no vocabulary has)."""

    entries: Mapping[LanguageCode, Entry]
    text: str
    raw: str
    start: int
    end: int


def items_of(text: str) -> tuple[list[Item], tuple[LanguageCode, ...]]:
    """What a text holds, in order, and the languages that it is most likely in (several where nothing decides)."""
    tokens = [_Token(fold(found.group()), found.group(), *found.span()) for found in _TOKEN.finditer(text)]
    found = list(_phrases(text, tokens))
    languages = _languages(found)
    return [_item(one, languages) for one in found], languages


def _phrases(text: str, tokens: Sequence[_Token]) -> Iterator[_Found]:
    """The longest phrases of a text that some vocabulary has, from left to right."""
    table, place = lexicon(), 0
    while place < len(tokens):
        for length in range(min(_LONGEST_PHRASE, len(tokens) - place), 0, -1):
            part = tokens[place : place + length]
            entries = table.get(tuple(token.text for token in part))
            if entries is not None and not _is_split(text, part, entries):
                yield _found(part, entries)
                place += length
                break
        else:
            yield from _inside(tokens[place])
            place += 1


def _is_split(text: str, part: Sequence[_Token], entries: Mapping[LanguageCode, Entry]) -> bool:
    """Whether a name such as `E-Piano` is but two words: `baixo e piano`."""
    if len(part) == 1 or len(part[0].text) > 1 or not part[0].text.isalpha() or text[part[0].end] == "-":
        return False
    return any(entry.kind == "name" for entry in entries.values())


def _found(part: Sequence[_Token], entries: Mapping[LanguageCode, Entry]) -> _Found:
    raw = " ".join(token.raw for token in part)
    return _Found(entries, " ".join(token.text for token in part), raw, part[0].start, part[-1].end)


def _inside(token: _Token) -> Iterator[_Found]:
    """A word that no vocabulary has: `drumless` and German compounds are several things at once."""
    parts = _compound(token.text)
    if parts is None:
        yield _Found({}, token.text, token.raw, token.start, token.end)
    else:
        for text, entries in parts:
            yield _Found(entries, text, token.raw, token.start, token.end)


_Parts = list[tuple[str, Mapping[LanguageCode, Entry]]]


def _compound(word: str) -> _Parts | None:
    if (ending := _LESS.search(word)) is not None:
        stem = _stem(word[: ending.start()], "en" if ending.group() == "less" else "de")
        if stem is not None:
            return [stem, (ending.group(), {"en": _FREE, "de": _FREE})]
    if word.startswith(_SOLO_STEM) and (rest := _stem(word[len(_SOLO_STEM) :], "de")) is not None:
        return [(_SOLO_STEM, {"de": Entry("word", uses=frozenset(("solo",)))}), rest]
    for cut in range(len(word) - 3, 2, -1):
        tail = lexicon().get((word[cut:],), {}).get("de")
        if tail is None or (tail.kind != "role" and "solo" not in tail.uses):
            continue
        head = next((stem for cut_head in (cut - 2, cut - 1, cut) if (stem := _stem(word[:cut_head], "de"))), None)
        if head is not None and word[len(head[0]) : cut] in ("", "n", "en", "s", "e", "r", "er"):
            return [head, (word[cut:], {"de": tail})]
    return None


_FREE = Entry("word", uses=frozenset(("free",)))


def _stem(word: str, language: LanguageCode) -> tuple[str, Mapping[LanguageCode, Entry]] | None:
    """A name or role that begins a compound, at times without its last letter (`Geige`, `Geigenmelodie`)."""
    for text in (word, word + "e"):
        entry = lexicon().get((text,), {}).get(language)
        if entry is not None and entry.kind in ("name", "role"):
            return word, {language: entry}
    return None


def _languages(found: Sequence[_Found]) -> tuple[LanguageCode, ...]:
    scores = {language: _score(found, language) for language in VOCABULARIES}
    most = max(scores.values())
    return tuple(language for language in VOCABULARIES if scores[language] == most)


def _score(found: Sequence[_Found], language: LanguageCode) -> float:
    """How much of a text is in a language. A word that only this one has says more than one that many share."""
    score, marks = 0.0, _MARKED[language]
    for one in found:
        entry = one.entries.get(language)
        if entry is not None:
            score += (0.5 if entry.kind == "word" and len(one.text) == 1 else 1.0) + (len(one.entries) == 1)
            score += 0.25 * (one.raw.casefold() == entry.written)
        if not one.entries or len(one.text) <= 3:
            score += one.text in marks
    return score


def _item(found: _Found, languages: Sequence[LanguageCode]) -> Item:
    entry = next((found.entries[language] for language in languages if language in found.entries), None)
    if entry is None:  # words of other languages turn up in all: English ones, and names that only one has
        english = found.entries.get("en")
        if english is not None and english.kind != "word":
            entry = english
        elif len(found.entries) == 1 and (only := next(iter(found.entries.values()))).kind == "name":
            entry = only
    if entry is not None and found.text == "so" and found.raw.casefold() != "só" and "pt" not in languages:
        entry = None
    if entry is not None:
        return Item(entry.kind, found.text, found.start, found.end, entry.value, entry.uses)
    kind: Kind = "other"
    if found.text in ("&", "+", "/"):
        return Item("word", found.text, found.start, found.end, uses=frozenset(("and",)))
    if not found.text[:1].isalnum():
        kind = "comma" if found.text == "," else "stop"
    elif found.text in _FILLERS:
        kind = "filler"
    return Item(kind, found.text, found.start, found.end)
