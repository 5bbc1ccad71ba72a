"""Tags of song structure that ACE-Step v1 was trained on, and which of them a writer's tag means.

The words of tags and what part of a song they name are `text.sections`'; here are only the finer kinds of this model
and what may stand around a tag. Lyrics as the original reads them do not pass through here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from types import MappingProxyType

from partita.text.sections import read_tag

# In the order of their ids.
TRAINED = (
    *("start", "intro", "verse", "chorus", "bridge", "outro"),
    *("end", "inst", "solo", "hook", "pre-chorus", "break"),
)

# Words for kinds that `sections` knows under a broader name.
_FINER_WORDS = {
    "pre-chorus": "pre-chorus prechorus pre prehook pre-hook предприпев 预副歌 預副歌 bメロ 프리코러스",
    "hook": "hook",
    "inst": "inst instrumental interlude zwischenspiel проигрыш 间奏 間奏 간주",
    "break": "break breakdown",
}
_FINER = MappingProxyType({word: tag for tag, words in _FINER_WORDS.items() for word in words.split()})

# Words that are a tag even without square brackets, where a line has no others but a number.
_SURE_WORDS = """
verse chorus pre-chorus prechorus refrain intro outro bridge estribillo strophe refrão ritornello refren припев куплет
主歌 副歌 サビ 벌스 후렴 코러스
"""
_SURE = frozenset(_SURE_WORDS.split())

_BRACKETED = re.compile(r"[\[【［](?P<tag>[^\[\]【】［］]*)[\]】］]\s*:?\s*(?P<rest>.*)", re.DOTALL)
_AROUND = "*_#> \t"
_ENCLOSED = re.compile(r"[({（].*[)}）]|.*[:：]|[*_]{2}.*[*_]{2}|#+ .*")
_BARE = "(){}（）:：*_# \t"
_NUMBER = re.compile(r"[\s\-]*(?:[x×]?\d+x?|[ivx]+)$")
_NO_LETTERS = re.compile(r"^[\W\d_]+|[\W\d_]+$")


@dataclass(frozen=True, slots=True)
class TaggedLine:
    """A line that is or begins with a tag: the tag as written, the trained one that it means, and what follows it."""

    written: str
    trained: str | None
    rest: str


def trained_tag(text: str) -> str | None:
    """The member of `TRAINED` that a tag's text means, or none: `Verse 2` -> verse, `Guitar Solo` -> solo."""
    folded = unicodedata.normalize("NFKC", text).lower().strip()
    if folded in TRAINED:
        return folded
    for word in folded.split():
        finer = _FINER.get(_NO_LETTERS.sub("", word))
        if finer is not None:
            return finer
        tag = read_tag(word)
        # Builds and drops count as verse and chorus elsewhere, but have no words.
        if tag.kind is not None and (tag.sung or tag.kind not in ("verse", "chorus")):
            return tag.kind
    return None


def tagged(line: str) -> TaggedLine | None:
    """The tag that a line consists of or begins with, or none.

    Square brackets make anything a tag; without them, as in `(Chorus)`, `**Verse 1**` or `Bridge:`, only a word that
    can hardly be sung is one.
    """
    bracketed = _BRACKETED.fullmatch(line.strip(_AROUND))
    if bracketed is not None:
        written = bracketed["tag"].strip()
        trained = trained_tag(written)
        # Other brackets also set off words that are sung.
        if trained is not None or line.strip(_AROUND).startswith("["):
            return TaggedLine(f"[{written}]", trained, bracketed["rest"].strip(_AROUND))
    if not _ENCLOSED.fullmatch(line.strip()):
        return None
    inside = line.strip(_BARE)
    word = _NUMBER.sub("", unicodedata.normalize("NFKC", inside).lower()).strip()
    if "-".join(word.split()) not in _SURE:
        return None
    return TaggedLine(line.strip(), trained_tag(word), "")
