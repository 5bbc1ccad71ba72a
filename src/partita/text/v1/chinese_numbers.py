"""Numbers in Chinese lyrics to Chinese words, and punctuation to commas, as ACE-Step v1's training had them.

The kinds of number are looked for one after the other (dates, amounts, telephones, fractions, percentages, counted
things, long and other numbers), each in what the ones before have left. What is found is replaced where it first
stands in the line, which need not be where it was found: so it was in training.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence

_DIGITS = "零一二三四五六七八九"
_POINT = "点"
_UNITS = {
    **{1: "十", 2: "百", 3: "千", 4: "万", 8: "亿", 12: "兆", 16: "京", 20: "垓"},
    **{24: "秭", 28: "穰", 32: "沟", 36: "涧", 40: "正", 44: "载"},
}
# Words that things are counted in.
_MEASURES = (
    "匹张座回场尾条个首阙阵网炮顶丘棵只支袭辆挑担颗壳窠曲墙群腔砣客贯扎捆刀令打手罗坡山岭江溪钟队单双对出口头脚板跳枝件贴针线管名位"
    "身堂课本页家户层丝毫厘分钱两斤铢石钧锱忽寸尺丈里寻常铺程撮勺合升斗盘碗碟叠桶笼盆盒杯斛锅簋篮罐瓶壶卮盏箩箱煲啖袋钵年月日季刻时"
    "周天秒旬纪岁世更夜春夏秋冬代伏辈丸泡粒幢堆根道面片块"
)
_MEASURE = f"(?:[{_MEASURES}]|[千微]克|[千微]米)"
_SUM = "(?:(?:百万|千万|[亿万千百])?[元块]|千万|百万|[亿万千百角毛分])"
_NUMBER = r"\d+(?:\.\d+)?"

_DATE = re.compile(
    r"\D+(?P<all>(?:(?P<year>[089]\d|(?:19|20)\d{2})年)?(?:(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})(?P<word>[日号]))?)?)"
)
_MONEY = re.compile(rf"\D+(?P<all>{_NUMBER}[多余几]?{_SUM}(?:\d{_SUM}?)?)")
_MOBILE = re.compile(r"\D(?P<all>(?:\+?86 ?)?1(?:[38]\d|5[0-35-9]|7[678]|9[89])\d{8})\D")
_TELEPHONE = re.compile(r"\D(?P<all>(?:0(?:10|2[1-3]|[3-9]\d{2})-?)?[1-9]\d{6,7})\D")
_FRACTION = re.compile(r"(?P<all>\d+/\d+)")
_PERCENTAGE = re.compile(rf"(?P<all>{_NUMBER}%)")
_COUNTED = re.compile(rf"(?P<all>{_NUMBER})[多余几]?{_MEASURE}")
_LONG = re.compile(r"(?P<all>\d{4,32})")
_ANY = re.compile(rf"(?P<all>{_NUMBER})")
_NUMERAL = re.compile(_NUMBER)
# `B2B` and its like keep their digit.
_BETWEEN_LETTERS = re.compile(r"(?P<all>[a-zA-Z]+二[a-zA-Z]+)")

_MARK_RANGES = (
    *((0xB7, 0xB7), (0x2013, 0x2014), (0x2018, 0x2019), (0x201B, 0x201F), (0x2026, 0x2027), (0x3001, 0x3003)),
    *((0x3008, 0x3011), (0x3014, 0x301F), (0x3030, 0x3030), (0x303E, 0x303F), (0xFE4F, 0xFE4F), (0xFF01, 0xFF0D)),
    *((0xFF0F, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF64)),
)
_MARKS = {
    **dict.fromkeys(map(ord, string.punctuation), ","),
    **{code: "," for first, last in _MARK_RANGES for code in range(first, last + 1)},
}


def spell_chinese(text: str) -> str:
    """`text` with every number in Chinese words and every mark of punctuation, brackets too, as a comma."""
    # Numbers at either end have something before and after them too.
    text = f"^{text}$"
    text = _replaced(text, _DATE, _date)
    text = _replaced(text, _MONEY, lambda found: _each_number(found["all"]))
    text = _replaced(text, _MOBILE, lambda found: digit_by_digit(found["all"].strip("+").replace(" ", "")))
    text = _replaced(text, _TELEPHONE, lambda found: digit_by_digit(found["all"].replace("-", "")))
    text = _replaced(text, _FRACTION, _fraction)
    text = _replaced(text.replace("％", "%"), _PERCENTAGE, lambda found: "百分之" + cardinal(found["all"].strip("%")))
    text = _replaced(text, _COUNTED, lambda found: cardinal(found["all"]))
    text = _replaced(text, _LONG, lambda found: digit_by_digit(found["all"]))
    text = _replaced(text, _ANY, lambda found: cardinal(found["all"]))
    text = _replaced(text, _BETWEEN_LETTERS, lambda found: found["all"].replace("二", "2"))
    return text.lstrip("^").rstrip("$").translate(_MARKS)


def cardinal(number: str, *, two: str = "两") -> str:
    """Digits, with a point or without, in words: `2005` -> 两千零五. `two`: the word for 2 before hundreds and up."""
    whole, _, decimals = number.partition(".")
    symbols = list(_counted(whole)) if len(whole) > 1 else [_DIGITS[int(digit)] for digit in whole]
    words = "".join(_with_two(symbols, two))
    if decimals:
        words += _POINT + digit_by_digit(decimals)
    if words.startswith(_POINT):
        return _DIGITS[0] + words
    return words[1:] if words.startswith("一十") else words


def digit_by_digit(number: str) -> str:
    """Each digit by its own word."""
    return "".join(_DIGITS[int(digit)] for digit in number)


def _counted(value: str) -> Iterator[str | int]:
    """The words of digits, and between them the powers of ten that they count."""
    bare = value.lstrip("0")
    if not bare:
        return
    if len(bare) == 1:
        if len(value) > 1:
            yield _DIGITS[0]
        yield _DIGITS[int(bare)]
        return
    power = max(power for power in _UNITS if power < len(bare))
    yield from _counted(value[:-power])
    yield power
    yield from _counted(bare[-power:])


def _with_two(symbols: Sequence[str | int], two: str) -> Iterator[str]:
    for i, symbol in enumerate(symbols):
        if isinstance(symbol, int):
            yield _UNITS[symbol]
            continue
        before = symbols[i - 1] if i else 0
        after = symbols[i + 1] if i + 1 < len(symbols) else ""
        counts = isinstance(after, int) and after != 1 and isinstance(before, int) and before != 1
        yield two if symbol == _DIGITS[2] and counts else symbol


def _replaced(text: str, kind: re.Pattern[str], words: Callable[[re.Match[str]], str]) -> str:
    for one in list(kind.finditer(text)):
        text = text.replace(one["all"], words(one), 1)
    return text


def _date(found: re.Match[str]) -> str:
    year, month, day = found["year"], found["month"], found["day"]
    return (
        (f"{digit_by_digit(year)}年" if year else "")
        + (f"{cardinal(month)}月" if month else "")
        + (f"{cardinal(day)}{found['word']}" if day else "")
    )


def _each_number(money: str) -> str:
    for number in _NUMERAL.findall(money):
        money = money.replace(number, cardinal(number))
    return money


def _fraction(found: re.Match[str]) -> str:
    part, whole = found["all"].split("/")
    return f"{cardinal(whole)}分之{cardinal(part)}"
