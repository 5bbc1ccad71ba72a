"""Joints that can be heard are told from those that cannot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal as dsp

from partita.errors import AudioError
from partita.measure.seams import AUDIBLE_Z, seam
from tests.measure.sounds import RATE_HZ, cadence, drums, noise

HALF = 2 * RATE_HZ


def test_a_splice_within_the_same_noise_is_not_heard() -> None:
    joined = np.concatenate([noise(2.0, seed=1), noise(2.0, seed=2)])
    assert not seam(joined, RATE_HZ, 2.0).audible


def test_another_colour_of_noise_is_heard_as_a_change_of_spectrum() -> None:
    low_pass = dsp.butter(4, 1000, fs=RATE_HZ, output="sos")
    dark = np.asarray(dsp.sosfilt(low_pass, noise(2.0, 0.3, seed=2)), np.float32)
    found = seam(np.concatenate([noise(2.0), dark]), RATE_HZ, 2.0)
    assert found.audible
    assert found.flux_z > AUDIBLE_Z


@pytest.mark.parametrize("step_db", [-9.0, 9.0])
def test_a_gain_step_is_measured_and_heard(step_db: float) -> None:
    audio = noise(4.0)
    audio[HALF:] *= 10 ** (step_db / 20)
    found = seam(audio, RATE_HZ, 2.0)
    assert found.level_step_db == pytest.approx(step_db, abs=0.5)
    assert found.level_z > AUDIBLE_Z
    assert found.audible


def test_a_jump_in_a_held_tone_is_a_click() -> None:
    t = np.arange(2 * HALF) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 220.0 * t + np.where(t < 2.0, 0.0, 2.0))
    found = seam(tone.astype(np.float32), RATE_HZ, 2.0)
    assert found.click_z > AUDIBLE_Z
    assert found.audible


def test_music_without_a_joint_has_no_seam() -> None:
    music = np.tile(cadence(0, "major", loops=1), 2) + 0.4 * drums("house 4/4", 120.0, 8.0)
    for time_s in (1.37, 2.61, 3.3):
        assert not seam(np.stack([music, music], axis=1), RATE_HZ, time_s).audible, time_s


def test_a_drum_hit_at_the_joint_is_not_a_seam_where_drums_play_on() -> None:
    assert not seam(drums("sixteenths 4/4", 150.0, 8.0), RATE_HZ, 0.3 + 8 * 0.4).audible


def test_an_edge_cannot_be_judged() -> None:
    with pytest.raises(AudioError, match="quarter of a second"):
        seam(noise(2.0), RATE_HZ, 0.1)


def test_the_flux_at_a_joint_is_ranked_among_all_of_the_song_s_own() -> None:
    low_pass = dsp.butter(4, 1000, fs=RATE_HZ, output="sos")
    dark = np.asarray(dsp.sosfilt(low_pass, noise(6.0, 0.3, seed=2)), np.float32)
    audio = np.concatenate([noise(6.0), dark])
    assert seam(audio, RATE_HZ, 6.0).flux_percentile == 100.0
    ranks = [seam(audio, RATE_HZ, 0.5 + 0.25 * k).flux_percentile for k in range(20)]
    assert max(ranks) < 99.0


def test_a_hit_like_many_others_is_within_the_song_s_99th_percentile() -> None:
    hits = drums("sixteenths 4/4", 150.0, 8.0)
    at_hit, between = (seam(hits, RATE_HZ, 0.3 + 8 * 0.4 + late).flux_percentile for late in (0.0, 0.05))
    assert between < at_hit
    assert at_hit <= 99.0
