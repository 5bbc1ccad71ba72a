"""The form of a song: which sections follow each other and where they begin, on the bar lines.

Lyrics with tags decide it; without them the length does. A song that grows keeps the sections that it has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from partita.planner.budget import PHRASE_BARS
from partita.score.types import Grid, SectionKind
from partita.song.plan import PlannedSection
from partita.text.prompts import INSTRUMENTAL_LYRICS
from partita.text.sections import parts_of

_NOTHING_S = 1e-6


def draw(random: Random, low: int, high: int) -> int:
    """An integer in low..high. Only `Random.random` is promised to stay the same between versions of Python."""
    return low + int(random.random() * (high - low + 1))


def tagged_sections(lyrics: str) -> list[tuple[SectionKind, int]]:
    """Kind of every tagged part of the lyrics and how many lines it has, in order; unknown tags are left out."""
    tagged: list[tuple[SectionKind, int]] = []
    for part in parts_of(lyrics):
        if part.tag is not None and part.tag.kind is not None:
            tagged.append((part.tag.kind, len(part.lines)))
    return tagged


def plan_sections(
    lyrics: str, duration_s: float, bpm: int, time_signature: str, random: Random
) -> tuple[PlannedSection, ...]:
    """Sections that fill `duration_s` seconds, each a whole number of bars but the last."""
    grid = Grid(bpm, time_signature)
    bars = max(1, round(duration_s / grid.bar_s))
    parts = tagged_sections(lyrics) if lyrics.strip() != INSTRUMENTAL_LYRICS else []
    lengths = _bars_of_parts(parts, bars) if parts else _usual_form(bars, random)
    return filled_sections(lengths, grid, duration_s)


def filled_sections(
    lengths: Sequence[tuple[SectionKind, int]], grid: Grid, duration_s: float
) -> tuple[PlannedSection, ...]:
    """Sections of so many bars from the start on; those beyond `duration_s` are left out, and the last ends there."""
    sections, bar = [], 0
    for index, (kind, length) in enumerate(lengths):
        start_s = bar * grid.bar_s
        bar += length
        end_s = duration_s if index == len(lengths) - 1 else bar * grid.bar_s
        if start_s < duration_s:
            sections.append(PlannedSection(kind=kind, start_s=start_s, end_s=min(end_s, duration_s)))
    return tuple(sections)


def continued_sections(
    sections: Sequence[PlannedSection], grid: Grid, source_s: tuple[float, float], duration_s: float
) -> tuple[PlannedSection, ...]:
    """The form of a song of `duration_s` in which another, with `sections` of its own, lies at `source_s` (start, end).

    Its sections stay where they are in it. Where less than two phrases are added after it the last goes on, and where
    less are put before it, what is put there is of the first one's kind. Longer additions get a form of their own:
    whole bars of `grid` (the longer song's) but for the song's two ends. A source without sections gives none.
    """
    if not sections:
        return ()
    start_s, end_s = source_s
    own = [PlannedSection(kind=one.kind, start_s=one.start_s + start_s, end_s=one.end_s + start_s) for one in sections]
    form = _form_before(_bars(start_s, grid), own[0].kind)
    before = _laid(form, start_s - sum(bars for _, bars in form) * grid.bar_s, grid)
    if before:
        before[0] = before[0].model_copy(update={"start_s": 0.0})
        before[-1] = before[-1].model_copy(update={"end_s": own[0].start_s})
    line_s = grid.offset_s + math.ceil((end_s - grid.offset_s) / grid.bar_s - _NOTHING_S) * grid.bar_s
    after = _laid(_form_after(_bars(duration_s - line_s, grid), own[-1].kind), line_s, grid)
    (after or own)[-1:] = [(after or own)[-1].model_copy(update={"end_s": duration_s})]
    if after:
        own[-1] = own[-1].model_copy(update={"end_s": line_s})
    return (*before, *own, *after)


def _bars_of_parts(parts: list[tuple[SectionKind, int]], bars: int) -> list[tuple[SectionKind, int]]:
    """Share the bars out by the lines of each part (an empty one counts as two), in whole phrases if they fit."""
    unit = PHRASE_BARS if bars >= PHRASE_BARS * len(parts) else 1
    weights = [max(lines, 2) for _, lines in parts]
    total, lengths, used = sum(weights), [], 0
    for index, ((kind, _), weight) in enumerate(zip(parts, weights, strict=True)):
        rest = len(parts) - index - 1
        wanted = unit * max(1, round(bars * weight / total / unit))
        length = max(1, min(wanted, bars - used - rest))
        lengths.append((kind, length))
        used += length
    kind, last = lengths[-1]
    lengths[-1] = (kind, last + max(0, bars - used))
    return lengths


def _usual_form(bars: int, random: Random) -> list[tuple[SectionKind, int]]:
    phrases = bars // PHRASE_BARS
    if phrases < 2:
        return [("verse", bars)]
    middle: list[SectionKind] = []
    while len(middle) < phrases:
        middle.extend(("verse", "verse", "chorus", "chorus"))
        if len(middle) in (8, 20):
            middle.append("bridge" if random.random() < 0.5 else "solo")
    kinds: list[SectionKind] = middle[:phrases]
    if phrases == 2:
        kinds = ["verse", "chorus"]
    if phrases >= 4:
        kinds = ["intro", *middle[: phrases - 2], "outro"]
    return _in_phrases(kinds, bars - phrases * PHRASE_BARS)


def _in_phrases(kinds: Sequence[SectionKind], rest: int) -> list[tuple[SectionKind, int]]:
    """A phrase of each kind, those of one kind in a row as one section, and `rest` more bars at the end."""
    lengths: list[tuple[SectionKind, int]] = []
    for kind in kinds:
        if lengths and lengths[-1][0] == kind:
            lengths[-1] = (kind, lengths[-1][1] + PHRASE_BARS)
        else:
            lengths.append((kind, PHRASE_BARS))
    kind, last = lengths[-1]
    lengths[-1] = (kind, last + rest)
    return lengths


def _bars(length_s: float, grid: Grid) -> int:
    """Bars to a stretch: at least one, but none to an empty one."""
    return 0 if length_s < _NOTHING_S else max(1, round(length_s / grid.bar_s))


def _form_before(bars: int, first: SectionKind) -> list[tuple[SectionKind, int]]:
    """What leads up to a song that begins with a section of kind `first`.

    Less than two phrases are of that kind too: a few bars of intro would be so thin that the song falls in behind them
    with a jolt. Longer ones begin with an intro.
    """
    phrases, rest = divmod(bars, PHRASE_BARS)
    if phrases < 2:
        return [(first, bars)] if bars else []
    return _in_phrases([*_alternating("chorus", phrases - 1), "intro"], rest)[::-1]


def _form_after(bars: int, last: SectionKind) -> list[tuple[SectionKind, int]]:
    """What follows a song that ends in a section of kind `last`; less than two phrases are none of their own."""
    phrases, rest = divmod(bars, PHRASE_BARS)
    if phrases < 2:
        return []
    kinds = _alternating("verse" if last == "chorus" else "chorus", phrases)
    return _in_phrases([*kinds[:-1], "outro"] if phrases >= 4 else kinds, rest)


def _alternating(first: SectionKind, phrases: int) -> list[SectionKind]:
    """Verses and choruses of two phrases each."""
    second: SectionKind = "verse" if first == "chorus" else "chorus"
    return [first if phrase // 2 % 2 == 0 else second for phrase in range(phrases)]


def _laid(form: Sequence[tuple[SectionKind, int]], at_s: float, grid: Grid) -> list[PlannedSection]:
    """These sections one after the other from `at_s` on."""
    sections: list[PlannedSection] = []
    for kind, bars in form:
        end_s = at_s + bars * grid.bar_s
        sections.append(PlannedSection(kind=kind, start_s=at_s, end_s=end_s))
        at_s = end_s
    return sections
