"""The mel front end: one frame to a hop, stored window and filters, Slaney's scale."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st
from safetensors.torch import load_file

from partita.errors import AudioError
from partita.models.acestepv1.mel import MelConfig, MelTransform, slaney_filter_bank

RECORDED = Path(__file__).parents[2] / "golden" / "data" / "v1" / "mel.safetensors"
TRANSFORM = MelTransform(MelConfig())


@given(samples=st.integers(769, 20_000))
@settings(max_examples=20, deadline=None)
def test_a_frame_for_every_whole_hop(samples: int) -> None:
    assert TRANSFORM(torch.zeros(2, samples)).shape == (2, 128, samples // 512)


def test_the_filter_bank_is_the_recorded_one() -> None:
    recorded = load_file(RECORDED)["weights.mel_scale.fb"]
    assert (slaney_filter_bank(MelConfig()) - recorded).abs().max() < 1e-6


def test_a_tone_lies_in_the_band_of_its_pitch() -> None:
    for hertz in (100.0, 440.0, 3000.0, 12_000.0):
        tone = torch.sin(2 * math.pi * hertz * torch.arange(8192) / 44_100)
        loudest = int(TRANSFORM(tone[None])[0, :, 8].argmax())
        centre = int(slaney_filter_bank(MelConfig())[:, loudest].argmax()) * 44_100 / 2048
        assert abs(centre - hertz) < 44_100 / 2048 + 0.05 * hertz


def test_window_and_filters_are_used_as_stored() -> None:
    stored, other = MelTransform(MelConfig()), MelTransform(MelConfig())
    for network in (stored, other):
        network.load_state_dict({name: value.bfloat16() for name, value in network.state_dict().items()}, assign=True)
    audio = torch.randn(1, 4096)
    rounded = MelTransform(MelConfig())
    rounded.load_state_dict({name: value.bfloat16().float() for name, value in rounded.state_dict().items()})
    assert torch.equal(stored(audio), rounded(audio))
    assert not torch.equal(stored(audio), TRANSFORM(audio))
    assert set(stored.state_dict()) == {"spectrogram.window", "mel_scale.fb"}


def test_silence_has_a_floor() -> None:
    mel = TRANSFORM(torch.zeros(1, 4096))
    assert mel.min() >= math.log(1e-5)
    assert mel.isfinite().all()


def test_twice_the_amplitude_is_log_two_more() -> None:
    audio = torch.randn(1, 8192)
    assert (TRANSFORM(2 * audio) - TRANSFORM(audio) - math.log(2)).abs().max() < 1e-3


def test_audio_shorter_than_its_reflection_is_refused() -> None:
    with pytest.raises(AudioError, match="more than 768"):
        TRANSFORM(torch.zeros(2, 768))
