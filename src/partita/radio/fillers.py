"""What a radio plays when nobody asks: songs around its own words, or captions in rotation where it has none.

Pure but for the random numbers that it is given. Fillers are instrumental, as the original radio's are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from random import Random
from typing import Any, Protocol, TypeVar

from partita.errors import RequestError
from partita.planner.pace import usual_tempo
from partita.planner.reading import key_of, metre_of, tempo_of
from partita.radio.memory import Tastes, features
from partita.radio.request import USUAL_S, RadioRequest
from partita.song.styles import Style, find_style

CAPTIONS = (
    "lo-fi hip hop, dusty drums, warm electric piano, late at night",
    "indie rock, chiming guitars, steady drums, open road",
    "deep house, round bass, soft chords, four on the floor",
    "acoustic folk, fingerpicked guitar, quiet strings, early morning",
    "synthwave, analog arpeggios, big drums, neon streets",
    "swing jazz, walking bass, brushed drums, bright piano",
    "funk, slap bass, tight drums, clavinet, playful",
    "cinematic strings, slow build, solemn and wide",
    "bossa nova, nylon guitar, light percussion, seaside",
    "hard rock, heavy riffs, driving drums, restless",
    "ambient, slow pads, distant bells, weightless",
    "reggae, offbeat guitar, deep bass, sunny afternoon",
    "drum and bass, rolling breaks, low sub bass, nocturnal",
    "country, steel guitar, easy shuffle, wide fields",
    "blues, smoky organ, slow groove, after midnight",
    "disco, string stabs, octave bass, glittering and bright",
)
MOODS = ("warm", "dreamy", "gentle", "bright", "nostalgic", "hopeful", "calm", "playful", "wistful", "unhurried")
COLOURS = ("electric piano", "acoustic guitar", "upright bass", "strings", "vibraphone", "synth pads", "flute", "organ")
_RECENT = 8
_RECENT_SHARE = 0.05
"""How much rarer a caption is drawn that was among the last eight."""
_TEMPO_STEP = 4

T = TypeVar("T")


class Fillers(Protocol):
    """Makes the request for a song that nobody asked for. `recent` are the captions of the last songs."""

    def next(self, tastes: Tastes, recent: Sequence[str]) -> RadioRequest: ...


class Rotation:
    """One caption after another, round and round. Disliked ones are passed over, unless all of them are."""

    def __init__(self, captions: Sequence[str] = CAPTIONS) -> None:
        if not captions:
            raise RequestError("A rotation needs at least one caption.", field="captions", value=captions)
        self._captions, self._at = tuple(captions), 0

    def next(self, tastes: Tastes, recent: Sequence[str]) -> RadioRequest:
        able = [at for at in range(len(self._captions)) if not tastes.bans(self._captions[at])]
        at = next((at for at in able if at >= self._at), able[0] if able else self._at)
        self._at = (at + 1) % len(self._captions)
        return RadioRequest(caption=self._captions[at], duration_s=USUAL_S, auto_generated=True)


class Variations:
    """Songs around the words of a station, such as `lofi, rainy evening`.

    Each has a mood and an instrument beside the words, and a tempo and a key, from the style that the words name or
    else of usual ones. What was liked comes more often; a caption that was disliked does not come again.
    """

    def __init__(self, words: str, *, random: Random | None = None) -> None:
        self.words = ", ".join(part for part in map(str.strip, re.split(r"[,;\n]", words)) if part)
        if not self.words:
            raise RequestError(
                "The station has no words: say what it plays, such as 'lofi, rainy evening'.",
                field="words",
                value=words,
            )
        self.style = _style_in(self.words)
        self._random = random or Random()

    def next(self, tastes: Tastes, recent: Sequence[str]) -> RadioRequest:
        told: dict[str, Any] = {"caption": self._caption(tastes, recent), "bpm": self._bpm(tastes)}
        told |= {"key_scale": self._key(tastes), "style": self.style.name if self.style is not None else None}
        given = {name: value for name, value in told.items() if value is not None}
        return RadioRequest(**given, duration_s=USUAL_S, auto_generated=True)

    def _caption(self, tastes: Tastes, recent: Sequence[str]) -> str:
        style = self.style
        moods = dict.fromkeys((*(style.moods if style else ()), *MOODS))
        colours = dict.fromkeys((*(style.instruments if style else ()), *COLOURS))
        said = self.words.lower()
        able = [
            f"{self.words}, {mood}, {colour}"
            for mood, colour in product(moods, colours)
            if mood not in said and colour not in said
        ] or [self.words]
        liked_enough = [caption for caption in able if not tastes.bans(caption)] or able
        last = set(recent[-_RECENT:])
        weights = [
            tastes.weight(*features(caption)[len(features(self.words)) :]) * (_RECENT_SHARE if caption in last else 1.0)
            for caption in liked_enough
        ]
        return self._draw(liked_enough, weights)

    def _bpm(self, tastes: Tastes) -> int | None:
        if tempo_of(self.words) is not None:
            return None
        metre = metre_of(self.words) or (self.style.time_signature if self.style else None) or "4/4"
        low, high = (self.style.bpm if self.style else None) or usual_tempo(self.words, metre)
        able = list(range(low, high + 1, _TEMPO_STEP))
        return self._draw(able, [tastes.weight(*features("", bpm=bpm)) for bpm in able])

    def _key(self, tastes: Tastes) -> str | None:
        """A key of the style, or one that was liked; none leaves it to the planner."""
        if key_of(self.words) is not None:
            return None
        able: list[str | None] = list((self.style.keys if self.style else ()) or (None, *tastes.liked_keys))
        return self._draw(able, [tastes.weight(*features("", key=key)) for key in able])

    def _draw(self, able: Sequence[T], weights: Sequence[float]) -> T:
        return self._random.choices(able, weights)[0]


def _style_in(words: str) -> Style | None:
    """The first style that a phrase of the words names."""
    for phrase in words.split(","):
        try:
            return find_style(phrase.strip().replace("/", " ").replace("\\", " "))
        except RequestError:  # most words name a mood or a place, and no style
            continue
    return None
