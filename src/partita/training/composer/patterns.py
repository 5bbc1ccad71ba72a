"""Rhythm patterns as text: drum grooves, comping, bass lines, arpeggios and melody cells for each metre.

One character is a sixteenth step; a 4/4 bar has 16, a 3/4 or 6/8 bar 12. `X` is an accented hit, `x` a plain one, `o` a
soft one, `g` a ghost, `?` a soft one played half of the time, `-` holds, `.` rests. Bass lines name chord tones: `R`
root, `3`, `5`, `8` (root an octave up), `7`, `a` (approach to the next root). Knows nothing of pitches or time.
"""

from __future__ import annotations

from functools import cache

ACCENTS: dict[str, float] = {"X": 1.0, "x": 0.86, "o": 0.68, "g": 0.48, "?": 0.62}
"""How loud each hit character is, as a share of the part's own level."""

DRUM_KEYS: dict[str, int] = {"K": 36, "S": 38, "C": 39, "H": 42, "O": 46, "L": 45, "T": 50, "Y": 49, "R": 51, "A": 54}
"""Letter of a drum line to its General MIDI key: kick, snare, clap or side stick, closed hat, open hat, low tom, high
tom, crash, ride, shaker."""

GROOVES: dict[str, dict[str, tuple[str, ...]]] = {
    "rock": {
        "4/4": (
            "K:X.......X.x..... S:....X.......X... H:X.x.X.x.X.x.X.x.",
            "K:X..x....X....... S:....X.......X..g H:X.x.X.x.X.x.X.x.",
            "K:X.x.....x.X..... S:....X.......X... R:X.x.X.x.X.x.X.x.",
            "K:X.....x.X.....?. S:....X.......X... O:X...X...X...X...",
        ),
        "3/4": (
            "K:X.......?... S:....x...X... H:X.x.x.x.x.x.",
            "K:X.....x..... S:....X...x... R:X.x.x.x.x.x.",
        ),
        "6/8": (
            "K:X.........x. S:......X..... H:X.x.x.X.x.x.",
            "K:X...x....... S:......X..... R:X.x.x.X.x.x.",
        ),
    },
    "metal": {
        "4/4": (
            "K:X.X.X.X.X.X.X.X. S:....X.......X... H:X...X...X...X...",
            "K:X..X..X.X..X..X. S:....X.......X... R:X.x.X.x.X.x.X.x.",
        ),
        "3/4": ("K:X.X.X.X.X.X. S:....X...X... R:X...X...X...",),
        "6/8": ("K:X.X.X.X.X.X. S:......X..... R:X...X.X...X.",),
    },
    "pop": {
        "4/4": (
            "K:X.....x.X....... S:....X.......X... H:x.o.x.o.x.o.x.o.",
            "K:X..x..x...x..... C:....X.......X... H:xoxoxoxoxoxoxoxo",
            "K:X.......X.....x. S:....X.......X... H:x.o.x.o.x.o.x.o. A:..o...o...o...o.",
            "K:X.....X...X..... S:....X.......X... C:....x.......x... H:..x...x...x...x.",
        ),
        "3/4": (
            "K:X........... S:....o...x... H:x.o.x.o.x.o.",
            "K:X.......x... C:....X...X... H:x.o.x.o.x.o.",
        ),
        "6/8": (
            "K:X.........?. S:......X..... H:x.o.o.x.o.o.",
            "K:X...x....... C:......X..... H:x.o.o.x.o.o. A:..o...o...o.",
        ),
    },
    "funk": {
        "4/4": (
            "K:X.x....x..x..... S:....X..g.g..X..g H:x.x.x.x.x.x.x.x.",
            "K:X..x..x...x..x.. S:....X..g.g.gX... H:xoxoxoxoxoxoxoxo",
            "K:X.....x.x..x.... S:....X..g....X.g. H:x.x.x.o.x.x.x... O:..............x.",
        ),
        "3/4": ("K:X..x......x. S:....X..g.g.. H:x.x.x.x.x.x.",),
        "6/8": ("K:X..x......x. S:......X..g.. H:x.x.x.x.x.x.",),
    },
    "lofi": {
        "4/4": (
            "K:X.....x...x..... S:....x.......x... H:x.o.x.o.x.o.x.o.",
            "K:X......x..x..... S:....x.......x..? H:x.o.x.ogx.o.x.o.",
            "K:X..x......x..... S:....x.......x... H:o.x.o.x.o.x.o.x.",
            "K:X.......x.x..... C:....x.......x... H:x.o.x.o.x.o.x.?.",
        ),
        "3/4": (
            "K:X.....?..... S:....x...o... H:x.o.x.o.x.o.",
            "K:X......x.... S:........x... H:x.o.x.o.x.o.",
        ),
        "6/8": ("K:X.......x... S:......x..... H:x.o.o.x.o.o.", "K:X.........?. C:......x..... H:o.o.x.o.o.x."),
    },
    "hip hop": {
        "4/4": (
            "K:X......x..x..... S:....X.......X... H:x.x.x.x.x.x.x.x.",
            "K:X.....x....x.... C:....X.......X... H:x.x.x.xxx.x.x.x.",
            "K:X..x......x..x.. S:....X.......X... H:x.x.xxx.x.x.x.xx",
            "K:X.........x..... C:........X....... H:x.x.x.x.x.xxx.x.",
        ),
        "3/4": ("K:X.....x..... C:....X...x... H:x.x.x.x.x.xx",),
        "6/8": ("K:X.......x... C:......X..... H:x.x.x.x.x.xx",),
    },
    "house": {
        "4/4": (
            "K:X...X...X...X... C:....X.......X... O:..x...x...x...x.",
            "K:X...X...X...X... C:....x.......x... H:..x...x...x...x. A:x.o.x.o.x.o.x.o.",
            "K:X...X...X...X..? C:....X.......X... H:xoxoxoxoxoxoxoxo O:..x...x...x...x.",
        ),
        "3/4": ("K:X...X...X... C:........X... O:..x...x...x.", "K:X...X...X... C:....x....... H:..x...x...x."),
        "6/8": ("K:X.....X..... C:......X..... H:x.x.x.x.x.x. O:....x.....x.",),
    },
    "techno": {
        "4/4": (
            "K:X...X...X...X... H:..X...X...X...X. R:....o.......o...",
            "K:X...X...X...X... C:....x.......x..? H:x.xxx.xxx.xxx.xx",
            "K:X...X...X...X.x. O:..X...X...X...X. A:xoxoxoxoxoxoxoxo",
        ),
        "3/4": ("K:X...X...X... H:..X...X...X. A:xoxoxoxoxoxo",),
        "6/8": ("K:X.....X..... H:..x.x...x.x. O:....x.....x.",),
    },
    "synth": {
        "4/4": (
            "K:X.......X....... S:....X.......X... H:x.x.x.x.x.x.x.x.",
            "K:X...x...X...x... S:....X.......X... H:..x...x...x...x.",
            "K:X.....x.X..x.... S:....X.......X... H:xoxoxoxoxoxoxoxo C:....x.......x...",
        ),
        "3/4": ("K:X........... S:....X...X... H:x.x.x.x.x.x.", "K:X...x...x... S:........X... H:..x...x...x."),
        "6/8": ("K:X.....x..... S:......X..... H:x.x.x.x.x.x.",),
    },
    "jazz": {
        "4/4": (
            "R:X...x.o.X...x.o. H:....x.......x... K:o.......o.......",
            "R:X...x.o.X...x.o. H:....x.......x... K:o...o...o...o... S:......g.......?.",
            "R:X...x.o.X.o.x... H:....x.......x... S:..g.......g...g. K:o.........?.....",
        ),
        "3/4": (
            "R:X...x.o.x... H:....x...x... K:x...........",
            "R:X...x.o.x.o. H:....x...x... K:o........... S:......?...?.",
        ),
        "6/8": ("R:X...x.X...x. H:......x..... K:o........... S:..........?.",),
    },
    "bossa": {
        "4/4": (
            "K:x.....ox.....o.. C:x..x..x...x..x.. H:x.o.x.o.x.o.x.o.",
            "K:x.....ox.....o.. C:..x...x.x..x..x. H:xoxoxoxoxoxoxoxo",
            "K:x.....ox.....o.. C:x..x..x...x..x.. A:xoxoxoxoxoxoxoxo",
        ),
        "3/4": ("K:x.....o.x... C:x..x....x... H:x.o.x.o.x.o.",),
        "6/8": ("K:x.....x..... C:x..x....x... A:x.o.o.x.o.o.",),
    },
    "reggae": {
        "4/4": (
            "K:........X....... C:........X....... H:x.o.x.o.x.o.x.o.",
            "K:........X....... S:........X....... H:x.x.x.x.x.x.x.o. C:...........?..?.",
            "K:X...x...X...x... C:....x.......x... H:x.o.x.o.x.o.x.o.",
        ),
        "3/4": ("K:....X....... C:....X....... H:x.o.x.o.x.o.",),
        "6/8": ("K:......X..... C:......X..... H:x.o.o.x.o.o.",),
    },
    "folk": {
        "4/4": (
            "K:X.......x....... C:....x.......x... A:x.o.x.o.x.o.x.o.",
            "K:X.....x.x....... S:....o.......o... A:x.o.x.o.x.o.x.o.",
            "K:x...x...x...x... A:..x...x...x...x.",
        ),
        "3/4": ("K:X........... C:....o...o... A:x.o.x.o.x.o.", "K:X........... S:....o...o... A:....x...x..."),
        "6/8": ("K:X.....o..... C:......x..... A:x.o.o.x.o.o.", "K:X........... S:......o..... A:x.o.o.x.o.o."),
    },
    "ballad": {
        "4/4": (
            "K:X.........x..... C:....x.......x... H:x.o.x.o.x.o.x.o.",
            "K:X.......x....... S:....x.......x... H:x.o.x.o.x.o.x.o.",
            "K:X.......x.x..... S:....x.......x... R:x...o...x...o...",
        ),
        "3/4": ("K:X........... C:....o...x... H:x...o...o...", "K:X........... S:........x... R:x.o.x.o.x.o."),
        "6/8": ("K:X........... C:......x..... H:x.o.o.x.o.o.", "K:X.........o. S:......x..... R:x.o.o.x.o.o."),
    },
    "soft": {
        "4/4": (
            "K:x.............?. A:..o...o...o...o.",
            "K:x.......o....... R:....o.......o...",
            "K:x.......o....... C:....o.......o... A:..o...o...o...o.",
        ),
        "3/4": ("K:x........... A:....o...o...", "K:x........... R:....o......."),
        "6/8": ("K:x........... A:..o.o...o.o.", "K:x.....o..... R:......o....."),
    },
    "march": {
        "4/4": (
            "K:X.......x....... L:..o.x.....o.x.x. T:.......?........",
            "K:X..x..x.X..x..x. L:X.....x...x.x.x. A:..o...o...o...o.",
            "K:X.......X....... S:x.gox.gox.gox.xx",
        ),
        "3/4": ("K:X........... L:....x...x.x.", "K:X........... S:x..gx.gxx.xx"),
        "6/8": ("K:X.....x..... L:..x.x.x.x.x.", "K:X.....X..... S:x.ox.ox.ox.o"),
    },
    "disco": {
        "4/4": (
            "K:X...X...X...X... S:....X.......X... O:..x...x...x...x. H:x...x...x...x...",
            "K:X...X...X...X... S:....X.......X..g H:xoxoxoxoxoxoxoxo C:....x.......x...",
        ),
        "3/4": ("K:X...X...X... S:....X....... O:..x...x...x.",),
        "6/8": ("K:X.....X..... S:......X..... O:....x.....x. H:x.x...x.x...",),
    },
    "country": {
        "4/4": (
            "K:X.......X....... S:....x.......x... H:x.x.x.x.x.x.x.x.",
            "K:X...x...X...x... S:..x...x...x...x. ",
            "K:X.......X...x... C:....X.......X... A:x.o.x.o.x.o.x.o.",
        ),
        "3/4": ("K:X........... S:....x...x... H:x...x...x...", "K:X........... C:....x...x... A:x.o.x.o.x.o."),
        "6/8": ("K:X.....x..... S:....x.....x.", "K:X........... S:......x..... H:x.o.o.x.o.o."),
    },
}
"""Drum grooves, one bar each. The first fit verses, the later ones fuller sections."""

