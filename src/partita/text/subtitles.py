"""Timed lines as LRC and WebVTT text.

Knows nothing of how the times were found, nor of files: both writers return the whole text. LRC has hundredths of a
second, WebVTT has thousandths; a time is rounded once, before it is cut into minutes and seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SHORTEST_CUE_S = 2.0  # a line that starts sooner after its cue joins it
LAST_CUE_S = 5.0  # how long the last cue stands where the end of the song is not known
EMPTY_CUE_S = 3.0  # how long a cue stands that would end where it starts

_LINE_BREAKS = re.compile(r"[\r\n]+")


@dataclass(frozen=True)
class TimedLine:
    """One line of lyrics and when it is sung, in seconds from the start of the song."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Cue:
    """What a player shows from `start_s` to `end_s`; `text` may have several lines."""

    text: str
    start_s: float
    end_s: float


def lrc(lines: Sequence[TimedLine], *, with_end: bool = False, original: bool = False) -> str:
    """`[mm:ss.xx]text`, one line each, without a final line break; `with_end` adds a second stamp for the end.

    `original` rounds seconds after minutes are taken off, so that 59.999 s reads `00:60.00` as in the published
    program.
    """
    stamp = _original_stamp if original else _lrc_stamp
    return "\n".join(
        f"[{stamp(line.start_s)}]{f'[{stamp(line.end_s)}]' if with_end else ''}{_LINE_BREAKS.sub(' ', line.text)}"
        for line in lines
    )


def cues(lines: Sequence[TimedLine], total_s: float | None = None, *, keep_ends: bool = False) -> tuple[Cue, ...]:
    """Lines as a player shows them, in the order of their starts; blank lines are left out.

    A line that starts less than `SHORTEST_CUE_S` after a cue joins it. A cue ends where the next one starts, the last
    one with the song (`total_s`), else after `LAST_CUE_S`; with `keep_ends` where its last line ends. A cue never ends
    before it starts: it then gets `EMPTY_CUE_S`.
    """
    groups: list[list[TimedLine]] = []
    for line in sorted((line for line in lines if line.text.strip()), key=lambda line: line.start_s):
        if groups and line.start_s - groups[-1][0].start_s < SHORTEST_CUE_S:
            groups[-1].append(line)
        else:
            groups.append([line])
    shown = []
    for index, group in enumerate(groups):
        start_s = group[0].start_s
        if keep_ends:
            end_s = group[-1].end_s
        elif index + 1 < len(groups):
            end_s = groups[index + 1][0].start_s
        elif total_s is not None and total_s > start_s:
            end_s = total_s
        else:
            end_s = start_s + LAST_CUE_S
        text = "\n".join(_LINE_BREAKS.sub("\n", line.text.strip()) for line in group)
        shown.append(Cue(text, start_s, end_s if end_s > start_s else start_s + EMPTY_CUE_S))
    return tuple(shown)


def webvtt(lines: Sequence[TimedLine], total_s: float | None = None, *, keep_ends: bool = False) -> str:
    """A WebVTT file of the `cues` of these lines, numbered from 1. Without a cue it is the bare header."""
    blocks = ["WEBVTT\n"]
    for number, cue in enumerate(cues(lines, total_s, keep_ends=keep_ends), start=1):
        blocks.append(f"{number}\n{_vtt_stamp(cue.start_s)} --> {_vtt_stamp(cue.end_s)}\n{_escaped(cue.text)}\n")
    return "\n".join(blocks)


def _lrc_stamp(time_s: float) -> str:
    # round() is exact in decimals, where multiplying by 100 first is not: 1.115 is below its tie.
    hundredths = round(round(max(time_s, 0.0), 2) * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes:02d}:{rest // 100:02d}.{rest % 100:02d}"


def _original_stamp(time_s: float) -> str:
    return f"{int(time_s // 60):02d}:{time_s % 60:05.2f}"


def _vtt_stamp(time_s: float) -> str:
    thousandths = round(round(max(time_s, 0.0), 3) * 1000)
    seconds, rest = divmod(thousandths, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def _escaped(text: str) -> str:
    # The three characters that WebVTT reads as markup or as an arrow of times.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
