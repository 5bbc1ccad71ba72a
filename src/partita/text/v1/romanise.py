"""Chinese, Korean and Japanese words in Latin letters, as ACE-Step v1 learned them.

Each script has its package, loaded when a line needs it. What is in no such script passes through, but in Japanese,
whose romaniser writes a question mark for what it cannot read.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from partita.errors import RequestError
from partita.text.v1.packages import FAILURES, missing, package


def pinyin(text: str) -> str:
    """Han characters as syllables with the number of their tone, run together: 深夜 -> shen1ye4.

    Raises RequestError where pypinyin is not installed.
    """
    reader = package("pypinyin", "Chinese lyrics")
    syllables = reader.pinyin(text, style=reader.Style.TONE3, heteronym=False, neutral_tone_with_five=True)
    return "".join(readings[0] for readings in syllables)


def romanised_korean(text: str) -> str:
    """Hangul in letters by the academic rule, syllables parted by hyphens where they would read wrongly.

    Raises RequestError where hangul-romanize is not installed.
    """
    return _hangul().translit(text)


def romaji(text: str) -> str:
    """Japanese in Hepburn letters, words parted by spaces.

    Raises RequestError where cutlet or its dictionary is not installed, or dies of the text.
    """
    try:
        return _cutlet().romaji(text)
    except FAILURES as error:
        raise RequestError(
            f"The Japanese romaniser could not read {text!r} ({error}); write the line in other characters.",
            field="lyrics",
            value=text,
        ) from error


@cache
def _hangul() -> Any:
    academic = package("hangul_romanize.rule", "Korean lyrics").academic
    return package("hangul_romanize", "Korean lyrics").Transliter(academic)


@cache
def _cutlet() -> Any:
    cutlet = package("cutlet", "Japanese lyrics")
    try:
        return cutlet.Cutlet()
    except RuntimeError as error:
        # The tagger beneath it says so when it finds no dictionary.
        raise missing("cutlet", "the dictionary unidic-lite", "Japanese lyrics") from error
