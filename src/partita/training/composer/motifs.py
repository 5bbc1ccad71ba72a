"""Motifs: bars of melody without a key, and what composers do to them when they come back.

A motif has a rhythm in steps and, for each note, a height: how many steps of the scale it lies from where the motif
starts. Knows nothing of chords, keys or instruments.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from partita.training.composer.patterns import hits

_REACH = 4
"""Furthest a motif goes from its first note, in steps of the scale."""
_MOVES = (-3, -2, -1, 0, 1, 2, 3, 4)
_MOVE_WEIGHTS = (3, 8, 26, 8, 26, 10, 4, 2)


@dataclass(frozen=True, slots=True)
class Motif:
    """A bar of melody: `(step, length, character)` of each note as in `patterns.hits`, and its height."""

    rhythm: tuple[tuple[int, int, str], ...]
    heights: tuple[int, ...]


def draw_motif(rng: random.Random, cell: str) -> Motif:
    """A motif with the rhythm of `cell`: mostly steps, a leap answered by a step back."""
    rhythm = hits(cell)
    heights = [0]
    leap = 0
    for _ in rhythm[1:]:
        move = rng.choices(_MOVES, _MOVE_WEIGHTS)[0]
        if abs(leap) > 1:
            move = -1 if leap > 0 else 1
        if abs(heights[-1] + move) > _REACH:
            move = -move
        leap = move
        heights.append(heights[-1] + move)
    return Motif(rhythm, tuple(heights))


def draw_close(rng: random.Random, cell: str) -> Motif:
    """A cadence with the rhythm of `cell`: heights count from its last note, which is 0, reached by step."""
    rhythm = hits(cell)
    side = rng.choice((1, 1, -1))
    heights = [side * place for place in range(len(rhythm) - 1, -1, -1)]
    if len(heights) > 2 and rng.random() < 0.4:
        heights[-2] = -heights[-2]  # around the goal before it is reached
    return Motif(rhythm, tuple(heights))


def invert(motif: Motif) -> Motif:
    """Upside down."""
    return replace(motif, heights=tuple(-height for height in motif.heights))


def ornament(motif: Motif) -> Motif:
    """The longest note but the first divided, with a neighbour or a passing note in its second half."""
    places = [place for place, (_, length, _) in enumerate(motif.rhythm) if length >= 4]
    if not places:
        return motif
    place = max(places, key=lambda place: (motif.rhythm[place][1], place))
    step, length, mark = motif.rhythm[place]
    half = length // 2 - length // 2 % 2 or 2
    height = motif.heights[place]
    following = motif.heights[place + 1] if place + 1 < len(motif.heights) else height
    between = height + (1 if following >= height else -1)
    rhythm = (*motif.rhythm[:place], (step, half, mark), (step + half, length - half, "o"), *motif.rhythm[place + 1 :])
    heights = (*motif.heights[: place + 1], between, *motif.heights[place + 1 :])
    return Motif(rhythm, heights)


def simplify(motif: Motif) -> Motif:
    """Without its unaccented short notes: what they held goes to the note before."""
    rhythm: list[tuple[int, int, str]] = []
    heights: list[int] = []
    for (step, length, mark), height in zip(motif.rhythm, motif.heights, strict=True):
        if rhythm and length <= 2 and mark != "X":
            before = rhythm[-1]
            rhythm[-1] = (before[0], step + length - before[0], before[2])
        else:
            rhythm.append((step, length, mark))
            heights.append(height)
    return Motif(tuple(rhythm), tuple(heights))


def shift(motif: Motif, steps: int) -> Motif:
    """The sequence of a motif, `steps` of the scale away."""
    return replace(motif, heights=tuple(height + steps for height in motif.heights))


VARIATIONS: dict[str, Callable[[Motif], Motif]] = {
    "^": lambda motif: shift(motif, 1),
    "v": lambda motif: shift(motif, -1),
    "!": invert,
    "~": ornament,
    "'": simplify,
}
"""What each sign behind a motif's letter does to it."""

FORMS: tuple[tuple[str, ...], ...] = (
    ("A", "A^", "B", "C"),
    ("A", "B", "A", "C"),
    ("A", "Av", "A~", "C"),
    ("A", "B", "A^", "C"),
    ("A", "A", "B~", "C"),
    ("A", ".", "A^", "C"),
    ("A", "A!", "B", "C"),
    ("A", "A'", "Av", "C"),
)
"""Phrases of four bars: motifs with their variations, `.` a rest, `C` a close."""

HOOKS: tuple[tuple[str, ...], ...] = (
    ("A", "A", "A^", "C"),
    ("A", "B", "A", "C"),
    ("A", "A'", "A", "C"),
    ("A", "Av", "A", "C"),
    ("A", "B", "A~", "C"),
)
"""Phrases that say one thing often enough to be remembered."""

FRAGMENTS: tuple[tuple[str, ...], ...] = (("A", ".", "A'", "."), ("A", ".", ".", "C"), ("A'", ".", "A'", "C"))
"""What an introduction or an ending quotes."""

FLIGHTS: tuple[tuple[str, ...], ...] = (("A~", "B", "B^", "C"), ("B", "A~", "B!", "C"), ("B", "B^", "A~", "C"))
"""A solo: the theme ornamented, and runs of its own."""


def varied(motif: Motif, signs: str) -> Motif:
    """`motif` after each of `signs` in turn."""
    for sign in signs:
        motif = VARIATIONS[sign](motif)
    return motif
