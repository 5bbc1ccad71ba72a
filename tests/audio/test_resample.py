from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from partita.audio.resample import resample
from partita.errors import AudioError

RATES = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5_000), st.sampled_from(RATES), st.sampled_from(RATES), st.integers(1, 2))
def test_the_length_follows_from_the_rates(frames: int, from_hz: int, to_hz: int, channels: int) -> None:
    out = resample(np.zeros((frames, channels), np.float32), from_hz, to_hz)
    assert out.shape == (round(frames * to_hz / from_hz), channels)
    assert out.dtype == np.float32


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44_100, 48_000), (48_000, 16_000), (24_000, 48_000)])
def test_a_tone_stays_where_and_what_it_is(from_hz: int, to_hz: int) -> None:
    def tone(rate: int) -> np.ndarray:
        return np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate).astype(np.float32)

    middle = slice(to_hz // 4, -to_hz // 4)
    np.testing.assert_allclose(resample(tone(from_hz), from_hz, to_hz)[middle], tone(to_hz)[middle], atol=2e-5)


def test_what_does_not_fit_in_the_lower_rate_is_taken_out() -> None:
    tone = np.sin(2 * np.pi * 10_000 * np.arange(48_000) / 48_000).astype(np.float32)
    assert np.abs(resample(tone, 48_000, 16_000)[1_000:-1_000]).max() < 1e-5


def test_equal_rates_change_nothing() -> None:
    samples = np.ones((10, 2), np.float32)
    assert resample(samples, 48_000, 48_000) is samples


def test_a_rate_must_be_positive() -> None:
    with pytest.raises(AudioError, match="from 0 Hz"):
        resample(np.zeros(4, np.float32), 0, 48_000)
