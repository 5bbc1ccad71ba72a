"""The built-in model's files: where they lie in the package, and how they become a model and its tokenizer.

Three files: `config.json` (sizes), `model.safetensors` (weights, bfloat16) and `tokenizer.json`. Training writes the
same three, so a directory of one's own can take their place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from partita.errors import ModelError
from partita.models.score_model import ScoreModel, ScoreModelConfig
from partita.runtime import Runtime
from partita.song.card import ModelCard
from partita.text.score_tokens import ScoreTokens
from partita.weights.places import Caches
from partita.weights.skeleton import skeleton

BUILTIN_DIRECTORY = Path(__file__).parents[1] / "data" / "builtin"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


@dataclass(frozen=True, slots=True)
class BuiltInParts:
    """What the part `score_model` is: the networks, and the tokenizer that feeds them."""

    model: ScoreModel
    tokens: ScoreTokens


def load_builtin(directory: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> BuiltInParts:
    """Read a directory of the three files. Raises ModelError where one is missing, damaged or does not fit."""
    for name in (CONFIG, WEIGHTS, TOKENIZER):
        if not (directory / name).exists():
            raise ModelError(
                f"The built-in model needs {name}, and {directory} has none. Install Partita again, or point to a "
                "directory that training wrote.",
                path=directory / name,
            )
    try:
        config = ScoreModelConfig.from_json(json.loads((directory / CONFIG).read_text()))
        weights = load_file(directory / WEIGHTS)
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"The built-in model's files in {directory} are damaged: {error}.", path=directory) from error
    with skeleton():
        model = ScoreModel(config)
    try:
        model.load_state_dict({name: weight.to(device, dtype) for name, weight in weights.items()}, assign=True)
    except RuntimeError as error:
        raise ModelError(
            f"{directory / WEIGHTS} does not fit {CONFIG} beside it: {error}", path=directory / WEIGHTS
        ) from error
    return BuiltInParts(model.eval().requires_grad_(False), ScoreTokens(directory / TOKENIZER, config.max_tokens))


def save_builtin(directory: Path, model: ScoreModel, tokenizer: Path, note: Mapping[str, str]) -> None:
    """Write the three files from a trained model, weights in bfloat16; `note` goes into the weights' metadata."""
    directory.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    save_file(weights, directory / WEIGHTS, metadata=dict(note))
    (directory / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
    (directory / CONFIG).write_text(json.dumps(model.config.to_json(), indent=1) + "\n")
    (directory / TOKENIZER).write_bytes(tokenizer.read_bytes())


class BuiltInLoader:
    """Loads the built-in model (see `partita.weights.loaders.Loader`)."""

    part_names = ("score_model",)

    def __init__(self, device: str, dtype: torch.dtype, directory: Path = BUILTIN_DIRECTORY) -> None:
        self._device, self._dtype, self._directory = device, dtype, directory

    @property
    def identity(self) -> tuple[str, ...]:
        return ("built-in", str(self._directory), self._device, str(self._dtype))

    def load(self, part: str) -> Any:
        """The part `score_model`. Raises ModelError for any other name."""
        if part != "score_model":
            raise ModelError(f"The built-in model has one part, score_model, and {part} was asked for.", key=part)
        return load_builtin(self._directory, device=self._device, dtype=self._dtype)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of each file."""
        return dict(self._digests)

    @cached_property
    def _digests(self) -> dict[str, str]:
        paths = (self._directory / name for name in (CONFIG, WEIGHTS, TOKENIZER))
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}


def open_model(card: ModelCard, runtime: Runtime, caches: Caches, checkpoint_dir: Path | None) -> BuiltInLoader:
    """The loader of the package's own files, or of `checkpoint_dir`. Nothing is downloaded."""
    dtype = getattr(torch, runtime.number_format.value)
    return BuiltInLoader(runtime.device.value, dtype, checkpoint_dir or BUILTIN_DIRECTORY)
