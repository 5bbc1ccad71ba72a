"""Through which windows a score is written: what is made in each, and how much of the music around it is given.

Pure arithmetic on latent frames; ranges are half-open. The model sees at most `WINDOW_FRAMES` at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_FRAMES = 500  # 20 s, the longest that the model was trained on
CONTINUED_FRAMES = 200  # 8 s of what is there already, before what goes on from it
BETWEEN_FRAMES = 350  # the longest gap between two given ends that the model was trained to fill
SHORTEST_FRAMES = 125  # 5 s, the shortest that the model was trained on

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """Frames `[start, stop)`, of which those in `spans` are made and the others are given."""

    start: int
    stop: int
    spans: tuple[Span, ...]


def windows_for(frames: int, spans: Sequence[Span], cuts: Sequence[Span] = ()) -> list[Window]:
    """The windows that make `spans` of a score of `frames`, in the order in which they are written.

    The longer span comes first, for the shorter to be given it too. The shortest score that the model knows is one
    window. A cut says (frame until which music is needed, frame at which it returns): music that is written forwards
    returns in a later window than the one that it is first made in.
    """
    if frames <= SHORTEST_FRAMES:
        return [Window(0, frames, tuple(sorted(spans)))]
    windows: list[Window] = []
    waiting = sorted(spans, key=lambda span: span[0] - span[1])
    while waiting:
        first, stop = waiting.pop(0)
        low = max((end for _, end in waiting if end <= first), default=0)
        high = min((begin for begin, _ in waiting if begin >= stop), default=frames)
        windows.extend(_windows_of((first, stop), (low, high), cuts))
    return windows


def _windows_of(span: Span, known: Span, cuts: Sequence[Span]) -> list[Window]:
    """The windows of one span, with all that is `known` around it."""
    (first, stop), (low, high) = span, known
    if high == stop:
        return _forwards(first, stop, low, cuts)
    if low == first:
        mirrored = _forwards(-stop, -first, -high)
        return [Window(-one.stop, -one.start, tuple((-b, -a) for a, b in one.spans)) for one in mirrored]
    windows: list[Window] = []
    while stop - first > BETWEEN_FRAMES:
        # Forwards, but for a last part with music on both sides.
        end = min(first - min(first - low, CONTINUED_FRAMES) + WINDOW_FRAMES, stop - CONTINUED_FRAMES // 2)
        windows.append(Window(max(low, end - WINDOW_FRAMES), end, ((first, end),)))
        first = end
    free = WINDOW_FRAMES - (stop - first)
    before = min(first - low, max(free // 2, free - (high - stop)))
    return [*windows, Window(first - before, min(high, stop + free - before), ((first, stop),))]


def _forwards(first: int, stop: int, low: int, cuts: Sequence[Span] = ()) -> list[Window]:
    windows: list[Window] = []
    while first < stop:
        end = min(first - min(first - low, CONTINUED_FRAMES) + WINDOW_FRAMES, stop)
        end = min(
            [at for needed, at in cuts if first < needed <= at < end and at - low >= SHORTEST_FRAMES], default=end
        )
        windows.append(Window(max(low, end - WINDOW_FRAMES), end, ((first, end),)))
        first = end
    return windows
