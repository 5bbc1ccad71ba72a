"""Finds the files of an adapter, whatever a trainer calls its output, and reads what stands in their heads.

It reads headers, configurations and single numbers, no matrices, and imports no torch.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partita.errors import ModelError
from partita.weights.configs import read_json
from partita.weights.headers import Header, read_header

PEFT_CONFIG = "adapter_config.json"
PEFT_WEIGHTS = "adapter_model.safetensors"
LOKR_WEIGHTS = "lokr_weights.safetensors"
DIFFUSERS_WEIGHTS = "pytorch_lora_weights.safetensors"
TRAINING_CONFIG = "config.json"
_KNOWN_WEIGHTS = (PEFT_WEIGHTS, LOKR_WEIGHTS, DIFFUSERS_WEIGHTS)
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Where trainers put the adapter inside the folder that the user gave them, most finished first.
_INSIDE = ("", "adapter", "final/adapter", "final", "best/adapter", "best")
_SAYS_NOTHING = frozenset({"adapter", "final", "best", "checkpoints", *(Path(name).stem for name in _KNOWN_WEIGHTS)})
_SCALARS = {"F64": "<d", "F32": "<f", "F16": "<e"}


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """One adapter on disk. `config` is that of PEFT, `metadata` what the weight file's head says beside its tensors.

    `training` is how it was trained, where ACE-Step v1's trainer left that beside the weights; what loads such adapters
    there does not read it.
    """

    name: str
    weights: Path
    header: Header
    metadata: Mapping[str, str]
    config: Mapping[str, Any] | None
    starts: Mapping[str, int]
    training: Mapping[str, Any] | None = None

    def number(self, key: str) -> float:
        """The value of a tensor with one element. Raises ModelError where it has more, or is no plain number."""
        info = self.header.tensors[key]
        if any(n != 1 for n in info.shape) or info.dtype not in (*_SCALARS, "BF16"):
            raise ModelError(
                f"{self.weights}: {key} should be a single number, and is {info.dtype} {list(info.shape)}.",
                path=self.weights,
                key=key,
            )
        with self.weights.open("rb") as file:
            file.seek(self.starts[key])
            raw = file.read(2 if info.dtype in ("BF16", "F16") else struct.calcsize(_SCALARS[info.dtype]))
        return float(
            struct.unpack("<f", b"\0\0" + raw)[0]
            if info.dtype == "BF16"
            else struct.unpack(_SCALARS[info.dtype], raw)[0]
        )


def open_adapter(path: Path) -> AdapterFile:
    """Find and check the files of the adapter at `path`: a folder in which a trainer left one, or a weight file.

    Raises ModelError where there is none, more than one, a damaged one, or one that is not safetensors.
    """
    weights = _weights_of(path.expanduser())
    header = read_header(weights)
    metadata, starts = _head(weights)
    config_path = weights.with_name(PEFT_CONFIG)
    config = read_json(config_path, advice="") if weights.name == PEFT_WEIGHTS and config_path.exists() else None
    return AdapterFile(_name(weights), weights, header, metadata, config, starts, _training(weights))


def has_adapter(path: Path) -> bool:
    """Whether a folder or file looks like an adapter, without reading it."""
    if path.is_file():
        return path.suffix == ".safetensors"
    if any((path / inside / name).is_file() for inside in _INSIDE for name in _KNOWN_WEIGHTS):
        return True
    # A single file of any name is the folder's adapter; beside other folders it is one adapter of several.
    alone = path.is_dir() and not any(one.is_dir() for one in path.iterdir())
    return alone and len(list(path.glob("*.safetensors"))) == 1


def adapters_in(folder: Path) -> list[Path]:
    """Every adapter that lies in `folder`, in the order of names; none where there is no such folder."""
    return sorted(path for path in folder.iterdir() if has_adapter(path)) if folder.is_dir() else []


def _training(weights: Path) -> Mapping[str, Any] | None:
    path = weights.with_name(TRAINING_CONFIG)
    if weights.name != DIFFUSERS_WEIGHTS or not path.is_file():
        return None
    values = read_json(path, advice="")
    return values if "lora_alpha" in values else None  # a `config.json` may as well be of a network


def _weights_of(path: Path) -> Path:
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise ModelError(f"There is no adapter at {path}: name a folder or a .safetensors file.", path=path)
    if path.name == PEFT_CONFIG:
        return _in_folder(path.parent)
    if path.suffix != ".safetensors":
        raise _not_safetensors(path)
    return path


def _in_folder(folder: Path) -> Path:
    for inside in _INSIDE:
        place = folder / inside
        for name in _KNOWN_WEIGHTS:
            if (place / name).is_file():
                return place / name
        pickled = place / "adapter_model.bin"
        if pickled.is_file():
            raise _not_safetensors(pickled)
    files = sorted(folder.glob("*.safetensors"))
    if len(files) == 1:
        return files[0]
    if files:
        raise ModelError(
            f"{folder} holds {len(files)} weight files ({', '.join(file.name for file in files[:3])}, ...): name one.",
            path=folder,
        )
    checkpoints = sorted(one.name for one in (folder / "checkpoints").glob("*") if has_adapter(one))
    if checkpoints:
        raise ModelError(
            f"{folder} holds no finished adapter, only checkpoints of a training: name one, such as "
            f"{folder / 'checkpoints' / checkpoints[-1]}.",
            path=folder,
        )
    pickles = sorted(file for file in folder.glob("*") if file.suffix in _PICKLES and file.stem != "training_state")
    if pickles:
        raise _not_safetensors(pickles[0])
    raise ModelError(
        f"{folder} holds no adapter: expected {PEFT_WEIGHTS}, {LOKR_WEIGHTS} or one other .safetensors file.",
        path=folder,
    )


def _not_safetensors(path: Path) -> ModelError:
    return ModelError(
        f"{path} is no .safetensors file. Files of other kinds can run code when they are opened, so they are not "
        "read. Convert it where you trust it: safetensors.torch.save_file(torch.load(FILE, weights_only=True), "
        f'"{path.with_suffix(".safetensors").name}").',
        path=path,
    )


def _name(weights: Path) -> str:
    parts = [weights.stem, *(parent.name for parent in weights.absolute().parents)]
    return next((part for part in parts if part and part not in _SAYS_NOTHING), weights.stem)


def _head(path: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Metadata, and where each tensor's bytes start in the file. `read_header` has checked the file before."""
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        entries: dict[str, Any] = json.loads(file.read(length))
    metadata = entries.pop("__metadata__", None) or {}
    starts = {key: 8 + length + int(entry["data_offsets"][0]) for key, entry in entries.items()}
    return {str(key): str(value) for key, value in metadata.items()}, starts
