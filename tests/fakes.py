"""Stand-ins for what is slow: a renderer that makes a tone in a few steps, and a loader that loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from partita.render.protocol import (
    AudioChunk,
    Job,
    LatentsReady,
    Noted,
    Parts,
    RenderEvent,
    StageStarted,
    StepDone,
    Told,
)
from partita.runtime import Choice, Runtime


def fake_runtime(**choices: Any) -> Runtime:
    values: dict[str, Any] = {
        "device": "cpu",
        "number_format": "float32",
        "attention": "sdpa",
        "compiled": False,
        "threads": 1,
        "memory_bytes": 2**34,
        "policy": "keep",
    } | choices
    return Runtime(**{name: Choice(value, "test") for name, value in values.items()}, cpu="test cpu")


class FakeLoader:
    """Counts what is loaded."""

    part_names = ("text_encoder", "transformer", "vae")
    identity = ("fake",)

    def __init__(self) -> None:
        self.loads: list[str] = []

    def load(self, part: str) -> str:
        self.loads.append(part)
        return f"loaded {part}"

    def fingerprint(self) -> dict[str, str]:
        return {"model": "fake"}


class ToneRenderer:
    """A quarter of full scale at a pitch that the seed gives. `hook(stage, step)` runs before each event."""

    sample_rate_hz = 48_000

    def __init__(self, hook: Callable[[str, int], None] = lambda stage, step: None, steps: int = 4) -> None:
        self.hook, self.steps = hook, steps
        self.sampled = 0

    def render(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]:
        for index, job in enumerate(jobs):
            for event in self._render(job, parts):
                yield Told(index, event)

    def _render(self, job: Job, parts: Parts) -> Iterator[RenderEvent]:
        seed, latents = job.seed, job.latents
        yield StageStarted("text")
        with parts.use("text_encoder"):
            self.hook("text", 0)
        if latents is None:
            yield StageStarted("sample")
            with parts.use("transformer"):
                for step in range(self.steps):
                    self.hook("sample", step)
                    self.sampled += 1
                    yield StepDone(step + 1, self.steps)
            latents = torch.full((10, 64), float(seed % 7))
        yield LatentsReady(latents)
        yield Noted("a test tone")
        yield StageStarted("decode")
        with parts.use("vae"):
            total = round(job.plan.duration_s * self.sample_rate_hz)
            time_s = np.arange(total) / self.sample_rate_hz
            pitch_hz = 220 + 10 * float(latents[0, 0])
            tone = (0.25 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)
            half = total // 2
            for start, end in ((0, half), (half, total)):
                self.hook("decode", start)
                yield AudioChunk(np.stack([tone[start:end]] * 2, axis=1), start, total)
