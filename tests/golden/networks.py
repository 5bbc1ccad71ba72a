"""Checkers of single networks of ACE-Step 1.5: condition encoder, transformer, audio tokenizer.

Each builds its network from the file's `config`, fills it with the file's weights and returns what it computes under
the names of the recorded `out.` tensors. A case named in tensor names overlays the file's plain inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from partita.models.acestep15.condition import ConditionEncoder, PackedCondition, pack, unpack_references
from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.dit import DiT
from partita.models.acestep15.layers import rotary
from partita.models.acestep15.model import AceStepModel

Tensors = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)

CONDITION_OUTPUTS = (
    "encoder_attention_mask",
    "encoder_hidden_states",
    "lyric_embedded",
    "lyric_encoded",
    "packed_lyric_timbre",
    "packed_lyric_timbre_mask",
    "text_projected",
    "timbre_mask",
    "timbre_unpacked",
)
DIT_OUTPUTS = (
    "after_last_layer",
    "after_layer",
    "condition_embedded",
    "cross_attention",
    "patch_embed",
    "rope_cos",
    "rope_sin",
    "temb_r",
    "temb_t",
    "timestep_proj_r",
    "timestep_proj_t",
    "velocity",
)
TOKENIZER_OUTPUTS = (
    "code_detokenized",
    "code_quantized",
    "detokenized",
    "fsq_projected",
    "indices",
    "padded_latents",
    "pooled",
    "quantized",
    "token_mask",
)


def check_condition_encoder(tensors: Tensors, meta: Mapping[str, str], path: Path) -> Tensors:
    """Every stage of the condition encoder, for the plain inputs and for each case."""
    encoder = _filled(ConditionEncoder, tensors, meta, "encoder.")
    return _for_each_case(tensors, CONDITION_OUTPUTS, partial(_condition, encoder))


def _condition(encoder: ConditionEncoder, given: Tensors) -> Tensors:
    lyric_embedded = encoder.lyric_encoder.embed_tokens(given["lyric_hidden_states"])
    lyrics = PackedCondition(
        encoder.lyric_encoder.encode(lyric_embedded, given["lyric_attention_mask"]),
        given["lyric_attention_mask"].bool(),
    )
    vectors = encoder.timbre_encoder(given["refer_audio_acoustic_hidden_states_packed"])
    timbre = unpack_references(vectors, given["refer_audio_order_mask"], len(given["text_hidden_states"]))
    packed = encoder(
        given["text_hidden_states"],
        given["text_attention_mask"],
        given["lyric_hidden_states"],
        given["lyric_attention_mask"],
        given["refer_audio_acoustic_hidden_states_packed"],
        given["refer_audio_order_mask"],
    )
    lyric_timbre = pack(lyrics, timbre)
    return {
        "text_projected": encoder.text_projector(given["text_hidden_states"]),
        "lyric_embedded": lyric_embedded,
        "lyric_encoded": lyrics.hidden,
        "timbre_unpacked": timbre.hidden,
        "timbre_mask": timbre.mask,
        "packed_lyric_timbre": lyric_timbre.hidden,
        "packed_lyric_timbre_mask": lyric_timbre.mask,
        "encoder_hidden_states": packed.hidden,
        "encoder_attention_mask": packed.mask,
    }


def check_dit(tensors: Tensors, meta: Mapping[str, str], path: Path) -> Tensors:
    """One transformer call with all its intermediates."""
    dit = _filled(DiT, tensors, meta, "decoder.")
    return _for_each_case(tensors, DIT_OUTPUTS, partial(_dit, dit))


def _dit(dit: DiT, given: Tensors) -> Tensors:
    x, t, context = given["hidden_states"], given["timestep"], given["context_latents"]
    r = given.get("timestep_r")
    found: Tensors = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, arguments, output: found.__setitem__(name, output)

    hooks = [layer.register_forward_hook(keep(f"after_layer{index}")) for index, layer in enumerate(dit.layers)]
    layers, heads = dit.config.num_hidden_layers, dit.config.num_attention_heads
    every_head = [(layer, head) for layer in range(layers) for head in range(heads)]
    cache = dit.cross_cache(given["encoder_hidden_states"])
    velocity, maps = dit(x, t, r, cache, context, capture=every_head)
    for hook in hooks:
        hook.remove()
    tokens = dit.embed_patches(x, context)
    positions = rotary(tokens.shape[1], dit.config.head_dim, dit.config.rope_theta, tokens)
    temb_t, proj_t = dit.time_embed(t)
    temb_r, proj_r = dit.time_embed_r(torch.zeros_like(t) if r is None else t - r)
    weights = {
        f"cross_attention.{layer}": torch.stack([maps[layer, head] for head in range(heads)], dim=1)
        for layer in range(layers)
    }
    return {
        **found,
        **weights,
        "after_last_layer": found[f"after_layer{layers - 1}"],
        "velocity": velocity,
        "condition_embedded": cache.condition,
        "patch_embed": tokens,
        "rope_cos": positions.cos,
        "rope_sin": positions.sin,
        "temb_t": temb_t,
        "temb_r": temb_r,
        "timestep_proj_t": proj_t,
        "timestep_proj_r": proj_r,
    }


def check_audio_tokenizer(tensors: Tensors, meta: Mapping[str, str], path: Path) -> Tensors:
    """Latents to codes and back, and codes to latents."""
    model = _filled(AceStepModel, tensors, meta, "", parts=("tokenizer.", "detokenizer."))
    return _for_each_case(tensors, TOKENIZER_OUTPUTS, partial(_audio_tokenizer, model))


def _audio_tokenizer(model: AceStepModel, given: Tensors) -> Tensors:
    tokenizer, quantizer = model.tokenizer, model.tokenizer.quantizer
    found: Tensors = {}
    if "latents" in given:
        padded = tokenizer.pad(given["latents"], given["silence_latent"])
        pooled = tokenizer.pool(padded)
        indices = tokenizer(given["latents"], given["silence_latent"])
        quantized = quantizer.decode(indices)
        found |= {
            "padded_latents": padded,
            "pooled": pooled,
            "fsq_projected": quantizer.project(pooled),
            "indices": indices.unsqueeze(-1),
            "quantized": quantized,
            "detokenized": model.detokenizer(quantized),
        }
    if "attention_mask" in given:
        found["token_mask"] = tokenizer.token_mask(given["attention_mask"])
    if "code_indices" in given:
        quantized = quantizer.decode(given["code_indices"].squeeze(-1))
        found |= {"code_quantized": quantized, "code_detokenized": model.detokenizer(quantized)}
    return found


def _filled(
    network: Callable[[AceStepConfig], Network],
    tensors: Tensors,
    meta: Mapping[str, str],
    prefix: str,
    parts: Sequence[str] = ("",),
) -> Network:
    """The network of the file's configuration with its weights. Of `parts` of a model every weight must be there."""
    with torch.device("meta"):
        built = network(AceStepConfig.from_json(json.loads(meta["config"])))
    start = f"weights.{prefix}"
    weights = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
    missing = built.load_state_dict(weights, strict=False, assign=True).missing_keys
    lacking = [key for key in missing if key.startswith(tuple(parts))]
    assert not lacking, f"the file has no weights for {lacking}"
    return built.eval()


def _for_each_case(tensors: Tensors, outputs: Sequence[str], compute: Callable[[Tensors], Tensors]) -> Tensors:
    """What `compute` makes of the inputs of every case found in the names of the recorded outputs."""
    recorded = [name.removeprefix("out.") for name in tensors if name.startswith("out.")]
    cases = {_case_of(name, outputs) for name in recorded}
    inputs = {name.removeprefix("in."): value for name, value in tensors.items() if name.startswith("in.")}
    result: Tensors = {}
    for case in sorted(cases):
        own = {name.removeprefix(case): value for name, value in inputs.items() if case and name.startswith(case)}
        with torch.inference_mode():
            computed = compute({**inputs, **own})
        for name, value in computed.items():
            expected = tensors.get(f"out.{case}{name}")
            if expected is not None and not expected.is_floating_point():
                value = value.to(expected.dtype)
            result[f"out.{case}{name}"] = value
    return result


def _case_of(name: str, outputs: Sequence[str]) -> str:
    """The case of a recorded output with its dot, or an empty string."""
    places = [0] + [place + 1 for place, letter in enumerate(name) if letter == "."]
    known = [place for place in places if name.startswith(tuple(outputs), place)]
    return name[: known[0]] if known else ""
