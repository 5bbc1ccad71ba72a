"""Faults that are put in are found, and clean audio has none."""

from __future__ import annotations

import numpy as np
import pytest

from partita.errors import AudioError
from partita.measure.defects import bandwidth, defects
from tests.measure.sounds import RATE_HZ, noise, sine


def test_a_clipped_sine_has_two_flat_tops_a_period() -> None:
    found = defects(np.clip(sine(100.0, 1.0, 1.5), -1, 1), RATE_HZ)
    assert found.clipped_runs == pytest.approx(200, abs=2)
    # |sin| is above 1/1.5 for 53.5 % of a period.
    assert found.clipped_share == pytest.approx(0.535, abs=0.01)
    assert found.longest_clip_ms == pytest.approx(2.68, abs=0.1)


@pytest.mark.parametrize("hz", [20.0, 50.0, 997.0, 12_000.0])
def test_a_clean_sine_is_not_clipped_even_in_16_bits(hz: float) -> None:
    tone = np.round(sine(hz, 1.0, 0.999) * 32767) / 32768
    assert defects(tone.astype(np.float32), RATE_HZ).clipped_runs == 0


def test_clipping_is_found_below_full_scale() -> None:
    assert defects(0.3 * np.clip(sine(200.0, 0.5, 2.0), -1, 1), RATE_HZ).clipped_runs > 100


def test_silence_is_measured_where_it_is() -> None:
    audio = noise(10.0)
    audio[: RATE_HZ // 2] = 0
    audio[4 * RATE_HZ : 6 * RATE_HZ] = 0
    audio[9 * RATE_HZ :] = 0
    found = defects(audio, RATE_HZ)
    assert found.silence_share == pytest.approx(0.35, abs=0.01)
    assert found.longest_silence_s == pytest.approx(2.0, abs=0.06)
    assert found.longest_silence_at_s == pytest.approx(4.0, abs=0.06)
    assert found.leading_silence_s == pytest.approx(0.5, abs=0.06)
    assert found.trailing_silence_s == pytest.approx(1.0, abs=0.06)
    assert found.dropouts == ()


def test_short_holes_are_dropouts() -> None:
    audio = noise(4.0)
    for at_s, length_s in ((1.0, 0.005), (2.5, 0.1)):
        audio[round(at_s * RATE_HZ) : round((at_s + length_s) * RATE_HZ)] = 0
    found = defects(audio, RATE_HZ).dropouts
    assert [round(span.start_s, 2) for span in found] == [1.0, 2.5]
    assert found[1].end_s - found[1].start_s == pytest.approx(0.1, abs=0.003)


def test_dc_is_that_of_the_worst_channel() -> None:
    both = np.stack([noise(2.0), noise(2.0, seed=1) + np.float32(0.05)], axis=1)
    assert defects(both, RATE_HZ).dc_offset == pytest.approx(0.05, abs=0.002)


def test_bad_numbers_are_counted_and_do_not_spread() -> None:
    audio = noise(1.0)
    audio[[5, 6]] = np.nan
    audio[7] = np.inf
    found = defects(audio, RATE_HZ)
    assert (found.nan_samples, found.infinite_samples) == (2, 1)
    assert np.isfinite(found.dc_offset)
    assert found.bandwidth is not None


@pytest.mark.parametrize("limit_hz", [4_000.0, 11_000.0, 16_000.0])
def test_the_upper_limit_of_limited_noise(limit_hz: float) -> None:
    spectrum = np.fft.rfft(noise(4.0))
    spectrum[round(limit_hz * 4.0) :] = 0
    band = bandwidth(np.fft.irfft(spectrum), RATE_HZ)
    assert band is not None
    assert band.upper_limit_hz == pytest.approx(limit_hz, abs=300)
    assert band.rolloff_95_hz == pytest.approx(0.95 * limit_hz, rel=0.03)
    assert band.rolloff_95_hz < band.rolloff_99_hz <= band.upper_limit_hz


def test_silence_has_no_band() -> None:
    found = defects(np.zeros(RATE_HZ, np.float32), RATE_HZ)
    assert found.bandwidth is None
    assert found.silence_share == 1.0
    assert found.clipped_runs == 0


@pytest.mark.parametrize(
    "audio", [np.zeros((0, 2), np.float32), np.zeros((2, 48_000), np.float32), np.zeros(9, np.int16)]
)
def test_what_is_no_audio_is_refused(audio: np.ndarray) -> None:
    with pytest.raises(AudioError):
        defects(audio, RATE_HZ)
