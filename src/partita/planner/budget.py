"""How long lyrics take to sing: bars for every part of them at a tempo, and what cannot be fitted into a given time.

Rates are syllables a second. Singing dwells on vowels: at 60 BPM about two syllables a second are usual, at 180 about
four, twice that is hurried, and speech languages differ in how fast their syllables follow (Pellegrino, Coupé and
Marsico, "A cross-language perspective on speech information rate", Language 87, 2011). It knows nothing of what a model
does with the time.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from partita.score.types import Grid, SectionKind
from partita.text.sections import Part, parts_of
from partita.text.syllables import syllables

# Syllables a second of read speech; a language that is not here goes as English.
_ENGLISH_RATE = 6.19
_SPEECH_RATES = {
    "en": _ENGLISH_RATE,
    "fr": 7.18,
    "de": 5.97,
    "it": 6.99,
    "ja": 7.84,
    "zh": 5.18,
    "yue": 5.18,
    "es": 7.82,
    "vi": 5.22,
}
_SLOWEST = (60, 2.0)  # BPM, and syllables a second at it
_FASTEST = (180, 4.0)
_RAP = re.compile(r"\brap\w*\b|\bhip[ -]?hop\b|\btrap\b|\bdrill\b|\bgrime\b|说唱|ラップ|랩", re.IGNORECASE)
_RAPPED = 1.7
HURRIED = 2.0
"""How much faster than usual words can still be sung."""
PHRASE_BARS = 4
LINE_BEATS = 8
_BREATH_BEATS = 1
_LEAST_BARS: dict[SectionKind, int] = {"intro": 4, "verse": 4, "chorus": 4, "bridge": 4, "solo": 8, "outro": 4}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the form and how many bars it takes. `lines` counts those with words."""

    kind: SectionKind
    bars: int
    lines: int


def usual_rate(bpm: float, language: str, caption: str = "") -> float:
    """Syllables a second that are usual at `bpm` quarters a minute; a caption that asks for rap makes it faster."""
    (slow_bpm, slow), (fast_bpm, fast) = _SLOWEST, _FASTEST
    place = (min(max(bpm, slow_bpm), fast_bpm) - slow_bpm) / (fast_bpm - slow_bpm)
    # The root, for a melody sets the pace as much as the language does.
    spoken = math.sqrt(_SPEECH_RATES.get(language, _ENGLISH_RATE) / _ENGLISH_RATE)
    return (slow + place * (fast - slow)) * spoken * (_RAPPED if _RAP.search(caption) else 1.0)


def bars_of_line(text: str, grid: Grid, rate: float, language: str) -> int:
    """Whole bars that a line takes at `rate` syllables a second, with a breath after it."""
    sung_s = syllables(text, language) / rate + _BREATH_BEATS * grid.beat_s
    return max(1, math.ceil(sung_s / grid.bar_s - 1e-9))


def spans_of(lyrics: str, grid: Grid, rate: float, language: str) -> tuple[Span, ...]:
    """The form that lyrics ask for, with an intro and an outro where they name none.

    Parts take even numbers of bars, at least a phrase or two, which those without words have. Words under a tag that
    is no part of the form go on with the part before.
    """
    spans: list[Span] = []
    for part in parts_of(lyrics):
        bars = sum(bars_of_line(line.text, grid, rate, language) for line in part.lines)
        kind = part.tag.kind if part.tag is not None else "verse"
        if kind is None and not part.lines:
            continue
        if kind is None and spans:
            last = spans[-1]
            spans[-1] = Span(last.kind, last.bars + _even(bars), last.lines + len(part.lines))
        else:
            kind = kind or "verse"
            spans.append(Span(kind, max(_even(bars), _LEAST_BARS[kind]), len(part.lines)))
    if not spans:
        return ()
    if spans[0].kind != "intro":
        spans.insert(0, Span("intro", PHRASE_BARS, 0))
    if spans[-1].kind != "outro":
        spans.append(Span("outro", PHRASE_BARS, 0))
    return tuple(spans)


def shortest_s(lyrics: str, grid: Grid, rate: float, language: str) -> float:
    """Seconds below which the words cannot all be sung, hurried as they may be. Parts without words get a bar."""
    parts = parts_of(lyrics)
    wordless = sum(1 for part in parts if not part.lines and part.tag is not None and part.tag.kind is not None)
    return syllables_of(parts, language) / (rate * HURRIED) + wordless * grid.bar_s


def syllables_of(parts: tuple[Part, ...], language: str) -> int:
    """All syllables of these parts."""
    return sum(syllables(line.text, language) for part in parts for line in part.lines)


def most_syllables_of_line(grid: Grid, rate: float) -> int:
    """What can be sung of one line in eight beats, two bars of most songs, hurried."""
    return math.floor(LINE_BEATS * grid.beat_s * rate * HURRIED)


def _even(bars: int) -> int:
    return bars + bars % 2
