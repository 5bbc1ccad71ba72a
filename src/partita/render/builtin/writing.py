"""Writes the score latents of one song, window by window: a whole song, or the spans of a canvas that an edit makes.

Everything is one mechanism: what is there is given through source and mask channels, the rest is sampled. Latents are
`[T, 64]` at 25 Hz. Knows no files, captions or sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from partita.errors import ModelError
from partita.models.score_model import ScoreModel
from partita.render.builtin.joints import Given, join
from partita.render.builtin.outline import Outline
from partita.render.builtin.returning import FREE, Echo, cuts_of, echo_of, pieces_of
from partita.render.builtin.voices import begin_at_once, read_by_others, settled_frame, without
from partita.render.builtin.windows import SHORTEST_FRAMES, Span, Window, windows_for
from partita.render.guidance import guidance_of
from partita.render.protocol import StepDone
from partita.sampling.flow import predict_with
from partita.sampling.guidance import is_active, with_null
from partita.sampling.loop import State, denoise
from partita.sampling.noise import Stream, blend_retake, noise
from partita.sampling.repaint import inject
from partita.sampling.schedules import Schedule, linear_schedule, verbatim_schedule
from partita.sampling.solvers import Solver, dpmpp_2m, euler, heun
from partita.score.codec import CHANNELS, MUSIC_CHANNELS, decode, encode
from partita.score.context import lay_context
from partita.score.grid import FRAME_RATE_HZ, frame_count
from partita.score.styles import Cast
from partita.score.types import ROLES, Role, Score
from partita.song.card import SolverName
from partita.song.resolve import ResolvedRequest
from partita.song.sampling import ResolvedSampling
from partita.song.task import Retake

SOLVERS: dict[SolverName, Solver] = {"euler": euler, "heun": heun(), "dpmpp-2m": dpmpp_2m}
_ROUNDING = 1e-4  # of a schedule's times


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """What a score is written on: the frames of `spans` are to be written, the rest is `source`'s, latents `[T, 64]`
    that begin in frame `source_at` (none for a song of its own, all of which is written).

    Where `roles` are named only these are written, beside what the source's others play there. `returns`: sections
    may return in place of what the source has; where it has nothing they always do.
    """

    spans: tuple[Span, ...]
    source: np.ndarray | None = None
    source_at: int = 0
    roles: frozenset[Role] | None = None
    returns: bool = False

    def is_whole(self, frames: int) -> bool:
        """Whether all of a canvas of `frames` is to be written."""
        return tuple(self.spans) == ((0, frames),)

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

    def blank(self, empty: np.ndarray) -> np.ndarray:
        """Latents of the canvas with nothing yet of what is to be written."""
        given = self.given(empty)
        if self.roles is None:
            return np.where(given.kept[:, None], given.latents, empty)
        return np.where(given.kept[:, None], given.latents, without(given.latents, self.roles))


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """A window is done. `score` holds all notes so far; those that begin before `settled_s` will stay as they are, and
    no other will begin before it."""

    score: Score
    settled_s: float


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

    `cast` says for whom what is written is; roles that it lacks stay silent. Sheet and outline are the canvas's. What
    is written ends with the music; where that is shorter than the model knows, it begins so much before the song, by
    `lead` frames, from which frames are counted inside.
    """

    def __init__(
        self, model: ScoreModel, outline: Outline, cast: Cast, resolved: ResolvedRequest, seed: int, sheet: Sheet
    ) -> None:
        self._model, self._programs = model, cast.programs
        self._resolved, self._seed = resolved, seed
        self._guidance = guidance_of(resolved.sampling)
        self._schedule = schedule_of(resolved.sampling)
        self._solver = SOLVERS[resolved.sampling.solver]
        casts = torch.tensor([cast.numbers()], device=model.null_condition.device)
        states = model.conditions(casts)
        self._cache = model.dit.cross_cache(
            with_null(states, model.null_condition) if is_active(self._guidance) else states
        )
        self._roles = frozenset(self._programs) if sheet.roles is None else sheet.roles
        self._beside = sheet.roles is not None
        self._lay(outline, sheet)

    def _lay(self, outline: Outline, sheet: Sheet) -> None:
        """Lay what is given where it stays, and show it to the model through the codec: clean, as in training."""
        empty = outline.empty_latents()
        given, self._song = sheet.given(empty), sheet.blank(empty)
        ended = not given.kept[outline.kept_frames :].any()
        music = frame_count(outline.end_s) if ended else outline.frames
        self._kept_frames = outline.kept_frames if ended else outline.frames
        lead = self._lead = max(0, SHORTEST_FRAMES - music)
        self._outline = outline.until(music).led_by(lead)
        self._spans = _led(sheet.spans, lead, music, outline.frames)
        self._latents = self._outline.empty_latents()
        frames = len(self._latents)
        laid, kept, held = self._latents.copy(), np.zeros(frames, dtype=bool), np.zeros(frames, dtype=bool)
        both = min(music, outline.frames)  # of the song, and written
        inside = slice(lead, lead + both)
        laid[inside], kept[inside] = given.latents[:both], given.kept[:both]
        held[inside][given.start : given.stop] = True
        self._given = Given(laid, given.start + lead, min(given.stop + lead, lead + both), kept)
        there = held if self._beside else kept
        self._latents[inside][there[inside]] = self._song[:both][there[inside]]
        self._fixed = np.zeros((frames, CHANNELS), dtype=bool)
        if self._beside:
            self._fixed = read_by_others(self._latents, self._roles)
        self._shown = self._outline.empty_latents()
        self._show(self._score(), there)
        self._made = np.zeros(frames, dtype=bool)
        self._known = np.zeros(frames, dtype=bool) if self._beside else kept.copy()
        self._may_return = np.full(frames, sheet.returns) | ~held

    @property
    def latents(self) -> Tensor:
        song, kept = self._song.copy(), self._kept_frames
        song[:kept] = self._latents[self._lead :][:kept]
        return torch.from_numpy(song)

    def run(self) -> Iterator[StepDone | Written]:
        """Write everything. Raises ModelError where what the model writes is not finite."""
        sections, steps = self._outline.sections, self._schedule.steps
        windows = windows_for(len(self._latents), self._spans, cuts_of(sections) if self._may_return.any() else ())
        forwards = self._lead == 0 and all(one.stop <= other.stop for one, other in pairwise(windows))
        score = self._score()
        for index, window in enumerate(windows):
            self._show(score, self._made)
            for done in self._write(window, index, self._echo(window, score)):
                yield StepDone(index * steps + done, len(windows) * steps)
            score = self._score()
            if forwards and index + 1 < len(windows) and not self._given.kept.any():
                yield Written(score, settled_frame(self._latents[: window.stop]) / FRAME_RATE_HZ)
        if not np.isfinite(self._latents).all():
            raise ModelError("The built-in model's score is not finite. Try float32 (--number-format float32).")
        if not self._given.keeps(self._lead):
            begin_at_once(self._latents, self._lead)

    def _write(self, window: Window, index: int, echo: Echo) -> Iterator[int]:
        inside = slice(window.start, window.stop)
        asked = _frames_of(window)
        keep = keep_absent(len(asked), self._programs)
        keep[:, [role not in self._roles for role in ROLES]] = True
        keep[~asked] = True
        context = lay_context(self._shown[inside], keep)
        free = (context[:, CHANNELS:] > 0) & ~self._fixed[inside]
        yield from self._sample(context, window_noise(self._resolved, self._seed, len(asked), index), echo)
        before = self._latents.copy()
        self._latents[inside] = np.where(free, self._sampled, before[inside])
        self._made[inside] |= asked
        self._known[inside] |= asked
        for first, stop in window.spans:
            join(self._latents, self._given, first, stop)
        if self._beside:  # a joint is the business of what is written alone
            self._latents[inside] = np.where(free, self._latents[inside], before[inside])

    def _sample(self, context: np.ndarray, start: Tensor, echo: Echo) -> Iterator[int]:
        model = self._model
        like = model.null_condition
        given = torch.from_numpy(context).to(like.device, like.dtype)[None]
        given = torch.cat([given, given]) if is_active(self._guidance) else given
        noised, clean = start[None].to(like.device), torch.from_numpy(echo.latents)[None].to(like.device)
        levels = torch.from_numpy(echo.levels)[None].to(like.device)

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            return model(x.to(like.dtype), t.to(like.dtype), self._cache, given).float()

        def along_the_echo(x: Tensor, _: int, t_next: float) -> Tensor:
            return inject(x, clean, noised, levels > t_next + _ROUNDING, t_next)

        state = State(noised)
        steps = denoise(
            state,
            self._schedule,
            predict_with(velocity),
            guidance=self._guidance,
            solver=self._solver,
            after_step=along_the_echo if bool((levels < FREE).any()) else None,
        )
        for step in steps:
            state = step.after
            yield step.index + 1
        self._sampled = state.x[0].float().cpu().numpy()

    def _echo(self, window: Window, score: Score) -> Echo:
        """What of the window returns; the music's end, from the bar before its last chord, never does."""
        outline = self._outline
        wanted = np.zeros(len(self._latents), dtype=bool)
        wanted[window.start : window.stop] = _frames_of(window)
        wanted &= self._may_return
        echo = echo_of(score, pieces_of(outline.sections, outline.grid, self._known, wanted))
        levels = np.where(wanted, echo.levels, np.float32(FREE))
        levels[max(0, round((outline.last_bar_s - outline.grid.bar_s) * FRAME_RATE_HZ)) :] = FREE
        return Echo(echo.latents[window.start : window.stop], levels[window.start : window.stop])

    def _score(self) -> Score:
        outline = self._outline
        return decode(
            self._latents,
            outline.grid,
            outline.key,
            self._programs,
            duration_s=outline.duration_s,
            sections=outline.sections,
        )

    def _show(self, score: Score, frames: np.ndarray) -> None:
        """Have these frames `[T]` (bool) of the score given from here on."""
        if frames.any():
            self._shown[frames, :MUSIC_CHANNELS] = encode(score)[frames, :MUSIC_CHANNELS]


def _led(spans: Sequence[Span], lead: int, music: int, frames: int) -> tuple[Span, ...]:
    """Spans of a song of `frames`, counted from `lead` frames before it, which are made too. One that reaches the
    song's end reaches that of its music, which has `music` frames."""
    ends = [music if stop >= frames else min(stop, music) for _, stop in sorted(spans)]
    moved = [(first + lead, end + lead) for (first, _), end in zip(sorted(spans), ends, strict=True) if first < end]
    if lead and moved and moved[0][0] == lead:
        moved[0] = (0, moved[0][1])
    elif lead:
        moved.insert(0, (0, lead))
    return tuple(moved)


def _frames_of(window: Window) -> np.ndarray:
    """Which frames of a window are made, bool."""
    asked = np.zeros(window.stop - window.start, dtype=bool)
    for first, stop in window.spans:
        asked[first - window.start : stop - window.start] = True
    return asked
