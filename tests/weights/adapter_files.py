"""Tiny adapters in every layout, for the small transformer, and the dense matrices that they stand for.

The names here are written out forwards, from the published ones to each layout's, apart from the code under test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from partita.models.acestep15.dit import DiT
from tests.models.acestep15.small import draw, small_config

MODULES = (
    "layers.0.self_attn.q_proj",
    "layers.0.self_attn.o_proj",
    "layers.1.cross_attn.k_proj",
    "layers.1.cross_attn.v_proj",
    "layers.3.mlp.down_proj",
)
RANK, ALPHA = 3, 6.0
DIFFUSERS = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "o_proj": "to_out.0"}

Factors = dict[str, tuple[Tensor, Tensor]]
"""down and up by module."""


def network(**changes: Any) -> DiT:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DiT(small_config(**changes)).eval().requires_grad_(False)


def run(dit: DiT) -> Tensor:
    """The network at fixed inputs."""
    kind = dit.condition_embedder.weight.dtype
    x, condition, context = (draw(1, *shape, seed=3).to(kind) for shape in ((11, 8), (5, 32), (11, 16)))
    with torch.no_grad():
        velocity = dit(x, torch.tensor([0.6]), None, condition, context)
    assert isinstance(velocity, Tensor)
    return velocity


def lora_factors(dit: DiT, seed: int = 1, rank: int = RANK) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for module in MODULES:
        out, inner = dit.get_submodule(module).weight.shape  # pyright: ignore[reportAttributeAccessIssue]
        made[module] = (torch.randn(rank, inner, generator=generator), torch.randn(out, rank, generator=generator))
    return made


def dense(factors: Factors, scale: float = ALPHA / RANK) -> dict[str, Tensor]:
    """What each module's weight changes by."""
    return {module: scale * up @ down for module, (down, up) in factors.items()}


def reference(dit: DiT, *changes: tuple[dict[str, Tensor], float], **sizes: Any) -> Tensor:
    """The output of a network whose weights were changed by hand: W + sum(strength * change)."""
    other = network(**sizes)
    other.load_state_dict(dit.state_dict())
    for matrices, strength in changes:
        for module, matrix in matrices.items():
            other.get_submodule(module).weight += strength * matrix  # pyright: ignore
    return run(other)


def save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def peft(
    folder: Path,
    factors: Factors,
    *,
    inside: str = "",
    adapter: str = "",
    prefix: str = "base_model.model.",
    **config: Any,
) -> Path:
    """A folder as PEFT's `save_pretrained` writes it; `inside` is where in the folder that a trainer was given."""
    middle = f".{adapter}" if adapter else ""
    tensors = {}
    for module, (down, up) in factors.items():
        tensors[f"{prefix}{module}.lora_A{middle}.weight"] = down
        tensors[f"{prefix}{module}.lora_B{middle}.weight"] = up
    save(folder / inside / "adapter_model.safetensors", tensors)
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "base_model_name_or_path": "acestep-v15-turbo"}
    (folder / inside / "adapter_config.json").write_text(json.dumps(settings | config))
    return folder


def kohya(path: Path, factors: Factors, prefix: str = "lora_unet_") -> Path:
    tensors = {}
    for module, (down, up) in factors.items():
        stem = prefix + module.replace(".", "_")
        tensors[f"{stem}.lora_down.weight"] = down
        tensors[f"{stem}.lora_up.weight"] = up
        tensors[f"{stem}.alpha"] = torch.tensor(ALPHA)
    return save(path, tensors, {"ss_base_model_version": "ace_step_15", "ss_network_dim": str(RANK)})


def comfyui(path: Path, factors: Factors) -> Path:
    """Dotted names behind `diffusion_model.decoder.`; alpha in the tensors."""
    tensors = {}
    for module, (down, up) in factors.items():
        tensors[f"diffusion_model.decoder.{module}.lora_A.weight"] = down
        tensors[f"diffusion_model.decoder.{module}.lora_B.weight"] = up
        tensors[f"diffusion_model.decoder.{module}.alpha"] = torch.tensor(ALPHA, dtype=torch.bfloat16)
    return save(path, tensors)


def diffusers_name(module: str) -> str:
    stem, _, leaf = module.rpartition(".")
    return f"{stem}.{DIFFUSERS.get(leaf, leaf)}"


def diffusers(path: Path, factors: Factors) -> Path:
    """A pipeline's `save_lora_weights`: the component's name in front, alpha in the metadata."""
    tensors = {}
    for module, (down, up) in factors.items():
        tensors[f"transformer.{diffusers_name(module)}.lora_A.weight"] = down
        tensors[f"transformer.{diffusers_name(module)}.lora_B.weight"] = up
    said = {"transformer.r": RANK, "transformer.lora_alpha": ALPHA, "transformer.base_model_name_or_path": "ACE/xl"}
    return save(path, tensors, {"format": "pt", "lora_adapter_metadata": json.dumps(said)})


def diffusers_underscored(path: Path, factors: Factors) -> Path:
    """diffusers' names with underscores, as some trainers write them."""
    return kohya(path, {diffusers_name(module): pair for module, pair in factors.items()}, "lora_transformer_")


LAYOUTS = {
    "peft": lambda folder, factors: peft(folder / "singer", factors),
    "peft-named": lambda folder, factors: peft(folder / "singer", factors, adapter="default"),
    "upstream": lambda folder, factors: peft(folder / "singer", factors, inside="final/adapter"),
    "checkpoint": lambda folder, factors: peft(folder / "epoch_10_loss_0.1", factors, inside="adapter"),
    "kohya": lambda folder, factors: kohya(folder / "singer.safetensors", factors),
    "comfyui": lambda folder, factors: comfyui(folder / "singer.safetensors", factors),
    "diffusers": lambda folder, factors: diffusers(folder / "pytorch_lora_weights.safetensors", factors),
    "diffusers-underscored": lambda folder, factors: diffusers_underscored(folder / "singer.safetensors", factors),
}


def lokr_tensors(dit: DiT, *, factored: bool, seed: int = 5) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """Parts by module, and the dense changes, of a LoKr with w1 `[4, 2]`; `factored`: rank 2 and alpha 5 for w2."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    parts: dict[str, dict[str, Tensor]] = {}
    changes: dict[str, Tensor] = {}
    for module in MODULES:
        out, inner = dit.get_submodule(module).weight.shape  # pyright: ignore[reportAttributeAccessIssue]
        w1 = randn(4, 2)
        if factored:
            a, b = randn(out // 4, 2), randn(2, inner // 2)
            parts[module] = {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": torch.tensor(5.0)}
            changes[module] = torch.kron(w1, a @ b) * 5 / 2
        else:
            w2 = randn(out // 4, inner // 2)
            parts[module] = {"lokr_w1": w1, "lokr_w2": w2, "alpha": torch.tensor(5.0)}
            changes[module] = torch.kron(w1, w2)
    return parts, changes


def lycoris(path: Path, parts: dict[str, dict[str, Tensor]], **config: Any) -> Path:
    """`lokr_weights.safetensors` as upstream's training writes it."""
    tensors = {
        f"lycoris_{module.replace('.', '_')}.{part}": tensor
        for module, inside in parts.items()
        for part, tensor in inside.items()
    }
    return save(path, tensors, {"algo": "lokr", "format": "lycoris", "lokr_config": json.dumps(config)})
