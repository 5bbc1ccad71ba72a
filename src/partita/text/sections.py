"""Lyrics as parts: the tags in square brackets, what each means, and the lines under it.

Knows the words that tags are made of, in English and the usual ones of other languages; knows nothing of time. Which
tags a model follows is its training's secret: these are the published ones and those that writers commonly use.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from partita.score.types import SectionKind

# Words that make a tag a part of the form. The first of a tag that does decides.
_FORM_WORDS: dict[SectionKind, str] = {
    "intro": "intro introduction opening prelude start vorspiel einleitung entrada introducción introdução вступление "
    "интро 前奏 开场 開場 イントロ 인트로 전주 مقدمة",
    "verse": "verse pre-chorus prechorus pre build build-up buildup strophe couplet estrofa verso strofa zwrotka sloka "
    "verze kıta vers куплет предприпев 主歌 导歌 導歌 预副歌 預副歌 aメロ bメロ 절 벌스 프리코러스 अंतरा المقطع",
    "chorus": "chorus refrain hook drop post-chorus postchorus kehrreim estribillo coro refrão refrao ritornello "
    "refren refrén refräng refrein nakarat припев 副歌 サビ 후렴 코러스 मुखड़ा اللازمة",
    "bridge": "bridge break breakdown interlude middle middle-8 pont puente ponte brücke zwischenspiel бридж проигрыш "
    "桥段 橋段 过渡 間奏 间奏 cメロ 브릿지 간주",
    "solo": "solo instrumental inst cadenza соло 独奏 獨奏 ソロ 솔로",
    "outro": "outro ending end coda finale fade fade-out fadeout nachspiel schluss окончание концовка аутро 尾奏 尾声 "
    "尾聲 结尾 結尾 アウトロ 아웃트로 후주 خاتمة",
}

# Words of tags that say how something sounds or is sung. They change no form.
_MANNERS = """
whisper whispers whispered whispering spoken speech talk talking narration narrator monologue dialogue rap
rapped scream screams screamed screaming shout shouts shouted growl growls growled belting belted falsetto
humming hummed hum vocalise vocalize scat chant chants chanted yodel a-cappella acappella capella ad-lib ad-libs
adlib adlibs harmony harmonies harmonized backing background call response choir choral gospel duet group crowd
audience applause cheering clapping claps laugh laughter laughs sigh breath breathy raspy powerful soft softly
gentle loud quiet male female man woman men women boy girl child children kids both all together lead vocal
vocals voice voices singer singing sung singers energy high low medium building rising falling explosive intense
intimate melancholic euphoric dreamy aggressive emotional happy sad calm dark epic anthemic silence pause stop
beat drums drum bass guitar guitars piano keys keyboard synth synths strings violin cello horns brass sax
saxophone trumpet flute organ harmonica acoustic electric orchestra orchestral percussion riff melody groove
tempo slow slower fast faster half-time double-time key-change modulation crescendo climax swell repeat reprise
tag turnaround vamp final last post theme skit sample scratch effect sfx sound rain wind thunder birds 朗诵 说唱 合唱
男声 女声 男 女 合 独白 ラップ セリフ 랩
"""
_MANNER_WORDS = frozenset(_MANNERS.split())
# Parts with one of these words need no others under them.
_WORDLESS_WORDS = frozenset({"drop", "build", "build-up", "buildup", "instrumental", "inst", "solo", "riff", "melody"})
_TAG_LINE = re.compile(r"^\s*\[([^\[\]\n]+)\]\s*$")
_WORD = re.compile(r"[^\s()\[\]{}:;,./|\"'’–—_!?&+]+")


@dataclass(frozen=True, slots=True)
class Tag:
    """What stands between square brackets. `kind` is none where it is no part of the form.

    `known`: some word of it is one that tags are made of. `sung`: it promises words under it.
    """

    text: str
    kind: SectionKind | None
    known: bool
    sung: bool


@dataclass(frozen=True, slots=True)
class LyricLine:
    """A line with words; `number` counts from 1 in the whole lyrics."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """A tag, or none for what stands before any, the number of its line, and the lines under it."""

    tag: Tag | None
    number: int
    lines: tuple[LyricLine, ...]


def read_tag(text: str) -> Tag:
    """The meaning of a tag's text, without its brackets: `Verse 2`, `Chorus - anthemic`, `サビ`."""
    folded = unicodedata.normalize("NFKC", text).lower().strip()
    words = _WORD.findall(folded)
    kind: SectionKind | None = next((found for word in words if (found := _kind_of(word)) is not None), None)
    known = kind is not None or any(_is_manner(word) for word in words)
    sung = kind in ("verse", "chorus") and not any(form in _WORDLESS_WORDS for word in words for form in _forms(word))
    return Tag(text.strip(), kind, known, sung)


def tag_on(line: str) -> Tag | None:
    """The tag that a line consists of, or none where it has other words too or no tag."""
    found = _TAG_LINE.match(line)
    return read_tag(found.group(1)) if found is not None and found.group(1).strip() else None


def parts_of(lyrics: str) -> tuple[Part, ...]:
    """The lyrics cut at tags that stand alone on their line, in order."""
    parts: list[Part] = []
    tag: Tag | None = None
    begin, lines = 1, list[LyricLine]()
    for number, line in enumerate(lyrics.split("\n"), start=1):
        found = tag_on(line)
        if found is None:
            if line.strip():
                lines.append(LyricLine(number, line.strip()))
            continue
        if tag is not None or lines:
            parts.append(Part(tag, begin, tuple(lines)))
        tag, begin, lines = found, number, []
    if tag is not None or lines:
        parts.append(Part(tag, begin, tuple(lines)))
    return tuple(parts)


def known_words() -> tuple[str, ...]:
    """Every word that makes a tag known, for suggestions."""
    return (*_kinds(), *sorted(_MANNER_WORDS))


@cache
def _kinds() -> MappingProxyType[str, SectionKind]:
    return MappingProxyType({word: kind for kind, words in _FORM_WORDS.items() for word in words.split()})


def _kind_of(word: str) -> SectionKind | None:
    kinds = _kinds()
    for form in _forms(word):
        if form in kinds:
            return kinds[form]
    if word.isascii():
        return None
    # Scripts without spaces run words together, as in `第一段主歌`.
    inside = [known for known in kinds if not known.isascii() and known in word]
    return kinds[max(inside, key=len)] if inside else None


def _forms(word: str) -> Iterator[str]:
    """The word without its number, its singular, and each part of a compound such as `guitar-solo`."""
    bare = word.rstrip("0123456789").rstrip("-")
    yield bare
    yield bare.removesuffix("s")
    yield bare.removesuffix("es")
    yield from bare.split("-")


def _is_manner(word: str) -> bool:
    return any(form in _MANNER_WORDS for form in _forms(word))
