"""Takes of songs to latents: each kind of work handed to the sampler that does it, window after window where it is
longer than the network sees.

It knows frames and windows, and nothing of words or seeds: conditions and noise come ready. Latents are
`[B, 8, 16, T]`, float32.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from partita.render.acestepv1.draws import Draws
from partita.render.acestepv1.recipe import Edit, Make, Remake, Restyle, Work
from partita.render.acestepv1.sampling import (
    MAX_FRAMES,
    Canvas,
    Conditions,
    Manner,
    Network,
    edit,
    lay_out,
    make,
    remake,
    restyle,
)
from partita.render.acestepv1.windows import Pass, Span
from partita.render.protocol import StepDone


@dataclass(frozen=True)
class Take:
    """Songs of equal work that are sampled as one batch.

    `main` are the conditions of what is wanted, `told` of what an edit starts from. `source` `[B, 8, 16, T]`: what is
    worked on, where there is a source.
    """

    work: Work
    main: Conditions
    draws: Draws
    source: Tensor | None = None
    told: Conditions | None = None


def sample(take: Take, manner: Manner, network: Network) -> Iterator[StepDone | Tensor]:
    """Every step of a take, and last its finished latents; what is not made anew is the source's own, exactly.

    Raises ModelError where they are not finite, and RequestError for what the original cannot do, in parity.
    """
    work = take.work
    if isinstance(work, Make):
        yield from make(take.main, manner, network, take.draws, work.frames, variance=work.variance)
        return
    assert take.source is not None  # whatever else is done is done to a source
    match work:
        case Restyle():
            yield from restyle(take.main, manner, network, take.draws, take.source, work.strength)
        case Remake():
            yield from _remade(take, work, take.source, manner, network)
        case Edit():
            yield from _edited(take, work, take.source, manner, network)


def _remade(take: Take, work: Remake, source: Tensor, manner: Manner, network: Network) -> Iterator[StepDone | Tensor]:
    beyond = work.region.left + work.region.right > 0
    widest = MAX_FRAMES if manner.parity and beyond else None
    canvas = lay_out(source, work.region, work.variance, manner, take.draws, widest=widest)
    frames = canvas.clean.shape[-1]
    passes = work.passes or (Pass(0, frames),)
    latents = canvas.clean.clone()
    for number, one in enumerate(passes):
        steps = remake(take.main, manner, network, take.draws, _window(canvas, latents, one), work.variance)
        made = yield from _counted(steps, number, len(passes))
        _keep(latents, made, one, one.kept or ((0, frames),))
    yield latents


def _window(canvas: Canvas, latents: Tensor, one: Pass) -> Canvas:
    """What of the canvas a pass sees: `latents` as far as they are there, and its own frames to be made."""
    within = slice(one.first, one.end)
    mask = canvas.mask[:, within]
    if one.made:
        mask = torch.zeros_like(mask)
        for first, end in one.inside(one.made):
            mask[:, first:end] = True
    return Canvas(latents[..., within], mask, canvas.noise[..., within], canvas.beyond)


def _edited(take: Take, work: Edit, source: Tensor, manner: Manner, network: Network) -> Iterator[StepDone | Tensor]:
    assert take.told is not None  # an edit knows what it starts from
    one = work.window
    seen = source[..., one.first : one.end]
    steps = edit(take.told, take.main, manner, network, take.draws, seen, work.settings)
    moved = yield from _counted(steps, 0, 1)
    latents = source.clone()
    _keep(latents, moved, one, one.kept or ((one.first, one.end),))
    yield latents


def _keep(latents: Tensor, made: Tensor, one: Pass, kept: Sequence[Span]) -> None:
    """Put what a pass made into the song, and nothing else that went through the network with it."""
    for first, end in kept:
        latents[..., first:end] = made[..., first - one.first : end - one.first]


def _counted(steps: Iterator[StepDone | Tensor], number: int, passes: int) -> Generator[StepDone, None, Tensor]:
    """The steps of pass `number` of so many, counted through, and what they end with."""
    for event in steps:
        if isinstance(event, Tensor):
            return event
        yield StepDone(number * event.count + event.index, passes * event.count)
    raise AssertionError("a sampler ends with its latents")
