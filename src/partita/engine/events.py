"""What a caller hears while a song is made: typed events, in the order planned, steps, latents, audio, finished."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partita.engine.song import Song
from partita.render.protocol import LatentsReady
from partita.song.plan import Plan
from partita.song.resolve import ResolvedRequest
from partita.song.scores import Candidate


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made; rendering follows. `resolved.seeds` holds the one seed of this song."""

    resolved: ResolvedRequest
    plan: Plan


@dataclass(frozen=True, slots=True)
class StageBegan:
    """A stage of the work begins: plan, load, text, conditions, sample, lyrics, decode, play, master, judge."""

    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """Step `index` (from 1) of `count` in `stage`. `seconds_left` is of this stage, judged by its own steps.

    Steps of the stage `plan` are tokens, written at `tokens_per_s`; how many there will be may not be settled, and then
    `count` and `seconds_left` are none.
    """

    stage: str
    index: int
    count: int | None
    seconds_left: float | None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class AudioReady:
    """Decoded samples, float32 `[n, 2]`, before the loudness stage, which needs the whole song.

    Of an edit they are what was made, and a little beside it, before it is joined to its source.
    """

    samples: np.ndarray
    start: int
    total: int
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The song, after the loudness stage."""

    song: Song


@dataclass(frozen=True, slots=True)
class Chosen:
    """The best of several songs, each of which was Finished before; `ranked` are all of them, the best first.

    The record of `song` says why it is the best.
    """

    song: Song
    ranked: tuple[Candidate, ...]


__all__ = ["AudioReady", "Chosen", "Event", "Finished", "LatentsReady", "Planned", "StageBegan", "Step"]

Event = Planned | StageBegan | Step | LatentsReady | AudioReady | Finished | Chosen
