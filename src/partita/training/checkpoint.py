"""Training checkpoints: weights, their mean and the optimiser's state as safetensors, the rest as JSON.

A checkpoint is a directory that appears whole or not at all, so that a run that is killed while saving resumes from
the one before. Random numbers need no saving: each step draws from a generator seeded with its own number.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from partita.errors import ModelError
from partita.training.ema import WeightMean

_TENSORS = "state.safetensors"
_VALUES = "state.json"


def save_checkpoint(
    directory: Path,
    model: nn.Module,
    mean: WeightMean,
    optimizer: torch.optim.Optimizer,
    values: Mapping[str, Any],
) -> None:
    """Write a checkpoint; `values` is JSON and comes back from `load_checkpoint` (step, elapsed time, settings)."""
    tensors = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
    tensors |= {f"mean.{name}": weight for name, weight in mean.weights.items()}
    names = _trained(model)
    state = optimizer.state_dict()
    for index, entries in state["state"].items():
        tensors |= {f"optimizer.{names[index]}.{key}": torch.as_tensor(value) for key, value in entries.items()}
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial / _TENSORS)
    (partial / _VALUES).write_text(json.dumps({**values, "mean_updates": mean.updates}, indent=1))
    older = directory.with_name(directory.name + ".older")
    shutil.rmtree(older, ignore_errors=True)
    if directory.exists():
        directory.rename(older)
    partial.rename(directory)
    shutil.rmtree(older, ignore_errors=True)


def find_checkpoint(directory: Path) -> Path | None:
    """The checkpoint at `directory`, or the one it was replacing when the machine stopped, or none."""
    older = directory.with_name(directory.name + ".older")
    return next((path for path in (directory, older) if (path / _VALUES).exists()), None)


def load_checkpoint(
    directory: Path, model: nn.Module, mean: WeightMean, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Fill model, mean and optimiser from a checkpoint and return its values.

    Raises ModelError where it does not fit.
    """
    tensors = _read(directory)
    values = json.loads((directory / _VALUES).read_text())
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(_take(tensors, f"model.{name}", parameter, directory))
    mean.load({name: tensors[f"mean.{name}"] for name in mean.weights}, values["mean_updates"])
    state = optimizer.state_dict()
    state["state"] = {
        index: {
            key.removeprefix(f"optimizer.{name}."): value
            for key, value in tensors.items()
            if key.startswith(f"optimizer.{name}.") and "." not in key.removeprefix(f"optimizer.{name}.")
        }
        for index, name in enumerate(_trained(model))
    }
    state["state"] = {index: entries for index, entries in state["state"].items() if entries}
    optimizer.load_state_dict(state)
    return values


def load_mean(directory: Path, model: nn.Module) -> None:
    """Fill `model` with the mean weights of a checkpoint. Raises ModelError where it does not fit."""
    tensors = _read(directory)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(_take(tensors, f"mean.{name}", parameter, directory))


def checkpoint_values(directory: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint."""
    return json.loads((directory / _VALUES).read_text())


def _trained(model: nn.Module) -> list[str]:
    """Names of the parameters that the optimiser has, in its order."""
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def _read(directory: Path) -> dict[str, Tensor]:
    path = directory / _TENSORS
    if not path.exists():
        raise ModelError(f"There is no training checkpoint at {directory}.", path=path)
    return load_file(path)


def _take(tensors: Mapping[str, Tensor], key: str, like: Tensor, directory: Path) -> Tensor:
    tensor = tensors.get(key)
    if tensor is None or tensor.shape != like.shape:
        seen = "nothing" if tensor is None else f"shape {tuple(tensor.shape)}"
        raise ModelError(
            f"The checkpoint {directory} has {seen} for {key}, but the model wants shape {tuple(like.shape)}. "
            "It was made with other sizes; start in another directory.",
            path=directory,
            key=key,
        )
    return tensor
