"""What a renderer is: plan in, latents and audio out, as a generator that its caller drives.

A renderer knows one model family. It knows nothing of progress bars, files, loudness or where weights lie: it asks
`parts` for the networks it needs, and whoever drives the generator may stop between any two events.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from partita.runtime import Runtime
from partita.score.types import Score
from partita.song.plan import Plan
from partita.song.resolve import ResolvedRequest


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins: `text`, `conditions`, `sample`, `decode`, `play`. Ends where the next one begins."""

    name: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """Step `index` (from 1) of `count` of the current stage is finished."""

    index: int
    count: int


@dataclass(frozen=True, slots=True)
class LatentsReady:
    """Final latents, float32 `[T, 64]` on the CPU: all that is needed to decode again."""

    latents: torch.Tensor


@dataclass(frozen=True, slots=True)
class ScoreReady:
    """The score that will be played (families that make one)."""

    score: Score


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Finished audio, float32 `[n, 2]`, that starts at frame `start` of `total`. Chunks come in order, without gaps."""

    samples: np.ndarray
    start: int
    total: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Something of the request was honoured only in part; the record keeps the sentence."""

    message: str


RenderEvent = StageStarted | StepDone | LatentsReady | ScoreReady | AudioChunk | Noted


class Parts(Protocol):
    """The loaded networks of one model. `use` loads a part where needed and keeps it while the context is open."""

    def use(self, name: str) -> AbstractContextManager[Any]:
        """Raises ModelError where the part's files are missing or damaged."""
        ...


class Renderer(Protocol):
    """One model family's way from a plan to sound.

    `render` yields StageStarted, StepDone, LatentsReady once (and ScoreReady once, for families that make a score),
    then AudioChunk until the song is whole. Same resolved request, plan, seed and runtime: same bits. With `latents`
    (a LatentsReady of the same request, plan and seed) sampling is skipped and the rest goes as before.
    """

    sample_rate_hz: int

    def render(
        self,
        resolved: ResolvedRequest,
        plan: Plan,
        seed: int,
        parts: Parts,
        runtime: Runtime,
        latents: torch.Tensor | None = None,
    ) -> Iterator[RenderEvent]: ...
