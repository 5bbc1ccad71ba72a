"""Which languages a line of lyrics is in, by the rules that ACE-Step v1's lyrics were sorted with, oddities included.

A line is taken apart into runs of one script, numbers, quotations and what is left; each is given a language and
counted by its length. Every rule and threshold is that of the segmenter the model was trained behind (LangSegment
0.3.5, with 97 languages let through), because another answer is another token. `text.detection` tells languages better.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import MappingProxyType

from partita.text.v1.chinese_numbers import cardinal, digit_by_digit
from partita.text.v1.likelihood import languages, most_likely

NO_SEGMENT = (("zh", 0),)

_FRENCH = "àáâãäåæçèéêëìíîïðñòóôõöùúûüýþÿ"
_VIETNAMESE = "đơưăáàảãạắằẳẵặấầẩẫậéèẻẽẹếềểễệíìỉĩịóòỏõọốồổỗộớờởỡợúùủũụứừửữựôâêơưỷỹ"
_OPENING = "【《（(“‘"
_CLOSING = "’”)）》】"

# A part that was taken out leaves a mark in the line, which is a word to every later rule; what looks like one in
# lyrics is lost.
_MARK = "⑥"
_TAKEN = re.compile(rf"({_MARK}\$*\d{{7,}}{_MARK})")
_SHORT_MARK = re.compile(rf"{_MARK}\d{{6,}}{_MARK}")

_PUNCTUATION = re.compile(r"([^\w\s]+)")
_NOT_WORDS = re.compile(r"\W+")
_REPEATED = re.compile(r"(.)\1+")
_DIGITS = re.compile(r"\d+")
_END_OF_SENTENCE = re.compile(r"(?<=[。.?？!！])(?![。.?？!！])")
_INNER_CAPITAL = re.compile(r"\B([A-Z])")
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u4e00-\u9fff]")

# At most this many cleaned characters are too few to be sure of Chinese or Japanese by themselves ...
_SHORT = 5
# ... and below this probability, they are taken for Japanese; above the second, for what they were taken for.
_DOUBTFUL = 0.89
_SURE = 0.90
# A piece of fewer cleaned characters is read with the next.
_FEW = 2


@dataclass
class _Segment:
    """Text in one language. `language` may be several, parted by `|`, until its neighbour is known; `marked`: the
    lyrics say which it is."""

    language: str
    text: str
    marked: bool = False


@dataclass
class _Taken:
    """What stood where a mark stands, as the groups of the rule that took it, and what reads it."""

    groups: tuple[str, ...]
    read: Callable[[_Line, tuple[str, ...]], None]


@lru_cache(maxsize=4096)
def ranking(line: str) -> tuple[tuple[str, int], ...]:
    """Languages of one line (no line break in it) and their counts, largest first; Chinese counts double.

    Raises RequestError where langid is not installed, KeyError where the line holds marks of this module's own.
    """
    if not line.strip():
        return NO_SEGMENT
    reading = _Line()
    reading.read(line)
    counts = sorted(reading.counts.items(), key=lambda item: item[1], reverse=True)
    return tuple(counts) or NO_SEGMENT


def language_of_line(line: str) -> str:
    """The language that a line is taken to be in: the first of the ranking, but English gives way to a second.

    Not every answer is a language of the model's. Raises RequestError where langid is not installed.
    """
    try:
        counts = ranking(line)
    except KeyError:
        return "en"
    first = counts[0][0]
    return counts[1][0] if first == "en" and len(counts) > 1 else first


@dataclass
class _Line:
    """A line on its way: the segments so far, one that waits for its neighbour, and the counts."""

    segments: list[_Segment] = field(default_factory=list)
    waiting: _Segment | None = None
    counts: dict[str, int] = field(default_factory=dict)
    taken: dict[str, _Taken] = field(default_factory=dict)
    at_end: bool = False

    def read(self, line: str) -> None:
        text = _TAKEN.sub("", line)
        for number, (rule, read) in enumerate(_rules(), start=1):
            text = self._take(text, number, rule, read)
        self._read_parts(text, whole_line=True)

    def _take(self, text: str, number: int, rule: re.Pattern[str], read: _Reader) -> str:
        matches = [found.groups() for found in rule.finditer(text)]
        if len(matches) == 1 and "".join(matches[0]) == text:
            return text
        for i, groups in enumerate(matches):
            mark = f"{_MARK}{number}{i:06d}{_MARK}"
            # The first match in what is left, as in the original: not always the match that the groups are of.
            text = rule.sub(mark, text, count=1)
            self.taken[mark] = _Taken(groups, read)
        return text

    def _read_parts(self, text: str, *, whole_line: bool) -> None:
        parts = _TAKEN.split(text)
        for i, part in enumerate(parts):
            if whole_line:
                self.at_end = i == len(parts) - 1
            if _TAKEN.match(part):
                taken = self.taken[part]
                taken.read(self, taken.groups)
            else:
                self._read_generic(part)

    def read_marked(self, groups: tuple[str, ...]) -> None:
        """`<xx>...</xx>`: in that language. Some names of speech markup turn digits into Chinese."""
        _, name, text = groups
        if name not in _known_codes():
            spell = _MARKUP.get(name)
            name, text = ("zh", spell(text)) if spell else (name, text)
        self._add(name, text, marked=True)

    def read_number(self, groups: tuple[str, ...]) -> None:
        self._add(self.segments[0].language if self.segments else "zh", groups[0])

    def read_latin(self, groups: tuple[str, ...]) -> None:
        for sentence in _END_OF_SENTENCE.split(groups[0]):
            if sentence.strip():
                self._add(most_likely(_bare(sentence))[0], sentence)

    def read_quotation(self, groups: tuple[str, ...]) -> None:
        text = "".join(groups)
        inside = _bare(groups[1])
        if _TAKEN.search(text):
            self._read_parts(text, whole_line=False)
        elif len(inside) <= _SHORT:
            self._read_generic(text)
        else:
            self._add(most_likely(inside)[0], text)

    def _read_generic(self, text: str) -> None:
        """What no rule took, cut after punctuation; a piece of hardly any letters is read with the next."""
        pieces = _PUNCTUATION.split(text)
        carried = ""
        for i, own in enumerate(pieces):
            piece, carried = carried + own, ""
            last = i == len(pieces) - 1
            if not piece:
                continue
            bare = _bare(_DIGITS.sub("", _SHORT_MARK.sub("", piece)))
            if not last and (_wordless(piece) or _wordless(pieces[i + 1]) or len(bare) <= _FEW):
                carried = piece
            else:
                self._add(self._language_of(piece, bare, last), piece)

    def _language_of(self, piece: str, bare: str, last: bool) -> str:
        language, probability = most_likely(bare)
        if language != "zh" and all(_HAN.match(letter) for letter in bare if not letter.isspace()):
            language, probability = "zh", 1.0
        if len(bare) > _SHORT or not _HAN.search(bare):
            return language
        if probability < _DOUBTFUL:
            language = "ja"
        if _KANA.search(bare):
            return "ja"
        if len(bare) > _FEW and probability > _SURE:
            return language
        if last and self.at_end:
            return "zh" if len(bare) <= 1 else language
        before = self.segments[-1].language if self.segments else ""
        either = "zh|ja" if language == "zh" or (len(bare) <= _FEW and before == "zh") else "ja|zh"
        if piece.rstrip()[-1] not in "。.":
            return f"{either}|…"
        return before if before and (before in either or either in before) else language

    def _add(self, language: str, text: str, *, marked: bool = False) -> None:
        """A part, and before it the one that waited for its language."""
        if not text.strip():
            return
        language = language.lower()
        if language == "en":
            text = _INNER_CAPITAL.sub(r" \1", text).strip("-") + " "
        waited, self.waiting = self.waiting, None
        before = waited or (self.segments[-1] if self.segments else None)
        if before is not None and "|" in before.language:
            if language in before.language:
                language = language.split("|")[0]
                before.language = language
            else:
                before.language = before.language.split("|")[0]
            if waited is not None:
                before = self._keep(waited)
        if before is not None and "|" in language and "…" not in language and before.language not in language:
            language = language.split("|")[0]
        if "|" in language:
            self.waiting = _Segment(language, text, marked)
        else:
            self._keep(_Segment(language, text, marked))

    def _keep(self, segment: _Segment) -> _Segment:
        """The segment that it became part of, or itself."""
        before = self.segments[-1] if self.segments else None
        if not segment.marked and before is not None and not before.marked:
            if _numeric(segment.text):
                segment.language = before.language
            if before.language == segment.language:
                self._count(segment)
                before.text += segment.text
                return before
            if _numeric(before.text):
                self.segments.pop()
                segment.text = before.text + segment.text
        if segment.language in _known_languages():
            self.segments.append(segment)
            self._count(segment)
        return segment

    def _count(self, segment: _Segment) -> None:
        if "|" not in segment.language:
            length = len(segment.text) * (2 if segment.language == "zh" else 1)
            self.counts[segment.language] = self.counts.get(segment.language, 0) + length


_Reader = Callable[[_Line, tuple[str, ...]], None]


@cache
def _rules() -> tuple[tuple[re.Pattern[str], _Reader], ...]:
    """What is taken out of a line, in this order, and how it is read."""
    return (
        (re.compile(r"(<([a-zA-Z|-]*)>(.*?)</*[a-zA-Z|-]*>)"), _Line.read_marked),
        (_run_of("\uac00-\ud7a3"), _reader_of("ko")),
        (_run_of("\u0e00-\u0e7f"), _reader_of("th")),
        (_run_of("А-Яа-яЁё"), _reader_of("ru")),
        (re.compile(r"(\W*\d+\W+\d*\W*\d*)"), _Line.read_number),
        (_run_of(f"a-zA-Z{_FRENCH}{_VIETNAMESE}"), _Line.read_latin),
        (re.compile(r"([\"'])(.*?)(\1)"), _Line.read_quotation),
        (
            re.compile(rf"(\n*[{_OPENING}])([^{_OPENING}{_CLOSING}]{{3,}})([{_CLOSING}]\W*\n?)"),
            _Line.read_quotation,
        ),
    )


def _run_of(letters: str) -> re.Pattern[str]:
    """Words of these letters, opening marks before them and all that is no word after them."""
    return re.compile(rf"(([{_OPENING}\"']*[{letters}]+\W*)+)")


def _reader_of(language: str) -> _Reader:
    def read(line: _Line, groups: tuple[str, ...]) -> None:
        line._add(language, groups[0])

    return read


def _bare(text: str) -> str:
    """Words parted by single spaces, and every character that is repeated written once."""
    return _REPEATED.sub(r"\1", _NOT_WORDS.sub(" ", text)).strip()


def _wordless(text: str) -> bool:
    return not _PUNCTUATION.sub("", text).strip()


def _numeric(text: str) -> bool:
    """Whether there is nothing but digits and punctuation, or nothing."""
    return not _DIGITS.sub("", _PUNCTUATION.sub("", text).strip())


@cache
def _known_languages() -> frozenset[str]:
    # Any part of the first code passes too, the empty name among them.
    return frozenset({*languages(), "", "a", "f"})


@cache
def _known_codes() -> str:
    return "-".join(sorted(languages()))


def _spoken(text: str, words: Callable[[str], str]) -> str:
    """Every number in Chinese; digits of other scripts than Latin are lost."""
    return _DIGITS.sub(lambda found: words("".join(digit for digit in found[0] if digit.isascii())), text)


_MARKUP: MappingProxyType[str, Callable[[str], str]] = MappingProxyType(
    {
        "telephone": lambda text: _spoken(text.replace("+86", ""), digit_by_digit),
        "number": lambda text: _spoken(text, digit_by_digit),
        "currency": lambda text: _spoken(text, lambda number: cardinal(number, two="二")),
        "date": lambda text: _spoken(text, digit_by_digit),
    }
)
