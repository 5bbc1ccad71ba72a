"""One rename table a layout: the names that a file gives its tensors, turned into the published ones.

Published names are those of the original checkpoints, which the networks in `partita.models` carry too. A naming is a
function of a stored name that returns the published name, or none where the tensor belongs to something else (an
all-in-one file also holds a planner). Sources: the conversion script of diffusers for its layout; the sizes of the
published files, to the byte, for ComfyUI's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Naming = Callable[[str], str | None]

# diffusers name -> published name, wherever it stands in a key
_DIFFUSERS_ATTENTION = (
    (".to_q.", ".q_proj."),
    (".to_k.", ".k_proj."),
    (".to_v.", ".v_proj."),
    (".to_out.0.", ".o_proj."),
    (".norm_q.", ".q_norm."),
    (".norm_k.", ".k_norm."),
)
_DIFFUSERS_PATCHES = (("proj_in_conv.", "proj_in.1."), ("proj_out_conv.", "proj_out.1."))

# Positions in ComfyUI's sequential codec -> published names. A residual unit is snake, conv, snake, conv.
_CODEC_OUTER = {"0": "conv1", "6": "snake1", "7": "conv2"}
_CODEC_UNIT = {"0": "snake1", "1": "conv1", "2": "snake2", "3": "conv2"}
_CODEC_ENCODER = {"0": "res_unit1", "1": "res_unit2", "2": "res_unit3", "3": "snake1", "4": "conv1"}
_CODEC_DECODER = {"0": "snake1", "1": "conv_t1", "2": "res_unit1", "3": "res_unit2", "4": "res_unit3"}
_CODEC_KEY = re.compile(r"(encoder|decoder)\.layers\.(\d)\.(?:layers\.(\d)\.(?:layers\.(\d)\.)?)?(\w+)")

# How weight norm names its two tensors in later versions of torch -> in the published files.
_WEIGHT_NORM = (
    (".parametrizations.weight.original0", ".weight_g"),
    (".parametrizations.weight.original1", ".weight_v"),
)

SILENCE_KEY = "silence_latent"


def published(key: str) -> str | None:
    """The original checkpoints' own names."""
    return key


def diffusers_transformer(key: str) -> str | None:
    """Component `transformer`: the decoder, its two patch convolutions without the container around them."""
    for theirs, ours in _DIFFUSERS_PATCHES:
        if key.startswith(theirs):
            key = ours + key.removeprefix(theirs)
    return "decoder." + _attention(key)


def diffusers_spelling(name: str) -> str:
    """A published name inside the transformer (without `decoder.`) as the component `transformer` spells it."""
    for theirs, ours in _DIFFUSERS_PATCHES:
        if name.startswith(ours):
            name = theirs + name.removeprefix(ours)
    for theirs, ours in _DIFFUSERS_ATTENTION:
        name = name.replace(ours, theirs)
    return name


def diffusers_condition_encoder(key: str) -> str | None:
    """Component `condition_encoder`: the encoder, the null condition, and the silence latent as a buffer."""
    if key in ("null_condition_emb", SILENCE_KEY):
        return key
    return "encoder." + _attention(key)


def diffusers_audio_tokenizer(key: str) -> str | None:
    """Component `audio_tokenizer`."""
    return "tokenizer." + _attention(key)


def diffusers_audio_token_detokenizer(key: str) -> str | None:
    """Component `audio_token_detokenizer`."""
    return "detokenizer." + _attention(key)


def qwen3(key: str) -> str | None:
    """The text encoder, with or without the `model.` that a causal model puts in front."""
    return key.removeprefix("model.")


def comfyui_model(key: str) -> str | None:
    """The acoustic model in a ComfyUI checkpoint, whose prefix a file with nothing else leaves out."""
    if key.startswith(("vae.", "text_encoders.")):
        return None
    return key.removeprefix("model.diffusion_model.")


def comfyui_vae(key: str) -> str | None:
    """The codec for ComfyUI, numbered by position as Stable Audio's is."""
    if key.startswith(("model.diffusion_model.", "text_encoders.")):
        return None
    found = _CODEC_KEY.fullmatch(key.removeprefix("vae."))
    if found is None:
        return key
    side, outer, inner, unit, leaf = found.groups()
    if inner is None:
        return ".".join((side, _CODEC_OUTER.get(outer, outer), leaf))
    block = (side, "block", str(int(outer) - 1))
    place = (_CODEC_ENCODER if side == "encoder" else _CODEC_DECODER).get(inner, inner)
    within = () if unit is None else (_CODEC_UNIT.get(unit, unit),)
    return ".".join((*block, place, *within, leaf))


def comfyui_text_encoder(key: str) -> str | None:
    """The text encoder for ComfyUI, alone or in a checkpoint that also holds a planner."""
    if key.startswith(("model.diffusion_model.", "vae.")):
        return None
    if key.startswith("text_encoders."):
        inside = "text_encoders.qwen3_06b.transformer."
        return qwen3(key.removeprefix(inside)) if key.startswith(inside) else None
    return qwen3(key)


def comfyui_v1_transformer(key: str) -> str | None:
    """ACE-Step v1's transformer and conditioner in a ComfyUI checkpoint."""
    return _inside(key, "model.diffusion_model.")


def comfyui_v1_dcae(key: str) -> str | None:
    """ACE-Step v1's mel autoencoder in a ComfyUI checkpoint."""
    return _inside(key, "vae.dcae.")


def comfyui_v1_vocoder(key: str) -> str | None:
    """ACE-Step v1's vocoder in a ComfyUI checkpoint, which may spell weight norm as later versions of torch do."""
    name = _inside(key, "vae.vocoder.")
    if name is None:
        return None
    for theirs, ours in _WEIGHT_NORM:
        name = name.replace(theirs, ours)
    return name


def comfyui_v1_text_encoder(key: str) -> str | None:
    """ACE-Step v1's text encoder in a ComfyUI checkpoint, without the second name of its embedding."""
    return umt5(_inside(key, "text_encoders.umt5base.transformer."))


def umt5(key: str | None) -> str | None:
    """The encoder of UMT5; the encoder's own name of the shared embedding says the same again."""
    return None if key == "encoder.embed_tokens.weight" else key


def _inside(key: str, prefix: str) -> str | None:
    return key.removeprefix(prefix) if key.startswith(prefix) else None


def _attention(key: str) -> str:
    for theirs, ours in _DIFFUSERS_ATTENTION:
        key = key.replace(theirs, ours)
    return key
