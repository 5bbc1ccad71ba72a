"""Checkers of the networks of ACE-Step v1: transformer with its condition encoders, lyric encoder, one block's parts.

Each builds its network from the file's `config`, fills it with the file's weights, every one of which must have a
place, and returns what it computes under the names of the recorded `out.` tensors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from partita.models.acestepv1.conditioner import Conditioner, Context
from partita.models.acestepv1.config import LyricEncoderConfig, TransformerConfig, Weaken
from partita.models.acestepv1.layers import Rotary, rotary, rotary_tables
from partita.models.acestepv1.lyric_encoder import LyricEncoder, relative_positions
from partita.models.acestepv1.transformer import (
    Projectors,
    Shared,
    Transformer,
    TransformerBlock,
    unused_shapes,
)

Tensors = dict[str, Tensor]


class Whole(nn.Module):
    """Every network of a published transformer file."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.conditioner = Conditioner(config)
        self.transformer = Transformer(config)
        self.projectors = Projectors(config)

    def fill(self, weights: Tensors) -> None:
        """Give each network its tensors by their published names; nothing may be missing or left over."""
        unused = unused_shapes(self.config)
        assert {name: tuple(weights[name].shape) for name in unused} == unused
        left = {name: value for name, value in weights.items() if name not in unused}
        for network, prefix in ((self.conditioner, ""), (self.transformer, ""), (self.projectors, "projectors.")):
            own = {name: left.pop(prefix + name) for name in network.state_dict()}
            network.load_state_dict(own, assign=True)
        assert not left, f"nothing takes {sorted(left)}"


def whole_network(tensors: Tensors, meta: Mapping[str, str]) -> Whole:
    """The networks of a file of kind `transformer`, in evaluation mode."""
    with torch.device("meta"):
        network = Whole(TransformerConfig.from_json(json.loads(meta["config"])))
    network.fill(_under(tensors, "weights."))
    return network.eval()


def check_transformer(tensors: Tensors, meta: Mapping[str, str], path: Path) -> Tensors:
    """Conditions, single calls and projection losses, with all their intermediates."""
    network = whole_network(tensors, meta)
    modes = {"forward": _forward, "decode": _decode, "decode_erg": _decode, "encode_erg": _encode}
    return _for_each_case(tensors, meta, lambda given, case: modes[case["mode"]](network, given, case))


def _encode(network: Whole, given: Tensors, case: Mapping[str, Any]) -> Tensors:
    found: Tensors = {}
    context = network.conditioner(
        given["encoder_text_hidden_states"],
        given["text_attention_mask"],
        given["speaker_embeds"],
        given["lyric_token_idx"],
        given["lyric_mask"],
        weaken=_weaken(case),
        see=found.__setitem__,
    )
    return found | {"encoder_hidden_states": context.hidden, "encoder_hidden_mask": context.mask}


def _forward(network: Whole, given: Tensors, case: Mapping[str, Any]) -> Tensors:
    found = _encode(network, given, case)
    plain = given | found
    return found | _decode(network, plain, case)


def _decode(network: Whole, given: Tensors, case: Mapping[str, Any]) -> Tensors:
    found: Tensors = {}
    sample = network.transformer(
        given["hidden_states"],
        given["timestep"],
        network.transformer.cross_cache(Context(given["encoder_hidden_states"], given["encoder_hidden_mask"])),
        frame_mask=given["attention_mask"],
        weaken=_weaken(case),
        output_length=case.get("output_length"),
        control=given.get("control"),
        control_scale=case.get("controlnet_scale", 1.0),
        see=found.__setitem__,
    )
    for index, depth in enumerate(network.config.ssl_encoder_depths):
        features = [value for name, value in sorted(given.items()) if name.startswith(f"ssl_{index}_")]
        if features:
            states = found[f"block_{depth}"]
            found[f"proj_loss_{index}"] = network.projectors.loss(index, states, features).reshape(1)
    return found | {"sample": sample}


