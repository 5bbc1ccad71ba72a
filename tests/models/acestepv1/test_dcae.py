"""The mel autoencoder: published names, orders of channels, attention, and the folded network that gives the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from partita.errors import ModelError
from partita.models.acestepv1 import dcae_folded
from partita.models.acestepv1.dcae import (
    Dcae,
    DcaeConfig,
    DownBlock,
    LinearAttention,
    UpBlock,
    linear_attention,
    quadratic_attention,
)
from partita.models.acestepv1.dcae_folded import FoldedDcae
from partita.models.acestepv1.streaming import Stream, Whole
from tests.models.acestepv1.tiny_codec import DCAE, awake, gap, tiny_dcae

MANIFEST = Path(__file__).parents[4] / "shared" / "manifests" / "ace-step-v1-dcae.json"
PUBLISHED: dict[str, Any] = {
    "in_channels": 2,
    "latent_channels": 8,
    "attention_head_dim": 32,
    "encoder_block_types": ["ResBlock"] * 3 + ["EfficientViTBlock"],
    "decoder_block_types": ["ResBlock"] * 3 + ["EfficientViTBlock"],
    "encoder_block_out_channels": [128, 256, 512, 1024],
    "decoder_block_out_channels": [128, 256, 512, 1024],
    "encoder_layers_per_block": [2, 2, 3, 3],
    "decoder_layers_per_block": [3, 3, 3, 3],
    "encoder_qkv_multiscales": [[], [], [5], [5]],
    "decoder_qkv_multiscales": [[], [], [5], [5]],
    "upsample_block_type": "interpolate",
    "downsample_block_type": "Conv",
    "decoder_norm_types": "rms_norm",
    "decoder_act_fns": "silu",
    "scaling_factor": 0.41407,
}


def small_stretches(folded: FoldedDcae, values: int = 1) -> FoldedDcae:
    """The same network a few rows at a time: many seams."""
    folded.form = dataclasses.replace(folded.form, stretch_values=values)
    for layer in [*folded._encoder_attention, *folded._decoder_attention]:
        layer.form = folded.form
    return folded


def test_the_published_configuration_is_the_default() -> None:
    assert DcaeConfig.from_json(PUBLISHED) == DcaeConfig()
    assert DcaeConfig().factor == 8


@pytest.mark.skipif(not MANIFEST.exists(), reason="the list of published tensors lies in ../shared")
def test_names_and_shapes_are_those_of_the_published_checkpoint() -> None:
    with torch.device("meta"):
        network = Dcae(DcaeConfig())
    published = {name: shape for name, (_, shape) in json.loads(MANIFEST.read_text()).items()}
    assert {name: list(value.shape) for name, value in network.state_dict().items()} == published


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder_block_types", ["ResBlock"] * 4),
        ("decoder_block_types", ["ResBlock", "Swin", "ResBlock", "EfficientViTBlock"]),
        ("downsample_block_type", "pixel_unshuffle"),
        ("upsample_block_type", "pixel_shuffle"),
        ("decoder_norm_types", ["rms_norm", "batch_norm", "rms_norm", "rms_norm"]),
        ("decoder_act_fns", "relu"),
        ("decoder_in_shortcut", False),
        ("latent_channels", None),
        ("latent_channels", 3),
        ("in_channels", 2.5),
        ("encoder_layers_per_block", [2, 2, 3]),
        ("decoder_block_out_channels", [128, 0, 512, 1024]),
        ("encoder_qkv_multiscales", [[], [], [5], [4]]),
    ],
)
def test_a_configuration_of_another_network_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ModelError, match="published") as caught:
        DcaeConfig.from_json({**PUBLISHED, key: value})
    assert caught.value.key is not None
    assert caught.value.key.split("_")[0] in (key.split("_")[0], "encoder", "decoder")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ModelError) as caught:
        DcaeConfig.from_json({name: value for name, value in PUBLISHED.items() if name != "encoder_qkv_multiscales"})
    assert caught.value.key == "encoder_qkv_multiscales"


def test_going_down_averages_channels_that_are_neighbours_once_unshuffled() -> None:
    block = DownBlock(2, 4)
    torch.nn.init.zeros_(block.conv.weight)
    torch.nn.init.zeros_(block.conv.bias)  # pyright: ignore[reportArgumentType]
    x = torch.arange(2 * 4 * 6.0).view(1, 2, 4, 6)
    with torch.no_grad():
        y = block(x)
    for channel in range(2):
        for band in range(2):  # within a pair of bands; the two of a pair of frames are averaged
            expected = (x[0, channel, band::2, 0::2] + x[0, channel, band::2, 1::2]) / 2
            assert torch.equal(y[0, 2 * channel + band], expected)


def test_going_up_repeats_neighbouring_channels_and_shuffles_them() -> None:
    block = UpBlock(4, 2)
    torch.nn.init.zeros_(block.conv.weight)
    torch.nn.init.zeros_(block.conv.bias)  # pyright: ignore[reportArgumentType]
    x = torch.arange(4 * 2 * 3.0).view(1, 4, 2, 3)
    with torch.no_grad():
        y = block(x)
    for channel in range(2):
        for band in range(2):
            for frame in range(2):
                assert torch.equal(y[0, channel, band::2, frame::2], x[0, 2 * channel + band])


def test_both_forms_of_attention_are_one_function() -> None:
    query, key, value = torch.randn(3, 2, 4, 8, 21, dtype=torch.float64).unbind(0)
    assert gap(linear_attention(query, key, value), quadratic_attention(query, key, value)) < 1e-12


def test_heads_are_cut_from_whole_projections_laid_side_by_side() -> None:
    attention = awake(LinearAttention(8, head_dim=4, scales=()))
    x = torch.randn(1, 8, 3, 5, dtype=torch.float64)
    positions = x.flatten(2)[0].T
    laid = torch.cat([positions @ one.weight.T for one in (attention.to_q, attention.to_k, attention.to_v)], dim=1)
    mixed = torch.zeros(15, 8, dtype=torch.float64)
    for head in range(2):
        query, key, value = laid[:, 12 * head : 12 * head + 12].split(4, dim=1)
        for i in range(15):
            weights = [float(F.relu(query[i]) @ F.relu(key[j])) for j in range(15)]
            mixed[i, 4 * head : 4 * head + 4] = sum(w * value[j] for j, w in enumerate(weights)) / (
                sum(weights) + 1e-15
            )
    expected = attention.norm_out((mixed @ attention.to_out.weight.T).T[None].unflatten(2, (3, 5))) + x
    assert gap(attention(x), expected) < 1e-12


@pytest.mark.parametrize("frames", [1, 2, 3, 21])
@pytest.mark.parametrize("height", [1, 4])
@pytest.mark.parametrize("values", [1, None], ids=["seams", "whole"])
def test_folded_equals_plain(frames: int, height: int, values: int | None) -> None:
    dcae = tiny_dcae()
    folded = small_stretches(FoldedDcae(dcae), values) if values else FoldedDcae(dcae)
    latents = torch.randn(2, 8, height, frames, dtype=torch.float64)
    mel = torch.randn(2, 2, 8 * height, 8 * frames, dtype=torch.float64)
    assert gap(folded.decode(latents), dcae.decode(latents)) < 1e-12
    assert gap(folded.encode(mel), dcae.encode(mel)) < 1e-12


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_margins_are_wide_enough_and_little_wider(half: str) -> None:
    folded = FoldedDcae(tiny_dcae())
    width = DCAE.encoder_block_out_channels if half == "encoder" else DCAE.decoder_block_out_channels
    stages = folded.encoder_stages(16) if half == "encoder" else folded.decoder_stages(2)
    channels = [2, *width[1:-1]] if half == "encoder" else list(reversed(width[1:]))
    for index, (stage, inputs) in enumerate(zip(stages, channels, strict=True)):
        bands = 16 >> index if half == "encoder" else 2 << index
        rows = torch.randn(1, 96, bands, inputs, dtype=torch.float64)
        whole = stage.run(rows)
        middle = whole.shape[1] // 2 + 1
        for reach, exact in ((stage.reach, True), (stage.reach - 2, False)):
            stream = Stream(Whole(rows), dataclasses.replace(stage, reach=reach))
            seen = gap(stream.take(middle, middle + 1), whole[:, middle : middle + 1])
            assert (seen < 1e-12) == exact, (index, reach, seen)


def test_a_half_format_stays_close_and_gives_float32() -> None:
    torch.manual_seed(0)
    dcae = tiny_dcae(torch.float32)
    folded = FoldedDcae(dcae, dtype=torch.bfloat16)
    latents = torch.randn(1, 8, 4, 9)
    got, expected = folded.decode(latents), dcae.decode(latents)
    assert got.dtype == torch.float32
    assert (got - expected).norm() / expected.norm() < 0.03


def test_shapes_that_do_not_fit_are_named() -> None:
    dcae = tiny_dcae()
    for network in (dcae, FoldedDcae(dcae)):
        with pytest.raises(ModelError, match=r"\[1, 7, 4, 3\]"):
            network.decode(torch.zeros(1, 7, 4, 3))
        with pytest.raises(ModelError, match="at least 1"):
            network.decode(torch.zeros(1, 8, 4, 0))
        with pytest.raises(ModelError, match="multiples of 8"):
            network.encode(torch.zeros(1, 2, 16, 12))


def test_nothing_of_the_folded_network_shares_state_between_calls() -> None:
    folded = FoldedDcae(tiny_dcae())
    latents = torch.randn(1, 8, 2, 5, dtype=torch.float64)
    first = folded.decode(latents)
    folded.decode(torch.randn(1, 8, 2, 9, dtype=torch.float64))
    assert torch.equal(folded.decode(latents), first)
    assert dcae_folded.from_rows(folded.to_rows(latents)).equal(latents)
