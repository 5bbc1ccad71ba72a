"""Renders a plan with the built-in model: a grid and words to score latents, these to notes, notes to sound.

The model picks the instruments and writes the notes; the plan gives tempo, metre, key and form. Its own songs are
edited in the same way: what stays is given through the mask channels and kept bit for bit, and what is made is written
around it. After the codec no note is moved, added or removed. The networks come from `parts`. Sound is told as soon as
its bars are final; the whole song is the same samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from partita.errors import RequestError
from partita.models.score_caption import Likelihoods
from partita.models.score_model import ScoreModel
from partita.render.builtin.casting import Casting, casting_of, choose_cast
from partita.render.builtin.outline import Outline, outline_of, prompt_of
from partita.render.builtin.tracks import added, extracted, missing
from partita.render.builtin.voices import without
from partita.render.builtin.writing import Sheet, Writing, Written
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
from partita.score.sampler import Player
from partita.score.styles import Cast
from partita.score.types import Role, Score
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ
from partita.song.task import Complete, Extend, Extract, Lego
from partita.text.orchestration import named_parts
from partita.text.prompts import TrackName

LEAST_REST_S = 0.2  # between the last release and the end of a song that has died away
_JOINT_S = 1.0  # of a source that a joint before it is compared with


class BuiltInRenderer:
    """See `partita.render.protocol.Renderer`. Keeps nothing between songs."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def render(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]:
        """Write each score (unless a job brings its latents) and play it. Raises ModelError where it is not finite."""
        for index, job in enumerate(jobs):
            for event in self._render(job, parts):
                yield Told(index, event)

    def _render(self, job: Job, parts: Parts) -> Iterator[RenderEvent]:
        latents, plan = job.latents, job.plan
        outline = outline_of(plan)
        sheet = sheet_of(job, outline)
        outline = outline_of(plan, made_from_s=_made_from_s(sheet, outline.frames))
        with torch.inference_mode(), parts.use("score_model") as part:
            model: ScoreModel = part.model
            yield StageStarted("text")
            tokens, mask = part.tokens([prompt_of(plan, outline)])
            device = model.null_condition.device
            heard = model.reader(tokens.to(device), mask.to(device))
            if isinstance(job.resolved.task, Extract):
                yield from _extract(job.resolved.task, job, outline, casting_of(heard, job.resolved, "", job.seed).song)
                return
            casting, roles = _cast(job, heard)
            yield from map(Noted, casting.notes)
            played = _Played(plan.duration_s, casting.song)
            if latents is None:
                yield StageStarted("sample")
                sheet = replace(sheet, roles=roles, returns=roles is not None and sheet.is_whole(outline.frames))
                writing = Writing(model, outline, casting.written_for, job.resolved, job.seed, sheet)
                for event in writing.run():
                    yield from (event,) if isinstance(event, StepDone) else played.until(event)
                latents = writing.latents
            yield LatentsReady(latents, casting.song.numbers())
        score = _score(latents.numpy(), outline, casting.song)
        yield ScoreReady(score)
        yield StageStarted("play")
        yield played.rest(_beside_source(score, job))


class _Played:
    """The sound of one song, in chunks as its score grows: what a listener can be given before it is mastered."""

    def __init__(self, duration_s: float, cast: Cast, roles: Iterable[Role] | None = None) -> None:
        self._total = round(duration_s * SAMPLE_RATE_HZ)
        self._at = 0
        self._player = Player(self._total, sample_rate_hz=SAMPLE_RATE_HZ, roles=roles, style=cast.style)

    def until(self, written: Written) -> Iterator[AudioChunk]:
        """The bars that are final, if there are any more of them."""
        samples = self._player.until(written.score, written.settled_s)
        if len(samples):
            yield self._chunk(samples)

    def rest(self, score: Score) -> AudioChunk:
        """Everything else."""
        return self._chunk(self._player.rest(score))

    def _chunk(self, samples: np.ndarray) -> AudioChunk:
        self._at += len(samples)
        return AudioChunk(samples, self._at - len(samples), self._total)


def _cast(job: Job, heard: Likelihoods) -> tuple[Casting, frozenset[Role] | None]:
    """Who plays, and the roles that are written where these are not all."""
    task, caption = job.resolved.task, job.plan.caption
    casting = casting_of(heard, job.resolved, caption, job.seed)
    if not isinstance(task, Lego | Complete):
        return casting, None
    named = named_parts(caption)
    tracks: Sequence[TrackName]
    if isinstance(task, Lego):
        tracks = (task.track,)
    else:
        tracks = task.tracks or missing(casting.song, choose_cast(heard, job.seed, named), heard)
    field = "task.track" if isinstance(task, Lego) else "task.tracks"
    song, roles = added(tracks, casting.song, heard, named, job.seed, field)
    return Casting(song, replace(casting.written_for, programs=song.programs)), roles


def _extract(task: Extract, job: Job, outline: Outline, cast: Cast) -> Iterator[RenderEvent]:
    """One track of a song as it is in the song's mix: its notes, its place in the room, its level."""
    assert job.source is not None  # resolve saw to it, and sheet_of to the latents
    assert job.source.latents is not None
    alone = extracted(task.track, cast)
    others: list[Role] = [role for role in cast.programs if role not in alone.programs]
    latents = without(job.source.latents, others)
    yield LatentsReady(torch.from_numpy(latents), alone.numbers())
    yield ScoreReady(_score(latents, outline, alone))
    yield StageStarted("play")
    played = _Played(outline.duration_s, cast, alone.programs)
    yield played.rest(_score(job.source.latents, outline, cast))


def _score(latents: np.ndarray, outline: Outline, cast: Cast) -> Score:
    return decode(
        latents,
        outline.grid,
        outline.key,
        cast.programs,
        duration_s=outline.duration_s,
        sections=outline.sections,
    )


def _beside_source(score: Score, job: Job) -> Score:
    """What is to be heard where a song is made longer. A source that has died away is over: its notes would ring on in
    what is put behind it, out of the silence of its end."""
    canvas, task = job.resolved.canvas, job.resolved.task
    if canvas is None or job.source is None or not isinstance(task, Extend):
        return score
    start_s = canvas.source_at / SAMPLE_RATE_HZ
    end_s = start_s + job.source.facts.duration_s
    own = [n for track in score.tracks for n in track.notes if start_s <= n.start_s < end_s]
    if any(note.start_s + note.duration_s > end_s - LEAST_REST_S for note in own):
        return score
    begins_s = start_s + _JOINT_S
    tracks = tuple(
        replace(track, notes=tuple(n for n in track.notes if not begins_s <= n.start_s < end_s))
        for track in score.tracks
    )
    return replace(score, tracks=tracks)


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
