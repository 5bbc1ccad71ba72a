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
    """A quarter of full scale at a pitch that the seed gives, stage by stage for all songs of a pass.

    With a source, what the canvas makes is new, the rest of the latents is the source's own (`ENCODED` where it has
    none), and only the spans are decoded, a little beyond their edges. `hook(stage, step)` runs before each event.
    """

    sample_rate_hz = 48_000
    level = 0.25

    def __init__(self, hook: Callable[[str, int], None] = lambda stage, step: None, steps: int = 4) -> None:
        self.hook, self.steps = hook, steps
        self.sampled = 0
        self.passes: list[list[Job]] = []

    def render(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]:
        self.passes.append(list(jobs))
        with parts.use("text_encoder"):
            for index in range(len(jobs)):
                yield Told(index, StageStarted("text"))
                self.hook("text", 0)
        latents = {index: job.latents for index, job in enumerate(jobs) if job.latents is not None}
        if fresh := [index for index in range(len(jobs)) if index not in latents]:
            yield from (Told(index, StageStarted("sample")) for index in fresh)
            with parts.use("transformer"):
                for step in range(self.steps):
                    self.hook("sample", step)
                    self.sampled += len(fresh)
                    yield from (Told(index, StepDone(step + 1, self.steps)) for index in fresh)
            latents |= {index: _tone_latents(jobs[index]) for index in fresh}
        for index in range(len(jobs)):
            yield Told(index, LatentsReady(latents[index]))
            yield Told(index, Noted("a test tone"))
        for index, job in enumerate(jobs):
            yield Told(index, StageStarted("decode"))
            with parts.use("vae"):
                for event in self._decode(job, 220 + 10 * float(job.seed % 7)):
                    yield Told(index, event)

    def _decode(self, job: Job, pitch_hz: float) -> Iterator[AudioChunk]:
        canvas = job.resolved.canvas
        total = canvas.samples if canvas is not None else round(job.plan.duration_s * self.sample_rate_hz)
        tone = self.level * np.sin(2 * np.pi * pitch_hz * np.arange(total) / self.sample_rate_hz)
        ranges: list[tuple[int, int]] = [(0, total // 2), (total // 2, total)]
        joined = job.source is not None and job.source.audio is not None and not job.resolved.parity
        if canvas is not None and canvas.spans and joined:
            ranges, at = [], 0
            for first, end in canvas.spans:
                start, stop = max(first - MARGIN, at), min(end + MARGIN, total)
                ranges.append((start, stop))
                at = stop
        for start, end in ranges:
            self.hook("decode", start)
            samples = np.stack([tone[start:end]] * 2, axis=1).astype(np.float32)
            yield AudioChunk(samples, start, total)


ENCODED = 9.0
MARGIN = 2600
"""Samples decoded beyond a span: more than any joint needs."""


def _tone_latents(job: Job) -> torch.Tensor:
    canvas = job.resolved.canvas
    if canvas is None:
        return torch.full((-(-round(job.plan.duration_s * 48_000) // 1920), 64), float(job.seed % 7))
    frames, at = -(-canvas.samples // 1920), canvas.source_at // 1920
    latents = torch.full((frames, 64), ENCODED)
    if job.source is not None and job.source.latents is not None:
        latents[at : at + len(job.source.latents)] = torch.from_numpy(job.source.latents)[: frames - at]
    for first, end in canvas.span_frames(frames) or ((0, frames),):
        latents[first:end] = float(job.seed % 7)
    return latents