FILLS: dict[str, tuple[str, ...]] = {
    "4/4": (
        "S:........x.x.xxXX K:........X.......",
        "T:........X.x..... L:............X.x. K:........x...x...",
        "S:........x.x..... T:............x... L:..............X.",
        "S:............xxxX K:X.......X.......",
        "S:....x..x..x.X.X. K:X.......x.......",
        "T:............x.x. L:..............x. S:............X...",
    ),
    "3/4": (
        "S:......x.x.xX K:X...........",
        "T:....x.x..... L:........X.x. K:X...........",
        "S:........x.X. K:X.......x...",
    ),
    "6/8": (
        "S:......x.x.xX K:X...........",
        "T:......x.x... L:..........X. K:X...........",
        "S:......X...x. T:........x... K:X...........",
    ),
}
"""Fills for the bar before a section change. From its first hand drum on, a fill takes the groove's place."""

COMPING: dict[str, dict[str, tuple[str, ...]]] = {
    "hold": {"4/4": ("X---------------",), "3/4": ("X-----------",), "6/8": ("X-----------",)},
    "halves": {"4/4": ("X-------x-------",), "3/4": ("X-------x---",), "6/8": ("X-----x-----",)},
    "quarters": {"4/4": ("X---x---X---x---",), "3/4": ("X---x---x---",), "6/8": ("X---x-X---x-",)},
    "eighths": {"4/4": ("X-x-o-x-X-x-o-x-",), "3/4": ("X-o-x-o-x-o-",), "6/8": ("X-o-o-x-o-o-",)},
    "push": {
        "4/4": ("X-----X---------", "X--x--x-----x---", "X-----x-----x---", "X--x----..x-x---"),
        "3/4": ("X-----x-----", "X---x---..x-"),
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
        "3/4": ("R-----R-5---", "R-------a---"),
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
        "3/4": ("R..R..8-5-a-", "R--.8.R-..5-"),
        "6/8": ("R..R..8-..a-",),
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

ARPS: dict[str, tuple[int, ...]] = {
    "up": (0, 1, 2, 3),
    "up and down": (0, 1, 2, 3, 4, 3, 2, 1),
    "alberti": (0, 2, 1, 2),
    "broken": (0, 2, 1, 3),
    "wide": (0, 2, 3, 5, 4, 3, 2, 1),
    "down": (3, 2, 1, 0),
    "rolling": (0, 2, 3, 2, 4, 2, 3, 2),
    "triple": (0, 1, 2, 3, 2, 1),
}
"""Arpeggios as rungs of the ladder of chord tones; the cycle starts again with every bar."""

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


@cache
def drum_hits(groove: str) -> tuple[tuple[int, int, str], ...]:
    """`(step, General MIDI key, character)` of every hit in a groove such as `K:x... S:..x.`, in order of time."""
    found = []
    for line in groove.split():
        letter, pattern = line.split(":")
        found += [(step, DRUM_KEYS[letter], mark) for step, mark in enumerate(pattern) if mark != "."]
    return tuple(sorted(found))
