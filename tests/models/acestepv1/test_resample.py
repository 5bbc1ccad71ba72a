"""Windowed-sinc resampling: lengths, places, identity."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from partita.errors import AudioError
from partita.models.acestepv1.codec import resampling
from partita.models.acestepv1.resample import SincResampler
from partita.models.acestepv1.streaming import Stream, Whole

RATES = st.sampled_from([(48_000, 44_100), (44_100, 48_000), (32_000, 44_100), (48_000, 16_000), (44_100, 44_100)])


@given(rates=RATES, samples=st.integers(1, 4000))
@settings(max_examples=50, deadline=None)
def test_the_length_is_rounded_up(rates: tuple[int, int], samples: int) -> None:
    resampler = SincResampler(*rates)
    expected = math.ceil(samples * rates[1] / rates[0] - 1e-9)
    assert resampler(torch.randn(2, samples)).shape == (2, expected)
    assert resampler.length(samples) == expected


def test_equal_rates_change_nothing() -> None:
    audio = torch.randn(2, 100)
    assert torch.equal(SincResampler(44_100, 44_100)(audio), audio)


@pytest.mark.parametrize("rates", [(48_000, 44_100), (44_100, 48_000)])
def test_a_tone_stays_the_tone_where_it_was(rates: tuple[int, int]) -> None:
    source, target = (torch.sin(2 * math.pi * 1000 * torch.arange(rate // 10) / rate + 0.3) for rate in rates)
    got = SincResampler(*rates)(source)
    assert (got - target)[100:-100].abs().max() < 2e-3


def test_leading_shapes_are_kept() -> None:
    audio = torch.randn(3, 2, 500)
    resampler = SincResampler(48_000, 44_100)
    torch.testing.assert_close(resampler(audio)[1, 1], resampler(audio[1, 1]))


@given(rates=RATES, samples=st.integers(1, 3000), data=st.data())
@settings(max_examples=50, deadline=None)
def test_pieces_are_those_of_the_whole(rates: tuple[int, int], samples: int, data: st.DataObject) -> None:
    resampler = SincResampler(*rates)
    audio = torch.randn(2, samples)
    whole = resampler(audio)
    at = data.draw(st.integers(0, whole.shape[1] - 1))
    stream = Stream(Whole(audio), resampling(resampler))
    while at < whole.shape[1]:
        end = data.draw(st.integers(at + 1, whole.shape[1]))
        assert (stream.take(at, end) - whole[:, at:end]).abs().max() < 1e-6
        at = end


def test_rates_must_be_positive() -> None:
    with pytest.raises(AudioError, match="positive"):
        SincResampler(0, 44_100)
