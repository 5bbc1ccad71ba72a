"""Tiny checkpoints of ACE-Step v1 in every layout; the codec is that of the recorded numbers.

The renames here are written forwards, from published names to each layout's, independently of the tables under test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from torch import Tensor

from partita.models.acestepv1.conditioner import Conditioner
from partita.models.acestepv1.config import TransformerConfig
from partita.models.acestepv1.transformer import Projectors, Transformer, unused_shapes
from partita.models.umt5 import Umt5Config, Umt5Encoder
from partita.text.v1.tokenizer import LANGUAGE_IDS
from tests.weights.checkpoints import write_json, write_tensors

CODEC = Path(__file__).parents[1] / "golden" / "data" / "v1" / "audio_codec.safetensors"
TRANSFORMER_CONFIG: dict[str, Any] = {
    "_class_name": "ACEStepTransformer2DModel",
    "in_channels": 8,
    "out_channels": 8,
    "num_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "inner_dim": 32,
    "mlp_ratio": 2.5,
    "patch_size": [16, 1],
    "max_height": 16,
    "rope_theta": 1000000.0,
    "speaker_embedding_dim": 8,
    "text_embedding_dim": 16,
    "lyric_encoder_vocab_size": 6693,
    "lyric_hidden_size": 16,
    "lyric_encoder": {"output_size": 16, "attention_heads": 2, "linear_units": 24, "num_blocks": 6},
    "ssl_encoder_depths": [1, 1],
    "ssl_names": ["mert", "m-hubert"],
    "ssl_latent_dims": [6, 4],
}
TEXT_CONFIG: dict[str, Any] = {
    "model_type": "umt5",
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 12,
    "num_heads": 2,
    "vocab_size": 300,
    "feed_forward_proj": "gated-gelu",
    "layer_norm_epsilon": 1e-6,
}
FOLDERS = ("ace_step_transformer", "music_dcae_f8c8", "music_vocoder", "umt5-base")
_TAGS = ["start", "intro", "verse", "chorus", "bridge", "outro", "end", "inst", "solo", "hook", "pre-chorus", "break"]


def transformer() -> dict[str, Tensor]:
    """All tensors of the published file in bfloat16: conditioner, transformer, and those that no song needs."""
    config = TransformerConfig.from_json(TRANSFORMER_CONFIG)
    generator = torch.Generator().manual_seed(9)
    with torch.random.fork_rng():
        torch.manual_seed(8)
        parts = Conditioner(config).state_dict() | Transformer(config).state_dict()
        parts |= {f"projectors.{name}": tensor for name, tensor in Projectors(config).state_dict().items()}
    parts |= {name: torch.randn(shape, generator=generator) for name, shape in unused_shapes(config).items()}
    return {name: tensor.to(torch.bfloat16) for name, tensor in parts.items()}


def codec(part: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """`dcae` or `vocoder`: its `config.json` and its tensors, in bfloat16 as published."""
    prefix = f"weights.{part}."
    with safe_open(CODEC, framework="pt") as file:
        config = json.loads(file.metadata()["config"])[part]
        keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118  (not a mapping)
        return config, {key.removeprefix(prefix): file.get_tensor(key).to(torch.bfloat16) for key in keys}


def text_encoder() -> dict[str, Tensor]:
    """In float32, as published."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return dict(Umt5Encoder(Umt5Config.from_json(TEXT_CONFIG)).state_dict())


def write_text_tokenizer(folder: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(("<pad>", "</s>", "<unk>", *alphabet))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in ("<pad>", "</s>")])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_vocabulary(path: Path, *, size: int = 6693) -> None:
    """Letters, and special tokens where the published lyric vocabulary has them; tokens of no meaning in between."""
    named = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[START]": 261}
    named |= {f"[{'zh-cn' if code == 'zh' else code}]": number for code, number in LANGUAGE_IDS.items()}
    named |= {f"[{tag}]": 6681 + place for place, tag in enumerate(_TAGS)}
    letters = {letter: 14 + place for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz',.!?0123456789[]")}
    taken = {**letters, **named}
    taken |= {f"<{number}>": number for number in set(range(size)) - set(taken.values())}
    tokenizer = Tokenizer(models.BPE(taken, [], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in named])
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


def write_v1_checkpoint(
    folder: Path,
    *,
    vocabulary: bool = True,
    text: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
) -> None:
    """The published folder, and the lyric vocabulary in it unless `vocabulary` is false.

    `text` and `model` change what the `config.json` of text encoder and transformer say; tensors stay.
    """
    config = TRANSFORMER_CONFIG | dict(model or {})
    write_json(folder / FOLDERS[0] / "config.json", config)
    write_tensors(folder / FOLDERS[0] / "diffusion_pytorch_model.safetensors", transformer())
    for part, name in (("dcae", FOLDERS[1]), ("vocoder", FOLDERS[2])):
        config, weights = codec(part)
        write_json(folder / name / "config.json", config)
        write_tensors(folder / name / "diffusion_pytorch_model.safetensors", weights)
    write_json(folder / FOLDERS[3] / "config.json", TEXT_CONFIG | dict(text or {}))
    write_tensors(folder / FOLDERS[3] / "model.safetensors", text_encoder())
    write_text_tokenizer(folder / FOLDERS[3])
    if vocabulary:
        write_vocabulary(folder / "lyric_vocab.json")


def write_v1_comfyui(folder: Path, *, tokenizer: bool = True, newer_norm: bool = False, idle: bool = True) -> None:
    """One file for ComfyUI in `checkpoints`, and beside it what it does not hold. Without `idle` it lacks what no song
    needs; `newer_norm` spells weight norm as later versions of torch do."""
    model = {
        name: tensor for name, tensor in transformer().items() if idle or not ("projectors." in name or "add_" in name)
    }
    everything = {f"model.diffusion_model.{name}": tensor for name, tensor in model.items()}
    everything |= {f"vae.dcae.{name}": tensor for name, tensor in codec("dcae")[1].items()}
    for name, tensor in codec("vocoder")[1].items():
        owner, _, leaf = name.rpartition(".")
        later = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
        everything[f"vae.vocoder.{owner}.{later.get(leaf, leaf) if newer_norm else leaf}"] = tensor
    inside = "text_encoders.umt5base."
    everything |= {f"{inside}transformer.{name}": tensor.half() for name, tensor in text_encoder().items()}
    everything[f"{inside}logit_scale"] = torch.ones(())
    everything["text_encoders.spiece_model"] = torch.zeros(9, dtype=torch.uint8)
    write_tensors(folder / "checkpoints" / "ace_step_v1_3.5b.safetensors", everything)
    write_vocabulary(folder / "comfy" / "text_encoders" / "ace_lyrics_tokenizer" / "vocab.json")
    if tokenizer:
        write_text_tokenizer(folder / "umt5-base")
