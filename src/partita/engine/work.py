"""What comes out of a renderer for one song while it is made, and what the caller is told of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from partita.engine.events import AudioReady, Event, StageBegan, Step
from partita.engine.meter import StageMeter
from partita.engine.song import StageCost
from partita.errors import ModelError
from partita.render import protocol
from partita.score.styles import Cast
from partita.score.types import Score
from partita.song.plan import Plan
from partita.song.resolve import ResolvedRequest

Range = tuple[int, int]


class StepCount:
    """Books steps to the meter of a pass: a step that several songs take together is one step of its stage."""

    def __init__(self, meter: StageMeter) -> None:
        self._meter, self._last = meter, 0

    def begin(self, stage: str) -> None:
        """A stage begins, for one song or several."""
        self._meter.enter(stage)
        self._last = 0

    def done(self, index: int) -> None:
        """A song has done step `index`, from 1."""
        if index > self._last:
            self._last = index
            self._meter.step()


class SongWork:
    """One song of a pass. `needed` are the ranges of samples that it cannot do without, or none for all of it."""

    def __init__(self, steps: StepCount, sample_rate_hz: int, needed: tuple[Range, ...] | None) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.latents: torch.Tensor | None = None
        self.cast: tuple[int, ...] | None = None
        self.score: Score | None = None
        self.sung: protocol.LyricsHeard | None = None
        self.warnings: list[str] = []
        self._steps, self._needed = steps, needed
        self._made: np.ndarray | None = None
        self._covered: list[Range] = []
        self._stage, self._stage_began = "", 0.0

    def take(self, event: protocol.RenderEvent) -> Iterator[Event]:
        """Note a renderer's event and tell the caller's side of it."""
        match event:
            case protocol.StageStarted(name):
                self._steps.begin(name)
                self._stage, self._stage_began = name, time.perf_counter()
                yield StageBegan(name)
            case protocol.StepDone(index, count):
                self._steps.done(index)
                spent = time.perf_counter() - self._stage_began
                yield Step(self._stage, index, count, spent / index * (count - index))
            case protocol.LatentsReady(latents, cast):
                self.latents, self.cast = latents, cast
                yield event
            case protocol.ScoreReady(score):
                self.score = score
            case protocol.LyricsHeard():
                self.sung = event
            case protocol.Noted(message):
                self.warnings.append(message)
            case protocol.AudioChunk(samples, start, total):
                self._lay(samples, start, total)
                yield AudioReady(samples, start, total, self.sample_rate_hz)

    @property
    def is_whole(self) -> bool:
        """Whether all of the audio that is needed is there."""
        return self._made is not None and self._gap() is None

    def audio(self) -> np.ndarray:
        """What was made, float32 `[N, 2]`; zero where nothing was. Raises ModelError where needed audio is missing."""
        if self._made is None:
            raise ModelError(
                "The renderer ended without any audio. This is a fault of Partita: please report the record."
            )
        gap = self._gap()
        if gap is not None:
            raise ModelError(
                f"The renderer left out the samples {gap[0]} to {gap[1]} of {len(self._made)}. This is a fault of "
                "Partita: please report the record."
            )
        if not np.isfinite(self._made).all():
            raise ModelError(
                "The decoded audio holds numbers that are not finite. Try float32 (--number-format float32)."
            )
        return self._made

    def forget(self) -> None:
        """Let go of the audio."""
        self._made = None

    def _lay(self, samples: np.ndarray, start: int, total: int) -> None:
        if self._made is None:
            self._made = np.zeros((total, samples.shape[1]), np.float32)
        end = start + len(samples)
        self._made[start:end] = samples
        if self._covered and self._covered[-1][1] >= start:
            self._covered[-1] = (self._covered[-1][0], end)
        else:
            self._covered.append((start, end))

    def _gap(self) -> Range | None:
        """The first needed range that is not all there."""
        assert self._made is not None
        total = len(self._made)
        needed = ((0, total),) if self._needed is None else self._needed
        for first, end in needed:
            first, end = max(first, 0), min(end, total)
            if first < end and not any(a <= first and end <= b for a, b in self._covered):
                return first, end
        return None


@dataclass(slots=True, eq=False)
class Pending:
    """A song of a pass, and what planning took. The rest is filled in as the pass goes on."""

    place: int
    resolved: ResolvedRequest
    plan: Plan
    planning: tuple[StageCost, ...]
    kept: Path = field(init=False)
    work: SongWork = field(init=False)
    source: protocol.SourceData | None = None


def stems_of(score: Score, gain_db: float, cast: tuple[int, ...] | None) -> dict[str, np.ndarray]:
    """Each track alone, at the level of the whole song (a limiter's work is not shared out), in the mix of its cast."""
    from partita.score.sampler import stems

    gain = np.float32(10 ** (gain_db / 20))
    style = None if cast is None else Cast.of_numbers(cast).style
    return {role: audio * gain for role, audio in stems(score, style=style).items()}
