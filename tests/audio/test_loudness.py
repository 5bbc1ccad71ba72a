from __future__ import annotations

import time

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings, strategies as st
from scipy import signal

from partita.audio.loudness import integrated_lufs, master
from partita.audio.true_peak import limit, true_peak, true_peak_db
from partita.errors import AudioError
from tests.audio.conftest import RATE_HZ, music


def _oversampled_peak_db(samples: np.ndarray) -> float:
    """True peak by another meter: scipy's polyphase filter at four times the rate, as BS.1770 asks."""
    padded = np.pad(samples.astype(np.float64), ((64, 64), (0, 0)))
    return 20 * np.log10(np.abs(signal.resample_poly(padded, 4, 1, axis=0)).max())


def _burst(frames: int, kind: str, seed: int) -> np.ndarray:
    """[frames, 2] that limiters get wrong: peaks between samples, steps, clicks, tones near the edge of the band."""
    rng = np.random.default_rng(seed)
    n = np.arange(frames)
    if kind == "quarter-rate":  # every sample at 0.707 of the peak between them
        mono = np.sin(np.pi / 2 * n + np.pi / 4)
    elif kind == "clicks":
        mono = np.zeros(frames)
        mono[rng.integers(0, frames, 40)] = rng.choice([-1.0, 1.0], 40)
    elif kind == "square":
        mono = np.sign(np.sin(2 * np.pi * rng.uniform(40, 400) / RATE_HZ * n))
    elif kind == "noise":
        mono = signal.sosfilt(signal.butter(8, 18_000, fs=RATE_HZ, output="sos"), rng.standard_normal(frames))
    elif kind == "sweep":
        mono = signal.chirp(n / RATE_HZ, 20, frames / RATE_HZ, 20_000)
    else:  # silence, then a wall
        mono = np.where(n > frames // 2, np.sin(2 * np.pi * 997 / RATE_HZ * n), 0.0)
    return np.stack([mono, mono * rng.uniform(0, 1)], axis=1).astype(np.float32)


KINDS = ["quarter-rate", "clicks", "square", "noise", "sweep", "wall"]


@pytest.mark.parametrize(("hz", "phase"), [(997, 0.0), (12_000, np.pi / 4), (15_000, 0.3), (20_000, 0.1)])
def test_the_true_peak_of_a_tone_is_its_amplitude(hz: int, phase: float) -> None:
    n = np.arange(RATE_HZ)
    fade = signal.windows.tukey(RATE_HZ, 0.2)
    tone = (0.5 * fade * np.sin(2 * np.pi * hz / RATE_HZ * n + phase)).astype(np.float32)[:, None]
    assert true_peak_db(tone) == pytest.approx(20 * np.log10(0.5), abs=0.03)


def test_the_true_peak_is_never_under_the_sample_peak(song: np.ndarray) -> None:
    for end in (1, 2, 100, 4_047, 4_049, 33_000, len(song)):
        assert true_peak(song[:end]) >= np.abs(song[:end]).max()


def test_the_place_of_a_peak_does_not_matter() -> None:
    """Blocks of any size join without a gap."""
    pulse = signal.windows.hann(9)[:, None].astype(np.float32)
    expected = None
    for start in (0, 5, 4_040, 4_047, 4_048, 32_380, 32_384, 69_990):
        samples = np.zeros((70_000, 1), np.float32)
        samples[start : start + 9] = pulse[: 70_000 - start]
        expected = expected or true_peak(samples)
        assert true_peak(samples) == pytest.approx(expected, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(0, 1000),
    st.integers(3_000, 40_000),
    st.floats(0.2, 18.0),
    st.sampled_from([-1.0, -0.1, -3.0]),
)
def test_no_true_peak_passes_the_limit(kind: str, seed: int, frames: int, over_db: float, ceiling_db: float) -> None:
    burst = _burst(frames, kind, seed)
    loud = (burst / true_peak(burst) * 10 ** ((ceiling_db + over_db) / 20)).astype(np.float32)
    out, peak = limit(loud, RATE_HZ, ceiling_db)
    assert 20 * np.log10(peak) <= ceiling_db + 1e-6
    assert peak == pytest.approx(true_peak(out), rel=1e-6)
    assert _oversampled_peak_db(out) <= ceiling_db + 0.05
    assert out.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_the_limiter_keeps_the_sound_as_loud_as_it_may_be(kind: str) -> None:
    burst = _burst(30_000, kind, 3)
    out, peak = limit((burst / true_peak(burst) * 2).astype(np.float32), RATE_HZ, -1.0)
    assert 20 * np.log10(peak) > -1.6
    assert len(out) == 30_000


def test_a_signal_under_the_limit_is_the_same_object(song: np.ndarray) -> None:
    out, _ = limit(song, RATE_HZ, 0.0)
    assert out is song


def test_away_from_the_peak_nothing_changes_and_near_it_the_gain_moves_softly() -> None:
    samples = music(6.0, peak=0.5)
    samples[3 * RATE_HZ : 3 * RATE_HZ + 200] *= 3.5
    out, _ = limit(samples, RATE_HZ, -1.0)
    before, after = 3 * RATE_HZ - 600, 3 * RATE_HZ + round(1.5 * RATE_HZ)
    np.testing.assert_array_equal(out[:before], samples[:before])
    np.testing.assert_array_equal(out[after:], samples[after:])
    audible = np.abs(samples) > 0.02
    gain = np.divide(out, samples, where=audible, out=np.full_like(samples, np.nan))
    np.testing.assert_allclose(gain[audible[:, 0] & audible[:, 1]].T[0], gain[audible.all(axis=1)].T[1], rtol=1e-5)
    moves = np.abs(np.diff(gain[:, 0]))
    assert np.nanmax(moves) < 0.006  # the whole fall takes the look-ahead, 192 samples


@pytest.mark.parametrize("target", [-30.0, -23.0, -18.0])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_the_target_is_met_where_nothing_is_limited(target: float, rate: int) -> None:
    out, record = master(music(5.0, rate_hz=rate), rate, mode="loudness", target_lufs=target, true_peak_db=-1.0)
    assert pyloudnorm.Meter(rate).integrated_loudness(out) == pytest.approx(target, abs=0.1)
    assert not record.limited
    assert record.after_lufs == pytest.approx(target, abs=0.1)
    assert record.before_lufs is not None
    assert record.gain_db == pytest.approx(target - record.before_lufs)


def test_gain_alone_is_gain_alone(song: np.ndarray) -> None:
    out, record = master(song, RATE_HZ, mode="loudness", target_lufs=-23.0, true_peak_db=-1.0)
    np.testing.assert_allclose(out, song * 10 ** (record.gain_db / 20), rtol=1e-6)


def test_what_is_limited_is_recorded(song: np.ndarray) -> None:
    out, record = master(song, RATE_HZ, mode="loudness", target_lufs=-7.0, true_peak_db=-1.0)
    assert record.limited
    assert record.after_true_peak_db is not None
    assert -1.5 < record.after_true_peak_db <= -1.0
    assert _oversampled_peak_db(out) <= -0.95
    assert record.after_lufs == pytest.approx(integrated_lufs(out, RATE_HZ))


@pytest.mark.parametrize("mode", ["loudness", "peak", "off"])
@pytest.mark.parametrize("frames", [1, 100, 19_199, 19_200, 96_000])
def test_silence_stays_silence(mode: str, frames: int) -> None:
    out, record = master(np.zeros((frames, 2), np.float32), RATE_HZ, mode=mode, target_lufs=-14.0, true_peak_db=-1.0)  # type: ignore[arg-type]
    assert not out.any()
    assert (record.gain_db, record.limited) == (0.0, False)
    assert (record.before_lufs, record.after_lufs, record.after_true_peak_db) == (None, None, None)


@pytest.mark.parametrize("frames", [1, 50, 4_800, 6_770, 19_199, 19_201])
def test_very_short_audio_is_brought_to_the_target_too(frames: int) -> None:
    out, record = master(music(1.0)[:frames], RATE_HZ, mode="loudness", target_lufs=-30.0, true_peak_db=-1.0)
    assert np.isfinite(out).all()
    assert record.after_lufs == pytest.approx(-30.0, abs=0.1)


@pytest.mark.parametrize("peak", [0.01, 0.8, 1.7])
def test_peak_mode_does_as_the_original(peak: float) -> None:
    samples = music(1.0, peak=peak)
    out, record = master(samples, RATE_HZ, mode="peak", true_peak_db=-1.0)
    assert np.abs(out).max() == pytest.approx(0.8912509, rel=1e-6)
    np.testing.assert_allclose(out, samples / np.abs(samples).max() * 0.8912509, rtol=1e-5, atol=1e-9)
    assert not record.limited


def test_peak_mode_leaves_almost_nothing_alone() -> None:
    samples = np.full((1000, 2), 5e-7, np.float32)
    np.testing.assert_array_equal(master(samples, RATE_HZ, mode="peak", true_peak_db=-1.0)[0], samples)


def test_off_changes_no_bit(song: np.ndarray) -> None:
    out, record = master(song * 3, RATE_HZ, mode="off", true_peak_db=-1.0)
    np.testing.assert_array_equal(out, song * 3)
    assert record.gain_db == 0.0


def test_the_stage_is_deterministic(song: np.ndarray) -> None:
    first, second = (master(song, RATE_HZ, mode="loudness", target_lufs=-6.0, true_peak_db=-1.0) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]


def test_a_mode_and_a_target_must_be_given(song: np.ndarray) -> None:
    with pytest.raises(AudioError, match="needs a target"):
        master(song, RATE_HZ, mode="loudness", true_peak_db=-1.0)
    with pytest.raises(AudioError, match="choose loudness, peak or off"):
        master(song, RATE_HZ, mode="loud", true_peak_db=-1.0)  # type: ignore[arg-type]


@pytest.mark.long
def test_four_minutes_take_seconds_of_work() -> None:
    samples = np.tile(music(10.0), (24, 1))
    start = time.process_time()  # of all threads; other programs do not count
    master(samples, RATE_HZ, mode="loudness", target_lufs=-8.0, true_peak_db=-1.0)
    assert time.process_time() - start < 6.0
