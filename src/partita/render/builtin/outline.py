"""What a plan fixes of a score before a note is written: where its beats, keys and parts lie, and where its music ends.

Knows no networks. Latents are `[T, 64]` at 25 Hz (`partita.score.codec`); the last twelve channels are the grid's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from partita.errors import RequestError
from partita.score.codec import silence
from partita.score.grid import FRAME_RATE_HZ, LAST_CHORD_S, RELEASE_S, TAIL_S, frame_count, lay_grid
from partita.score.types import Grid, Section
from partita.song.plan import Plan
from partita.text.score_prompt import score_prompt

SHORTEST_TAIL_SHARE = 0.45  # of a song that is too short for `TAIL_S`
_CLEARLY_S = 0.4  # by which a last chord in the middle of what the model writes is longer than the shortest


@dataclass(frozen=True, slots=True)
class Outline:
    """Grid, key, length and form of a score.

    The music is written to end at `end_s`, which is behind the end of a very short song. Of what is written nothing is
    kept from `cut_s` on; only what rings is heard there.
    """

    grid: Grid
    key: str
    duration_s: float
    sections: tuple[Section, ...]
    end_s: float
    cut_s: float

    @property
    def frames(self) -> int:
        return frame_count(self.duration_s)

    @property
    def kept_frames(self) -> int:
        """Frames before the cut, none behind the song's end."""
        return min(frame_count(self.cut_s), self.frames)

    @property
    def last_bar_s(self) -> float:
        """Where the bar begins in which the last chord is struck."""
        return _last_line(self.grid, self.end_s - RELEASE_S - LAST_CHORD_S + _NOTHING_S)

    def until(self, frames: int) -> Outline:
        """The same outline with as many frames, the last section cut or drawn out to its end."""
        duration_s = self.duration_s if frames == self.frames else frames / FRAME_RATE_HZ
        sections = [replace(one, end_s=min(one.end_s, duration_s)) for one in self.sections if one.start_s < duration_s]
        sections[-1:] = [replace(one, end_s=duration_s) for one in sections[-1:]]
        return replace(self, duration_s=duration_s, sections=tuple(sections))

    def led_by(self, frames: int) -> Outline:
        """The same outline with so many more frames before it, of the kind of its first section."""
        if frames == 0:
            return self
        lead_s = frames / FRAME_RATE_HZ
        moved = [replace(one, start_s=one.start_s + lead_s, end_s=one.end_s + lead_s) for one in self.sections]
        moved[:1] = [replace(one, start_s=0.0) for one in moved[:1]]
        grid = replace(self.grid, offset_s=math.fmod(self.grid.offset_s + lead_s, self.grid.bar_s))
        times_s = (self.end_s + lead_s, self.cut_s + lead_s)
        return Outline(grid, self.key, self.duration_s + lead_s, tuple(moved), *times_s)

    def empty_latents(self) -> np.ndarray:
        """Latents `[T, 64]` of the grid with no music on it."""
        channels = lay_grid(self.grid, self.sections, self.key, self.duration_s, end_s=self.end_s)
        return np.concatenate([silence(self.frames), channels], axis=1)


def outline_of(plan: Plan, *, made_from_s: float = 0.0) -> Outline:
    """The outline of a plan, in which the music is written anew from `made_from_s` on.

    Raises RequestError where it leaves tempo, key or metre open.
    """
    if plan.bpm is None or plan.key is None or plan.time_signature is None:
        raise RequestError("The built-in model needs tempo, key and metre in the plan; use a planner that fills them.")
    sections = tuple(Section(one.kind, one.start_s, one.end_s) for one in plan.sections)
    grid = Grid(float(plan.bpm), plan.time_signature, plan.beat_offset_s)
    end_s, cut_s = music_end_s(grid, plan.duration_s)
    if cut_s - made_from_s < LAST_CHORD_S and made_from_s > 0:
        end_s = cut_s = plan.duration_s  # what is made would be little more than a tail
    return Outline(grid, plan.key, plan.duration_s, sections, end_s, cut_s)


def music_end_s(grid: Grid, duration_s: float) -> tuple[float, float]:
    """Where music should be written to end for its tail to be heard in a song, and from where on nothing is kept of it.

    As in the pieces that the model knows, the last chord is struck at a bar line and held for 1.2 s or more, until
    `TAIL_S` remain: what rings on has died away by then, and there is no long silence behind what does not. A song too
    short for both is a chord that is let go earlier, and its tail.
    """
    line_s = _last_line(grid, duration_s - TAIL_S - LAST_CHORD_S)
    if line_s < 0:
        released_s = max(duration_s - TAIL_S, (1 - SHORTEST_TAIL_SHARE) * duration_s)
        line_s = _last_line(grid, released_s / 2)
        return max(line_s + LAST_CHORD_S + _CLEARLY_S, released_s) + RELEASE_S, released_s
    end_s = duration_s - TAIL_S + RELEASE_S
    return end_s, end_s


def prompt_of(plan: Plan, outline: Outline) -> str:
    """What the reader of captions reads for a plan."""
    grid = outline.grid
    return score_prompt(
        plan.caption,
        bpm=grid.bpm,
        time_signature=grid.time_signature,
        key=outline.key,
        duration_s=outline.duration_s,
    )


_NOTHING_S = 1e-6


def _last_line(grid: Grid, latest_s: float) -> float:
    """The last bar line that is not later than `latest_s`; negative where there is none in the song."""
    return grid.offset_s + math.floor((latest_s - grid.offset_s) / grid.bar_s) * grid.bar_s
