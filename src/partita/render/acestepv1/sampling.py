"""From conditions to latents, for every task of ACE-Step v1: songs that are sampled in the same manner, as one batch.

Latents are `[B, 8, 16, T]`, float32. It knows the transformer as a callable, and contexts as what that reads; which
words are in them was settled before. `parity` does what the original does, its mistakes among them; the default is the
same but for those, and no song can hear the others of its batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from partita.errors import RequestError
from partita.models.acestepv1.conditioner import Context, batch_contexts
from partita.models.acestepv1.config import Weaken
from partita.models.acestepv1.transformer import CrossCache, Weakening
from partita.render.acestepv1.draws import Draws
from partita.render.guidance import kind_of
from partita.render.latents import check_latents
from partita.render.protocol import StepDone
from partita.sampling import solvers
from partita.sampling.flow import start_from_source
from partita.sampling.flow_edit import FlowEdit, flow_edit
from partita.sampling.guidance import ApgSettings, Guidance, middle_window
from partita.sampling.loop import AfterStep, Predict, State, denoise
from partita.sampling.noise import blend_retake
from partita.sampling.repaint import injection
from partita.sampling.schedules import (
    Schedule,
    doubled,
    picked_schedule,
    shifted,
    shifted_twice_schedule,
    training_levels,
    verbatim_schedule,
)
from partita.sampling.solvers import Move, Solver, by_estimate, granular, mix
from partita.song.card import GuidanceName, SolverName, V1Sampling
from partita.song.resolve import ResolvedRequest

MAX_FRAMES = 2583  # 240 s, the longest that the model was made for
APG = ApgSettings(dims=(-2, -1))  # norms and projections over rows and time, for each channel
ERG_DIFFUSION = Weaken(0.01, 15, 20)  # blocks of the transformer, without the condition
ERG_LYRICS = Weaken(0.01, 4, 6)  # blocks of the lyric encoder, for the lyrics of guidance's other half


class Network(Protocol):
    """What is used of `models.acestepv1.transformer.Transformer`."""

    def cross_cache(self, context: Context) -> CrossCache: ...

    def __call__(self, latents: Tensor, timestep: Tensor, cache: CrossCache, *, weaken: Weakening = None) -> Tensor: ...


@dataclass(frozen=True)
class Manner:
    """All that songs must share to be sampled in one batch.

    `dtype`: the network's number format. `timesteps`, where given, are the noise levels themselves. `one_pass`: the
    predictions of a guided step are made as one batch, which reads the weights once; off, one after another, which
    needs less memory.
    """

    steps: int
    shift: float
    solver: SolverName
    guidance: GuidanceName
    scale: float
    v1: V1Sampling
    parity: bool = False
    dtype: torch.dtype = torch.float32
    timesteps: tuple[float, ...] | None = None
    one_pass: bool = True


@dataclass(frozen=True)
class Conditions:
    """What the songs of a batch are to be: contexts of B rows each.

    `null` is guidance's other half; `text_only`, without the words of the song, is for `guidance_text` and
    `guidance_lyrics`. They may differ in length.
    """

    full: Context
    null: Context | None = None
    text_only: Context | None = None


@dataclass(frozen=True)
class Region:
    """Which frames are made: `left` before the source, `right` after it, and from `inside[0]` up to `inside[1]` of the
    source's own."""

    left: int = 0
    right: int = 0
    inside: tuple[int, int] | None = None


@dataclass(frozen=True)
class Canvas:
    """A source laid out for being made anew in part.

    `clean` `[B, 8, 16, T]`: its latents, zeros beyond its ends. `mask` `[B, T]`: true where music is made. `noise`
    `[B, 8, 16, T]`. `beyond`: whether some of that lies beyond the source.
    """

    clean: Tensor
    mask: Tensor
    noise: Tensor
    beyond: bool


def manner_of(resolved: ResolvedRequest, dtype: torch.dtype, *, one_pass: bool = True) -> Manner:
    """How a song is sampled."""
    sampling = resolved.sampling
    return Manner(
        steps=sampling.steps,
        shift=sampling.shift,
        solver=sampling.solver,
        guidance=sampling.guidance,
        scale=sampling.guidance_scale,
        v1=sampling.v1 or V1Sampling(),
        parity=resolved.parity,
        dtype=dtype,
        timesteps=sampling.timesteps,
        one_pass=one_pass,
    )


def frames_of(seconds: float) -> int:
    """Latent frames of a duration or a position, rounded as the original rounds them: towards zero."""
    return int(seconds * 44100 / 512 / 8)


