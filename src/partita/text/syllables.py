"""How many syllables a line has, near enough to know how long it takes to sing.

Counted by script: a group of vowels in alphabets, a mora in kana, a character in Han and Hangul, a vowel or bare
consonant in the scripts of India; in Arabic and Hebrew, which leave short vowels out, and in Thai guessed from the
number of letters. Knows no dictionary: English is off by about one syllable in twelve.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Vowels in the sense of spelling; accents are taken off but for Cyrillic, where й is no и.
_VOWELS = {
    "LATIN": "aeiouyœæøıə",
    "CYRILLIC": "аеёиоуыэюяієї",
    "GREEK": "αειουηω",
}
_GREEK_DIGRAPHS = re.compile("ου|αι|ει|οι|υι|αυ|ευ")
# Languages in which two vowels side by side are mostly two syllables.
_HIATUS = frozenset({"la", "sw", "id", "ms", "tl", "ht"})
# Endings that are written and not said, and those that look like them and are said.
_ENGLISH_END = re.compile(r"[^aeiouy]es?$|[^aeiouydt]ed$")
_ENGLISH_SAID = re.compile(r"[^aeiouy]les?$|(?:[cgsxz]|ch|sh)es$")
_FRENCH_END = re.compile(r"[^aeiouy](?:e|es|ent)$")
_SMALL_KANA = frozenset("ゃゅょぁぃぅぇぉゎャュョァィゥェォヮ")
_SCRIPT_NAMES = (
    "LATIN CYRILLIC GREEK HANGUL HIRAGANA KATAKANA CJK ARABIC HEBREW DEVANAGARI BENGALI GURMUKHI TAMIL TELUGU THAI"
)
_SCRIPTS = frozenset(_SCRIPT_NAMES.split())
_INDIC = frozenset({"DEVANAGARI", "BENGALI", "GURMUKHI", "TAMIL", "TELUGU"})
_RUN = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0591-\u05c7\u064b-\u0652\u0900-\u0e7f'’])*|\d+")
_TAGS = re.compile(r"\[[^\]\n]*\]|<[^>\n]{1,40}>")


def syllables(text: str, language: str = "unknown") -> int:
    """Syllables of a line of words, tags in it left out. `language` is a code of `text.languages`."""
    plain = unicodedata.normalize("NFKC", _TAGS.sub(" ", text))
    return sum(_of_run(run, language) for run in _RUN.findall(plain))


@lru_cache(maxsize=4096)
def script_of(character: str) -> str:
    """The script of a letter, in capitals as Unicode names it (`LATIN`, `CJK`), or nothing for one that is none."""
    if not character.isalpha():
        return ""
    script = unicodedata.name(character, "").split(" ", 1)[0]
    return script if script in _SCRIPTS else "OTHER"


def _of_run(run: str, language: str) -> int:
    if run.isdigit():
        return _of_number(run)
    total, start = 0, 0
    scripts = [script_of(letter) for letter in run]
    while start < len(run):
        script, end = scripts[start], start + 1
        while end < len(run) and scripts[end] in (script, ""):
            end += 1
        total += _of_word(run[start:end].lower(), script, language)
        start = end
    return total


def _of_number(digits: str) -> int:
    """About what its name has: two for each digit, and no more than a long number's."""
    return min(2 * len(digits.lstrip("0")) or 2, 12)


def _of_word(word: str, script: str, language: str) -> int:
    if script in ("HANGUL", "CJK"):
        # In Japanese a Chinese character is read with two morae as often as with one.
        letters = sum(1 for letter in word if letter.isalpha())
        return round(letters * 1.8) if script == "CJK" and language == "ja" else letters
    if script in ("HIRAGANA", "KATAKANA"):
        return sum(1 for letter in word if letter not in _SMALL_KANA)
    if script in _INDIC:
        return _indic(word)
    if script == "THAI":
        return max(1, round(sum(1 for letter in word if letter.isalpha()) / 2.2))
    if script in ("ARABIC", "HEBREW"):
        return max(1, round(sum(1 for letter in word if letter.isalpha()) / 2))
    return _alphabetic(word, script, language)


def _indic(word: str) -> int:
    """Letters less those that a virama joins to the next; a bare consonant at the end is mostly silent."""
    letters = sum(1 for letter in word if unicodedata.category(letter) == "Lo")
    joined = sum(1 for letter in word if unicodedata.combining(letter) == 9)
    silent = letters - joined > 1 and unicodedata.category(word[-1]) == "Lo"
    return max(1, letters - joined - silent)


def _alphabetic(word: str, script: str, language: str) -> int:
    bare = word if script == "CYRILLIC" else _without_accents(word)
    vowels = _VOWELS.get(script, "")
    if not vowels:
        return max(1, round(sum(1 for letter in bare if letter.isalpha()) / 2.5))
    if script == "GREEK":
        bare = _GREEK_DIGRAPHS.sub("ε", bare)
    if script in ("CYRILLIC", "GREEK") or language in _HIATUS:
        count = sum(1 for letter in bare if letter in vowels)
        return count if count or len(bare) == 1 else 1  # a lone consonant is a preposition said with the next word
    groups = len(re.findall(f"[{vowels}]+", bare))
    if groups > 1 and language in ("en", "unknown") and _ENGLISH_END.search(bare) and not _ENGLISH_SAID.search(bare):
        groups -= 1
    if groups > 1 and language == "fr" and _FRENCH_END.search(word):
        groups -= 1
    return max(1, groups)


def _without_accents(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))