def check_lyric_encoder(tensors: Tensors, meta: Mapping[str, str], path: Path) -> Tensors:
    """The lyric encoder with its positions and every block."""
    sizes: dict[str, Any] = json.loads(meta["config"])
    assert sizes.pop("static_chunk_size", 0) == 0, "attention in chunks is not part of the model"
    encoder = _filled(lambda: LyricEncoder(LyricEncoderConfig(**sizes)), _under(tensors, "weights."))

    def compute(given: Tensors, case: Mapping[str, Any]) -> Tensors:
        found: Tensors = {}
        hidden = encoder(given["xs"], given["mask"], weaken=_weaken(case), see=found.__setitem__)
        table = relative_positions(hidden.shape[1], hidden.shape[2], hidden)
        return found | {"hidden": hidden, "pos_emb": table.unsqueeze(0)}

    return _for_each_case(tensors, meta, compute)


def check_block(tensors: Tensors, meta: Mapping[str, str], path: Path) -> Tensors:
    """One block, its attentions, its feed-forward and its positions."""
    sizes = json.loads(meta["config"])
    config = TransformerConfig(
        num_attention_heads=sizes["num_attention_heads"],
        attention_head_dim=sizes["attention_head_dim"],
        mlp_ratio=sizes["mlp_ratio"],
        rope_theta=sizes["rope_theta"],
        num_layers=1,
    )
    unused = {name.removeprefix("transformer_blocks.0.") for name in unused_shapes(config)}
    weights = {name: value for name, value in _under(tensors, "weights.").items() if name not in unused}
    block = _filled(lambda: TransformerBlock(config), weights)

    def turning(length: int, like: Tensor) -> Rotary:
        return rotary(length, config.attention_head_dim, config.rope_theta, like)

    def compute(given: Tensors, case: Mapping[str, Any]) -> Tensors:
        if case["mode"] == "rope":
            cos, sin = rotary_tables(case["n"], config.attention_head_dim, config.rope_theta)
            return {"cos": cos, "sin": sin}
        x, context = given["hidden_states"], given.get("encoder_hidden_states")
        frames = None if "attention_mask" not in given else given["attention_mask"].unsqueeze(-1)
        if case["mode"] == "ff":
            return {"out": block.ff(x)}
        positions = turning(x.shape[1], x) if case.get("rope", True) else None
        if case["mode"] == "linear":
            return {"out": block.attn(x, positions, frames)}
        assert context is not None
        seen = given["encoder_attention_mask"].bool() if "encoder_attention_mask" in given else None
        far = None if positions is None else turning(context.shape[1], x)
        key, value = block.cross_attn.keys_values(context, far)
        if case["mode"] == "cross":
            return {"out": block.cross_attn(x, key, value, positions, seen, frames)}
        assert case["mode"] == "block"
        assert positions is not None
        modulation = given["temb"].unflatten(1, (6, -1))
        return {"out": block(x, modulation, key, value, Shared(positions, seen, frames))}

    return _for_each_case(tensors, meta, compute)


def _weaken(case: Mapping[str, Any]) -> Weaken | None:
    return Weaken(case["tau"], case["l_min"], case["l_max"]) if "tau" in case else None


def _filled(build: Callable[[], Any], weights: Tensors) -> Any:
    with torch.device("meta"):
        network = build()
    network.load_state_dict(weights, assign=True)
    return network.eval()


def _under(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _for_each_case(
    tensors: Tensors, meta: Mapping[str, str], compute: Callable[[Tensors, Mapping[str, Any]], Tensors]
) -> Tensors:
    """What `compute` makes of the inputs and parameters of every case that has a recorded output."""
    result: Tensors = {}
    for name, case in _wanted(tensors, json.loads(meta["cases"])):
        with torch.inference_mode():
            computed = compute(_under(tensors, f"in.{name}."), case)
        result |= {f"out.{name}.{output}": value for output, value in computed.items()}
    return result


def _wanted(tensors: Tensors, cases: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return [(name, case) for name, case in cases.items() if _under(tensors, f"out.{name}.")]
