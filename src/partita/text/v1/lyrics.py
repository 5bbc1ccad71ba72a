"""Whole lyrics to token ids, line by line: each in its own language, tags of song structure in English.

Knows what a line means to ACE-Step v1. Which language a line is in is `segments`' (as the original answers) or
`by_script`'s, which tag is meant `tags`', and what becomes of the words `cleaners`' and `tokenizer`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from partita.errors import RequestError
from partita.text.v1.by_script import line_language, song_language
from partita.text.v1.cleaners import LANGUAGES, clean
from partita.text.v1.segments import language_of_line
from partita.text.v1.tags import TRAINED, tagged
from partita.text.v1.tokenizer import NEWLINE_ID, START_ID, UNKNOWN_ID, LyricTokenizer

Detection = Literal["simple", "reference"]

_ENGLISH = "en"
_ABSENT = (0,)
_BEGINS_WITH_TAG = re.compile(r"\[.*?\]")
_OWN_LANGUAGE = re.compile(r"\[([A-Za-z]{2})\]\s*(\S.*)", re.DOTALL)
_MANY = 8


@dataclass(frozen=True, slots=True)
class LineRead:
    """One line: its words, the language they were encoded in, their ids and the words after cleaning.

    A blank line has no language and no ids. The id that ends a line is not among `ids`. `number` counts lines of the
    lyrics from 1; a line with a tag before its words is read as two.
    """

    text: str
    language: str
    ids: tuple[int, ...]
    normalised: str
    number: int


@dataclass(frozen=True, slots=True)
class LyricTokens:
    """Ids of whole lyrics, the lines they come from, and what a writer should know of them."""

    ids: tuple[int, ...]
    lines: tuple[LineRead, ...]
    notes: tuple[str, ...]

    @property
    def mask(self) -> tuple[int, ...]:
        """1 for each id, and 0 for the single id of lyrics that are empty."""
        return (0,) if self.ids == _ABSENT else (1,) * len(self.ids)


def tokenize_lyrics(
    lyrics: str,
    tokenizer: LyricTokenizer,
    *,
    language: str | None = None,
    parity: bool = False,
    detection: Detection | None = None,
) -> LyricTokens:
    """Ids of `lyrics`: 261, then each line and a 2; lyrics that are empty are the one id 0, masked.

    `language`: the language of every line that is no tag, one of `cleaners.LANGUAGES`. `detection`: how a line's
    language is found otherwise, by default `reference` in parity and else `simple`. `parity`: as the original does it;
    a line that cannot be read is left out with a note. Otherwise a line may begin with its language (`[es] La noche`)
    and tags that writers use are read as the trained ones, with notes.

    Raises RequestError where a line cannot be read, or `language` is none of the model's.
    """
    if not (lyrics if parity else lyrics.strip()):
        return LyricTokens(_ABSENT, (), ())
    return read_lines(lyrics, tokenizer, language=language, parity=parity, detection=detection)


def read_lines(
    lyrics: str,
    tokenizer: LyricTokenizer,
    *,
    language: str | None = None,
    parity: bool = False,
    detection: Detection | None = None,
) -> LyricTokens:
    """As `tokenize_lyrics`, but empty lyrics are one blank line: the ids 261 and 2."""
    if language is not None and language not in LANGUAGES:
        raise RequestError(
            f"ACE-Step v1 has no language {language!r}; use one of {', '.join(LANGUAGES)}, or none to have it found.",
            field="language",
            value=language,
        )
    notes = _Notes()
    find = _finder(lyrics, language, detection or ("reference" if parity else "simple"))
    read: list[LineRead] = []
    for number, line in enumerate(lyrics.split("\n"), start=1):
        for part in _original_part(line, find) if parity else _parts(line, find, number, notes):
            try:
                read.append(_encode(part, number, tokenizer))
                if not parity:
                    notes.look(read[-1], part.is_tag, tokenizer)
            except RequestError as error:
                message = f"Line {number} of the lyrics ({part.text!r}, {part.language}): {error}"
                if not parity:
                    raise RequestError(message, field=error.field, value=error.value) from error
                notes.skipped.append(f"{message} It is left out.")
    ids = [START_ID]
    for line in read:
        ids += [*line.ids, NEWLINE_ID]
    return LyricTokens(tuple(ids), tuple(read), tuple(notes.all()))


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    language: str
    is_tag: bool = False


def _finder(lyrics: str, language: str | None, detection: Detection) -> Callable[[str], str]:
    """What tells the language of a line."""
    if language is not None:
        return lambda line: language
    if detection == "simple":
        song = song_language(lyrics)
        return lambda line: line_language(line, song)
    return lambda line: found if (found := language_of_line(line)) in LANGUAGES else _ENGLISH


def _original_part(line: str, find: Callable[[str], str]) -> Iterator[_Part]:
    text = line.strip()
    is_tag = _BEGINS_WITH_TAG.match(text) is not None
    yield _Part(text, "" if not text else _ENGLISH if is_tag else find(text), is_tag)


def _parts(line: str, find: Callable[[str], str], number: int, notes: _Notes) -> Iterator[_Part]:
    """A line as its writer means it: tag and words apart, each in its language."""
    text = line.strip()
    own = _OWN_LANGUAGE.fullmatch(text)
    if own is not None and own[1].lower() in LANGUAGES:
        yield _Part(own[2], own[1].lower())
        return
    tag = tagged(text) if text else None
    if tag is None:
        yield _Part(text, find(text) if text else "")
        return
    read_as = f"[{tag.trained}]" if tag.trained else tag.written
    if tag.trained is None:
        notes.unknown_tags.setdefault(tag.written, []).append(number)
    elif tag.written.lower() != read_as:
        notes.tags.setdefault(read_as, {}).setdefault(tag.written, []).append(number)
    yield _Part(read_as, _ENGLISH, is_tag=True)
    if tag.rest:
        yield _Part(tag.rest, find(tag.rest))


def _encode(part: _Part, number: int, tokenizer: LyricTokenizer) -> LineRead:
    if not part.text:
        return LineRead("", "", (), "", number)
    normalised = clean(part.text, part.language)
    return LineRead(
        part.text, part.language, tuple(tokenizer.encode_clean(normalised, part.language)), normalised, number
    )


@dataclass
class _Notes:
    """What is worth telling, gathered so that each thing is told once."""

    tags: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    unknown_tags: dict[str, list[int]] = field(default_factory=dict)
    unreadable: dict[str, list[int]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def look(self, line: LineRead, is_tag: bool, tokenizer: LyricTokenizer) -> None:
        if not is_tag and UNKNOWN_ID in line.ids:
            for character in tokenizer.unreadable(line.normalised, line.language):
                self.unreadable.setdefault(character, []).append(line.number)

    def all(self) -> Iterator[str]:
        yield from self.skipped
        for trained, written in self.tags.items():
            yield f"Read as {trained}: {_named(written)}."
        if self.unknown_tags:
            named, known = _named(self.unknown_tags), ", ".join(f"[{tag}]" for tag in TRAINED)
            yield f"ACE-Step v1 was not trained on {named} and may sing such a line; its tags are {known}."
        if self.unreadable:
            numbers = sorted({number for found in self.unreadable.values() for number in found})
            yield f"ACE-Step v1 cannot read {' '.join(self.unreadable)} ({_lines(numbers)})."


def _named(places: dict[str, list[int]]) -> str:
    return ", ".join(f"{written} ({_lines(numbers)})" for written, numbers in places.items())


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in dict.fromkeys(numbers[:_MANY]))
    more = ", ..." if len(numbers) > _MANY else ""
    return f"line {shown}{more}"
