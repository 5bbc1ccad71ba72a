"""Checks the Oobleck codec against a recorded file: encoder, decoder, tiles and materialised kernels.

Every number comes from the folded codec of the engine; `VAE_CHECK_PLAIN=1` has the plain network compute them instead.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from partita.models.oobleck import OobleckConfig, OobleckVAE, limit_peak
from partita.models.oobleck_folded import FoldedOobleck
from partita.models.oobleck_tiling import Codec, decode_tiled, encode_tiled

KERNEL_PREFIX = "out.weight_norm."


def load_vae(tensors: dict[str, Tensor], meta: dict[str, str]) -> OobleckVAE:
    """The network of a recorded file: built on the meta device and filled, every key used and none left over."""
    with torch.device("meta"):
        vae = OobleckVAE(OobleckConfig.from_json(json.loads(meta["config"])))
    prefix = "weights."
    weights = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    vae.load_state_dict(weights, assign=True)
    return vae.requires_grad_(False).eval()


def check_vae(tensors: dict[str, Tensor], meta: dict[str, str], path: Path) -> dict[str, Tensor]:
    """What the codec computes for the `in.` tensors of a file, under the names of its `out.` tensors."""
    del path
    vae = load_vae(tensors, meta)
    codec: Codec = vae if os.environ.get("VAE_CHECK_PLAIN") else FoldedOobleck(vae)
    cases = json.loads(meta.get("cases", "{}"))
    got: dict[str, Tensor] = {}
    if "in.audio" in tensors:
        got |= _encoded(vae, codec, tensors, cases)
    if "in.latents" in tensors:
        for name, chunk, overlap, *_ in cases.get("decode", []):
            got[f"out.tiled_decode.{name}"] = decode_tiled(codec, tensors["in.latents"], chunk, overlap)
    for name, value in tensors.items():
        if name.startswith("in.latents"):
            got[f"out.decoded{name.removeprefix('in.latents')}"] = codec.decode(value)
        elif name.startswith("in.loud_wav"):
            got[f"out.peak_normalised{name.removeprefix('in.loud_wav')}"] = limit_peak(value)
        elif name.startswith(KERNEL_PREFIX):
            module = vae.get_submodule(name.removeprefix(KERNEL_PREFIX).removesuffix(".weight"))
            got[name] = module.kernel()  # pyright: ignore[reportCallIssue]
    return got


def _encoded(vae: OobleckVAE, codec: Codec, tensors: dict[str, Tensor], cases: dict[str, list]) -> dict[str, Tensor]:
    """The outputs that follow from `in.audio`. Raw moments are the plain network's: the folded one never shows them."""
    audio = tensors["in.audio"]
    posterior = codec.encode(audio)
    got = {"out.raw_moments": vae.encoder(audio), "out.mean": posterior.mean, "out.std": posterior.std}
    if "in.sample_noise" in tensors:
        got["out.sample"] = posterior.sample(tensors["in.sample_noise"])
    for name, chunk, overlap, *_ in cases.get("encode", []):
        got[f"out.tiled_encode_mean.{name}"] = encode_tiled(codec, audio, chunk, overlap).mean
    return got
