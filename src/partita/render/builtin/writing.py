"""Writes the score latents of one song, window by window: a whole song, or the spans of a canvas that an edit makes.

Everything is one mechanism: what is there is given through source and mask channels, the rest is sampled. Latents are
`[T, 64]` at 25 Hz. Knows no files, captions or sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from partita.errors import ModelError
from partita.models.score_model import ScoreModel
from partita.render.builtin.joints import Given, join
from partita.render.builtin.outline import Outline
from partita.render.builtin.windows import SHORTEST_FRAMES, Span, Window, windows_for
from partita.render.guidance import guidance_of
from partita.render.protocol import StepDone
from partita.sampling.flow import predict_with
from partita.sampling.guidance import is_active, with_null
from partita.sampling.loop import State, denoise
from partita.sampling.noise import Stream, blend_retake, noise
from partita.sampling.schedules import Schedule, linear_schedule, verbatim_schedule
from partita.sampling.solvers import Solver, dpmpp_2m, euler, heun
from partita.score.codec import CHANNELS, MUSIC_CHANNELS, decode, encode
from partita.score.context import lay_context
from partita.score.grid import FRAME_RATE_HZ
from partita.score.styles import Cast
from partita.score.types import ROLES, Role
from partita.song.card import SolverName
from partita.song.resolve import ResolvedRequest
from partita.song.sampling import ResolvedSampling
from partita.song.task import Retake

SOLVERS: dict[SolverName, Solver] = {"euler": euler, "heun": heun(), "dpmpp-2m": dpmpp_2m}


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """What a score is written on: the frames of `spans` are to be written, the rest is `source`'s, latents `[T, 64]`
    that begin in frame `source_at` (none for a song of its own, all of which is written)."""

    spans: tuple[Span, ...]
    source: np.ndarray | None = None
    source_at: int = 0

    def given(self, empty: np.ndarray) -> Given:
        """The source on a canvas of the length of `empty`, whose latents are used where there is no source."""
        latents, kept = empty.copy(), np.zeros(len(empty), dtype=bool)
        if self.source is None:
            return Given(latents, 0, 0, kept)
        stop = self.source_at + len(self.source)
        latents[self.source_at : stop] = self.source
        kept[self.source_at : stop] = True
        for first, end in self.spans:
            kept[first:end] = False
        return Given(latents, self.source_at, stop, kept)


def keep_absent(frames: int, playing: dict[Role, int]) -> np.ndarray:
    """`keep` of `lay_context`, `[frames, 6]`: roles that do not play stay silent, the others are to be written."""
    keep = np.zeros((frames, len(ROLES)), dtype=bool)
    keep[:, [role not in playing for role in ROLES]] = True
    return keep


def schedule_of(sampling: ResolvedSampling) -> Schedule:
    """The times of the sampling steps."""
    if sampling.timesteps is not None:
        return verbatim_schedule(sampling.timesteps, torch.float32)
    return linear_schedule(sampling.steps, sampling.shift, torch.float32)


def window_noise(resolved: ResolvedRequest, seed: int, frames: int, index: int) -> Tensor:
    """Noise `[frames, 64]` of window `index`; a retake's is that of the first song, turned towards one of its own."""
    shape = (frames, CHANNELS)
    if not isinstance(resolved.task, Retake):
        return noise(seed, shape, Stream.INITIAL, index)
    first = noise(resolved.task.of_seed, shape, Stream.INITIAL, index)
    return blend_retake(first, noise(seed, shape, Stream.RETAKE, index), resolved.task.variance)


class Writing:
    """The windows of one song, written in order. `latents` `[T, 64]`, float32 on the CPU, is whole after `run`.

    `cast` says for whom what is written is; roles that it lacks stay silent. Sheet and outline are the canvas's.
    """

    def __init__(
        self, model: ScoreModel, outline: Outline, cast: Cast, resolved: ResolvedRequest, seed: int, sheet: Sheet
    ) -> None:
        self._model, self._programs = model, cast.programs
        self._resolved, self._seed = resolved, seed
        self._frames, self._spans = outline.frames, sheet.spans
        self._outline = outline.at_least(SHORTEST_FRAMES / FRAME_RATE_HZ)
        self._guidance = guidance_of(resolved.sampling)
        self._schedule = schedule_of(resolved.sampling)
        self._solver = SOLVERS[resolved.sampling.solver]
        casts = torch.tensor([cast.numbers()], device=model.null_condition.device)
        states = model.conditions(casts)
        self._cache = model.dit.cross_cache(
            with_null(states, model.null_condition) if is_active(self._guidance) else states
        )
        self._latents = self._outline.empty_latents()
        self._shown = self._latents.copy()
        self._made = np.zeros(len(self._latents), dtype=bool)
        self._given = sheet.given(self._latents)
        self._show(self._given.latents, self._given.kept)
        self._latents[self._given.kept] = self._given.latents[self._given.kept]

    @property
    def latents(self) -> Tensor:
        return torch.from_numpy(self._latents[: self._frames])

    def run(self) -> Iterator[StepDone]:
        """Write everything. Raises ModelError where what the model writes is not finite."""
        windows = windows_for(self._frames, self._spans)
        for index, window in enumerate(windows):
            self._show(self._latents, self._made)
            for done in self._write(window, index):
                yield StepDone(index * self._schedule.steps + done, len(windows) * self._schedule.steps)
        if not np.isfinite(self._latents).all():
            raise ModelError("The built-in model's score is not finite. Try float32 (--number-format float32).")

    def _write(self, window: Window, index: int) -> Iterator[int]:
        frames = window.stop - window.start
        asked = np.zeros(frames, dtype=bool)
        for first, stop in window.spans:
            asked[first - window.start : stop - window.start] = True
        keep = keep_absent(frames, self._programs)
        keep[~asked] = True
        context = lay_context(self._shown[window.start : window.stop], keep)
        yield from self._sample(context, window_noise(self._resolved, self._seed, frames, index))
        made = np.where(context[:, CHANNELS:] > 0, self._sampled, context[:, :CHANNELS])
        self._latents[window.start : window.stop][asked] = made[asked]
        self._made[window.start : window.stop] |= asked
        for first, stop in window.spans:
            join(self._latents, self._given, first, stop)

    def _sample(self, context: np.ndarray, start: Tensor) -> Iterator[int]:
        model = self._model
        like = model.null_condition
        given = torch.from_numpy(context).to(like.device, like.dtype)[None]
        given = torch.cat([given, given]) if is_active(self._guidance) else given

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            return model(x.to(like.dtype), t.to(like.dtype), self._cache, given).float()

        state = State(start[None].to(like.device))
        predict = predict_with(velocity)
        for step in denoise(state, self._schedule, predict, guidance=self._guidance, solver=self._solver):
            state = step.after
            yield step.index + 1
        self._sampled = state.x[0].float().cpu().numpy()

    def _show(self, latents: np.ndarray, frames: np.ndarray) -> None:
        """Have these frames `[T]` (bool) given from here on, through the codec: clean latents, as in training."""
        if not frames.any():
            return
        outline = self._outline
        score = decode(
            latents,
            outline.grid,
            outline.key,
            self._programs,
            duration_s=outline.duration_s,
            sections=outline.sections,
        )
        self._shown[frames, :MUSIC_CHANNELS] = encode(score)[frames, :MUSIC_CHANNELS]
