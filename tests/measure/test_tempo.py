"""The tempo meter on drum machines of known tempo."""

from __future__ import annotations

import numpy as np
import pytest

from partita.measure.tempo import same_tempo, tempo
from tests.measure.sounds import PATTERNS, RATE_HZ, drums, noise


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("bpm", [60, 72.5, 90, 107, 120, 133, 150, 180])
def test_tempo_is_within_one_percent_up_to_an_octave(pattern: str, bpm: float) -> None:
    heard = tempo(drums(pattern, bpm), RATE_HZ)
    assert heard.bpm is not None
    assert same_tempo(heard.bpm, bpm, tolerance=0.01), (heard.bpm, heard.candidates)


@pytest.mark.parametrize("bpm", [84.0, 119.3, 141.7])
def test_a_steady_pulse_is_measured_to_a_thousandth(bpm: float) -> None:
    heard = tempo(drums("house 4/4", bpm, 20.0), RATE_HZ)
    assert heard.bpm is not None
    assert same_tempo(heard.bpm, bpm, tolerance=0.001)


def test_beats_lie_on_the_clicks() -> None:
    heard = tempo(drums("click", 100.0), RATE_HZ)
    off_grid = (np.array(heard.beats_s) - 0.3) / 0.6
    assert len(off_grid) >= 24
    assert np.abs(off_grid - np.round(off_grid)).max() * 0.6 < 0.02
    assert heard.beat_deviation_ms is not None
    assert heard.beat_deviation_ms < 2.0


def test_a_loose_drummer_is_heard_as_loose() -> None:
    steady, loose = (tempo(drums("click", 100.0, 24.0, jitter_s=j), RATE_HZ) for j in (0.0, 0.02))
    assert steady.beat_deviation is not None
    assert loose.beat_deviation is not None
    assert steady.beat_deviation < 0.005 < 0.02 < loose.beat_deviation


@pytest.mark.parametrize("rate_hz", [22_050, 44_100])
def test_other_sample_rates_give_the_same_tempo(rate_hz: int) -> None:
    heard = tempo(drums("house 4/4", 120.0, rate_hz=rate_hz), rate_hz)
    assert heard.bpm is not None
    assert same_tempo(heard.bpm, 120.0, tolerance=0.002)


def test_stereo_is_heard_as_its_mix() -> None:
    mono = drums("house 4/4", 96.0)
    assert tempo(np.stack([mono, mono], axis=1), RATE_HZ).bpm == pytest.approx(tempo(mono, RATE_HZ).bpm)


@pytest.mark.parametrize(
    "audio", [np.zeros(10 * RATE_HZ, np.float32), noise(10.0), noise(1.0)], ids=["silence", "noise", "short"]
)
def test_no_tempo_is_made_up(audio: np.ndarray) -> None:
    heard = tempo(audio, RATE_HZ)
    assert heard.bpm is None
    assert heard.beats_s == ()


def test_octaves_are_allowed_only_where_asked() -> None:
    assert same_tempo(60.5, 120.0)
    assert not same_tempo(60.5, 120.0, octaves=False)
    assert not same_tempo(180.0, 120.0)
