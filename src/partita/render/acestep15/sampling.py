"""From conditions to latents: songs that are sampled in the same manner, one by one or several at a time.

Songs in one batch cannot hear each other: padding behind a shorter condition is masked, and every song has its own
noise. It knows the transformer as a callable; which tensors a task feeds was settled before.
Source: specification of the original's acoustic pipeline, sections 5.3, 13 to 17.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from partita.models.acestep15.dit import DiT
from partita.models.acestep15.layout import repaint_mask_of
from partita.render.acestep15.conditions import ConditionSet
from partita.render.acestep15.recipe import Recipe
from partita.render.acestep15.words import SetName
from partita.render.guidance import guidance_of
from partita.render.latents import check_latents
from partita.render.protocol import StepDone
from partita.sampling import solvers
from partita.sampling.flow import Phase, Velocity, cover_step_count, predict_in_phases, predict_with, start_from_source
from partita.sampling.flow_edit import FlowEdit, flow_edit
from partita.sampling.guidance import Guidance, is_active, with_null
from partita.sampling.loop import AfterStep, State, denoise
from partita.sampling.noise import Stream, blend_retake, noise, parity_noise
from partita.sampling.repaint import BlendSettings, blend, injection
from partita.sampling.schedules import (
    Schedule,
    continuous_schedule,
    linear_schedule,
    turbo_schedule,
    verbatim_schedule,
)
from partita.sampling.solvers import Solver
from partita.song.card import ModelCard, SolverName
from partita.song.resolve import ResolvedRequest

LATENT_CHANNELS = 64


@dataclass(frozen=True)
class Manner:
    """All that songs must share to be sampled in one batch. `distilled`: the checkpoint's schedule is a turbo's."""

    frames: int
    schedule: Schedule
    solver: SolverName
    guidance: Guidance | None
    distilled: bool
    parity: bool
    strength: float
    start_strength: float
    edit: FlowEdit | None
    keeps: bool
    blend: BlendSettings | None


@dataclass(frozen=True)
class Take:
    """One song to sample. `null` `[1, 1, He]`: the condition of guidance's other half. `clean` `[T, 64]` float32: the
    latents it starts from or goes back to, if any."""

    recipe: Recipe
    sets: dict[SetName, ConditionSet]
    null: Tensor
    clean: Tensor | None = None


@dataclass(frozen=True)
class Place:
    """Where and in which number format the networks compute."""

    device: torch.device
    dtype: torch.dtype


def manner_of(resolved: ResolvedRequest, recipe: Recipe, card: ModelCard, dtype: torch.dtype) -> Manner:
    """How a song is sampled."""
    return Manner(
        frames=recipe.layout.frames,
        schedule=make_schedule(resolved, card, dtype),
        solver=resolved.sampling.solver,
        guidance=guidance_of(resolved.sampling),
        distilled=card.sampling.schedule != "linear",
        parity=resolved.parity,
        strength=recipe.strength,
        start_strength=recipe.start_strength,
        edit=recipe.edit,
        keeps=recipe.layout.repaint is not None,
        blend=recipe.blend,
    )


def make_schedule(resolved: ResolvedRequest, card: ModelCard, dtype: torch.dtype) -> Schedule:
    """The time grid of a checkpoint's own sampler for these settings, in the number format of the model."""
    kind, sampling = card.sampling.schedule, resolved.sampling
    if kind == "linear":
        if sampling.timesteps is not None:
            return verbatim_schedule(sampling.timesteps, dtype)
        return linear_schedule(sampling.steps, sampling.shift, dtype, clamp=not resolved.parity)
    if sampling.timesteps is not None:
        snap = kind == "turbo" and not sampling.timesteps_verbatim
        return turbo_schedule(dtype, timesteps=sampling.timesteps, snap=snap)
    if kind == "continuous":
        return continuous_schedule(sampling.steps, sampling.shift, dtype)
    return turbo_schedule(dtype, shift=sampling.shift)


def sample(takes: Sequence[Take], manner: Manner, transformer: DiT, place: Place) -> Iterator[StepDone | Tensor]:
    """Every step of one batch, and last its latents `[B, T, 64]`, float32.

    Raises ModelError where the latents are not finite.
    """
    batch = _Batch(takes, manner, transformer, place)
    reached: list[Tensor] = []
    for step, x in batch.edited() if manner.edit is not None else batch.made():
        reached = [x]
        yield step
    finished = batch.blended(*reached)
    for latents in finished:
        check_latents(latents)
    yield finished


