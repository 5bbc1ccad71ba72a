"""What is done to the words of a line before they become tokens: ACE-Step v1 was trained on lower case, numbers and
signs in words, and Chinese, Korean and Japanese in Latin letters.

Knows the order of the steps; the words themselves are `tables`', `numbers`', `chinese_numbers`' and `romanise`'s. Which
language a line is in is told by the caller.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache

from partita.errors import RequestError
from partita.text.v1.chinese_numbers import spell_chinese
from partita.text.v1.numbers import spell_numbers
from partita.text.v1.packages import FAILURES
from partita.text.v1.romanise import pinyin, romaji, romanised_korean
from partita.text.v1.tables import ABBREVIATIONS, SIGN_WORDS, SIGNS, UNDOTTED

LANGUAGES = (*SIGN_WORDS, "ja", "hi")

_SPACES = re.compile(r"\s+")
# Python's lower case of İ is two characters.
_TURKISH = str.maketrans("İÖÜ", "iöü")


def clean(text: str, language: str) -> str:
    """The words of `text` as the vocabulary knows them.

    Raises RequestError where `language` is none of the model's, a package that it needs is not installed, or its
    romaniser dies of the text.
    """
    if language == "ja":
        return romaji(text).lower()
    if language == "hi":
        return _SPACES.sub(" ", text.lower())
    if language not in SIGN_WORDS:
        raise RequestError(
            f"{language!r} is no language that ACE-Step v1 reads; use one of {', '.join(LANGUAGES)}.",
            field="language",
            value=language,
        )
    words = _spelled_out(text, language)
    if language == "zh":
        return pinyin(words)
    return romanised_korean(words) if language == "ko" else words


def _spelled_out(text: str, language: str) -> str:
    text = text.replace('"', "")
    text = (text.translate(_TURKISH) if language == "tr" else text).lower()
    # A number that cannot be said leaves all numbers of its line as they were: so it was in training.
    with suppress(*FAILURES):
        text = spell_chinese(text) if language == "zh" else spell_numbers(text, language)
    for shortened, whole in _abbreviations(language):
        text = shortened.sub(whole, text)
    for sign, word in zip(SIGNS, SIGN_WORDS[language], strict=True):
        text = text.replace(sign, f" {word} ").replace("  ", " ")
    return _SPACES.sub(" ", text.strip())


@cache
def _abbreviations(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    end = r"\b" if language in UNDOTTED else r"\."
    return tuple(
        (re.compile(rf"\b{short}{end}", re.IGNORECASE), whole) for short, whole in ABBREVIATIONS[language].items()
    )