def make_schedule(manner: Manner) -> Schedule:
    """The time grid of a whole song."""
    if manner.timesteps is None and manner.v1.oss_steps:
        return picked_schedule(manner.v1.oss_steps, manner.shift, manner.dtype if manner.parity else torch.float32)
    return _plain_schedule(manner)


def _plain_schedule(manner: Manner) -> Schedule:
    """The given noise levels, down to the music also where they stop above it, or the usual ones."""
    if manner.timesteps is None:
        return shifted_twice_schedule(manner.steps, manner.shift)
    return verbatim_schedule([*(t for t in manner.timesteps if t > 0), 0.0], torch.float32)


def make(
    conditions: Conditions,
    manner: Manner,
    network: Network,
    draws: Draws,
    frames: int,
    *,
    variance: float | None = None,
) -> Iterator[StepDone | Tensor]:
    """A song of `frames` frames from noise: every step, and last its latents.

    A retake of another song has its `variance`, 0..1: how far its noise is turned from that song's (`draws.initial`)
    towards its own (`draws.retake`). All generators here raise ModelError where the latents are not finite.
    """
    x = draws.initial(frames)
    if variance is not None:
        x = _turned(x, draws.retake(frames), variance, manner)
    return _from(x, make_schedule(manner), conditions, manner, network, draws)


def restyle(
    conditions: Conditions, manner: Manner, network: Network, draws: Draws, reference: Tensor, strength: float
) -> Iterator[StepDone | Tensor]:
    """A song that begins from `reference` `[B, 8, 16, T]` with noise on it; `strength` 0..1 is how much of it stays.

    The noise level is 1 - `strength`, shifted: 0.75 for 0.5. The original shifts the schedule that follows once more,
    and its model is told of more noise (0.9) than there is; by default the schedule is the whole song's from the step
    nearest to that level, and the noise is that step's.
    """
    x = draws.initial(reference.shape[-1])
    if manner.parity:
        level = training_levels(manner.shift, 1.0 - strength)[0]
        schedule, x = _original_rest(manner, strength, level), mix(x, reference, level)
    else:
        level = shifted(1.0 - strength, manner.shift)
        schedule, x = start_from_source(make_schedule(manner), x, reference, 1.0 - level)
    return _from(x, schedule, conditions, manner, network, draws)


def lay_out(
    source: Tensor, region: Region, variance: float, manner: Manner, draws: Draws, *, widest: int | None = MAX_FRAMES
) -> Canvas:
    """The canvas for making `region` of `source` `[B, 8, 16, T]`, and its noise.

    Inside the source the noise is turned by `variance`, 0..1, as in a retake; beyond it, it is the retake's. The
    original draws only as much of that as the source is long, and measures what is to come after the source from the
    start of what comes before it, so that with both the right one is shorter by the left one.

    Raises RequestError where nothing is left to make, or the whole is longer than `widest`: more than the model makes
    in one pass. None where it is made in several.
    """
    length, left, right = source.shape[-1], region.left, region.right
    start, end = region.inside or (0, 0)
    if manner.parity and left:
        right = right and right - left
    if not 0 <= start <= end <= length or min(left, right) < 0 or left + right + end - start == 0:
        raise RequestError(
            f"Frames {start} to {end} of {length}, {left} before them and {right} after them cannot be made.",
            field="task",
        )
    if manner.parity and max(left, right) > length:
        raise RequestError(
            f"The original cannot extend {length} frames by {max(left, right)}: at most by as many again. "
            "Leave out parity, or extend in steps.",
            field="task",
        )
    if widest is not None and left + length + right > widest:
        raise RequestError(
            f"{left + length + right} frames are more than the model makes at once: at most {widest}, and "
            f"{MAX_FRAMES} are 240 s. Extend by less, or a shorter source.",
            field="task",
        )
    first = draws.initial(length)
    second = draws.retake(length if manner.parity else left + right + (length if end > start else 0))
    before, after = second[..., :left], second[..., second.shape[-1] - right :]
    if end > start:
        other = second if manner.parity else second[..., left : left + length]
        first = torch.cat(
            (first[..., :start], _turned(first, other, variance, manner)[..., start:end], first[..., end:]), -1
        )
    mask = torch.zeros(len(source), left + length + right, dtype=torch.bool, device=source.device)
    mask[:, :left] = True
    mask[:, left + length :] = True
    mask[:, left + start : left + end] = True
    return Canvas(pad(source.float(), (left, right)), mask, torch.cat((before, first, after), -1), left + right > 0)


