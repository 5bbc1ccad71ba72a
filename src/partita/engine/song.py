"""A finished song: its sound, its latents or score, and the record of how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from partita.render.protocol import LyricsHeard
from partita.score.types import Score
from partita.song.record import Record
from partita.song.source import SongOrigin


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage took. `peak_bytes` is the most memory this process held during it, mapped files included.

    `steps_s` are the seconds of each of its steps, for stages that have steps.
    """

    name: str
    seconds: float
    peak_bytes: int
    steps_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Song:
    """`audio` is float32 `[N, 2]` after the loudness stage and `raw_audio` before it; both in -1..1 where not clipped.

    `costs` is about this run and not part of the record, which holds no clock time; songs that were made in one pass
    have the costs of the pass. `origin` is what editing needs to know of it, and is there where latents are. `sung`
    says when its lines are sung, where that was asked for and found.
    """

    audio: np.ndarray
    raw_audio: np.ndarray
    sample_rate_hz: int
    record: Record
    latents: torch.Tensor | None = None
    score: Score | None = None
    origin: SongOrigin | None = None
    sung: LyricsHeard | None = None
    stems: dict[str, np.ndarray] = field(default_factory=dict)
    costs: tuple[StageCost, ...] = ()

    @property
    def duration_s(self) -> float:
        return len(self.audio) / self.sample_rate_hz

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.record.warnings

    def noted(self, notes: Sequence[str]) -> Song:
        """The same song, whose record says `notes` too, each once and behind what it says already."""
        told = dict.fromkeys((*self.record.warnings, *notes))
        return replace(self, record=self.record.model_copy(update={"warnings": tuple(told)}))
