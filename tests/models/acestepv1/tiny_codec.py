"""Networks of the v1 codec in small, with random weights that leave no layer silent."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from partita.models.acestepv1.codec import MusicCodec
from partita.models.acestepv1.dcae import Dcae, DcaeConfig
from partita.models.acestepv1.vocoder import Vocoder, VocoderConfig

N = TypeVar("N", bound=nn.Module)

DCAE = DcaeConfig(
    attention_head_dim=4,
    encoder_block_out_channels=(4, 8, 8, 16),
    decoder_block_out_channels=(4, 4, 8, 16),
    encoder_layers_per_block=(1, 1, 2, 1),
    decoder_layers_per_block=(1, 2, 1, 2),
)
VOCODER = VocoderConfig(
    depths=(1, 2),
    dims=(8, 12),
    num_mels=12,
    upsample_rates=(4, 2, 64),
    upsample_initial_channel=16,
    resblock_kernel_sizes=(3, 5),
    resblock_dilation_sizes=((1, 3), (1, 2)),
    pre_conv_kernel_size=5,
    post_conv_kernel_size=7,
)


def awake(network: N, dtype: torch.dtype = torch.float64) -> N:
    """`network` with scales and shifts drawn at random: as initialised, some layers hardly act."""
    generator = torch.Generator().manual_seed(7)
    network = network.to(dtype).requires_grad_(False).eval()
    for name, value in network.named_parameters():
        if name.endswith(("bias", "gamma", "weight_g", "norm.weight", "norm_out.weight")):
            value.copy_(torch.rand(value.shape, generator=generator, dtype=torch.float64) * 0.8 + 0.1)
        else:
            bound = value[0].numel() ** -0.5 * 1.5
            value.copy_((torch.rand(value.shape, generator=generator, dtype=torch.float64) * 2 - 1) * bound)
    return network


def tiny_dcae(dtype: torch.dtype = torch.float64) -> Dcae:
    return awake(Dcae(DCAE), dtype)


def tiny_vocoder(dtype: torch.dtype = torch.float64) -> Vocoder:
    return awake(Vocoder(VOCODER), dtype)


def tiny_codec(dtype: torch.dtype = torch.float64, piece_frames: int = 128) -> MusicCodec:
    return MusicCodec(tiny_dcae(dtype), tiny_vocoder(dtype), piece_frames=piece_frames)


def gap(got: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, of the largest expected value."""
    assert got.shape == expected.shape
    return float((got - expected).abs().max() / expected.abs().max())
