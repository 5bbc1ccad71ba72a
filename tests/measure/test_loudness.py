"""Levels against signals with levels known from the standard."""

from __future__ import annotations

import numpy as np
import pytest

from partita.measure.loudness import loudness
from tests.measure.sounds import RATE_HZ, noise, sine


def test_the_reference_tone_of_ebu_tech_3341_is_at_minus_23() -> None:
    tone = sine(1000.0, 20.0, 10 ** (-23 / 20))
    assert loudness(np.stack([tone, tone], axis=1), RATE_HZ).integrated_lufs == pytest.approx(-23.0, abs=0.1)


def test_a_full_scale_sine() -> None:
    levels = loudness(sine(997.0, 1.0), RATE_HZ)
    assert levels.sample_peak_dbfs == pytest.approx(0.0, abs=0.01)
    assert levels.rms_dbfs == pytest.approx(-3.01, abs=0.01)
    assert levels.crest_db == pytest.approx(3.01, abs=0.02)


def test_the_true_peak_lies_between_the_samples() -> None:
    quarter = np.tile(np.array([1.0, 1.0, -1.0, -1.0], np.float32) * 0.5, 12_000)
    levels = loudness(quarter, RATE_HZ)
    assert levels.sample_peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert levels.true_peak_dbtp is not None
    assert levels.true_peak_dbtp > -3.3


def test_gain_moves_every_level_alike() -> None:
    quiet, loud = (loudness(noise(3.0, level), RATE_HZ) for level in (0.02, 0.04))
    for name in ("integrated_lufs", "true_peak_dbtp", "sample_peak_dbfs", "rms_dbfs"):
        assert getattr(loud, name) - getattr(quiet, name) == pytest.approx(6.02, abs=0.05), name


def test_silence_has_no_levels_and_short_audio_has() -> None:
    silent = loudness(np.zeros((RATE_HZ, 2), np.float32), RATE_HZ)
    assert silent.integrated_lufs is None
    assert silent.true_peak_dbtp is None
    assert silent.crest_db is None
    assert loudness(sine(1000.0, 0.1, 0.5), RATE_HZ).integrated_lufs is not None
