"""What in lyrics may not come out as they are written: tags, leftovers of other formats, and words without time.

Knows no model and no tokenizer: who has one gives its counting along. What renderers themselves find is theirs to say.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from partita.planner.budget import most_syllables_of_line, shortest_s, syllables_of, usual_rate
from partita.planner.pace import pace_of
from partita.song.plan import Plan
from partita.text.prompts import INSTRUMENTAL_LYRICS, LYRICS_MAX_TOKENS
from partita.text.sections import Tag, known_words, parts_of, read_tag, tag_on
from partita.text.syllables import syllables

NoteKind = Literal[
    "unknown-tag",
    "tag-not-alone",
    "unclosed-bracket",
    "empty-section",
    "markup",
    "whitespace",
    "long-line",
    "little-time",
    "long-lyrics",
]
MAX_CHARACTERS = 4096
"""The longest lyrics that the ACE-Step family's own programs take."""
TOLD_NOTES = 8

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_TIMESTAMP = re.compile(r"^\d{1,3}:\d{2}(?:[.:]\d{1,3})?$")
_OTHER_HEAD = re.compile(r"^\s*(?:\(([^()]+)\)|\{([^{}]+)\}|\*{1,3}([^*]+)\*{1,3}|#{1,6}\s+(.+?)|([^:]+):)\s*$")
_MARKUP: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a control mark of language models", re.compile(r"<\|[^|>\n]*\|>")),
    ("an HTML tag", re.compile(r"</?[A-Za-z][^<>\n]{0,80}>")),
    ("an HTML character code", re.compile(r"&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,6});", re.IGNORECASE)),
    ("a web link", re.compile(r"https?://\S+|\]\([^)\s]+\)")),
    ("Markdown emphasis", re.compile(r"(?<!\*)\*\*[^*\n]+\*\*|(?<!_)__[^_\n]+__(?!_)|`[^`\n]+`")),
    ("a Markdown heading", re.compile(r"^\s*#{1,6}\s+\S")),
)
_GAP = re.compile(r"\S([ \t\u00a0]{2,}|\t)\S")


@dataclass(frozen=True, slots=True)
class LintNote:
    """A finding: the line it is on, from 1 (0: the lyrics as a whole), its kind, and a sentence for the user."""

    line: int
    kind: NoteKind
    sentence: str


def lint(
    lyrics: str, plan: Plan, *, sung: bool = True, count_tokens: Callable[[str], int] | None = None
) -> tuple[LintNote, ...]:
    """All findings in `lyrics`, in the order of their lines, those of the whole first.

    `plan` gives length, tempo, metre and language. `sung` false leaves out what matters to voices only. `count_tokens`
    counts as the model does, where the model is at hand; its limit is 2048.
    """
    if lyrics.strip() in ("", INSTRUMENTAL_LYRICS):
        return ()
    notes = [*_sizes(lyrics, count_tokens)]
    if sung:
        notes += _times(lyrics, plan)
    for number, line in enumerate(lyrics.split("\n"), start=1):
        notes += _line(number, line)
    notes += _empty_sections(lyrics)
    return tuple(sorted(notes, key=lambda note: note.line))


def told(notes: tuple[LintNote, ...]) -> tuple[str, ...]:
    """The notes as sentences for a record or a terminal; of many, the first and how many more there are."""
    sentences = [f"Lyrics, line {one.line}: {one.sentence}" if one.line else one.sentence for one in notes]
    if len(sentences) <= TOLD_NOTES:
        return tuple(sentences)
    rest = len(sentences) - TOLD_NOTES
    return (*sentences[:TOLD_NOTES], f"Lyrics: {rest} more remark{'s' if rest > 1 else ''} of this kind.")


def _sizes(lyrics: str, count_tokens: Callable[[str], int] | None) -> Iterator[LintNote]:
    if len(lyrics) > MAX_CHARACTERS:
        yield LintNote(
            0,
            "long-lyrics",
            f"The lyrics have {len(lyrics)} characters; more than {MAX_CHARACTERS} are seldom all sung.",
        )
    tokens = count_tokens(lyrics) if count_tokens is not None else 0
    if tokens > LYRICS_MAX_TOKENS:
        yield LintNote(
            0, "long-lyrics", f"The lyrics make {tokens} tokens; the model reads the first {LYRICS_MAX_TOKENS}."
        )


