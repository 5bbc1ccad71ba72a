"""Renders a plan with the built-in model: a grid and words to score latents, these to notes, notes to sound.

The model picks the instruments and writes the notes; the plan gives tempo, metre, key and form. A song longer than a
window is written window by window, each given the end of the one before. After the codec no note is moved, added or
removed. The networks come from `parts`; sound comes from the score's sampler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from partita.errors import ModelError, RequestError
from partita.models.score_caption import Likelihoods
from partita.models.score_model import ScoreModel
from partita.render.guidance import guidance_of
from partita.render.protocol import (
    AudioChunk,
    Job,
    LatentsReady,
    Parts,
    RenderEvent,
    ScoreReady,
    StageStarted,
    StepDone,
    Told,
)
from partita.runtime import Runtime
from partita.sampling.flow import predict_with
from partita.sampling.guidance import is_active, with_null
from partita.sampling.loop import State, denoise
from partita.sampling.noise import Stream, noise, uniforms
from partita.sampling.schedules import Schedule, linear_schedule, verbatim_schedule
from partita.score.codec import CHANNELS, decode, encode, silence
from partita.score.context import lay_context
from partita.score.grid import frame_count, lay_grid
from partita.score.instruments import programs_for
from partita.score.sampler import play
from partita.score.styles import ENERGIES, STYLES, Cast
from partita.score.types import ROLES, Grid, Role, Section
from partita.song.plan import Plan
from partita.song.resolve import ResolvedRequest
from partita.text.score_prompt import score_prompt

SAMPLE_RATE_HZ = 48_000
WINDOW_FRAMES = 500  # 20 s, the longest that the model was trained on
CONTINUED_FRAMES = 200  # 8 s of the window before
SHORTEST_S = (
    5.0  # the shortest that the model was trained on; what is shorter is the beginning of a song of this length
)
PRESENCE_TEMPERATURE = 0.5  # below 1: doubtful instruments follow the likelier side more often than not
CHOICE_TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class Outline:
    """What the plan fixes of the score: where its beats, keys and parts lie."""

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
    return Outline(Grid(float(plan.bpm), plan.time_signature), plan.key, plan.duration_s, sections)


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


def choose_cast(heard: Likelihoods, seed: int) -> Cast:
    """Style, energy and instruments, drawn from what the text makes likely (`heard`, of one text)."""
    draws = uniforms(seed, 2 + 2 * len(ROLES), Stream.ORCHESTRATION).tolist()
    style = STYLES[_draw(heard.style[0], draws[0])]
    energy = ENERGIES[_draw(heard.energy[0], draws[1])]
    presence = torch.sigmoid(heard.presence[0].float() / PRESENCE_TEMPERATURE).tolist()
    programs: dict[Role, int] = {}
    for index, role in enumerate(ROLES):
        choices = programs_for(role)
        plays, which = draws[2 + 2 * index : 4 + 2 * index]
        if plays < presence[index] or presence[index] == max(presence):
            programs[role] = choices[_draw(heard.programs[0, index, : len(choices)], which)]
    return Cast(style, energy, programs)


def _draw(logits: Tensor, draw: float) -> int:
    odds = torch.softmax(logits.double() / CHOICE_TEMPERATURE, dim=0)
    return min(int(torch.searchsorted(odds.cumsum(0), draw)), len(logits) - 1)


def keep_absent(frames: int, playing: dict[Role, int]) -> np.ndarray:
    """`keep` of `lay_context`, `[frames, 6]`: roles that do not play stay silent, the others are to be written."""
    keep = np.zeros((frames, len(ROLES)), dtype=bool)
    keep[:, [role not in playing for role in ROLES]] = True
    return keep


def windows_of(frames: int) -> list[tuple[int, int, int]]:
    """(start, first frame to write, stop) of each window: overlapping, all but a short song's of full length."""
    if frames <= WINDOW_FRAMES:
        return [(0, 0, frames)]
    windows = [(0, 0, WINDOW_FRAMES)]
    while (written := windows[-1][2]) < frames:
        stop = min(written - CONTINUED_FRAMES + WINDOW_FRAMES, frames)
        windows.append((stop - WINDOW_FRAMES, written, stop))
    return windows


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
        with torch.inference_mode(), parts.use("score_model") as part:
            model: ScoreModel = part.model
            yield StageStarted("text")
            tokens, mask = part.tokens([prompt_of(plan, outline)])
            device = model.null_condition.device
            cast = choose_cast(model.reader(tokens.to(device), mask.to(device)), seed)
            if latents is None:
                yield StageStarted("sample")
                writing = _Writing(model, outline, cast, resolved, seed)
                yield from writing.run()
                latents = writing.latents
            yield LatentsReady(latents)
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


class _Writing:
    """The windows of one song, written in order. `latents` `[T, 64]`, float32 on the CPU, is whole after `run`."""

    def __init__(
        self,
        model: ScoreModel,
        outline: Outline,
        cast: Cast,
        resolved: ResolvedRequest,
        seed: int,
    ) -> None:
        self._model, self._programs, self._seed = model, cast.programs, seed
        self._frames, self._outline = outline.frames, outline.at_least(SHORTEST_S)
        sampling = resolved.sampling
        self._guidance = guidance_of(sampling)
        casts = torch.tensor([cast.numbers()], device=model.null_condition.device)
        states = model.conditions(casts)
        self._cache = model.dit.cross_cache(
            with_null(states, model.null_condition) if is_active(self._guidance) else states
        )
        self._schedule: Schedule = (
            linear_schedule(sampling.steps, sampling.shift, torch.float32)
            if sampling.timesteps is None
            else verbatim_schedule(sampling.timesteps, torch.float32)
        )
        self._latents = self._outline.empty_latents()

    @property
    def latents(self) -> Tensor:
        return torch.from_numpy(self._latents[: self._frames])

    def run(self) -> Iterator[StepDone]:
        windows = windows_of(self._outline.frames)
        for index, (start, first, stop) in enumerate(windows):
            # What is continued passes through the codec, so that the model is given clean latents, as in training.
            given = self._rewritten(stop) if first else self._latents[:stop]
            keep = keep_absent(stop - start, self._programs)
            keep[: first - start] = True
            context = lay_context(given[start:], keep)
            for done in self._window(context, index):
                yield StepDone(index * self._schedule.steps + done, len(windows) * self._schedule.steps)
            made = np.where(context[:, CHANNELS:] > 0, self._made, context[:, :CHANNELS])
            self._latents[first:stop] = made[first - start :]
        if not np.isfinite(self._latents).all():
            raise ModelError("The built-in model's score is not finite. Try float32 (--number-format float32).")

    def _window(self, context: np.ndarray, index: int) -> Iterator[int]:
        model = self._model
        like = model.null_condition
        given = torch.from_numpy(context).to(like.device, like.dtype)[None]
        given = torch.cat([given, given]) if is_active(self._guidance) else given
        start = noise(self._seed, (len(context), CHANNELS), Stream.INITIAL, index)[None]

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            return model(x.to(like.dtype), t.to(like.dtype), self._cache, given).float()

        state = State(start.to(like.device))
        for step in denoise(state, self._schedule, predict_with(velocity), guidance=self._guidance):
            state = step.after
            yield step.index + 1
        self._made = state.x[0].float().cpu().numpy()

    def _rewritten(self, frames: int) -> np.ndarray:
        outline = self._outline
        score = decode(
            self._latents[:frames],
            outline.grid,
            outline.key,
            self._programs,
            duration_s=outline.duration_s,
            sections=outline.sections,
        )
        return encode(score)[:frames]
