"""Numbers in lyrics to words, as ACE-Step v1's training spelled them: amounts, decimals, ordinals, whole numbers.

The words are num2words', which is loaded when there is a number. Chinese has rules of its own: `chinese_numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from partita.text.v1.packages import FAILURES, package
from partita.text.v1.tables import (
    AMOUNT_JOINT,
    AMOUNT_JOINTS,
    COMMA_GROUPS,
    CURRENCIES,
    NO_DECIMALS,
    NUMBER_CODES,
    ORDINAL_ENDINGS,
)

_COMMA_GROUPED = re.compile(r"\b\d{1,3}(?:,\d{3})*(?:\.\d+)?\b")
# Any character may part the groups, as in the original; only full stops are taken out.
_STOP_GROUPED = re.compile(r"\b\d{1,3}(?:.\d{3})*(?:,\d+)?\b")
_DECIMAL = re.compile(r"[0-9]+[.,][0-9]+")
_WHOLE = re.compile(r"[0-9]+")
_NO_AMOUNT = re.compile(r"[^\d.]")


def spell_numbers(text: str, language: str) -> str:
    """`text` with its numbers in words of `language`, a key of `tables.ORDINAL_ENDINGS`.

    Raises RequestError where num2words is not installed, and what num2words dies of (`packages.FAILURES`) on a number
    that it cannot say.
    """
    if language in COMMA_GROUPS:
        text = _COMMA_GROUPED.sub(lambda found: found[0].replace(",", ""), text)
    else:
        text = _STOP_GROUPED.sub(lambda found: found[0].replace(".", ""), text)
    text = _spell_amounts(text, language)
    if language not in NO_DECIMALS:
        text = _DECIMAL.sub(lambda found: _words(float(found[0].replace(",", ".")), language), text)
    text = _ordinals(language).sub(lambda found: _words(int(found[1]), language, ordinal=True), text)
    return _WHOLE.sub(lambda found: _words(int(found[0]), language), text)


def _spell_amounts(text: str, language: str) -> str:
    """Amounts of money in words. One that cannot be said stays, and so do those of the currencies after it."""
    for currency, sign in CURRENCIES.items():
        try:
            text = _amounts(sign).sub(_amount_words(language, currency), text)
        except FAILURES:
            return text
    return text


def _amount_words(language: str, currency: str) -> Callable[[re.Match[str]], str]:
    joint = AMOUNT_JOINTS.get(language, AMOUNT_JOINT)

    def words(found: re.Match[str]) -> str:
        amount = float(_NO_AMOUNT.sub("", found[0].replace(",", ".")))
        whole = _words(amount, language, to="currency", currency=currency)
        before, parted, _ = whole.rpartition(joint)
        # A round amount ends in words for no hundredths, which nobody says.
        return before if parted and amount.is_integer() else whole

    return words


def _words(number: float, language: str, **how: object) -> str:
    speak = package("num2words", "Numbers in lyrics").num2words
    return speak(number, lang=NUMBER_CODES.get(language, language), **how)


@cache
def _amounts(sign: str) -> re.Pattern[str]:
    sign = re.escape(sign)
    return re.compile(rf"{sign}[0-9.,]*[0-9]|[0-9.,]*[0-9]{sign}")


@cache
def _ordinals(language: str) -> re.Pattern[str]:
    return re.compile(rf"([0-9]+)(?:{'|'.join(ORDINAL_ENDINGS[language])})")
