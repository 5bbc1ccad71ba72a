"""What an adapter says of itself, read from its head, its configuration and, for the digest, its bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partita.errors import ModelError
from partita.song.adapters import AdapterFacts, AdapterLayout
from partita.weights.adapters.files import AdapterFile, open_adapter
from partita.weights.adapters.keys import LOKR_PARTS, LORA_PARTS, Part, split_key
from partita.weights.adapters.scaling import Scaling, scaling_of

LONGEST_VALUE = 500
_BASE_MODEL = (
    "base_model_name_or_path",
    "base_model",
    "ss_base_model_version",
    "modelspec.architecture",
    "model_variant",
    "ss_sd_model_name",
)
_NESTED = ("lora_adapter_metadata", "run_metadata", "lokr_config")


def inspect_adapter(path: Path) -> AdapterFacts:
    """The facts of the adapter at `path`. Reads no matrix, but all bytes once for the digest.

    Raises ModelError where there is no adapter, or one that is damaged or of an unknown kind.
    """
    return facts_of(open_adapter(path))


def facts_of(file: AdapterFile) -> AdapterFacts:
    """The facts of an adapter whose files have been found."""
    parts = [(key, *split) for key in file.header.tensors if (split := split_key(key)) is not None]
    changed = {module for _, module, part in parts if part in (*LORA_PARTS, *LOKR_PARTS)}
    if not changed:
        first = next(iter(file.header.tensors), "nothing")
        raise ModelError(
            f"{file.weights} is no LoRA or LoKr adapter: none of its {len(file.header.tensors)} tensors is a factor of "
            f"one; the first is {first}.",
            path=file.weights,
            key=first,
        )
    scaling = scaling_of(file)
    return AdapterFacts(
        name=file.name,
        sha256=_sha256(file.weights),
        kind="lokr" if any(part in LOKR_PARTS for _, _, part in parts) else "lora",
        layout=_layout(file),
        rank=max((_rank(file, key, part) for key, _, part in parts), default=0) or None,
        alpha=_alpha(file, scaling, parts),
        decomposed=any(part == "magnitude" for _, _, part in parts),
        base_model=_base_model(file),
        targets=len(changed),
        bytes=file.header.size_bytes,
        metadata={name: _short(value) for name, value in _said(file).items()},
    )


def _rank(file: AdapterFile, key: str, part: Part) -> int:
    shape = file.header.tensors[key].shape
    return shape[0] if part in ("down", "w1_b", "w2_b") and shape else 0


def _alpha(file: AdapterFile, scaling: Scaling, parts: list[tuple[str, str, Part]]) -> float | None:
    stored = next((key for key, _, part in parts if part == "alpha"), None)
    return scaling.alpha if stored is None else file.number(stored)


def _layout(file: AdapterFile) -> AdapterLayout:
    keys = list(file.header.tensors)
    if file.config is not None or keys[0].startswith("base_model.model."):
        return "peft"
    if "lokr_config" in file.metadata or keys[0].startswith("lycoris_"):
        return "lycoris"
    if keys[0].startswith(("lora_unet_", "lora_transformer_")):
        return "kohya"
    if keys[0].startswith("diffusion_model."):
        return "comfyui"
    named = keys[0].startswith("transformer.") or any(".to_q." in key or ".to_v." in key for key in keys)
    return "diffusers" if named or file.training is not None else "plain"


def _base_model(file: AdapterFile) -> str | None:
    said: dict[str, Any] = {**file.metadata, **(file.config or {})}
    for name in _NESTED:
        inner = _parsed(file.metadata.get(name))
        said = {key.removeprefix("transformer."): value for key, value in inner.items()} | said
    return next((str(said[name]) for name in _BASE_MODEL if said.get(name) not in (None, "", "None")), None)


def _said(file: AdapterFile) -> dict[str, str]:
    settings = file.config or file.training or {}
    config = {name: value for name, value in settings.items() if value not in (None, {}, [])}
    return dict(file.metadata) | {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in config.items()
    }


def _parsed(text: str | None) -> Mapping[str, Any]:
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except ValueError:
        return {}  # the trainer's own notes may be plain text
    return values if isinstance(values, dict) else {}


def _short(value: str) -> str:
    cut = len(value) > LONGEST_VALUE
    return f"{value[:LONGEST_VALUE]}... ({len(value)} characters)" if cut else value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
