"""Rhythm patterns as text: comping, bass lines, arpeggios and melody cells for each metre.

One character is a sixteenth step; a 4/4 bar has 16, a 3/4 or 6/8 bar 12. `X` is an accented hit, `x` a plain one, `o` a
soft one, `g` a ghost, `?` a soft one played half of the time, `-` holds, `.` rests. Bass lines name chord tones: `R`
root, `3`, `5`, `8` (root an octave up), `7`, `a` (approach to the next root). Knows nothing of pitches or time.
"""

from __future__ import annotations

from functools import cache

ACCENTS: dict[str, float] = {"X": 1.0, "x": 0.86, "o": 0.68, "g": 0.48, "?": 0.62}
"""How loud each hit character is, as a share of the part's own level."""

COMPING: dict[str, dict[str, tuple[str, ...]]] = {
    "hold": {"4/4": ("X---------------",), "3/4": ("X-----------",), "6/8": ("X-----------",)},
    "halves": {"4/4": ("X-------x-------",), "3/4": ("X-------x---",), "6/8": ("X-----x-----",)},
    "quarters": {"4/4": ("X---x---X---x---",), "3/4": ("X---x---x---",), "6/8": ("X-----X-o-o-",)},
    "eighths": {"4/4": ("X-x-o-x-X-x-o-x-",), "3/4": ("X-o-x-o-x-o-",), "6/8": ("X-o-o-x-o-o-",)},
    "broken": {
        "4/4": ("X---x-o-X---x-o-", "X-o-x---X-o-x---"),
        "3/4": ("X---x-o-x---", "X---x---x-o-"),
        "6/8": ("X-----x-o-o-", "X-o-o-x---o-"),
    },
    "lilt": {
        "4/4": ("X---x---x---x-o-", "X---o---x---o---"),
        "3/4": ("X---o---x---", "X---x---o---"),
        "6/8": ("X-----x-----", "X-----x-o-o-"),
    },
    "push": {
        "4/4": ("X-----X---------", "X--x--x-----x---", "X-----x-----x---", "X--x----..x-x---"),
        "3/4": ("X-----x-x---", "X---x---..x-"),
        "6/8": ("X---x-X-----", "X-----x---x-"),
    },
    "strum": {
        "4/4": ("X---x-o-..o-x-o-", "X---X-o-..o-X-o-", "X-o-x-o-X-o-x-o-", "X---x-o-x---x-o-"),
        "3/4": ("X---x-o-x-o-", "X---x---x-o-"),
        "6/8": ("X---o-x---o-", "X-o-o-x-o-o-"),
    },
    "offbeat": {
        "4/4": ("..X-..x-..X-..x-", "..X-..X-..X-..xx"),
        "3/4": ("..X-..x-..x-", "....x-..x-.."),
        "6/8": ("....x-....x-", "..x-..x-..x-"),
    },
    "skank": {
        "4/4": ("....X-......X-..", "....X-......X-x-", "..o-X-..o.o-X-.."),
        "3/4": ("....X-..x-..",),
        "6/8": ("....X-....X-",),
    },
    "jazz": {
        "4/4": (
            "X---..x-........",
            "......x-....x---",
            "..x-....x-......",
            "x-....x-......x-",
            "x---....x---....",
            "X-------........",
        ),
        "3/4": ("X-....x-....", "....x---....", "X---....x-..", "..x-x---...."),
        "6/8": ("X---..x-....", "....x-x---..", "X-----......"),
    },
    "bossa": {
        "4/4": ("X--...x-....x-..", "x-....x-..x-....", "X-..x-....x-x---", "..x-..x-x--x--x-"),
        "3/4": ("X-..x-..x-..", "X--x--..x-.."),
        "6/8": ("X-..x-..x-..",),
    },
    "stabs": {
        "4/4": ("X.....x....x....", "..X...x.....X...", "X..x..........x.", "....X..x....X..."),
        "3/4": ("X.....x.....", "....X..x...."),
        "6/8": ("X...x.......", "....X.....x."),
    },
    "house": {
        "4/4": ("X..x..x...x..x..", "X.....x..x......", "..X-..X-..X-..X-", "X--x--x---x--x--"),
        "3/4": ("X..x..x...x.", "..X-..X-..X-"),
        "6/8": ("X..x..x..x..", "....X-....X-"),
    },
    "oompah": {"4/4": ("....x-......x-..",), "3/4": ("....x-..x-..", "....x---x---"), "6/8": ("..x-x-..x-x-",)},
    "gate": {"4/4": ("X.xxx.xxX.xxx.xx",), "3/4": ("X.xxx.xxx.xx",), "6/8": ("X.xx.xX.xx.x",)},
    "chug": {
        "4/4": ("X-xxX-xxX-xxX-x-", "X-x-x-X-x-x-X-x-", "X-----X-X-----X-"),
        "3/4": ("X-xxX-xxX-x-", "X-x-x-x-x-x-"),
        "6/8": ("X-x-x-X-x-x-",),
    },
}
"""How chords are struck, a bar at a time."""