class _Batch:
    """One batch on its way: what its songs share, and their noise and conditions stacked."""

    def __init__(self, takes: Sequence[Take], manner: Manner, transformer: DiT, place: Place) -> None:
        self.takes, self.manner, self.place = takes, manner, place
        self._transformer, self._null = transformer, takes[0].null
        self._guided = is_active(manner.guidance)
        self._shape = (manner.frames, LATENT_CHANNELS)

    def made(self) -> Iterator[tuple[StepDone, Tensor]]:
        """Steps from noise, or from a noised source, with the latents that each reaches."""
        manner, first = self.manner, self._initial_noise()
        schedule, x = manner.schedule, first
        if manner.start_strength > 0:
            schedule, x = start_from_source(schedule, first, self._clean(), manner.start_strength)
        steps = denoise(
            State(x),
            schedule,
            predict_in_phases(self._phases(schedule.steps)),
            guidance=manner.guidance,
            solver=self._solver(),
            after_step=self._after_step(first, schedule.steps),
        )
        for step in steps:
            yield StepDone(step.index + 1, step.count), step.after.x

    def edited(self) -> Iterator[tuple[StepDone, Tensor]]:
        """Steps of an edit along the flow."""
        assert self.manner.edit is not None
        steps = flow_edit(
            self._clean(),
            self.manner.schedule,
            predict_with(self._velocity("source")),
            predict_with(self._velocity("main")),
            self.manner.edit,
            self._edit_draw(),
            guidance=self.manner.guidance,
        )
        for step in steps:
            yield StepDone(step.index + 1, step.count), step.latents

    def blended(self, x: Tensor) -> Tensor:
        """The finished latents, float32, with the source where it is kept: exactly, but in parity."""
        settings, mask = self.manner.blend, self._mask()
        if settings is None or mask is None:
            return x.float()
        original = self.manner.parity and self.manner.edit is None
        clean = self._clean().float() if original else self._clean(torch.float32)
        return blend(x.float(), clean, mask, settings.latent_crossfade_frames, original=original)

    def _phases(self, steps: int) -> list[Phase]:
        switch = cover_step_count(steps, self.manner.strength)
        phases = [Phase(0, self._velocity("main"))]
        if self.manner.strength < 1:
            phases.append(Phase(switch, self._velocity("plain")))
        return phases

    def _velocity(self, name: SetName) -> Velocity:
        """The network under one set of conditions. What it needs of them is made when it is first asked."""
        ready: list[tuple[object, Tensor | None, Tensor]] = []

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            if not ready:
                hidden, mask, context = self._stacked(name)
                ready.append((self._transformer.cross_cache(hidden), mask, context))
            cache, mask, context = ready[0]
            return self._transformer(x, t, None, cache, context, mask_condition_padding=mask)

        return velocity

    def _stacked(self, name: SetName) -> tuple[Tensor, Tensor | None, Tensor]:
        """States `[B, L, He]`, their mask where lengths differ, and contexts `[B, T, 128]`; twice under guidance."""
        sets = [take.sets[name] for take in self.takes]
        lengths = [len(one.hidden) for one in sets]
        longest = max(lengths)
        hidden = torch.stack([pad(one.hidden, (0, 0, 0, longest - len(one.hidden))) for one in sets])
        context = torch.stack([one.context for one in sets])
        mask = None
        if min(lengths) < longest:
            places = torch.arange(longest, device=hidden.device)
            mask = places[None] < torch.tensor(lengths, device=hidden.device)[:, None]
        if self._guided:
            hidden, context = with_null(hidden, self._null), torch.cat([context, context])
            mask = None if mask is None else torch.cat([mask, mask])
        return hidden, mask, context

    def _clean(self, dtype: torch.dtype | None = None) -> Tensor:
        clean = [take.clean for take in self.takes if take.clean is not None]
        return torch.stack(clean).to(self.place.device, dtype or self.place.dtype)

    def _mask(self) -> Tensor | None:
        masks = [repaint_mask_of(take.recipe.layout, device=self.place.device) for take in self.takes]
        found = [mask for mask in masks if mask is not None]
        return torch.stack(found) if found else None

    def _after_step(self, first: Tensor, steps: int) -> AfterStep | None:
        settings, mask = self.manner.blend, self._mask()
        if settings is None or mask is None:
            return None
        last_step = self.manner.parity and not self.manner.distilled
        return injection(mask, self._clean(), first, settings.injection_ratio, steps, last_step=last_step)

    def _initial_noise(self) -> Tensor:
        seeds = [take.recipe.seed for take in self.takes]
        first = self._drawn(seeds, Stream.INITIAL)
        retakes = [take.recipe.retake for take in self.takes]
        if not any(retakes):
            return first
        turned = []
        for own, retake in zip(first, retakes, strict=True):
            if retake is None:
                turned.append(own)
            else:
                seed, variance = retake
                turned.append(blend_retake(own, self._drawn([seed], Stream.RETAKE)[0], variance))
        return torch.stack(turned)

    def _drawn(self, seeds: Sequence[int], stream: Stream) -> Tensor:
        """Noise `[B, T, 64]`, each item's from its own seed; in parity from the original's generators."""
        if self.manner.parity:
            return parity_noise(seeds, self._shape, dtype=self.place.dtype, device=self.place.device)
        return self._philox(seeds, stream)

    def _philox(self, seeds: Sequence[int], stream: Stream, index: int = 0) -> Tensor:
        drawn = torch.stack([noise(seed, self._shape, stream, index) for seed in seeds])
        return drawn.to(self.place.device, self.place.dtype)

    def _solver(self) -> Solver:
        match self.manner.solver:
            case "euler":
                return solvers.euler
            case "heun":
                return solvers.heun(direct_end=self.manner.distilled)
            case "dpmpp-2m":
                return solvers.dpmpp_2m
            case "sde":
                seeds = [take.recipe.seed for take in self.takes]
                # The original's draws are not seeded: these take their place in parity too.
                return solvers.sde(
                    lambda step: self._philox(seeds, Stream.STEP, step),
                    unshifted=self.manner.parity and not self.manner.distilled,
                )

    def _edit_draw(self) -> Callable[[int, int], Tensor]:
        """Noise of one step and repeat of an edit: counted through, or in parity one generator's next."""
        seeds = [take.recipe.seed for take in self.takes]
        if not self.manner.parity:
            assert self.manner.edit is not None
            repeats = self.manner.edit.n_avg
            return lambda step, repeat: self._philox(seeds, Stream.FLOW_EDIT, step * repeats + repeat)
        generators = [torch.Generator(self.place.device).manual_seed(seed) for seed in seeds]
        return lambda step, repeat: torch.stack(
            [
                torch.randn(self._shape, generator=one, dtype=self.place.dtype, device=self.place.device)
                for one in generators
            ]
        )
