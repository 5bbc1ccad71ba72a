"""What a renderer is: plans in, latents and audio out, as a generator that its caller drives.

A renderer knows one model family. It knows nothing of progress bars, files, loudness or where weights lie: it asks
`parts` for the networks it needs, and whoever drives the generator may stop between any two events. Songs of like
shape are rendered together, and none can hear the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from partita.measure.alignment import AlignmentScore
from partita.runtime import Runtime
from partita.score.types import Score
from partita.song.plan import Plan
from partita.song.resolve import ResolvedRequest
from partita.song.source import SourceFacts
from partita.text.subtitles import TimedLine


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins: `text`, `source`, `conditions`, `sample`, `lyrics`, `decode`, `play`. Ends where the next one
    begins."""

    name: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """Step `index` (from 1) of `count` of the current stage is finished."""

    index: int
    count: int


@dataclass(frozen=True, slots=True)
class LatentsReady:
    """Final latents, float32 `[T, 64]` on the CPU: all that is needed to decode again.

    For a song with a source they are the canvas's, the source's own outside of what was made. `cast` is the built-in
    model's (see `song.source.SongOrigin`).
    """

    latents: torch.Tensor
    cast: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ScoreReady:
    """The score that will be played (families that make one)."""

    score: Score


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Decoded audio, float32 `[n, 2]`, that starts at sample `start` of `total`. Chunks come in order, without gaps.

    Where the canvas has spans, chunks cover these with their cross-fades at least (25 ms beyond each edge, where there
    is none), and there may be gaps elsewhere: the rest is the source's own samples, and joining them is the caller's
    business. A source without audio, and parity, need all of it. Level is that of the latents.
    """

    samples: np.ndarray
    start: int
    total: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Something of the request was honoured only in part; the record keeps the sentence."""

    message: str


@dataclass(frozen=True, slots=True)
class LyricsHeard:
    """When the lines of the lyrics are sung, and how well they can be followed: in the finished `song`, and in its
    `conditions` alone, without the music. For jobs that ask for it (`Job.follow`), of families that sing."""

    lines: tuple[TimedLine, ...]
    conditions: AlignmentScore
    song: AlignmentScore


RenderEvent = StageStarted | StepDone | LatentsReady | ScoreReady | AudioChunk | Noted | LyricsHeard


class Parts(Protocol):
    """The loaded networks of one model. `use` loads a part where needed and keeps it while the context is open."""

    def use(self, name: str) -> AbstractContextManager[Any]:
        """Raises ModelError where the part's files are missing or damaged."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SourceData:
    """What a source or reference holds: `audio` float32 `[N, 2]` at 48 kHz, `latents` float32 `[T, 64]`, or both.

    Latents are there where the source is a song whose latents are kept, or was given as latents; the first frame is
    the source's first 40 ms. Latents of another family than the renderer's are never handed over.
    """

    facts: SourceFacts
    audio: np.ndarray | None
    latents: np.ndarray | None


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One song to render: `resolved` for a single seed, its plan, what was taken in for it, and `latents` (a
    LatentsReady of an earlier try of the same song), with which sampling is skipped. `follow`: whether to look for the
    lyrics in what was made."""

    resolved: ResolvedRequest
    plan: Plan
    source: SourceData | None = None
    references: tuple[SourceData, ...] = ()
    latents: torch.Tensor | None = None
    follow: bool = False

    @property
    def seed(self) -> int:
        (seed,) = self.resolved.seeds
        return seed


@dataclass(frozen=True, slots=True)
class Told:
    """An event of song `job`, counted from 0 in the order the jobs were given."""

    job: int
    event: RenderEvent


class Renderer(Protocol):
    """One model family's way from plans to sound.

    `render` tells, for each job, StageStarted, StepDone, LatentsReady once (and ScoreReady once, for families that make
    a score), then AudioChunk until the song is whole; families that write a song from its start on may tell chunks
    that are final before the latents are. Events of several jobs may interleave stage by stage. Same
    resolved request, plan, seed and runtime: same bits, whatever the other jobs are (on a CPU; elsewhere to rounding).
    """

    sample_rate_hz: int

    def render(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]: ...


@runtime_checkable
class Follower(Protocol):
    """A renderer of a family that sings: it finds the lyrics in finished songs, whose jobs bring their latents.

    `follow` tells of each job LyricsHeard, or Noted where they cannot be found. The conditions are made again as
    `render` makes them, so the same sources, references and adapters are needed.
    """

    def follow(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]: ...