def remake(
    conditions: Conditions, manner: Manner, network: Network, draws: Draws, canvas: Canvas, variance: float
) -> Iterator[StepDone | Tensor]:
    """Make a canvas where its mask says so; elsewhere the latents are `canvas.clean`, exactly.

    The lower the `variance`, 0..1, the later the steps begin, from the source with noise on it: the first share
    1 - `variance` of them is left out. Beyond the source there is nothing to begin from, and all steps run; the
    original leaves them out there too. Where everything is made, it is made from noise. Steps are plain Euler steps:
    `solver` and `omega` do nothing.

    Raises RequestError, before any prediction, where no step would run.
    """
    schedule = make_schedule(manner)
    if canvas.mask.all():
        return _from(canvas.noise, schedule, conditions, manner, network, draws)
    guidance, first = make_guidance(manner, schedule.steps), 0
    if manner.parity or not canvas.beyond:
        first = int(_asked_steps(manner, schedule.steps) * (1.0 - variance))
    if manner.parity and manner.solver == "heun":
        schedule = doubled(schedule)  # every other step of the original's has length zero
    if first >= schedule.steps:
        raise RequestError(
            f"A variance of {variance:g}, which in parity is the strength, leaves out all {schedule.steps} steps, and "
            "the source would stay as it is: give more.",
            field="task.strength",
            value=variance,
        )
    mask = canvas.mask[:, None, None, :]
    # In the original's order of additions, whose rounding is part of its numbers.
    start = canvas.clean + mix(canvas.noise, canvas.clean, schedule.times[first]) - canvas.clean
    hold = injection(mask, canvas.clean, canvas.noise, 1.0, schedule.steps, last_step=True)
    predict = predict_with_branches(conditions, manner, network, guidance, erg="diffusion" in manner.v1.erg)
    return _run(State(start, first), schedule, predict, manner, guidance, solvers.euler, hold)


def edit(
    source: Conditions,
    target: Conditions,
    manner: Manner,
    network: Network,
    draws: Draws,
    latents: Tensor,
    settings: FlowEdit,
) -> Iterator[StepDone | Tensor]:
    """`latents` `[B, 8, 16, T]` of a song that `source` describes, moved along the flow towards `target`.

    Guidance is APG in every step, with the transformer's queries as they are; `omega` and `oss_steps` do nothing. While
    the edit follows the difference of two velocities its steps are Euler's, whatever the solver: the stochastic one
    acts from `n_max` on, and any other is Euler's there too. In the original the stochastic solver leaves the latents
    as they are up to `n_max`, and only the source's prediction has a memory there.
    """
    frames = latents.shape[-1]
    schedule = _plain_schedule(manner)
    guidance = Guidance("apg", manner.scale, apg=APG) if manner.scale > 1 else None
    stochastic = manner.solver == "sde"

    def stand_still(move: Move) -> Tensor:
        draws.step(move.index, frames)  # drawn all the same: what follows depends on it
        return move.x

    steps = flow_edit(
        latents.float(),
        schedule,
        predict_with_branches(source, manner, network, guidance),
        predict_with_branches(target, manner, network, guidance),
        settings,
        lambda step, repeat: draws.edit(step * settings.n_avg + repeat, frames),
        guidance=guidance,
        solver=_rounded(solvers.sde(lambda step: draws.step(step, frames)) if stochastic else solvers.euler, manner),
        averaged=stand_still if stochastic and manner.parity else _rounded(solvers.euler, manner),
        memory_of_source_only=manner.parity,
    )
    return _reported((StepDone(step.index + 1, step.count), step.latents) for step in steps)


def make_guidance(manner: Manner, steps: int, *, looks: int = 1) -> Guidance | None:
    """The guidance of a run of `steps` steps, or none where its scale is 1.

    `looks`: how often a step asks the model. The original counts looks where it means steps, so that with two a step
    its window closes early.
    """
    if manner.scale <= 1:
        return None
    v1 = manner.v1
    both = (v1.guidance_text, v1.guidance_lyrics)
    double = both if min(both) > 1 else None
    window = middle_window(
        v1.guidance_share,
        steps,
        decay=v1.guidance_decay,
        floor=v1.guidance_floor,
        looks=1 if manner.parity else looks,
    )
    return Guidance(kind_of(manner.guidance), manner.scale, apg=APG, window=window, double=double)


