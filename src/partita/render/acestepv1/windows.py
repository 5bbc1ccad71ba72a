"""Which frames go through the network together where a song is longer than it can see, and what is kept of each pass.

Pure arithmetic on counts of frames, ranges half-open. What a pass makes it makes beside context: frames that are there
already, and stay. It knows no tensors and no task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class Pass:
    """Frames `first` to `end` of the song go through the network, which makes `made` of them; of these `kept` stay.

    Without `made` all of it is made, and there is no source to hold on to. All are ranges of the song's frames.
    """

    first: int
    end: int
    made: tuple[Span, ...] = ()
    kept: tuple[Span, ...] = ()

    @property
    def frames(self) -> int:
        return self.end - self.first

    def inside(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Ranges of the song as ranges of this pass."""
        return tuple((start - self.first, stop - self.first) for start, stop in spans)


def plan_passes(frames: int, spans: Sequence[Span], source: Span, widest: int) -> tuple[Pass, ...]:
    """The passes, in the order of making, that fill `spans` of a song of `frames` frames in which the source is at
    `source`.

    A song that is not wider than `widest`, or has no spans, is one pass. Otherwise every span is made beside what
    surrounds it, as much as there is room for. A longer one is made piece by piece, away from what is there, each with
    what was made before in a quarter of the window. To the network a song ends where its window does, so that what
    comes last is an ending: a piece with more to follow is made an eighth of the window longer than is kept of it.
    """
    merged = _merged(spans, frames)
    if not merged or frames <= widest:
        return (Pass(0, frames, merged, merged),)
    there = _without(source, merged)
    passes: list[Pass] = []
    for span in merged:
        low = min((first for first, end in there if end == span[0]), default=span[0])
        high = max((end for first, end in there if first == span[1]), default=span[1])
        if low == span[0] and high > span[1]:
            # What is there lies behind it: away from it is backwards.
            mirrored = _pieces((-span[1], -span[0]), -high, -low, widest)
            passes += [_mirror(one) for one in mirrored]
        else:
            passes += _pieces(span, low, high, widest)
        there = _merged([*there, span], frames)
    return tuple(passes)


def _pieces(span: Span, low: int, high: int, widest: int) -> list[Pass]:
    """Passes from the first frame of `span` to its last. `low` to `high` is there, but for the span."""
    context, ending = widest // 4, widest // 8
    at, end = span
    passes: list[Pass] = []
    while at < end:
        left = end - at
        if left + min(at - low, context) + min(high - end, context) <= widest:
            passes.append(_around((at, end), low, high, widest))
            break
        kept = min(widest - context - ending, -(-left // 2))
        made = min(kept + ending, left)
        first = max(low, at + made - widest)
        passes.append(Pass(first, at + made, ((at, at + made),), ((at, at + kept),)))
        at += kept
    return passes


def _around(span: Span, low: int, high: int, widest: int) -> Pass:
    """One pass over the span, with as much on either side as there is room for; evenly, where there is enough."""
    spare = widest - (span[1] - span[0])
    before, after = span[0] - low, high - span[1]
    taken = min(before, max(spare // 2, spare - after))
    return Pass(span[0] - taken, span[1] + min(after, spare - taken), (span,), (span,))


def _mirror(one: Pass) -> Pass:
    def turned(spans: tuple[Span, ...]) -> tuple[Span, ...]:
        return tuple((-stop, -start) for start, stop in spans)

    return Pass(-one.end, -one.first, turned(one.made), turned(one.kept))


def _merged(spans: Sequence[Span], frames: int) -> tuple[Span, ...]:
    merged: list[Span] = []
    for first, end in sorted((max(0, first), min(end, frames)) for first, end in spans):
        if first >= end:
            continue
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((first, end))
    return tuple(merged)


def _without(whole: Span, spans: Sequence[Span]) -> tuple[Span, ...]:
    """What is left of `whole` outside of `spans`, which are in order."""
    left, at = [], whole[0]
    for first, end in spans:
        if at < min(first, whole[1]):
            left.append((at, min(first, whole[1])))
        at = max(at, end)
    if at < whole[1]:
        left.append((at, whole[1]))
    return tuple(left)
