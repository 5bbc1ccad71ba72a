"""Compares the tensors of an adapter with a network: every name and shape, before a tensor is read.

All complaints are made here. The first tensor that cannot be used is named, with its shape and what was expected.
Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from partita.errors import ModelError
from partita.song.adapters import AdapterFacts
from partita.weights.adapters.files import AdapterFile
from partita.weights.adapters.keys import LOKR_PARTS, LORA_PARTS, ModuleNames, Part, split_key

READABLE_FORMATS = ("BF16", "F32", "F16", "F64")
LOKR_FACTORS: tuple[tuple[Part, Part, Part], ...] = (("w1", "w1_a", "w1_b"), ("w2", "w2_a", "w2_b"))
"""A factor as one matrix, or as the product of two."""

# What the modules that adapters change are called in each family, with dots or with underscores.
_SIGNS = (
    ("ACE-Step v1", re.compile(r"transformer_blocks[._]\d+[._]|lyric_encoder[._]encoders[._]|speaker_embedder")),
    ("ACE-Step 1.5", re.compile(r"layers[._]\d+[._](self_attn|cross_attn|mlp)[._]")),
)


@dataclass(slots=True)
class Target:
    """One module of the network: the shape of its weight, its path in the file, and the key of each part."""

    name: str
    shape: tuple[int, ...]
    stored: str
    keys: dict[Part, str] = field(default_factory=dict)


class Check:
    """Compares one file with one network, called `what`."""

    def __init__(self, file: AdapterFile, facts: AdapterFacts, what: str) -> None:
        self.file, self.facts, self.what = file, facts, what

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a stored matrix; trailing axes of length 1, of convolutions of one point, are dropped."""
        shape = self.file.header.tensors[key].shape
        while len(shape) > 2 and shape[-1] == 1:
            shape = shape[:-1]
        return shape

    def fault(self, key: str, reason: str) -> ModelError:
        """`reason` goes on from the key and its shape."""
        shape = list(self.file.header.tensors[key].shape)
        return ModelError(f"{self.file.weights}: {key} {shape} {reason}", path=self.file.weights, key=key)

    def other_model(self, *, named: bool = True) -> str:
        """What to say of an adapter that does not fit; `named`: its layers are those of the network, but for shapes."""
        base = self.facts.base_model
        if base:
            return f"The adapter was made for another model: it says {base}."
        if named:
            return "The adapter was made for another model or size of it."
        family = next((name for name, sign in _SIGNS if any(map(sign.search, self.file.header.tensors))), None)
        return "The adapter was made for another model" + (f": its names are those of {family}." if family else ".")

    def targets(self, network_shapes: Mapping[str, tuple[int, ...]]) -> list[Target]:
        """Every key with its module. Raises ModelError for the first that has none."""
        names = ModuleNames(network_shapes)
        targets: dict[str, Target] = {}
        wrong: tuple[str, str] | None = None
        for key, info in self.file.header.tensors.items():
            split = split_key(key)
            module = None if split is None else names.find(split[0])
            if split is None:
                wrong = wrong or (key, "is no part of a LoRA or LoKr adapter that can be applied.")
            elif module is None:
                wrong = wrong or (key, f"changes {split[0]}, which {self.what} does not have.")
            elif info.dtype not in READABLE_FORMATS:
                raise self.fault(key, f"is stored as {info.dtype}; {', '.join(READABLE_FORMATS)} can be read.")
            else:
                target = targets.setdefault(module, Target(module, network_shapes[f"{module}.weight"], split[0]))
                if split[1] in target.keys:
                    raise self.fault(key, f"is there again as {target.keys[split[1]]}: two adapters in one file.")
                target.keys[split[1]] = key
        if wrong is not None:
            key, reason = wrong
            raise self.fault(key, reason if targets else f"{reason} {self.other_model(named=False)}")
        return list(targets.values())

    def parts(self, target: Target) -> None:
        """Raises ModelError where a part is missing, one too many, or of the wrong shape."""
        first = next(iter(target.keys.values()))
        lora = [target.keys[part] for part in LORA_PARTS if part in target.keys]
        lokr = [target.keys[part] for part in LOKR_PARTS if part in target.keys]
        if len(target.shape) != 2:
            raise self.fault(first, f"changes a weight {list(target.shape)}: only linear layers can be adapted.")
        if lora and lokr:
            raise self.fault(first, f"is of a module with {lora[0]} and {lokr[0]}: keep one.")
        if lokr:
            self._lokr(target, first)
        elif lora:
            self._lora(target)
        else:
            raise self.fault(first, f"stands alone: no factors for {target.name} are in the file.")
        numbers: tuple[Part, ...] = ("alpha", "scalar")
        for part in numbers:
            if part in target.keys:
                self.file.number(target.keys[part])
        if "magnitude" in target.keys:
            self._magnitude(target)

    def _lora(self, target: Target) -> None:
        alone = [target.keys[part] for part in LORA_PARTS if part in target.keys]
        if len(alone) == 1:
            raise self.fault(alone[0], f"has no partner: the other factor of {target.name} is missing.")
        if "scalar" in target.keys:
            raise self.fault(target.keys["scalar"], "belongs to LoKr and has no meaning beside LoRA factors.")
        out, inner = target.shape
        down, up = target.keys["down"], target.keys["up"]
        rank = self.shape(down)[0]
        self._expect(down, (rank, inner), f"[{rank}, {inner}] (rank, inputs of {target.name})")
        self._expect(up, (out, rank), f"[{out}, {rank}] (outputs of {target.name}, rank)")

    def _lokr(self, target: Target, first: str) -> None:
        shapes: list[tuple[int, int]] = []
        for whole, left, right in LOKR_FACTORS:
            present = [target.keys[part] for part in (whole, left, right) if part in target.keys]
            if len(present) != (1 if whole in target.keys else 2):
                raise self.fault(
                    first, f"needs lokr_{whole}, or else both lokr_{left} and lokr_{right}, for {target.name}."
                )
            for key in present:
                if len(self.shape(key)) != 2:
                    raise self.fault(key, "should be a matrix.")
            outer, inner = self.shape(present[0]), self.shape(present[-1])
            if len(present) == 2 and outer[1] != inner[0]:
                raise self.fault(present[1], f"should have {outer[1]} rows, the rank of {present[0]}.")
            shapes.append((outer[0], inner[1]))
        made = (shapes[0][0] * shapes[1][0], shapes[0][1] * shapes[1][1])
        if made != target.shape:
            raise self.fault(
                first,
                f"and its partners make a matrix {list(made)}, and {target.name} of {self.what} is "
                f"{list(target.shape)}. {self.other_model()}",
            )

    def _magnitude(self, target: Target) -> None:
        key = target.keys["magnitude"]
        out, inner = target.shape
        if self.file.header.tensors[key].shape not in ((out,), (out, 1), (1, inner)):
            raise self.fault(
                key,
                f"should have the shape [{out}], [{out}, 1] or [1, {inner}], to scale {target.name} of {self.what}. "
                f"{self.other_model()}",
            )

    def _expect(self, key: str, shape: tuple[int, int], words: str) -> None:
        if self.shape(key) != shape:
            raise self.fault(key, f"should have the shape {words} of {self.what}. {self.other_model()}")
