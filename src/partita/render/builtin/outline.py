"""What a plan fixes of a score before a note is written: where its beats, keys and parts lie.

Knows no networks. Latents are `[T, 64]` at 25 Hz (`partita.score.codec`); the last twelve channels are the grid's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from partita.errors import RequestError
from partita.score.codec import silence
from partita.score.grid import frame_count, lay_grid
from partita.score.types import Grid, Section
from partita.song.plan import Plan
from partita.text.score_prompt import score_prompt


@dataclass(frozen=True, slots=True)
class Outline:
    """Grid, key, length and form of a score."""

    grid: Grid
    key: str
    duration_s: float
    sections: tuple[Section, ...]

    @property
    def frames(self) -> int:
        return frame_count(self.duration_s)

    def at_least(self, duration_s: float) -> Outline:
        """The same outline, its last section drawn out where it is shorter than `duration_s`."""
        if self.duration_s >= duration_s:
            return self
        sections = (*self.sections[:-1], *(replace(last, end_s=duration_s) for last in self.sections[-1:]))
        return replace(self, duration_s=duration_s, sections=sections)

    def empty_latents(self) -> np.ndarray:
        """Latents `[T, 64]` of the grid with no music on it."""
        channels = lay_grid(self.grid, self.sections, self.key, self.duration_s)
        return np.concatenate([silence(self.frames), channels], axis=1)


def outline_of(plan: Plan) -> Outline:
    """The outline of a plan. Raises RequestError where it leaves tempo, key or metre open."""
    if plan.bpm is None or plan.key is None or plan.time_signature is None:
        raise RequestError("The built-in model needs tempo, key and metre in the plan; use a planner that fills them.")
    sections = tuple(Section(one.kind, one.start_s, one.end_s) for one in plan.sections)
    grid = Grid(float(plan.bpm), plan.time_signature, plan.beat_offset_s)
    return Outline(grid, plan.key, plan.duration_s, sections)


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
