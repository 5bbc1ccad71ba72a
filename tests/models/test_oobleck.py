"""The codec: published names, recorded numbers, tiles that equal the whole, a folded form that equals the plain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from partita.errors import ModelError
from partita.models import oobleck_folded
from partita.models.oobleck import OobleckConfig, OobleckVAE, Posterior, Snake, kernel_from_weight_norm, limit_peak
from partita.models.oobleck_folded import FoldedOobleck
from partita.models.oobleck_tiling import (
    DECODE_CHUNK_FRAMES,
    DECODE_OVERLAP_FRAMES,
    ENCODE_OVERLAP_FRAMES,
    decode_chunks,
    decode_tiled,
    encode_tiled,
    plan_tiles,
)
from tests.golden.vae import check_vae

ROOT = Path(__file__).parents[2]
GOLDEN = [
    path
    for folder in (ROOT / "tests/golden/data/v15", ROOT.parent / "shared/golden/v15")
    for path in sorted(folder.glob("04*.safetensors"))
][:1]
MANIFEST = ROOT.parent / "shared/manifests/ace-step-1.5-vae.json"

# The published ratios at the smallest widths: every stride and dilation is the real one, so reach is too.
PUBLISHED_RATES = OobleckConfig(
    encoder_hidden_size=4,
    channel_multiples=(1, 1, 2, 2, 3),
    decoder_channels=2,
    decoder_input_channels=2,
)
ODD_RATES = OobleckConfig(
    encoder_hidden_size=4,
    downsampling_ratios=(3, 5),
    channel_multiples=(1, 2),
    decoder_channels=3,
    decoder_input_channels=2,
)


def random_vae(config: OobleckConfig, dtype: torch.dtype = torch.float32) -> OobleckVAE:
    """A network whose Snakes differ by channel and which, unlike plain random weights, does not magnify rounding."""
    torch.manual_seed(7)
    vae = OobleckVAE(config).to(dtype).requires_grad_(False)
    for module in vae.modules():
        if isinstance(module, Snake):
            module.alpha.uniform_(-0.4, 0.4)
            module.beta.uniform_(0.4, 1.2)
    for name, parameter in vae.named_parameters():
        if name.endswith("bias"):
            parameter.uniform_(-0.2, 0.2)
        if name.endswith("conv2.weight_g") and "res_unit" in name:
            parameter.fill_(0.3)
    return vae


def largest_gap(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return (a.double() - b.double()).abs().max().item()


@pytest.mark.skipif(not GOLDEN, reason="the recorded VAE file is not here")
@pytest.mark.parametrize("plain", [False, True], ids=["folded", "plain"])
def test_recorded_numbers_are_met(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAE_CHECK_PLAIN", "1" if plain else "")
    path = GOLDEN[0]
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        meta = file.metadata()
    got = check_vae(tensors, meta, path)
    expected = {name: t for name, t in tensors.items() if name.startswith("out.")}
    assert set(got) == set(expected)
    worst = {name: largest_gap(got[name], t) for name, t in expected.items()}
    assert max(worst.values()) <= 5e-5, worst


@pytest.mark.skipif(not MANIFEST.exists(), reason="the manifest of the published VAE is not here")
def test_keys_and_shapes_are_the_published_ones() -> None:
    manifest = {name: shape for name, (_, shape) in json.loads(MANIFEST.read_text()).items()}
    with torch.device("meta"):
        vae = OobleckVAE(OobleckConfig())
    assert len(manifest) == 365
    assert {name: list(t.shape) for name, t in vae.state_dict().items()} == manifest


def test_config_reads_the_published_file_and_refuses_an_uneven_one() -> None:
    values = {"_class_name": "AutoencoderOobleck", "downsampling_ratios": [2, 4], "channel_multiples": [1, 2]}
    config = OobleckConfig.from_json(values)
    assert config.hop_length == 8
    assert config.decoder_blocks == ((256, 128, 4), (128, 128, 2))
    with pytest.raises(ModelError, match="channel_multiples"):
        OobleckConfig.from_json({**values, "channel_multiples": [1]})


def test_reach_of_the_published_rates() -> None:
    config = OobleckConfig()
    assert (config.hop_length, config.decode_reach_frames, config.encode_reach_frames) == (1920, 9, 7)
    assert config.decode_reach_frames <= DECODE_OVERLAP_FRAMES
    assert config.encode_reach_frames <= ENCODE_OVERLAP_FRAMES


def test_weight_norm_gives_rows_of_the_stored_length() -> None:
    kernel = kernel_from_weight_norm(torch.tensor([2.0, -3.0]).view(2, 1, 1), torch.randn(2, 3, 5).bfloat16())
    assert kernel.dtype == torch.float32
    torch.testing.assert_close(kernel.flatten(1).norm(dim=1), torch.tensor([2.0, 3.0]))


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-10), (torch.float32, 5e-5)])
@pytest.mark.parametrize("overlap", [9, 11])
def test_tiled_decode_equals_the_whole(dtype: torch.dtype, limit: float, overlap: int) -> None:
    vae = random_vae(PUBLISHED_RATES, dtype)
    latents = torch.randn(1, 2, 47, dtype=dtype)
    whole = vae.decode(latents)
    assert whole.abs().max() > 1e-3
    assert whole.shape == (1, 2, 47 * 1920)
    assert largest_gap(decode_tiled(vae, latents, 2 * overlap + 6, overlap), whole) <= limit


def test_an_overlap_below_the_reach_is_not_exact() -> None:
    vae = random_vae(PUBLISHED_RATES, torch.float64)
    latents = torch.randn(1, 2, 47, dtype=torch.float64)
    assert largest_gap(decode_tiled(vae, latents, 12, 3), vae.decode(latents)) > 1e-6


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-10), (torch.float32, 5e-5)])
def test_tiled_encode_equals_the_whole(dtype: torch.dtype, limit: float) -> None:
    vae = random_vae(PUBLISHED_RATES, dtype)
    audio = torch.randn(1, 2, 41 * 1920 + 777, dtype=dtype)
    whole = vae.encode(audio)
    assert whole.mean.shape == (1, 2, 41)
    tiled = encode_tiled(vae, audio, 22 * 1920, 7 * 1920)
    assert largest_gap(tiled.mean, whole.mean) <= limit
    assert largest_gap(tiled.std, whole.std) <= limit


def test_a_rest_shorter_than_a_frame_is_dropped_by_tiles_as_by_the_whole() -> None:
    vae = random_vae(ODD_RATES, torch.float64)
    audio = torch.randn(1, 2, 15 * 40 + 7, dtype=torch.float64)
    tiled = encode_tiled(vae, audio, 15 * 20, 0)
    assert tiled.mean.shape[-1] == 40


@pytest.mark.parametrize("config", [PUBLISHED_RATES, ODD_RATES], ids=["published", "odd"])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-10), (torch.float32, 5e-5)])
@pytest.mark.parametrize("stretch", [1, 50, None], ids=["shortest", "short", "whole"])
def test_folded_equals_plain(config: OobleckConfig, dtype: torch.dtype, limit: float, stretch: int | None) -> None:
    vae = random_vae(config, dtype)
    if stretch is None:
        folded = FoldedOobleck(vae)
    else:
        # A few rows of Snake and `stretch` rows of a block at a time: many seams, fewer where the rates are high.
        rows = stretch if config is ODD_RATES else 40 * stretch
        folded = FoldedOobleck(vae, stretch_values=64, shortest_stretch=rows)
    latents = torch.randn(2, 2, 5, dtype=dtype)
    audio = torch.randn(2, 2, 3 * config.hop_length + 4, dtype=dtype)
    assert largest_gap(folded.decode(latents), vae.decode(latents)) <= limit
    expected, got = vae.encode(audio), folded.encode(audio)
    assert largest_gap(got.mean, expected.mean) <= limit
    assert largest_gap(got.std, expected.std) <= limit


def test_folding_to_a_half_format_stays_close_and_returns_float32() -> None:
    vae = random_vae(PUBLISHED_RATES)
    folded = FoldedOobleck(vae, dtype=torch.bfloat16)
    latents = torch.randn(1, 2, 6)
    expected, got = vae.decode(latents), folded.decode(latents)
    assert got.dtype == torch.float32
    assert (got - expected).norm() / expected.norm() < 0.03


def test_the_batch_does_not_matter_to_the_folded_codec() -> None:
    folded = FoldedOobleck(random_vae(PUBLISHED_RATES))
    latents = torch.randn(3, 2, 4)
    assert torch.equal(folded.decode(latents)[1:2], folded.decode(latents[1:2]))


def test_the_short_sine_meets_the_bound_it_states() -> None:
    snake = Snake(64)
    torch.nn.init.uniform_(snake.alpha, -1, 1)
    torch.nn.init.zeros_(snake.beta)
    folded = oobleck_folded._Snake.fold(snake, torch.bfloat16, torch.device("cpu"))
    scratch = oobleck_folded._Scratch.of(640, torch.device("cpu"), torch.float32)
    x = torch.linspace(-20, 20, 64_000).view(1000, 64).bfloat16()
    with torch.no_grad():
        exact = snake.double()(x.double().t().unsqueeze(0))[0].t()
        got = folded(x, scratch, torch.float32)
    # Float32 resolves the argument, up to 20 e / pi, to 1e-6; the rest is the polynomial's.
    assert largest_gap(got, exact) <= oobleck_folded.SINE_SQUARED_ERROR + 1e-5


def test_chunks_arrive_in_order_and_stopping_stops_the_work() -> None:
    calls: list[int] = []

    class Counting:
        config = PUBLISHED_RATES

        def encode(self, audio: torch.Tensor) -> Posterior:
            raise NotImplementedError

        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            calls.append(latents.shape[-1])
            return latents.repeat_interleave(1920, dim=-1)

    latents = torch.arange(100.0).view(1, 1, 100)
    pieces = decode_chunks(Counting(), latents, 30, 10)
    first = next(pieces)
    assert calls == [20]
    assert torch.equal(first[0, 0, ::1920], torch.arange(10.0))
    rest = torch.cat(list(pieces), dim=-1)
    assert torch.equal(torch.cat([first, rest], dim=-1)[0, 0, ::1920], torch.arange(100.0))


@given(st.integers(1, 400), st.integers(1, 90), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_tiles_cover_everything_once_within_the_chunk(length: int, chunk: int, overlap: int) -> None:
    tiles = plan_tiles(length, chunk, overlap)
    assert [tile.core_start for tile in tiles] == [0, *(tile.core_end for tile in tiles[:-1])]
    assert tiles[-1].core_end == length
    for tile in tiles:
        assert 0 <= tile.window_start <= tile.core_start < tile.core_end <= tile.window_end <= length
        assert tile.window_end - tile.window_start <= chunk


def test_no_song_length_is_one_tile_by_accident() -> None:
    assert len(plan_tiles(DECODE_CHUNK_FRAMES, DECODE_CHUNK_FRAMES, 16)) == 1
    assert len(plan_tiles(DECODE_CHUNK_FRAMES + 1, DECODE_CHUNK_FRAMES, 16)) == 2


def test_shapes_that_do_not_fit_are_named() -> None:
    vae = random_vae(PUBLISHED_RATES)
    for codec in (vae, FoldedOobleck(vae)):
        with pytest.raises(ModelError, match="transpose"):
            codec.decode(torch.zeros(1, 5, 64))
        with pytest.raises(ModelError, match="at least 1920"):
            codec.encode(torch.zeros(1, 2, 1919))
    with pytest.raises(ModelError, match="overlap"):
        plan_tiles(10, 5, -1)


def test_only_loud_items_are_divided_by_their_peak() -> None:
    audio = torch.tensor([[[0.5, -2.0]], [[0.25, -0.5]]])
    assert torch.equal(limit_peak(audio), torch.tensor([[[0.25, -1.0]], [[0.25, -0.5]]]))


def test_posterior_sample_uses_the_given_noise() -> None:
    posterior = Posterior.from_moments(torch.zeros(1, 4, 3))
    noise = torch.randn(1, 2, 3)
    torch.testing.assert_close(posterior.sample(noise), noise * (torch.tensor(2.0).log() + 1e-4))
