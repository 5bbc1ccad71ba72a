"""The vocoder: published names, what its configuration may say, and the folded network that gives the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from partita.errors import ModelError
from partita.models.acestepv1 import rows as layers
from partita.models.acestepv1.mel import MelConfig
from partita.models.acestepv1.streaming import Stream, Whole
from partita.models.acestepv1.vocoder import Vocoder, VocoderConfig
from partita.models.acestepv1.vocoder_folded import FoldedVocoder
from tests.models.acestepv1.tiny_codec import gap, tiny_vocoder

MANIFEST = Path(__file__).parents[4] / "shared" / "manifests" / "ace-step-v1-vocoder.json"
PUBLISHED: dict[str, Any] = {
    "input_channels": 128,
    "depths": [3, 3, 9, 3],
    "dims": [128, 256, 384, 512],
    "drop_path_rate": 0.0,
    "kernel_sizes": [7],
    "upsample_rates": [4, 4, 2, 2, 2, 2, 2],
    "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4, 4],
    "resblock_kernel_sizes": [3, 7, 11, 13],
    "resblock_dilation_sizes": [[1, 3, 5]] * 4,
    "num_mels": 512,
    "upsample_initial_channel": 1024,
    "use_template": False,
    "pre_conv_kernel_size": 13,
    "post_conv_kernel_size": 13,
    "sampling_rate": 44100,
    "n_fft": 2048,
    "win_length": 2048,
    "hop_length": 512,
    "f_min": 40,
    "f_max": 16000,
    "n_mels": 128,
}


def test_the_published_configuration_is_the_default() -> None:
    assert VocoderConfig.from_json(PUBLISHED) == VocoderConfig()
    assert VocoderConfig().mel == MelConfig()


@pytest.mark.skipif(not MANIFEST.exists(), reason="the list of published tensors lies in ../shared")
def test_names_and_shapes_are_those_of_the_published_checkpoint() -> None:
    with torch.device("meta"):
        network = Vocoder(VocoderConfig())
    published = {name: shape for name, (_, shape) in json.loads(MANIFEST.read_text()).items()}
    assert {name: list(value.shape) for name, value in network.state_dict().items()} == published


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_template", True),
        ("drop_path_rate", 0.2),
        ("kernel_sizes", [7, 11]),
        ("kernel_sizes", [6]),
        ("upsample_kernel_sizes", [16, 8, 4, 4, 4, 4, 4]),
        ("upsample_rates", [4, 4, 2, 2, 2, 2]),
        ("hop_length", 256),
        ("win_length", 1024),
        ("num_mels", 128),
        ("n_mels", 80),
        ("dims", [128, 256, 384]),
        ("resblock_dilation_sizes", [[1, 3, 5]] * 3),
        ("upsample_initial_channel", 1000),
        ("f_min", "low"),
        ("n_fft", None),
    ],
)
def test_a_configuration_of_another_network_is_refused(key: str, value: object) -> None:
    with pytest.raises(ModelError, match="published") as caught:
        VocoderConfig.from_json({**PUBLISHED, key: value})
    assert caught.value.key is not None


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ModelError) as caught:
        VocoderConfig.from_json({name: value for name, value in PUBLISHED.items() if name != "dims"})
    assert caught.value.key == "dims"


@pytest.mark.parametrize("frames", [1, 2, 13])
def test_folded_equals_plain_and_makes_a_hop_of_each_frame(frames: int) -> None:
    vocoder = tiny_vocoder()
    mel = torch.randn(2, 128, frames, dtype=torch.float64)
    expected = vocoder.decode(mel)
    assert expected.shape == (2, 1, 512 * frames)
    assert expected.abs().max() < 1
    assert gap(FoldedVocoder(vocoder).decode(mel), expected) < 1e-12


def test_short_stretches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "REACHES_IN_A_STRETCH", 1)
    vocoder = tiny_vocoder()
    folded = FoldedVocoder(vocoder)
    folded.form = dataclasses.replace(folded.form, stretch_values=1)
    mel = torch.randn(1, 128, 57, dtype=torch.float64)
    assert gap(folded.decode(mel), vocoder.decode(mel)) < 1e-12


@given(start=st.integers(0, 40 * 512 - 1), length=st.integers(1, 3000))
@settings(max_examples=20, deadline=None)
def test_any_stretch_of_samples_is_that_of_the_whole(start: int, length: int) -> None:
    folded, mel, whole = decoded_once()
    rows: Any = Whole(mel)
    for stage in folded.stages():
        rows = Stream(rows, stage)
    end = min(start + length, rows.length)
    with torch.no_grad():
        got = rows.take(start, end)
    assert (got - whole[:, start:end]).abs().max() < 1e-12


def decoded_once(kept: list[Any] = []) -> Any:  # noqa: B006  (one network for all examples)
    if not kept:
        torch.manual_seed(3)
        folded = FoldedVocoder(tiny_vocoder())
        mel = torch.randn(1, 40, 128, dtype=torch.float64)
        kept += [folded, mel, folded.decode(mel.mT)[:, 0]]
    return kept


def test_mean_and_not_sum_of_the_residual_blocks() -> None:
    vocoder = tiny_vocoder()
    for block in vocoder.head.resblocks.modules():
        if hasattr(block, "weight_g"):
            block.weight_g.zero_()
            block.bias.zero_()
    mel = torch.randn(1, 128, 4, dtype=torch.float64)
    x = vocoder.head.conv_pre(vocoder.backbone(mel))
    for up in vocoder.head.ups:
        x = up(torch.nn.functional.silu(x))
    expected = torch.tanh(vocoder.head.conv_post(torch.nn.functional.silu(x)))
    assert gap(vocoder.decode(mel), expected) < 1e-12
    assert gap(FoldedVocoder(vocoder).decode(mel), expected) < 1e-12


def test_a_half_format_stays_close_and_gives_float32() -> None:
    torch.manual_seed(0)
    vocoder = tiny_vocoder(torch.float32)
    mel = torch.randn(1, 128, 9)
    got, expected = FoldedVocoder(vocoder, dtype=torch.bfloat16).decode(mel), vocoder.decode(mel)
    assert got.dtype == torch.float32
    assert (got - expected).norm() / expected.norm() < 0.03


def test_shapes_that_do_not_fit_are_named() -> None:
    vocoder = tiny_vocoder()
    for network in (vocoder, FoldedVocoder(vocoder)):
        with pytest.raises(ModelError, match="one channel"):
            network.decode(torch.zeros(1, 2, 128, 5))
        with pytest.raises(ModelError, match="at least 1"):
            network.decode(torch.zeros(1, 128, 0))
