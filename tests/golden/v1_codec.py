"""Checks the codec of ACE-Step v1 against recorded files: autoencoder, vocoder, mels, resampling and all together.

Results come from what the engine runs (the folded networks, `MusicCodec`); what only the plain networks show, their
inner stages, comes from those. `V1_CHECK_PLAIN=1` has the plain networks compute everything they can.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from partita.models.acestepv1.codec import MusicCodec, denormalise, original_latent_length, scale, unscale
from partita.models.acestepv1.dcae import Dcae, DcaeConfig
from partita.models.acestepv1.dcae_folded import FoldedDcae
from partita.models.acestepv1.mel import MelConfig, MelTransform, log_mel
from partita.models.acestepv1.overlap_original import decode_overlap_original
from partita.models.acestepv1.resample import SincResampler
from partita.models.acestepv1.vocoder import Vocoder, VocoderConfig
from partita.models.acestepv1.vocoder_folded import FoldedVocoder

N = TypeVar("N", bound=nn.Module)
Tensors = dict[str, Tensor]


def check_dcae(tensors: Tensors, meta: dict[str, str], path: Path) -> Tensors:
    """`in.<case>.mel` encoded, `in.<case>.latents_scaled` decoded."""
    del path
    dcae = filled(empty(Dcae, DcaeConfig.from_json(json.loads(meta["config"]))), tensors)
    folded = dcae if _plain() else FoldedDcae(dcae)
    got: Tensors = {}
    for case in json.loads(meta["cases"]):
        if (mel := tensors.get(f"in.{case}.mel")) is not None:
            seen = _watched(dcae.encoder.down_blocks, "down_block", lambda mel=mel: dcae.encode(mel))
            latents = folded.encode(mel)
            seen |= {"latents": latents, "latents_scaled": scale(latents)}
        else:
            latents = unscale(tensors[f"in.{case}.latents_scaled"])
            seen = _watched(dcae.decoder.up_blocks, "up_block", lambda latents=latents: dcae.decode(latents))
            mel = folded.decode(latents)
            seen |= {"mel": mel, "mel_denormalized": denormalise(mel)}
        got |= {f"{case}.{name}": value for name, value in seen.items()}
    return got


def check_vocoder(tensors: Tensors, meta: dict[str, str], path: Path) -> Tensors:
    """`in.<case>.mel` to audio."""
    del path
    vocoder = filled(empty(Vocoder, VocoderConfig.from_json(json.loads(meta["config"]))), tensors)
    folded = vocoder if _plain() else FoldedVocoder(vocoder)
    got: Tensors = {}
    for case in json.loads(meta["cases"]):
        mel = tensors[f"in.{case}.mel"]
        seen = _watched(vocoder.backbone.stages, "stage", lambda mel=mel: vocoder.backbone(mel))
        seen["backbone"] = vocoder.backbone(mel)
        seen |= {"conv_pre": vocoder.head.conv_pre(seen["backbone"]), "wav": folded.decode(mel)}
        got |= {f"{case}.{name}": value for name, value in seen.items()}
    return got


def check_mel(tensors: Tensors, meta: dict[str, str], path: Path) -> Tensors:
    """`in.<case>.audio` to magnitudes, mels and log mels."""
    del path
    config = json.loads(meta["config"])
    config = MelConfig(
        config.pop("sample_rate"), **{key: value for key, value in config.items() if key != "win_length"}
    )
    transform = filled(empty(MelTransform, config), tensors)
    got: Tensors = {}
    for case in json.loads(meta["cases"]):
        linear = transform.spectrogram(tensors[f"in.{case}.audio"])
        mel = transform.mel_scale(linear)
        assert torch.equal(log_mel(mel), transform(tensors[f"in.{case}.audio"]))
        got |= {f"{case}.linear": linear, f"{case}.mel": mel, f"{case}.log_mel": log_mel(mel)}
    return got


def check_resample(tensors: Tensors, meta: dict[str, str], path: Path) -> Tensors:
    """`in.<case>.audio` from `orig` to `new` Hz."""
    del path
    return {
        f"{case}.audio": SincResampler(asked["orig"], asked["new"])(tensors[f"in.{case}.audio"])
        for case, asked in json.loads(meta["cases"]).items()
    }


def check_music_dcae(tensors: Tensors, meta: dict[str, str], path: Path) -> Tensors:
    """Audio to latents and back, item by item."""
    del path
    config = json.loads(meta["config"])
    codec = MusicCodec(
        filled(empty(Dcae, DcaeConfig.from_json(config["dcae"])), tensors, "dcae."),
        filled(empty(Vocoder, VocoderConfig.from_json(config["vocoder"])), tensors, "vocoder."),
    )
    got: Tensors = {}
    for case, asked in json.loads(meta["cases"]).items():
        if asked["mode"] == "encode":
            audio, rate = tensors[f"in.{case}.audio"], asked["sr"] or 48_000
            lengths = tensors.get(f"in.{case}.audio_lengths", torch.full((len(audio),), audio.shape[-1]))
            got[f"{case}.latents"] = torch.stack([codec.encode(item, rate) for item in audio])
            got[f"{case}.latent_lengths"] = torch.tensor([original_latent_length(int(n), rate) for n in lengths])
            continue
        for index, latents in enumerate(tensors[f"in.{case}.latents"]):
            rate = asked["sr"] or 44_100
            if asked["mode"] == "decode_overlap":
                audio = torch.cat(list(decode_overlap_original(codec, latents, rate)))
            else:
                audio = codec.decode(latents, rate)
            got[f"{case}.wav_{index}"] = audio.T
    return got


def empty(kind: Any, config: object) -> Any:
    """A network of `kind` on the meta device."""
    with torch.device("meta"):
        return kind(config)


def filled(network: N, tensors: Tensors, prefix: str = "") -> N:
    """`network` with the weights of a recorded file, every key used and none left over."""
    start = f"weights.{prefix}"
    weights = {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False).eval()


def _watched(stages: nn.Module, name: str, run: Any) -> Tensors:
    """What each of `stages` gives while `run` runs."""
    seen: Tensors = {}

    def hook(index: int) -> Any:
        return lambda _module, _inputs, output: seen.__setitem__(f"{name}_{index}", output)

    hooks = [stage.register_forward_hook(hook(index)) for index, stage in enumerate(stages.children())]
    run()
    for one in hooks:
        one.remove()
    return seen


def _plain() -> bool:
    return bool(os.environ.get("V1_CHECK_PLAIN"))