BASS: dict[str, dict[str, tuple[str, ...]]] = {
    "long": {"4/4": ("R---------------",), "3/4": ("R-----------",), "6/8": ("R-----------",)},
    "half": {"4/4": ("R-------5-------", "R-------R-----a-"), "3/4": ("R-------5---",), "6/8": ("R-----5-----",)},
    "roots4": {
        "4/4": ("R---R---R---R---", "R---R---5---R---"),
        "3/4": ("R---R---R---", "R---R---5---"),
        "6/8": ("R---R-R---5-",),
    },
    "roots8": {
        "4/4": ("R-R-R-R-R-R-R-R-", "R-R-R-R-R-R-R-a-", "R-R-R-R-5-R-R-a-"),
        "3/4": ("R-R-R-R-R-R-", "R-R-R-R-R-a-"),
        "6/8": ("R-R-R-R-R-R-", "R-R-R-R-R-a-"),
    },
    "pop": {
        "4/4": ("R-----R-R-----5-", "R--R--R-----R-a-", "R-----R---R-----", "R-----R-8---5---"),
        "3/4": ("R---R-R-5---", "R-------a---"),
        "6/8": ("R---R-5-----", "R-----R---a-"),
    },
    "octaves": {
        "4/4": ("R-8-R-8-R-8-R-8-", "R.8.R.8.R.8.R.5."),
        "3/4": ("R-8-R-8-R-8-",),
        "6/8": ("R-8-8-R-8-8-",),
    },
    "offbeat": {
        "4/4": ("..R-..R-..R-..R-", "..R-..R-..R-..8-", "R-..R-R-..R-R-.."),
        "3/4": ("..R-..R-..R-",),
        "6/8": ("R-..R-R-..R-",),
    },
    "sixteenths": {
        "4/4": ("R.RRR.RRR.RRR.RR", "R-RRR-RRR-RRR-8R"),
        "3/4": ("R.RRR.RRR.RR",),
        "6/8": ("R-R-R-R-R-8-",),
    },
    "funk": {
        "4/4": ("R--.R..8..R-7.8.", "R..R..8-..5-R..a", "R.R...8.R..5..a.", "R--R..5-8..R.57."),
        "3/4": ("R-..R-8-5-a-", "R--.8.R-..5-"),
        "6/8": ("R..R..R-..a-",),
    },
    "hip hop": {
        "4/4": ("R-------..R-----", "R---------R--R--", "R-----....R-..5-", "R-------....R-8-"),
        "3/4": ("R-------..R-", "R-----R-----"),
        "6/8": ("R-------R---",),
    },
    "bossa": {
        "4/4": ("R-----5-5-----R-", "R-----5-8-----5-", "R-----R-5-----a-"),
        "3/4": ("R-----5-5---",),
        "6/8": ("R---5-5---a-",),
    },
    "reggae": {
        "4/4": ("R---..R-5-..3-..", "....R-R-..5-3-R-", "R---3-5-....R-5-", "R-R-..3-5-..8---"),
        "3/4": ("R---3-5-....", "....R-R-5-.."),
        "6/8": ("R---3-5---..",),
    },
    "country": {
        "4/4": ("R---....5---....", "R---....5---a---"),
        "3/4": ("R---........", "R-------5---"),
        "6/8": ("R-----5-----",),
    },
    "waltz": {
        "4/4": ("R---....5---....",),
        "3/4": ("R---........", "R-----------", "R---....5---"),
        "6/8": ("R-....5-....", "R-----5-----"),
    },
    "walk": {"4/4": ("walk",), "3/4": ("walk",), "6/8": ("R---3-5---a-",)},
}
"""Bass lines. `walk` stands for a walking line, a note a beat."""

STEADY: tuple[str, ...] = ("quarters", "broken", "lilt")
STEADY_FULL: tuple[str, ...] = ("quarters", "eighths", "broken")
"""Manners of comping in which every beat is heard, in quiet sections and in full ones."""

