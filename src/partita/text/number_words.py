"""Numbers in words, 0 to 199, in Spanish, French, German, Italian and Portuguese, and digits in their place.

Captions say lengths and tempos so. Words are compared without case and accents. English numbers, which run together in
more ways (`one twenty`), are `partita.planner.reading`'s own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain

_SPANISH_UNITS = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciseis diecisiete "
    "dieciocho diecinueve veinte veintiuno veintidos veintitres veinticuatro veinticinco veintiseis veintisiete "
    "veintiocho veintinueve"
)
_SPANISH_TENS = "treinta cuarenta cincuenta sesenta setenta ochenta noventa"
_FRENCH_UNITS = (
    "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit "
    "dix-neuf"
)
_FRENCH_TENS = "vingt trente quarante cinquante soixante"
_GERMAN_UNITS = (
    "null ein zwei drei vier funf sechs sieben acht neun zehn elf zwolf dreizehn vierzehn funfzehn sechzehn siebzehn "
    "achtzehn neunzehn"
)
_GERMAN_TENS = "zwanzig dreissig vierzig funfzig sechzig siebzig achtzig neunzig"
_ITALIAN_UNITS = (
    "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici "
    "diciassette diciotto diciannove"
)
_ITALIAN_TENS = "venti trenta quaranta cinquanta sessanta settanta ottanta novanta"
_PORTUGUESE_UNITS = (
    "zero um dois tres quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis dezessete "
    "dezoito dezenove"
)
_PORTUGUESE_TENS = "vinte trinta quarenta cinquenta sessenta setenta oitenta noventa"

Said = tuple[str, int]


def _spanish() -> Iterator[Said]:
    units = _SPANISH_UNITS.split(" ")
    below = [*zip(units, range(30), strict=True), ("un", 1), ("una", 1), ("veintiun", 21), ("veintiuna", 21)]
    for ten, word in enumerate(_SPANISH_TENS.split(" "), start=3):
        below += [(word, 10 * ten)] + [
            (f"{word} y {unit}", 10 * ten + n) for n, unit in enumerate(units[1:10], start=1)
        ]
        below += [(f"{word} y un", 10 * ten + 1), (f"{word} y una", 10 * ten + 1)]
    yield from below
    yield from chain((("cien", 100),), ((f"ciento {word}", 100 + n) for word, n in below if n))


def _french() -> Iterator[Said]:
    units = _FRENCH_UNITS.split(" ")
    below = [*zip(units, range(20), strict=True), ("une", 1)]
    for ten, word in enumerate(_FRENCH_TENS.split(" "), start=2):
        below += [(word, 10 * ten), (f"{word} et un", 10 * ten + 1), (f"{word} et une", 10 * ten + 1)]
        below += [(f"{word}-{unit}", 10 * ten + n) for n, unit in enumerate(units[2:10], start=2)]
    below += [(f"soixante-{units[n]}", 60 + n) for n in range(10, 20)] + [("soixante et onze", 71)]
    below += [("quatre-vingts", 80), ("quatre-vingt", 80)]
    below += [(f"quatre-vingt-{units[n]}", 80 + n) for n in range(1, 20)]
    below += [("septante", 70), ("huitante", 80), ("octante", 80), ("nonante", 90)]
    yield from below
    yield from chain((("cent", 100),), ((f"cent {word}", 100 + n) for word, n in below if n))


def _german() -> Iterator[Said]:
    units = _GERMAN_UNITS.split(" ")
    below = [*zip(units, range(20), strict=True), ("eins", 1), ("eine", 1), ("einer", 1), ("einen", 1), ("zwo", 2)]
    for ten, word in enumerate(_GERMAN_TENS.split(" "), start=2):
        below += [(word, 10 * ten)] + [(f"{units[n]}und{word}", 10 * ten + n) for n in range(1, 10)]
    yield from below
    for hundred in ("hundert", "einhundert"):
        yield (hundred, 100)
        yield from ((f"{hundred}{word}", 100 + n) for word, n in below if n)


def _italian() -> Iterator[Said]:
    units = _ITALIAN_UNITS.split(" ")
    below = [*zip(units, range(20), strict=True), ("un", 1), ("una", 1)]
    for ten, word in enumerate(_ITALIAN_TENS.split(" "), start=2):
        below.append((word, 10 * ten))
        for n in range(1, 10):
            stem = word[:-1] if n in (1, 8) else word  # a vowel gives way: `trentuno`, `trentotto`
            below.append((stem + units[n], 10 * ten + n))
    yield from below
    yield from chain((("cento", 100),), ((f"cento{word}", 100 + n) for word, n in below if n))


def _portuguese() -> Iterator[Said]:
    units = _PORTUGUESE_UNITS.split(" ")
    below = [*zip(units, range(20), strict=True), ("uma", 1), ("duas", 2), ("catorze", 14)]
    below += [("dezasseis", 16), ("dezassete", 17), ("dezanove", 19)]
    for ten, word in enumerate(_PORTUGUESE_TENS.split(" "), start=2):
        below += [(word, 10 * ten)] + [
            (f"{word} e {unit}", 10 * ten + n) for n, unit in enumerate(units[1:10], start=1)
        ]
        below += [(f"{word} e uma", 10 * ten + 1), (f"{word} e duas", 10 * ten + 2)]
    yield from below
    yield from chain((("cem", 100),), ((f"cento e {word}", 100 + n) for word, n in below if n))


@cache
def number_words() -> Mapping[str, int]:
    """Every number by its words, which a single space parts."""
    said = chain(_spanish(), _french(), _german(), _italian(), _portuguese())
    return {words.replace("-", " "): number for words, number in said}


_WORD = re.compile(r"[^\W\d_]+")
_BETWEEN = re.compile(r"[ -]")
_LONGEST = 6


def with_digits(text: str, before: re.Pattern[str]) -> str:
    """`text` with digits for the numbers in words that stand where `before` matches what comes after them.

    `dos minutos` becomes `2 minutos` before a pattern of minutes. Articles such as `un` are numbers, too.
    """
    words = list(_WORD.finditer(text))
    parts: list[str] = []
    done = place = 0
    while place < len(words):
        length, number = _number_at(text, words, place)
        end = words[place + max(length, 1) - 1].end()
        if length and before.match(text, end):
            parts += [text[done : words[place].start()], str(number)]
            done = end
        place += max(length, 1)
    return "".join([*parts, text[done:]])


def _number_at(text: str, words: list[re.Match[str]], place: int) -> tuple[int, int]:
    """How many words from `place` on say a number, the most that do, and which; 0 where none do."""
    table, best, said = number_words(), (0, 0), ""
    for length in range(1, min(_LONGEST, len(words) - place) + 1):
        word = words[place + length - 1]
        if length > 1 and not _BETWEEN.fullmatch(text[words[place + length - 2].end() : word.start()]):
            break
        said = f"{said} {_fold(word.group())}" if said else _fold(word.group())
        if said in table:
            best = (length, table[said])
    return best


def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFD", text.casefold())
    return "".join(letter for letter in plain if unicodedata.category(letter) != "Mn")
