"""How ACE-Step v1 samples, on a field whose music is known and on a transformer in small.

The field's music is normal, with the mean that a context holds and the deviation DEVIATION.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from partita.errors import ModelError, RequestError
from partita.models.acestepv1.conditioner import Context
from partita.models.acestepv1.config import LyricEncoderConfig, TransformerConfig
from partita.models.acestepv1.transformer import Transformer, Weakening
from partita.render.acestepv1.draws import Draws, Generators, Streams
from partita.render.acestepv1.sampling import (
    ERG_DIFFUSION,
    Conditions,
    Manner,
    Region,
    edit,
    frames_of,
    lay_out,
    make,
    make_schedule,
    remake,
    restyle,
)
from partita.render.protocol import StepDone
from partita.sampling.flow_edit import FlowEdit
from partita.song.card import SolverName, V1Sampling

FRAMES, DEVIATION = 9, 0.5
SOLVERS: tuple[SolverName, ...] = ("euler", "heun", "sde", "dpmpp-2m")
MANNER = Manner(12, 3.0, "euler", "apg", 15.0, V1Sampling(erg=()))
ALONE = replace(MANNER, scale=1.0, v1=V1Sampling(erg=(), omega=0.0))
DRAWS = Streams([1, 2])


@dataclass(frozen=True)
class Means:
    """A context as the field keeps it: one mean a row."""

    means: Tensor

    def rows(self, start: int, stop: int) -> Means:
        return Means(self.means[start:stop])


@dataclass
class Field:
    """A network that leads to music of the mean that its context holds, and what it was asked."""

    inputs: list[Tensor] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    weakened: list[list[bool]] = field(default_factory=list)

    def cross_cache(self, context: Context) -> Any:
        return Means(context.hidden[:, 0, 0])

    def __call__(self, latents: Tensor, timestep: Tensor, cache: Any, *, weaken: Weakening = None) -> Tensor:
        assert isinstance(weaken, list)
        self.inputs.append(latents)
        self.times.append(float(timestep[0]) / 1000)
        self.weakened.append([one is not None for one in weaken])
        t, mean = (timestep / 1000)[:, None, None, None], cache.means[:, None, None, None]
        slope = (t - (1 - t) * DEVIATION**2) / (t**2 + (1 - t) ** 2 * DEVIATION**2)
        return slope * (latents - (1 - t) * mean) - mean

    @property
    def rows(self) -> list[int]:
        return [len(one) for one in self.inputs]


def context(*means: float) -> Context:
    return Context(torch.tensor(means)[:, None, None], torch.ones(len(means), 1, dtype=torch.bool))


TWO = Conditions(context(2.0, -1.0), context(0.0, 0.0), context(1.0, 1.0))
OTHERS = Conditions(context(-3.0, 3.0), context(0.0, 0.0))
SOURCE = torch.tensor([2.0, -1.0])[:, None, None, None] + DEVIATION * Streams([7, 8]).initial(FRAMES)


def latents_of(steps: Iterator[StepDone | Tensor]) -> Tensor:
    *events, latents = steps
    assert isinstance(latents, Tensor)
    assert [event.index for event in events if isinstance(event, StepDone)] == list(range(1, len(events) + 1))
    assert {event.count for event in events if isinstance(event, StepDone)} == {len(events)}
    return latents


def made(manner: Manner, network: Field, draws: Draws = DRAWS, conditions: Conditions = TWO, **more: Any) -> Tensor:
    return latents_of(make(conditions, manner, network, draws, FRAMES, **more))


def mean_of(latents: Tensor) -> list[float]:
    return latents.mean((1, 2, 3)).tolist()


def all_of(part: Conditions, row: int) -> Conditions:
    found = [None if one is None else Context(one.hidden[row : row + 1], one.mask[row : row + 1])
             for one in (part.full, part.null, part.text_only)]  # fmt: skip
    assert found[0] is not None
    return Conditions(found[0], found[1], found[2])


@pytest.mark.parametrize("solver", SOLVERS)
def test_songs_arrive_at_what_their_conditions_say(solver: SolverName) -> None:
    latents = made(replace(ALONE, steps=30, solver=solver), Field())
    assert latents.shape == (2, 8, 16, FRAMES)
    assert latents.dtype == torch.float32
    assert mean_of(latents) == pytest.approx([2.0, -1.0], abs=0.1)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("guidance", ["apg", "cfg", "cfg-star"])
def test_no_song_depends_on_its_neighbours(solver: SolverName, guidance: Any) -> None:
    manner = replace(MANNER, solver=solver, guidance=guidance, scale=4.0)
    both = made(manner, Field())
    alone = made(manner, Field(), Streams([2]), all_of(TWO, 1))
    assert torch.allclose(both[1:], alone, atol=1e-4)


def test_in_parity_granularity_hears_the_whole_batch() -> None:
    manner = replace(MANNER, guidance="cfg", parity=True)
    alone = made(manner, Field(), Streams([2]), all_of(TWO, 1))
    assert not torch.allclose(made(manner, Field())[1:], alone, atol=1e-3)


def guided_times(manner: Manner) -> list[float]:
    network = Field()
    made(manner, network)
    return [t for t, rows in zip(network.times, network.rows, strict=True) if rows == 4]


def test_guidance_acts_in_the_middle_steps_alone() -> None:
    times = make_schedule(MANNER).times
    assert guided_times(MANNER) == pytest.approx(times[3:9])


def test_heun_is_guided_over_the_same_time_as_euler() -> None:
    times = make_schedule(MANNER).times
    looks = [t for k in range(3, 9) for t in times[k : k + 2]]
    assert guided_times(replace(MANNER, solver="heun")) == pytest.approx(looks)


def test_in_parity_heun_s_window_closes_early() -> None:
    times = make_schedule(MANNER).times
    guided = guided_times(replace(MANNER, solver="heun", parity=True))
    assert len(guided) == 6
    assert guided[-1] == pytest.approx(times[4])


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_a_window_of_one_step_may_fall_to_its_floor(solver: SolverName) -> None:
    v1 = V1Sampling(guidance_share=0.1, guidance_decay=1.0, erg=())
    for parity in (False, True):
        manner = replace(MANNER, steps=10, solver=solver, v1=v1, parity=parity)
        assert len(guided_times(manner)) == (2 if solver == "heun" and not parity else 1)


def test_two_strengths_take_three_predictions_and_only_the_unconditional_one_is_weakened() -> None:
    v1 = V1Sampling(guidance_text=5.0, guidance_lyrics=1.5, guidance_share=1.0, erg=("diffusion",))
    network = Field()
    made(replace(MANNER, v1=v1), network)
    assert set(network.rows) == {6}
    assert network.weakened[0] == [False, False, True, True, False, False]


def test_predictions_may_be_made_one_after_another() -> None:
    at_once, in_turn = Field(), Field()
    manner = replace(MANNER, v1=V1Sampling(guidance_share=1.0, erg=("diffusion",)))
    together = made(manner, at_once)
    assert torch.equal(together, made(replace(manner, one_pass=False), in_turn))
    assert (set(at_once.rows), set(in_turn.rows)) == ({4}, {2})
    assert in_turn.weakened[:2] == [[False, False], [True, True]]


def test_one_pass_of_the_transformer_is_its_passes_one_by_one() -> None:
    lyrics = LyricEncoderConfig(input_size=16, output_size=16, attention_heads=2, linear_units=32, num_blocks=1)
    config = TransformerConfig(
        num_layers=17, num_attention_heads=2, attention_head_dim=16, lyric_hidden_size=16, lyric_encoder=lyrics
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = Transformer(config).eval()
        texts = [torch.randn(2, length, 32) for length in (5, 7, 4)]
    masks = [torch.ones(2, length, dtype=torch.bool) for length in (5, 7, 4)]
    masks[1][0, 3:] = False
    conditions = Conditions(*(Context(text, mask) for text, mask in zip(texts, masks, strict=True)))
    assert ERG_DIFFUSION.first < config.num_layers
    v1 = V1Sampling(guidance_text=5.0, guidance_lyrics=1.5, erg=("diffusion",))
    manner = replace(MANNER, steps=4, v1=v1)
    with torch.no_grad():
        together = latents_of(make(conditions, manner, network, DRAWS, FRAMES))
        in_turn = latents_of(make(conditions, replace(manner, one_pass=False), network, DRAWS, FRAMES))
        whole = latents_of(
            make(conditions, replace(manner, v1=v1.model_copy(update={"erg": ()})), network, DRAWS, FRAMES)
        )
    assert torch.allclose(together, in_turn, atol=1e-4)
    assert not torch.allclose(together, whole, atol=1e-3)  # weakened queries do act


def test_a_retake_turns_the_noise_towards_another_seed_s() -> None:
    draws = Streams([1, 2], [5, 6])
    first = made(ALONE, Field(), draws)
    assert torch.allclose(made(ALONE, Field(), draws, variance=0.0), first)
    wholly = Field()
    made(ALONE, wholly, draws, variance=1.0)
    assert torch.allclose(wholly.inputs[0], draws.retake(FRAMES), atol=1e-6)
    near, far = (made(ALONE, Field(), draws, variance=v) for v in (0.2, 0.8))
    assert (near - first).norm() < (far - first).norm()


def test_picked_steps_are_the_schedule() -> None:
    picked = replace(ALONE, v1=V1Sampling(oss_steps=(1, 4, 7, 12), erg=()))
    network = Field()
    made(picked, network)
    assert len(network.times) == 4


@pytest.mark.parametrize("timesteps", [(1.0, 0.6, 0.2, 0.0), (1.0, 0.6, 0.2), (1.0, 0.6, 0.2, 0.0, 0.0)])
def test_given_times_are_the_schedule_and_it_ends_at_the_music(timesteps: tuple[float, ...]) -> None:
    given = Field()
    latents = made(replace(ALONE, timesteps=timesteps), given)
    assert given.times == pytest.approx([1.0, 0.6, 0.2])
    assert torch.equal(latents, made(replace(ALONE, timesteps=(1.0, 0.6, 0.2, 0.0)), Field()))


# Repaint and extend


def remade(region: Region, variance: float, manner: Manner = MANNER, network: Field | None = None) -> Tensor:
    canvas = lay_out(SOURCE, region, variance, manner, DRAWS)
    return latents_of(remake(TWO, manner, network or Field(), DRAWS, canvas, variance))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("parity", [False, True])
def test_what_is_not_made_is_the_source_to_the_bit(solver: SolverName, parity: bool) -> None:
    latents = remade(Region(inside=(3, 6)), 0.5, replace(MANNER, solver=solver, parity=parity))
    assert torch.equal(latents[..., :3], SOURCE[..., :3])
    assert torch.equal(latents[..., 6:], SOURCE[..., 6:])
    assert (latents[..., 3:6] - SOURCE[..., 3:6]).abs().min() > 0


def test_a_lower_variance_stays_nearer_to_the_source() -> None:
    changes = [float((remade(Region(inside=(3, 6)), v, ALONE) - SOURCE).norm()) for v in (0.2, 0.5, 1.0)]
    assert changes == sorted(changes)


def test_a_repaint_of_everything_begins_at_noise() -> None:
    network = Field()
    remade(Region(inside=(0, FRAMES)), 0.3, ALONE, network)
    assert len(network.times) == ALONE.steps


def test_a_variance_of_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="variance of 0"):
        remade(Region(inside=(3, 6)), 0.0)


@pytest.mark.parametrize("region", [Region(4, 0), Region(0, 6), Region(4, 6), Region(40, 50), Region(2, 3, (5, 9))])
def test_an_extended_source_lies_where_it_was(region: Region) -> None:
    latents = remade(region, 1.0)
    assert latents.shape[-1] == region.left + FRAMES + region.right
    kept = latents[..., region.left : region.left + FRAMES]
    start, end = region.inside or (FRAMES, FRAMES)
    assert torch.equal(kept[..., :start], SOURCE[..., :start])
    assert not torch.isclose(kept[..., start:end], SOURCE[..., start:end]).any()
    assert torch.isfinite(latents).all()


def test_what_lies_beyond_begins_with_a_retake_s_noise_of_its_own_length() -> None:
    canvas = lay_out(SOURCE, Region(4, 6), 1.0, MANNER, DRAWS)
    drawn = DRAWS.retake(10)
    assert torch.equal(canvas.noise[..., :4], drawn[..., :4])
    assert torch.equal(canvas.noise[..., -6:], drawn[..., 4:])
    assert torch.equal(canvas.noise[..., 4:-6], DRAWS.initial(FRAMES))
    assert canvas.mask[0].tolist() == [True] * 4 + [False] * FRAMES + [True] * 6


def test_in_parity_an_extension_on_the_right_is_shorter_by_the_left_one() -> None:
    parity = replace(MANNER, parity=True)
    assert lay_out(SOURCE, Region(2, 6), 1.0, parity, DRAWS).clean.shape[-1] == 2 + FRAMES + 4
    assert lay_out(SOURCE, Region(0, 6), 1.0, parity, DRAWS).clean.shape[-1] == FRAMES + 6


@pytest.mark.parametrize("region", [Region(FRAMES + 1, 0), Region(0, FRAMES + 1), Region(5, 2)])
def test_in_parity_what_the_original_fails_at_is_refused(region: Region) -> None:
    assert remade(region, 1.0).shape[-1] == region.left + FRAMES + region.right
    with pytest.raises(RequestError):
        lay_out(SOURCE, region, 1.0, replace(MANNER, parity=True), DRAWS)


@pytest.mark.parametrize("region", [Region(), Region(inside=(5, 4)), Region(inside=(0, FRAMES + 1)), Region(2570, 5)])
def test_regions_that_cannot_be_made_are_refused(region: Region) -> None:
    with pytest.raises(RequestError):
        lay_out(SOURCE, region, 1.0, MANNER, DRAWS)


def test_beyond_the_source_every_step_runs_whatever_the_variance() -> None:
    ours, original = Field(), Field()
    remade(Region(0, 6), 0.5, ALONE, ours)
    remade(Region(0, 6), 0.5, replace(ALONE, parity=True), original)
    assert len(ours.times) == ALONE.steps
    assert len(original.times) == ALONE.steps / 2


# Audio to audio


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.8])
def test_a_reference_has_the_noise_that_the_model_is_told_of(strength: float) -> None:
    network = Field()
    latents_of(restyle(TWO, replace(ALONE, steps=60), network, DRAWS, SOURCE, strength))
    t = network.times[0]
    assert torch.allclose(network.inputs[0], t * DRAWS.initial(FRAMES) + (1 - t) * SOURCE, atol=1e-5)
    assert t == pytest.approx(3 * (1 - strength) / (1 + 2 * (1 - strength)), abs=0.01)


def test_in_parity_a_reference_has_less_noise_than_the_model_is_told_of() -> None:
    network = Field()
    latents_of(restyle(TWO, replace(ALONE, parity=True), network, DRAWS, SOURCE, 0.5))
    assert network.times[0] == pytest.approx(0.9)
    assert torch.allclose(network.inputs[0], 0.75 * DRAWS.initial(FRAMES) + 0.25 * SOURCE, atol=1e-6)
    assert len(network.times) == 6


def test_more_of_a_reference_stays_the_stronger_it_is() -> None:
    changes = [
        float((latents_of(restyle(OTHERS, ALONE, Field(), DRAWS, SOURCE, strength)) - SOURCE).norm())
        for strength in (0.0, 0.3, 0.6, 0.9)
    ]
    assert changes == sorted(changes, reverse=True)


def test_in_parity_a_strength_that_leaves_no_step_is_refused() -> None:
    with pytest.raises(RequestError, match="strength"):
        restyle(TWO, replace(ALONE, parity=True), Field(), DRAWS, SOURCE, 0.95)


# Edits along the flow


def edited(manner: Manner, settings: FlowEdit, draws: Draws = DRAWS) -> Tensor:
    return latents_of(edit(TWO, OTHERS, manner, Field(), draws, SOURCE, settings))


@pytest.mark.parametrize("solver", ["euler", "sde"])
@pytest.mark.parametrize("repeats", [1, 3])
def test_an_edit_moves_towards_the_target_and_keeps_each_place(solver: SolverName, repeats: int) -> None:
    manner = replace(ALONE, steps=60, solver=solver)
    latents = edited(manner, FlowEdit(0.0, 1.0, repeats))
    assert torch.allclose(latents, SOURCE + torch.tensor([-5.0, 4.0])[:, None, None, None], atol=0.05)


def test_the_stochastic_solver_moves_in_both_parts_of_an_edit() -> None:
    manner = replace(ALONE, steps=60, solver="sde")
    latents = edited(manner, FlowEdit(0.2, 0.6))
    assert mean_of(latents) == pytest.approx([-3.0, 3.0], abs=0.3)
    assert not torch.allclose(latents, edited(replace(manner, solver="euler"), FlowEdit(0.2, 0.6)), atol=0.1)


def test_in_parity_the_stochastic_solver_leaves_the_source_up_to_n_max() -> None:
    manner = replace(ALONE, solver="sde", parity=True)
    assert torch.equal(edited(manner, FlowEdit(0.2, 1.0)), SOURCE)
    assert not torch.allclose(edited(manner, FlowEdit(0.2, 0.6)), SOURCE, atol=0.5)


@pytest.mark.parametrize("solver", ["euler", "sde"])
def test_an_edit_does_not_depend_on_its_neighbours(solver: SolverName) -> None:
    manner, settings = replace(MANNER, solver=solver), FlowEdit(0.2, 0.6, 2)
    alone = latents_of(edit(all_of(TWO, 1), all_of(OTHERS, 1), manner, Field(), Streams([2]), SOURCE[1:], settings))
    assert torch.allclose(edited(manner, settings)[1:], alone, atol=1e-4)


# Noise


def test_a_longer_song_begins_with_the_noise_of_a_shorter_one() -> None:
    assert torch.equal(DRAWS.initial(20)[..., :FRAMES], DRAWS.initial(FRAMES))
    assert torch.equal(DRAWS.step(3, FRAMES)[1:], Streams([2]).step(3, FRAMES))
    different = [DRAWS.initial(4), DRAWS.retake(4), DRAWS.step(0, 4), DRAWS.step(1, 4), DRAWS.edit(0, 4)]
    assert len({float(one.flatten()[0]) for one in different}) == len(different)


def test_the_original_s_generators_are_torch_s() -> None:
    draws = Generators([5, 6], [7, 8], dtype=torch.bfloat16)
    one = torch.Generator().manual_seed(6)
    expected = torch.randn(1, 8, 16, 4, generator=one, dtype=torch.bfloat16).float()
    assert torch.equal(draws.initial(4)[1:], expected)
    assert not torch.equal(draws.retake(4), draws.retake(4))
    # The first item's generator goes on, for the whole batch.
    first = torch.Generator().manual_seed(5)
    torch.randn(1, 8, 16, 4, generator=first, dtype=torch.bfloat16)
    assert torch.equal(draws.step(0, 4), torch.empty(2, 8, 16, 4).normal_(generator=first))


def test_in_parity_the_state_is_kept_in_the_number_format_of_the_model() -> None:
    manner = replace(MANNER, dtype=torch.bfloat16, parity=True)
    latents = made(manner, Field())
    assert torch.equal(latents, latents.bfloat16().float())
    fine = made(replace(manner, parity=False), Field())
    assert not torch.equal(fine, fine.bfloat16().float())


def test_latents_that_are_not_finite_are_an_error() -> None:
    broken = Conditions(context(float("nan"), 0.0), context(0.0, 0.0))
    with pytest.raises(ModelError, match="not finite"):
        made(MANNER, Field(), DRAWS, broken)


@pytest.mark.parametrize(("seconds", "frames"), [(30, 322), (60, 645), (240, 2583), (-0.5016, -5), (0.0, 0)])
def test_seconds_become_frames_towards_zero(seconds: float, frames: int) -> None:
    assert frames_of(seconds) == frames
