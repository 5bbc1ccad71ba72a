"""Tiny checkpoints in every layout, the acoustic model being the one of the recorded generations.

The renames here are written forwards, from published names to each layout's, independently of the tables under test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from torch import Tensor

from partita.models.oobleck import OobleckConfig, OobleckVAE

GOLDEN = Path(__file__).parents[1] / "golden" / "data" / "v15" / "05_generate_turbo.safetensors"
FRAMES = 800
TEXT_CONFIG: dict[str, Any] = {
    "model_type": "qwen3",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 300,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
}


def model() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The acoustic model: `config.json` and tensors in bfloat16, as published files store them."""
    with safe_open(GOLDEN, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
        keys = [key for key in file.keys() if key.startswith("weights.")]  # noqa: SIM118  (not a mapping)
        weights = {key.removeprefix("weights."): file.get_tensor(key).to(torch.bfloat16) for key in keys}
    return {**config, "is_turbo": True}, weights


def vae() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The codec with its five blocks, narrow."""
    config = {
        "audio_channels": 2,
        "channel_multiples": [1, 2, 4, 8, 16],
        "decoder_channels": 4,
        "decoder_input_channels": 8,
        "downsampling_ratios": [2, 4, 4, 6, 10],
        "encoder_hidden_size": 4,
        "sampling_rate": 48000,
    }
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = OobleckVAE(OobleckConfig.from_json(config))
        for name, parameter in network.named_parameters():
            if name.endswith(("alpha", "beta", "weight_g")):
                torch.nn.init.uniform_(parameter, 0.5, 1.0)
    return config, {name: tensor.to(torch.bfloat16) for name, tensor in network.state_dict().items()}


def text_encoder() -> dict[str, Tensor]:
    size = TEXT_CONFIG
    heads, kv = size["num_attention_heads"] * size["head_dim"], size["num_key_value_heads"] * size["head_dim"]
    shapes: dict[str, list[int]] = {"embed_tokens.weight": [size["vocab_size"], size["hidden_size"]]}
    for layer in range(size["num_hidden_layers"]):
        at = f"layers.{layer}."
        shapes |= {
            at + "input_layernorm.weight": [size["hidden_size"]],
            at + "post_attention_layernorm.weight": [size["hidden_size"]],
            at + "self_attn.q_proj.weight": [heads, size["hidden_size"]],
            at + "self_attn.k_proj.weight": [kv, size["hidden_size"]],
            at + "self_attn.v_proj.weight": [kv, size["hidden_size"]],
            at + "self_attn.o_proj.weight": [size["hidden_size"], heads],
            at + "self_attn.q_norm.weight": [size["head_dim"]],
            at + "self_attn.k_norm.weight": [size["head_dim"]],
            at + "mlp.gate_proj.weight": [size["intermediate_size"], size["hidden_size"]],
            at + "mlp.up_proj.weight": [size["intermediate_size"], size["hidden_size"]],
            at + "mlp.down_proj.weight": [size["hidden_size"], size["intermediate_size"]],
        }
    shapes["norm.weight"] = [size["hidden_size"]]
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(shape, generator=generator).to(torch.bfloat16) for name, shape in shapes.items()}


def silence() -> Tensor:
    """As published: float32 `[1, channels, frames]`."""
    channels = model()[0]["audio_acoustic_hidden_dim"]
    return torch.randn(1, channels, FRAMES, generator=torch.Generator().manual_seed(4))


def write_json(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def write_tensors(path: Path, tensors: dict[str, Tensor], **metadata: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"} | metadata
    )


def write_shards(folder: Path, stem: str, tensors: dict[str, Tensor], count: int = 3) -> None:
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for index in range(count):
        file = f"{stem}-{index + 1:05d}-of-{count:05d}.safetensors"
        chosen = names[index::count]
        write_tensors(folder / file, {name: tensors[name] for name in chosen})
        weight_map |= dict.fromkeys(chosen, file)
    write_json(folder / f"{stem}.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def write_tokenizer(folder: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", normalized=False, special=True)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_shared(folder: Path) -> None:
    """`vae` and `Qwen3-Embedding-0.6B` as in the main repository."""
    config, weights = vae()
    write_json(folder / "vae" / "config.json", config)
    write_tensors(folder / "vae" / "diffusion_pytorch_model.safetensors", weights)
    text = folder / "Qwen3-Embedding-0.6B"
    write_json(text / "config.json", TEXT_CONFIG)
    write_tensors(text / "model.safetensors", text_encoder())
    write_tokenizer(text)
    write_json(text / "tokenizer_config.json", {})


def write_model(folder: Path, *, shards: int = 0, **config: Any) -> None:
    """One model folder as published, in one file or in `shards`."""
    values, weights = model()
    write_json(folder / "config.json", values | config)
    if shards:
        write_shards(folder, "model", weights, shards)
    else:
        write_tensors(folder / "model.safetensors", weights)
    torch.save(silence(), folder / "silence_latent.pt")


def write_published(folder: Path, *, name: str = "acestep-v15-turbo", shards: int = 0) -> None:
    """The main repository."""
    write_model(folder / name, shards=shards)
    write_shared(folder)


def write_diffusers(folder: Path, *, shards: int = 0) -> None:
    """The diffusers layout: components, attention renamed, the silence latent a buffer."""
    config, weights = model()
    parts: dict[str, dict[str, Tensor]] = {
        "transformer": {},
        "condition_encoder": {"silence_latent": silence().transpose(1, 2)},
        "audio_tokenizer": {},
        "audio_token_detokenizer": {},
    }
    homes = {
        "decoder": "transformer",
        "encoder": "condition_encoder",
        "tokenizer": "audio_tokenizer",
        "detokenizer": "audio_token_detokenizer",
    }
    renames = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "o_proj": "to_out.0"}
    renames |= {"q_norm": "norm_q", "k_norm": "norm_k"}
    for name, tensor in weights.items():
        if name == "null_condition_emb":
            parts["condition_encoder"][name] = tensor
            continue
        first, rest = name.split(".", 1)
        pieces = [renames.get(piece, piece) if "attn" in rest else piece for piece in rest.split(".")]
        new = ".".join(pieces).replace("proj_in.1.", "proj_in_conv.").replace("proj_out.1.", "proj_out_conv.")
        parts[homes[first]][new] = tensor
    for part, tensors in parts.items():
        if shards and part == "transformer":
            write_shards(folder / part, "diffusion_pytorch_model", tensors, shards)
        else:
            write_tensors(folder / part / "diffusion_pytorch_model.safetensors", tensors)
    shared = {
        name: config[name] for name in ("head_dim", "rope_theta", "rms_norm_eps", "sliding_window", "layer_types")
    }
    sizes = {
        name: config[name]
        for name in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    }
    transformer = ("num_hidden_layers", "in_channels", "audio_acoustic_hidden_dim", "patch_size", "is_turbo")
    condition = (
        "text_hidden_dim",
        "num_lyric_encoder_hidden_layers",
        "timbre_hidden_dim",
        "num_timbre_encoder_hidden_layers",
    )
    tokens = ("pool_window_size", "fsq_dim", "fsq_input_levels", "num_attention_pooler_hidden_layers")
    write_json(
        folder / "transformer" / "config.json",
        {"_class_name": "AceStepTransformer1DModel", "encoder_hidden_size": config["hidden_size"], **shared, **sizes}
        | {name: config[name] for name in transformer},
    )
    write_json(
        folder / "condition_encoder" / "config.json", {**shared, **sizes} | {name: config[name] for name in condition}
    )
    write_json(
        folder / "audio_tokenizer" / "config.json",
        {**shared, **sizes} | {name: config[name] for name in tokens if name in config},
    )
    write_json(folder / "audio_token_detokenizer" / "config.json", {**shared, **sizes})
    config, weights = vae()
    write_json(folder / "vae" / "config.json", config)
    write_tensors(folder / "vae" / "diffusion_pytorch_model.safetensors", weights)
    write_json(folder / "text_encoder" / "config.json", TEXT_CONFIG)
    write_tensors(folder / "text_encoder" / "model.safetensors", text_encoder())
    write_tokenizer(folder / "tokenizer")


def comfyui_vae() -> dict[str, Tensor]:
    """The codec's tensors as ComfyUI names them: numbered by position, Snake's parameters flat."""
    unit = {"snake1": "0", "conv1": "1", "snake2": "2", "conv2": "3"}
    encoder = {"res_unit1": "0", "res_unit2": "1", "res_unit3": "2", "snake1": "3", "conv1": "4"}
    decoder = {"snake1": "0", "conv_t1": "1", "res_unit1": "2", "res_unit2": "3", "res_unit3": "4"}
    renamed: dict[str, Tensor] = {}
    _, weights = vae()
    outer = {"conv1": "0", "snake1": "6", "conv2": "7"}
    for name, tensor in weights.items():
        pieces = name.split(".")
        leaf = pieces[-1]
        if pieces[1] != "block":
            new = [pieces[0], "layers", outer[pieces[1]], leaf]
        else:
            place = (encoder if pieces[0] == "encoder" else decoder)[pieces[3]]
            new = [pieces[0], "layers", str(int(pieces[2]) + 1), "layers", place]
            new += ["layers", unit[pieces[4]]] if pieces[3].startswith("res_unit") else []
            new.append(leaf)
        renamed[".".join(new)] = tensor.flatten() if leaf in ("alpha", "beta") else tensor
    return renamed


def write_comfyui(folder: Path, *, all_in_one: bool = False) -> None:
    """Single files for ComfyUI: three in three folders, or one with everything and a planner besides."""
    _, weights = model()
    text = {f"model.{name}": tensor for name, tensor in text_encoder().items()}
    if all_in_one:
        inside = "text_encoders.qwen3_06b.transformer."
        everything = {f"model.diffusion_model.{name}": tensor for name, tensor in weights.items()}
        everything |= {f"vae.{name}": tensor for name, tensor in comfyui_vae().items()}
        everything |= {inside + name: tensor for name, tensor in text.items()}
        everything["text_encoders.qwen3_06b.logit_scale"] = torch.ones(())
        everything["text_encoders.qwen3_2b.transformer.model.norm.weight"] = torch.ones(64)
        write_tensors(folder / "checkpoints" / "ace_step_1.5_turbo_aio.safetensors", everything)
    else:
        write_tensors(folder / "diffusion_models" / "acestep_v1.5_turbo.safetensors", weights)
        write_tensors(folder / "vae" / "ace_1.5_vae.safetensors", comfyui_vae())
        write_tensors(folder / "text_encoders" / "qwen_0.6b_ace15.safetensors", text)
    # What these files do not hold must come from elsewhere.
    torch.save(silence(), folder / "silence_latent.pt")
    write_tokenizer(folder / "Qwen3-Embedding-0.6B")