def _times(lyrics: str, plan: Plan) -> Iterator[LintNote]:
    grid = pace_of(plan.caption, plan.bpm, plan.time_signature)
    rate = usual_rate(grid.bpm, plan.language, plan.caption)
    parts = parts_of(lyrics)
    needed_s = shortest_s(lyrics, grid, rate, plan.language)
    if needed_s > plan.duration_s:
        yield LintNote(
            0,
            "little-time",
            f"The lyrics have about {syllables_of(parts, plan.language)} syllables and need at least {needed_s:.0f} s "
            f"even in a hurry; the song has {plan.duration_s:.0f} s: shorten them or make it longer.",
        )
    most = most_syllables_of_line(grid, rate)
    for line in (line for part in parts for line in part.lines):
        count = syllables(line.text, plan.language)
        if count > most:
            yield LintNote(
                line.number,
                "long-line",
                f"about {count} syllables, and at this tempo at most {most} can be sung in one line: break it in two.",
            )


def _line(number: int, line: str) -> Iterator[LintNote]:
    alone = tag_on(line)
    if alone is not None:
        yield from _tag(number, alone)
    elif line.count("[") != line.count("]"):
        yield LintNote(number, "unclosed-bracket", "a square bracket stands without its counterpart.")
    else:
        for found in _BRACKETS.finditer(line):
            tag = read_tag(found.group(1))
            if not tag.text:
                yield LintNote(number, "unknown-tag", "the tag is empty.")
            elif _TIMESTAMP.match(tag.text) or not tag.known:
                yield from _tag(number, tag)
            else:
                yield LintNote(
                    number, "tag-not-alone", f"[{tag.text}] is followed only if it stands alone on its line."
                )
    head = None if alone is not None else _head_in_other_clothes(line)
    if head is not None:
        yield LintNote(number, "markup", f"is {line.strip()!r} the head of a part? Write [{head}].")
        return
    for name, pattern in _MARKUP:
        if (found := pattern.search(line)) is not None:
            yield LintNote(number, "markup", f"{found.group(0).strip()!r} looks like {name}; it may be sung.")
    if _GAP.search(line.strip()):
        yield LintNote(number, "whitespace", "several blanks stand side by side.")


def _tag(number: int, tag: Tag) -> Iterator[LintNote]:
    if _TIMESTAMP.match(tag.text):
        yield LintNote(number, "markup", f"[{tag.text}] is a time as subtitles have it; it may be sung.")
    elif not tag.known:
        like = _like(tag.text)
        ask = f" Did you mean [{like}]?" if like else ""
        yield LintNote(number, "unknown-tag", f"[{tag.text}] is no tag that is known; it may be sung.{ask}")


def _like(text: str) -> str:
    """A known tag that the text may be a slip of."""
    known = known_words()
    words = text.split()
    for index, word in enumerate(words):
        close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.75)
        if close:
            return " ".join([*words[:index], close[0].title() if word[:1].isupper() else close[0], *words[index + 1 :]])
    return ""


def _head_in_other_clothes(line: str) -> str | None:
    """The tag that `(Verse 1)`, `**Chorus**` or `Bridge:` stands for, where it can hardly be words to sing."""
    found = _OTHER_HEAD.match(line)
    if found is None:
        return None
    text = next(group for group in found.groups() if group is not None).strip().rstrip(":")
    words = text.split()
    numbered = all(read_tag(word).known or re.fullmatch(r"\d+|[IVX]+|[Xx×]\d", word) for word in words)
    return text if 0 < len(words) <= 3 and numbered and read_tag(words[0]).kind is not None else None


def _empty_sections(lyrics: str) -> Iterator[LintNote]:
    parts = parts_of(lyrics)
    if not any(part.lines for part in parts):
        return
    for part in parts:
        if part.tag is not None and part.tag.sung and not part.lines:
            yield LintNote(
                part.number, "empty-section", f"[{part.tag.text}] has no words under it, and none will be sung there."
            )
