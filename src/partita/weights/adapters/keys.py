"""The names that tensors of adapters have: which module each belongs to, and which part of its change it is.

A stored name is a prefix of its trainer's, the path of a module with dots or with underscores, and an ending.
Sources: PEFT's and diffusers' saved files, kohya's sd-scripts, ComfyUI's loaders, LyCORIS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, cast

from partita.weights.naming import diffusers_spelling

Part = Literal["down", "up", "magnitude", "alpha", "scalar", "w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b"]

# PEFT may leave the name of the adapter inside the key, as in `lora_A.default.weight`.
_ADAPTER_NAME = r"(?:\.(?!bias$|weight$)[^.]+)?"
_ENDINGS = (
    re.compile(
        r"(?P<module>.+?)[._]lora(?:_linear_layer)?[._](?P<part>A|B|down|up)" + _ADAPTER_NAME + r"(?:\.weight)?"
    ),
    re.compile(r"(?P<module>.+?)\.(?P<part>lora_magnitude_vector)" + _ADAPTER_NAME + r"(?:\.weight)?"),
    re.compile(r"(?P<module>.+?)\.lokr_(?P<part>w[12](?:_[ab])?)" + _ADAPTER_NAME),
    re.compile(r"(?P<module>.+?)(?:\.lora)?\.(?P<part>dora_scale|alpha|scalar)"),
)
_PARTS: dict[str, Part] = {
    "A": "down",
    "B": "up",
    "dora_scale": "magnitude",
    "lora_magnitude_vector": "magnitude",
}

_PREFIXES = (
    "base_model.model.",
    "diffusion_model.",
    "transformer.",
    "decoder.",
    "model.",
    "module.",
    "_orig_mod.",
    "unet.",
    "lora_unet_",
    "lora_transformer_",
    "lycoris_",
    "diffusion_model_",
    "transformer_",
    "decoder_",
    "model_",
)

LORA_PARTS: tuple[Part, ...] = ("down", "up")
LOKR_PARTS: tuple[Part, ...] = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b")


def split_key(key: str) -> tuple[str, Part] | None:
    """The module's stored path, prefix included, and the part; none where the ending is not one that can be used."""
    for ending in _ENDINGS:
        found = ending.fullmatch(key)
        if found is not None:
            part = found["part"]
            return found["module"], _PARTS.get(part, cast(Part, part))
    return None


class ModuleNames:
    """The modules of one network under every spelling that adapters use: their own, diffusers', with underscores."""

    def __init__(self, weights: Iterable[str]) -> None:
        self._modules: dict[str, str] = {}
        names = [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]
        # A network's own spelling goes before all others, should two agree.
        self._modules.update({name: name for name in names})
        for spell in (_diffusers, _underscored, lambda name: _underscored(_diffusers(name))):
            for name in names:
                self._modules.setdefault(spell(name), name)

    def find(self, path: str) -> str | None:
        """The module that a stored path means, or none."""
        while path not in self._modules:
            prefix = next((one for one in _PREFIXES if path.startswith(one)), None)
            if prefix is None:
                return None
            path = path.removeprefix(prefix)
        return self._modules[path]


def _diffusers(name: str) -> str:
    return diffusers_spelling(name + ".").removesuffix(".")


def _underscored(name: str) -> str:
    return name.replace(".", "_")
