"""Noise: fixed values for ever, and independence from batch, order and neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import stats

from partita.errors import RequestError
from partita.sampling.noise import Stream, batch_noise, blend_retake, noise, parity_noise, raw_bits, uniforms

SEEDS = st.integers(0, 2**64 - 1)


def test_a_seed_gives_the_same_numbers_for_ever() -> None:
    """A change here changes the song of every seed that anyone has kept."""
    assert raw_bits(7, 2).tolist() == BITS_OF_7
    assert noise(7, (2, 4)).tolist() == NOISE_OF_7
    assert noise(2**64 - 1, (3,), Stream.STEP, index=5).tolist() == STEP_NOISE
    assert uniforms(7, 2, Stream.TIMBRE).tolist() == UNIFORMS_OF_7


BITS_OF_7 = [16086915834549238692, 5448529601018347655]
NOISE_OF_7 = [
    [-0.1471279263496399, 0.5021121501922607, -1.091101050376892, 0.737587034702301],
    [-0.7344628572463989, -2.107649803161621, -1.1331281661987305, -1.0716331005096436],
]
STEP_NOISE = [-0.8075124025344849, 0.14230771362781525, -1.8917111158370972]
UNIFORMS_OF_7 = [0.4821286018761155, 0.7241355726248441]


@given(SEEDS, st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=30)
def test_a_longer_draw_begins_with_the_shorter(seed: int, short: int, more: int) -> None:
    assert torch.equal(noise(seed, (short + more,))[:short], noise(seed, (short,)))


def test_an_item_does_not_depend_on_its_batch() -> None:
    both = batch_noise([11, 12], (5, 3))
    assert torch.equal(both[1], noise(12, (5, 3)))
    assert torch.equal(batch_noise([12, 11], (5, 3)).flip(0), both)


def test_streams_steps_and_seeds_are_unrelated() -> None:
    draws = [noise(1, (4096,)), noise(2, (4096,)), noise(1, (4096,), Stream.STEP), noise(1, (4096,), index=1)]
    correlations = torch.corrcoef(torch.stack(draws)) - torch.eye(4)
    assert correlations.abs().max() < 0.06


def test_noise_is_normal() -> None:
    values = noise(3, (200_000,)).numpy()
    assert stats.kstest(values, "norm").pvalue > 0.01
    assert abs(float(np.corrcoef(values[:-1:2], values[1::2])[0, 1])) < 0.01  # the two halves of a Box-Muller pair
    assert np.isfinite(values).all()


def test_box_muller_agrees_with_the_library_functions() -> None:
    bits = (raw_bits(5, 2000).reshape(-1, 2) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    radius, turn = np.sqrt(-2 * np.log(bits[:, 0] + 2.0**-53)), 2 * np.pi * bits[:, 1]
    expected = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1).reshape(-1)
    assert np.allclose(noise(5, (2000,)).numpy(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(RequestError, match="2\\^64"):
        noise(seed, (1,))


def test_parity_noise_is_torch_s_own() -> None:
    expected = torch.randn((1, 3, 2), generator=torch.Generator().manual_seed(9))
    assert torch.equal(parity_noise([8, 9], (3, 2))[1:], expected)
    whole = torch.randn((2, 3, 2), generator=torch.Generator().manual_seed(8))
    assert torch.equal(parity_noise(8, (3, 2), batch=2), whole)
    with pytest.raises(RequestError, match="2 seeds"):
        parity_noise([8, 9], (3, 2), batch=3)


@pytest.mark.parametrize("variance", [0.0, 0.2, 1.0])
def test_a_retake_keeps_the_variance(variance: float) -> None:
    first, second = noise(1, (50_000,)), noise(1, (50_000,), Stream.RETAKE)
    blended = blend_retake(first, second, variance)
    assert float(blended.std()) == pytest.approx(1.0, abs=0.02)
    assert float((blended * first).mean()) == pytest.approx(np.cos(variance * np.pi / 2), abs=0.02)
