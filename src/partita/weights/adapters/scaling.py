"""What an adapter's alpha is and where it stands: in PEFT's configuration, beside the tensors, or in the metadata.

The product of two factors of rank r is scaled by alpha / r, by alpha / sqrt(r) where the trainer says so (rsLoRA), and
by 1 where nothing says an alpha. ACE-Step v1's trainer leaves both in a `config.json`, and its own loader reads neither
that nor the metadata: there a change comes out weaker or stronger than it was trained. LyCORIS stores the alpha that
alpha / r is right for, rsLoRA or not. Sources: PEFT `tuners/lora/layer.py` and `tuners/lokr/layer.py`, LyCORIS
`modules/lokr.py`, diffusers `loaders/peft.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from partita.errors import ModelError
from partita.weights.adapters.files import PEFT_CONFIG, TRAINING_CONFIG, AdapterFile

T = TypeVar("T")
_DIFFUSERS_METADATA = "lora_adapter_metadata"
# These start from another base than the published weights, which the adapter's file does not hold.
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True, slots=True)
class Scaling:
    """Alpha and how it is used. `ranks` are those that the trainer says, to be compared with the tensors'."""

    alpha: float | None = None
    rank: int | None = None
    alphas: Mapping[str, float] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    square_root: bool = False
    always: bool = False
    """True where the product of whole matrices is scaled too, by the stated rank (PEFT's LoKr)."""

    def alpha_for(self, module: str) -> float | None:
        """The alpha of a module by the path that the trainer gave it, if there is one."""
        return _by_pattern(self.alphas, module, self.alpha)

    def rank_for(self, module: str) -> int | None:
        """The rank that the trainer says for it, if it does."""
        return _by_pattern(self.ranks, module, self.rank)

    def factor(self, alpha: float | None, rank: int | None, *, whole: bool = False) -> float:
        """What the product is multiplied by. `whole`: no matrix is factored, and only PEFT's LoKr scales such."""
        if alpha is None or not rank or (whole and not self.always):
            return 1.0
        return alpha / (math.sqrt(rank) if self.square_root else rank)


def scaling_of(file: AdapterFile, *, as_trained: bool = True) -> Scaling:
    """What the configuration or the metadata says. Without `as_trained`, what ACE-Step v1's own loader passes over is
    not read. Raises ModelError for settings that cannot be honoured."""
    if file.config is not None:
        return _peft(file.config, file.weights.with_name(PEFT_CONFIG))
    if as_trained and _DIFFUSERS_METADATA in file.metadata:
        return _peft(_transformer_part(_object(file, _DIFFUSERS_METADATA)), file.weights)
    if as_trained and file.training is not None:
        return _peft(file.training, file.weights.with_name(TRAINING_CONFIG))
    alpha = file.metadata.get("ss_network_alpha") or file.metadata.get("lora_alpha")
    try:
        return Scaling(alpha=None if alpha in (None, "None") else float(alpha))
    except ValueError:
        raise ModelError(
            f"{file.weights} says its alpha is {alpha!r}, which is no number.", path=file.weights
        ) from None


def _peft(config: Mapping[str, Any], path: Path) -> Scaling:
    kind = str(config.get("peft_type", "LORA")).upper().removeprefix("PEFTTYPE.")
    if kind not in ("LORA", "LOKR"):
        raise ModelError(f"{path} says peft_type {kind}: LORA and LOKR can be used.", path=path, key="peft_type")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower().startswith(_CHANGED_BASE):
        raise ModelError(
            f"{path} says init_lora_weights {start}: such a training changes the model underneath, and the adapter "
            "alone does not hold that. Convert it to plain LoRA with PEFT (save_pretrained with "
            "path_initial_model_for_weight_conversion).",
            path=path,
            key="init_lora_weights",
        )
    if config.get("fan_in_fan_out"):
        raise ModelError(
            f"{path} says fan_in_fan_out: its weights are the other way round than this model's.",
            path=path,
            key="fan_in_fan_out",
        )
    try:
        alpha, rank = config.get("alpha" if kind == "LOKR" else "lora_alpha"), config.get("r")
        alphas, ranks = config.get("alpha_pattern") or {}, config.get("rank_pattern") or {}
        for pattern in (*alphas, *ranks):
            re.compile(pattern)
        return Scaling(
            alpha=None if alpha is None else float(alpha),
            rank=None if rank is None else int(rank),
            alphas={str(name): float(value) for name, value in alphas.items()},
            ranks={str(name): int(value) for name, value in ranks.items()},
            square_root=bool(config.get("use_rslora", False)),
            always=kind == "LOKR",
        )
    except (TypeError, ValueError, AttributeError, re.error) as error:
        raise ModelError(f"{path} holds a rank or alpha that cannot be used ({error}).", path=path) from None


def _transformer_part(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """diffusers puts a pipeline's components behind their names; a file of the transformer alone has none."""
    inside = {
        name.removeprefix("transformer."): value for name, value in settings.items() if name.startswith("transformer.")
    }
    return inside or settings


def _object(file: AdapterFile, key: str) -> Mapping[str, Any]:
    try:
        values = json.loads(file.metadata[key])
    except ValueError as error:
        raise ModelError(f"{file.weights}: its metadata {key} is no JSON ({error}).", path=file.weights) from None
    if not isinstance(values, dict):
        raise ModelError(f"{file.weights}: its metadata {key} should be a JSON object.", path=file.weights)
    return values


def _by_pattern(patterns: Mapping[str, T], module: str, otherwise: T | None) -> T | None:
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return otherwise