def predict_with_branches(
    conditions: Conditions, manner: Manner, network: Network, guidance: Guidance | None, *, erg: bool = False
) -> Predict:
    """The network under these conditions. A batch that comes twice or three times has `full`, `null`, `text_only`.

    `erg`: without the condition the transformer's queries are weakened. What the network needs of the contexts is made
    when it is first asked.
    """
    wanted = 1 if guidance is None else 2 if guidance.double is None else 3
    found = (conditions.full, conditions.null, conditions.text_only)[:wanted]
    contexts = [one for one in found if one is not None]
    rows = len(conditions.full.hidden)
    ready: list[CrossCache] = []

    def predict(x: Tensor, t: float, index: int) -> Tensor:
        if not ready:
            ready.append(network.cross_cache(batch_contexts(contexts)))
        branches = len(x) // rows
        weaken = [ERG_DIFFUSION if erg and branch == 1 else None for branch in range(branches) for _ in range(rows)]
        at_once = len(x) if manner.one_pass else rows
        parts = []
        for start in range(0, len(x), at_once):
            end = start + at_once
            time = torch.full((at_once,), t * 1000.0, dtype=torch.float32, device=x.device)
            cache = ready[0].rows(start, end)
            parts.append(network(x[start:end], time, cache, weaken=weaken[start:end]).float())
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    return predict


def _from(
    x: Tensor, schedule: Schedule, conditions: Conditions, manner: Manner, network: Network, draws: Draws
) -> Iterator[StepDone | Tensor]:
    """The whole of a schedule from the state `x`, with the manner's own solver."""
    looks = 2 if manner.solver == "heun" else 1
    guidance = make_guidance(manner, schedule.steps, looks=looks)
    predict = predict_with_branches(conditions, manner, network, guidance, erg="diffusion" in manner.v1.erg)
    solver = _solver(manner, draws, x.shape[-1])
    return _run(State(x), doubled(schedule) if looks == 2 else schedule, predict, manner, guidance, solver, None)


def _solver(manner: Manner, draws: Draws, frames: int) -> Solver:
    if manner.solver == "sde":
        return solvers.sde(lambda step: draws.step(step, frames))
    of_name: dict[str, Solver] = {
        "euler": solvers.euler,
        "heun": solvers.heun_in_turns,
        "dpmpp-2m": solvers.dpmpp_2m,
    }
    solver = granular(of_name[manner.solver], manner.v1.omega, over_batch=manner.parity)
    return by_estimate(solver) if manner.parity and manner.solver == "heun" else solver


def _run(
    state: State,
    schedule: Schedule,
    predict: Predict,
    manner: Manner,
    guidance: Guidance | None,
    solver: Solver,
    hold: AfterStep | None,
) -> Iterator[StepDone | Tensor]:
    first, count = state.index, schedule.steps - state.index
    solver = _rounded(solver, manner)
    steps = denoise(state, schedule, predict, guidance=guidance, solver=solver, after_step=hold)
    return _reported((StepDone(step.index - first + 1, count), step.after.x) for step in steps)


def _rounded(solver: Solver, manner: Manner) -> Solver:
    """In parity the state goes through the number format of the model, in which the original keeps it."""
    if not manner.parity or manner.dtype == torch.float32:
        return solver
    return lambda move: solver(move).to(manner.dtype).float()


def _reported(steps: Iterator[tuple[StepDone, Tensor]]) -> Iterator[StepDone | Tensor]:
    reached: list[Tensor] = []
    for done, x in steps:
        reached = [x]
        yield done
    (finished,) = reached
    for latents in finished:
        check_latents(latents)
    yield finished


def _original_rest(manner: Manner, strength: float, level: float) -> Schedule:
    """The original's schedule from a reference on: its own number of steps, from `level` shifted once more."""
    steps = int((1.0 - strength) * _asked_steps(manner, manner.steps))
    if steps < 1:
        raise RequestError(
            f"strength {strength:g} leaves none of {manner.steps} steps; give less, or more steps.",
            field="task.strength",
            value=strength,
        )
    return shifted_twice_schedule(steps, manner.shift, start=level)


def _asked_steps(manner: Manner, steps: int) -> int:
    """How many steps the original counts with: of a list of picked steps, the largest."""
    return max(manner.v1.oss_steps) if manner.parity and manner.v1.oss_steps else steps


def _turned(first: Tensor, second: Tensor, variance: float, manner: Manner) -> Tensor:
    """A retake's noise; in parity its angle and weights are rounded to the number format of the model."""
    if not manner.parity:
        return blend_retake(first, second, variance)
    angle = torch.tensor(variance * math.pi / 2).to(manner.dtype)
    turned = angle.cos() * first.to(manner.dtype) + angle.sin() * second.to(manner.dtype)
    return turned.float()
