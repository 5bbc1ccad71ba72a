"""Reads the changes of an adapter for one network, having accounted for every tensor in its file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from partita.errors import ModelError
from partita.song.adapters import AdapterFacts
from partita.weights.adapters.check import LOKR_FACTORS, Check, Target
from partita.weights.adapters.facts import facts_of
from partita.weights.adapters.files import PEFT_CONFIG, PEFT_WEIGHTS, AdapterFile, open_adapter
from partita.weights.adapters.keys import Part
from partita.weights.adapters.scaling import Scaling, scaling_of

if TYPE_CHECKING:
    from torch import Tensor

    from partita.models.adapters import Deltas, LoKrDelta, LoRADelta
    from partita.weights.tensors import TensorReader


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter read for one network. `deltas` are its changes, as `partita.models.adapters` takes them."""

    facts: AdapterFacts
    deltas: Deltas


def load_adapter(
    path: Path,
    network_shapes: Mapping[str, tuple[int, ...]],
    what: str,
    *,
    idle: Collection[str] = (),
    as_trained: bool = True,
) -> Adapter:
    """The adapter at `path` for the network `what`, whose tensors' names and shapes are `network_shapes`.

    `network_shapes` is what `weights.tensors.expected_shapes` gives of the network; `idle` are those of its names that
    nothing reads, and changes of them are left out. `as_trained`: see `scaling_of`. Factors stay views of the mapped
    file, in their own format. Raises ModelError that names the first key that does not fit, with its shape and what
    was expected; with the model that the adapter says it was trained on, where there is one.
    """
    from partita.weights.tensors import TensorReader

    file = open_adapter(path)
    facts, scaling = facts_of(file), scaling_of(file, as_trained=as_trained)
    check = Check(file, facts, what)
    targets = check.targets(network_shapes)
    for target in targets:
        check.parts(target)
    if facts.layout == "peft" and facts.alpha is None:
        raise ModelError(
            f"{file.weights} is PEFT's, which keeps the scale in {PEFT_CONFIG} and not beside the weights: put that "
            f"file into the same folder, with the weights named {PEFT_WEIGHTS}.",
            path=file.weights,
        )
    with TensorReader() as reader:
        deltas = {
            target.name: _Reading(file, check, scaling, target, reader).delta()
            for target in targets
            if f"{target.name}.weight" not in idle
        }
    return Adapter(facts, deltas)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One module's change being read."""

    file: AdapterFile
    check: Check
    scaling: Scaling
    target: Target
    reader: TensorReader

    def delta(self) -> LoRADelta | LoKrDelta:
        from partita.models.adapters import LoKrDelta, LoRADelta

        keys = self.target.keys
        if "down" in keys:
            down, up = self.matrix("down"), self.matrix("up")
            return LoRADelta(down, up, self.scale(down.shape[0]), self.magnitude())
        w1, w2 = (
            (self.matrix(whole),) if whole in keys else (self.matrix(left), self.matrix(right))
            for whole, left, right in LOKR_FACTORS
        )
        # Where both are factored their ranks are one number; LyCORIS takes the second's.
        rank = w2[1].shape[0] if len(w2) == 2 else w1[1].shape[0] if len(w1) == 2 else None
        scalar = self.file.number(keys["scalar"]) if "scalar" in keys else 1.0
        return LoKrDelta(w1, w2, self.scale(rank) * scalar, self.magnitude())

    def scale(self, rank: int | None) -> float:
        """What the product is multiplied by; `rank` is that of its factors, none where no matrix is factored."""
        keys, stored = self.target.keys, self.target.stored
        stated = self.scaling.rank_for(stored)
        if stated is not None and rank is not None and stated != rank:
            key = keys["down"] if "down" in keys else next(iter(keys.values()))
            raise self.check.fault(
                key, f"has the rank {rank}, and the trainer's configuration says {stated}: they do not belong together."
            )
        alpha = self.file.number(keys["alpha"]) if "alpha" in keys else self.scaling.alpha_for(stored)
        return self.scaling.factor(alpha, rank if stated is None else stated, whole=rank is None)

    def magnitude(self) -> Tensor | None:
        """`[out, 1]` or `[1, in]`; PEFT stores `[out]`."""
        if "magnitude" not in self.target.keys:
            return None
        tensor = self._tensor("magnitude")
        return tensor[:, None] if tensor.dim() == 1 else tensor

    def matrix(self, part: Part) -> Tensor:
        return self._tensor(part).view(self.check.shape(self.target.keys[part]))

    def _tensor(self, part: Part) -> Tensor:
        from partita.weights.tensors import Stored

        key = self.target.keys[part]
        info = self.file.header.tensors[key]
        return self.reader.read(Stored(self.file.weights, key, info.dtype, info.shape))