_FOURS: dict[str, tuple[int, ...]] = {
    "up": (0, 1, 2, 3),
    "up and down": (0, 1, 2, 3, 4, 3, 2, 1),
    "alberti": (0, 2, 1, 2),
    "broken": (0, 2, 1, 3),
    "wide": (0, 2, 3, 5, 4, 3, 2, 1),
    "down": (3, 2, 1, 0),
    "rolling": (0, 2, 3, 2, 4, 2, 3, 2),
    "triple": (0, 2, 4, 2),
}
_SIXES: dict[str, tuple[int, ...]] = {
    "up": (0, 1, 2, 3, 4, 5),
    "up and down": (0, 1, 2, 3, 2, 1),
    "alberti": (0, 2, 1, 2, 1, 2),
    "broken": (0, 2, 1, 3, 2, 4),
    "wide": (0, 2, 4, 5, 4, 2),
    "down": (5, 4, 3, 2, 1, 0),
    "rolling": (0, 2, 3, 4, 3, 2),
    "triple": (0, 1, 2, 3, 2, 1),
}
_TWICE_THREE: dict[str, tuple[int, ...]] = {
    "up": (0, 1, 2, 1, 2, 3),
    "up and down": (0, 2, 3, 4, 3, 2),
    "alberti": (0, 2, 1, 0, 2, 1),
    "broken": (0, 2, 1, 1, 3, 2),
    "wide": (0, 2, 4, 1, 3, 5),
    "down": (3, 2, 1, 3, 1, 0),
    "rolling": (0, 1, 2, 3, 2, 1),
    "triple": (0, 1, 2, 0, 1, 2),
}
ARPS: dict[str, dict[str, tuple[int, ...]]] = {"4/4": _FOURS, "3/4": _SIXES, "6/8": _TWICE_THREE}
"""Arpeggios by metre, as rungs of the ladder of chord tones; the cycle starts again with every bar."""

CELLS: dict[str, dict[str, tuple[str, ...]]] = {
    "sparse": {
        "4/4": (
            "X-----------....",
            "....X-----x-----",
            "X-------x---....",
            "......x-X-------",
            "X-----x---------",
            "X---x-------....",
        ),
        "3/4": ("X-----------", "X-------x---", "....x---x---", "X---x-------"),
        "6/8": ("X-----------", "X-----x-----", "X---------x-", "X---x-------"),
    },
    "medium": {
        "4/4": (
            "X---x---X---x---",
            "X-x-x---X-------",
            "..x-x-x-X---x---",
            "X-----x-X---x---",
            "X---x-x-X-x-x---",
            "X--x--x-X-------",
            "..x---x-x-x-X---",
            "X-x---x-X---....",
            "X-----x-x-x-x---",
            "..x-x-x-X-----x-",
        ),
        "3/4": ("X---x---x---", "X---x-x-x---", "X-----x-x---", "X-x-x---x---", "..x-x-x-X---"),
        "6/8": ("X---x-X---x-", "X-x-x-X-----", "X---x-X-----", "X-----X-x-x-", "X-x---x-x---"),
    },
    "busy": {
        "4/4": (
            "X-x-x-x-X-x-x-x-",
            "X-xxx-x-X-x-x---",
            "X-x-xxx-X-x-xxx-",
            "X--xx-x-..x-x-x-",
            "..x-x-x-X-x-xxx-",
            "X-x-x-x-X---..x-",
            "xxx-x-x-X--xx-x-",
        ),
        "3/4": ("X-x-x-x-x-x-", "X-xxx-x-x---", "X-x-x-xxx-x-", "..x-x-x-x-x-"),
        "6/8": ("X-x-x-X-x-x-", "X-xxx-X-x-x-", "X-x-x-X---x-", "xxx-x-X-x-x-"),
    },
    "cadence": {
        "4/4": ("X-----------....", "X---x---X---....", "X-x-X-------....", "x-x-x-x-X---....", "..x-x---X---...."),
        "3/4": ("X-------....", "X---x---....", "X-x-X---...."),
        "6/8": ("X-------....", "X---x-X-....", "X-x-x-X-...."),
    },
}
"""Rhythms of melody, a bar each, by density; `cadence` cells end a phrase with a breath."""


@cache
def hits(pattern: str) -> tuple[tuple[int, int, str], ...]:
    """`(step, length, character)` of every onset in a one-bar pattern; a length runs through the following `-`."""
    found = []
    for step, mark in enumerate(pattern):
        if mark in "-.":
            continue
        end = step + 1
        while end < len(pattern) and pattern[end] == "-":
            end += 1
        found.append((step, end - step, mark))
    return tuple(found)
