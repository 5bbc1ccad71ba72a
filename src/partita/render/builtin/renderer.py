"""Renders a plan with the built-in model: a grid and words to score latents, these to notes, notes to sound.

The model picks the instruments and writes the notes; the plan gives tempo, metre, key and form. Its own songs are
edited in the same way: what stays is given through the mask channels and kept bit for bit, and what is made is written
around it. After the codec no note is moved, added or removed. The networks come from `parts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from partita.errors import RequestError
from partita.models.score_model import ScoreModel
from partita.render.builtin.casting import casting_of
from partita.render.builtin.outline import Outline, outline_of, prompt_of
from partita.render.builtin.writing import Sheet, Writing
from partita.render.protocol import (
    AudioChunk,
    Job,
    LatentsReady,
    Noted,
    Parts,
    RenderEvent,
    ScoreReady,
    StageStarted,
    StepDone,
    Told,
)
from partita.runtime import Runtime
from partita.score.codec import decode
from partita.score.grid import FRAME_RATE_HZ
from partita.score.sampler import play
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ


class BuiltInRenderer:
    """See `partita.render.protocol.Renderer`. Keeps nothing between songs."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def render(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]:
        """Write each score (unless a job brings its latents) and play it. Raises ModelError where it is not finite."""
        for index, job in enumerate(jobs):
            for event in self._render(job, parts):
                yield Told(index, event)

    def _render(self, job: Job, parts: Parts) -> Iterator[RenderEvent]:
        resolved, plan, seed, latents = job.resolved, job.plan, job.seed, job.latents
        outline = outline_of(plan)
        sheet = sheet_of(job, outline)
        outline = outline_of(plan, made_from_s=_made_from_s(sheet, outline.frames))
        with torch.inference_mode(), parts.use("score_model") as part:
            model: ScoreModel = part.model
            yield StageStarted("text")
            tokens, mask = part.tokens([prompt_of(plan, outline)])
            device = model.null_condition.device
            heard = model.reader(tokens.to(device), mask.to(device))
            casting = casting_of(heard, resolved, plan.caption, seed)
            yield from map(Noted, casting.notes)
            cast = casting.song
            if latents is None:
                yield StageStarted("sample")
                writing = Writing(model, outline, casting.written_for, resolved, seed, sheet)
                for event in writing.run():
                    if isinstance(event, StepDone):
                        yield event
                latents = writing.latents
            yield LatentsReady(latents, cast.numbers())
        score = decode(
            latents.numpy(),
            outline.grid,
            outline.key,
            cast.programs,
            duration_s=outline.duration_s,
            sections=outline.sections,
        )
        yield ScoreReady(score)
        yield StageStarted("play")
        audio = play(score, sample_rate_hz=SAMPLE_RATE_HZ)
        yield AudioChunk(audio, 0, len(audio))


def _made_from_s(sheet: Sheet, frames: int) -> float:
    """Where the music begins that is made up to the song's end; 0 where that is all of it, or none."""
    return max((first for first, stop in sheet.spans if stop >= frames), default=0) / FRAME_RATE_HZ


def sheet_of(job: Job, outline: Outline) -> Sheet:
    """What is to be written, and the source around it. Raises RequestError for a source whose latents are not kept."""
    canvas = job.resolved.canvas
    if job.source is None or canvas is None:
        return Sheet(((0, outline.frames),))
    if job.source.latents is None:
        raise RequestError(
            "The source's latents are not kept on this machine, and the built-in model edits a song through them: "
            "generate the song again and edit that.",
            field="task.source",
            value=job.source.facts.sha256,
        )
    spans = canvas.span_frames(outline.frames) or ((0, outline.frames),)
    return Sheet(spans, job.source.latents, canvas.source_at // FRAME_SAMPLES)
