"""How one song follows another without a gap: where the next one begins, and what both sound like together there.

Pure functions on float32 arrays [N, 2] at one rate. The next song's first downbeat falls on a beat of the one that
ends. A song that ends by itself keeps its ending whole, and the next one enters over its last breath at full level;
one that merely stops is faded out under the next one with equal power. Knows no clock and no queue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from partita.audio.splice import limit_spans
from partita.score.types import Grid

RATE_HZ = 48_000
CROSSFADE_S = 2.0
CEILING_DB = -1.0
"""Two songs at once stay under this level: the one that songs are mastered to, with room for lossy codecs."""

_BLOCK = RATE_HZ // 100
_WINDOW = 5  # blocks: 50 ms
_SILENT_POWER = 1e-6  # -60 dBFS
_FALLEN = 0.01  # -20 dB under the song's mean power its tail begins
_FADED = 10**-2.4  # and at -24 dB it has ended, rather than been cut
_LEAD_S = 0.05  # silence before a song that is passed over where it is longer
_NEAR_S = 0.03  # a bar line so little before the first sound is where it begins
_EARLY_BEATS = 0.25  # a tail may begin so long after the beat on which the next song begins
_LEAST = _BLOCK
_EDGE = RATE_HZ // 200


@dataclass(frozen=True, eq=False)
class Piece:
    """A song as the mixer needs it: samples [N, 2] float32, its beats where they are known, and whose it is.

    `opening` are the beats at its beginning where `grid` does not hold there.
    """

    audio: np.ndarray
    grid: Grid | None = None
    opening: Grid | None = None
    tag: object = None

    @cached_property
    def outline(self) -> Outline:
        """Where it begins, falls and ends."""
        return outline_of(self.audio)

    @property
    def beat_samples(self) -> float:
        """Samples of a beat; 0 without a grid."""
        return 0.0 if self.grid is None else self.grid.beat_s * RATE_HZ

    def downbeat_from(self, at: int) -> float | None:
        """The first bar line at sample `at` or just before it, in samples; none without a grid."""
        grid = self.opening or self.grid
        if grid is None:
            return None
        bar, offset = grid.bar_s * RATE_HZ, grid.offset_s * RATE_HZ
        return offset + bar * math.ceil((at - _NEAR_S * RATE_HZ - offset) / bar)

    def beat_from(self, at: float) -> float:
        """The first beat at sample `at` or after it; `at` itself without a grid."""
        if self.grid is None:
            return at
        beat, offset = self.beat_samples, self.grid.offset_s * RATE_HZ
        return offset + beat * math.ceil((at - offset) / beat - 1e-9)

    def beat_until(self, at: float) -> float:
        """The last beat at sample `at` or before it; `at` itself without a grid."""
        if self.grid is None:
            return at
        beat, offset = self.beat_samples, self.grid.offset_s * RATE_HZ
        return offset + beat * math.floor((at - offset) / beat + 1e-9)


@dataclass(frozen=True, slots=True)
class Outline:
    """In samples: the first sound, the end of the last one, and where the song has fallen to its tail.

    `fall` is none where it has none, because it stops in the middle of its sound.
    """

    first: int
    end: int
    fall: int | None


@dataclass(frozen=True, slots=True)
class Join:
    """The next song begins with its sample `skip` at sample `at` of the one that ends, and for `length` samples both
    are heard. With `fades` they cross with equal power; else both stay at their level."""

    at: int
    skip: int
    length: int
    fades: bool


def outline_of(audio: np.ndarray) -> Outline:
    """Where `audio` [N, 2] begins, falls and ends. Silence is all of it, and ends by itself."""
    blocks = len(audio) // _BLOCK
    power = np.zeros(blocks + (len(audio) % _BLOCK > 0))
    whole = audio[: blocks * _BLOCK].reshape(blocks, 2 * _BLOCK)
    power[:blocks] = np.einsum("bs,bs->b", whole, whole) / (2 * _BLOCK)
    if len(power) > blocks:
        power[-1] = float(np.mean(np.square(audio[blocks * _BLOCK :])))
    heard = np.flatnonzero(power > _SILENT_POWER)
    if not len(heard):
        return Outline(0, len(audio), 0)
    first, end = int(heard[0]) * _BLOCK, min(len(audio), (int(heard[-1]) + 1) * _BLOCK)
    mean = float(power[heard].mean())
    if float(power[-_WINDOW:].mean()) > _FADED * mean:
        return Outline(first, end, None)
    smooth = np.convolve(power, np.full(_WINDOW, 1 / _WINDOW))[: len(power)]  # over the window that ends here
    fall = (int(np.flatnonzero(smooth > _FALLEN * mean)[-1]) + 1) * _BLOCK
    return Outline(first, end, min(fall, end))


def plan_join(
    ending: Piece, new: Piece, *, crossfade_s: float = CROSSFADE_S, earliest: int = 0, soon: bool = False
) -> Join:
    """Where and how `new` follows `ending`, of which the first `earliest` samples are played already.

    A crossfade is the whole number of beats that is nearest `crossfade_s`, at most a quarter of the shorter song; with
    0 there is none, and each song is whole. `soon` joins at the next beat, within a beat.
    """
    outline = ending.outline
    skip = new.outline.first if new.outline.first > _LEAD_S * RATE_HZ else 0
    downbeat = new.downbeat_from(skip)
    lead = 0.0 if downbeat is None else downbeat - skip
    shorter = min(outline.end, len(new.audio) - skip)
    if soon:
        return _crossing(ending, skip, lead, (earliest, outline.end), _fade(ending, min(crossfade_s, 1.0), shorter))
    if crossfade_s <= 0:
        return Join(max(earliest, outline.end), skip, 0, False)
    if outline.fall is None:
        return _crossing(
            ending, skip, lead, (earliest, outline.end), _fade(ending, crossfade_s, shorter), at_the_end=True
        )
    least = max(earliest, outline.end - shorter // 2) + lead
    last = max(outline.end - 2 * _BLOCK, least)
    beat = ending.beat_from(max(outline.fall - _EARLY_BEATS * ending.beat_samples, least))
    if beat > last:
        beat = ending.beat_until(last)
    at = max(earliest, round((beat if beat >= least else last) - lead))
    return Join(at, skip, max(0, outline.end - at), False)


def overlap(ending: Piece, new: Piece, join: Join) -> np.ndarray:
    """What is heard while both are, [length, 2]: limited where two songs at once are too loud."""
    first, second = ending.audio[join.at :][: join.length], new.audio[join.skip :][: join.length]
    if join.fades:
        angle = (np.arange(join.length, dtype=np.float64) + 0.5) * (np.pi / 2 / max(1, join.length))
        falling, rising = np.cos(angle), np.sin(angle)
    else:
        falling, rising = np.ones(join.length), np.ones(join.length)
        edge = min(_EDGE, join.length)
        falling[join.length - edge :] *= 1.0 - (np.arange(edge) + 1) / edge
    mixed = (first * falling[:, None] + second * rising[:, None]).astype(np.float32)
    before = ending.audio[max(0, join.at - _BLOCK) : join.at]
    after = new.audio[join.skip + join.length :][:_BLOCK]
    whole = np.concatenate([before, mixed, after])
    limited, _ = limit_spans(whole, [(len(before), len(before) + len(mixed))], RATE_HZ, CEILING_DB)
    return limited[len(before) : len(before) + len(mixed)]


def _fade(ending: Piece, wanted_s: float, shorter: int) -> int:
    """Samples of a crossfade: whole beats of what ends where there are beats and they fit."""
    most = shorter // 4
    wanted = wanted_s * RATE_HZ
    if ending.grid is not None:
        beat = ending.beat_samples
        wanted = beat * max(1, round(wanted / beat))
        if wanted > most:
            wanted = beat * (most // beat) or most
    return round(min(wanted, most))


def _crossing(
    ending: Piece, skip: int, lead: float, within: tuple[int, int], fade: int, *, at_the_end: bool = False
) -> Join:
    """A crossfade of what ends with the next song, on a beat: the first of the samples `within`, or the last."""
    least, end = within[0] + lead, within[1]
    beat = ending.beat_until(end - fade + lead) if at_the_end else ending.beat_from(least)
    if beat < least:
        beat = ending.beat_from(least)
    at = round(beat - lead)
    if end - at < _LEAST:  # there is no beat left
        at = within[0]
    length = min(fade, end - at)
    return Join(min(at, end), skip, max(0, length), True) if length >= _LEAST else Join(max(within), skip, 0, False)
