"""Loads a planner of ACE-Step 1.5: its network as a decoder, in any form of its weights.

It knows what the files should hold; the network is `models.qwen3_decoder`'s business and the
vocabulary, which is read from `tokenizer.json`, the planner's own. Sizes come from `config.json`; the catalog's are a
check. Parts: `network`, and `tokenizer`, which is the folder that it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from partita.errors import ModelError
from partita.models.native_step import Build, build
from partita.models.quantised import Form, Int8Linear, fastest, int4, int8, plain
from partita.models.qwen3 import Qwen3, Qwen3Config
from partita.models.qwen3_decoder import Qwen3Decoder
from partita.runtime import Runtime
from partita.song.card import PlannerCard
from partita.weights.catalog import configuration, fetch_command, planners
from partita.weights.configs import read_json
from partita.weights.fingerprint import fingerprint
from partita.weights.locate_planner import COMPANIONS, LocatedPlanner, locate_planner
from partita.weights.naming import qwen3
from partita.weights.places import Caches
from partita.weights.shards import WeightSet, weight_files
from partita.weights.skeleton import skeleton
from partita.weights.tensors import Stored, check, expected_shapes, fill, find_tensors

PART_NAMES = ("network", "tokenizer")
WeightFormat = Literal["full", "int8", "int4"]
FORMS: Mapping[WeightFormat, Form] = {"full": fastest, "int8": int8, "int4": int4}
"""What becomes of the layers' weights. The output head follows, save that it is never below eight bits."""

NATIVE_FORMS: Mapping[WeightFormat, Form] = {"full": plain, "int8": Int8Linear}
"""The same where a step was built for this processor: it reads weights row by row."""

_HEAD = "lm_head.weight"


def open_planner(
    card: PlannerCard,
    runtime: Runtime,
    caches: Caches,
    checkpoint_dir: Path | None = None,
    weight_format: WeightFormat = "full",
) -> PlannerLoader:
    """The loader of `card`. Raises ModelError where its files are not on this machine."""
    located = locate_planner(card, caches, checkpoint_dir)
    native = caches.own / "native"
    return PlannerLoader(located, runtime.device.value, runtime.number_format.value, weight_format, native)


class PlannerLoader:
    """Reads the parts of one located planner for one runtime. Holds headers and the configuration, no tensors.

    In the folder `native` a step for this processor is built, or found (`models.native_step`); None goes without.
    """

    part_names: tuple[str, ...] = PART_NAMES

    def __init__(
        self,
        located: LocatedPlanner,
        device: str = "cpu",
        number_format: str = "float32",
        weight_format: WeightFormat = "full",
        native: Path | None = None,
    ) -> None:
        self.located = located
        self._native_folder = native
        self.weight_format: WeightFormat = weight_format
        self._device = torch.device(device)
        self._dtype: torch.dtype = getattr(torch, number_format)

    @property
    def identity(self) -> tuple[str, ...]:
        """Whatever changes what is loaded: the files, the device, the number format, the form of the weights."""
        files = (f"{name}={value}" for name, value in self.fingerprint().items())
        return (self.located.card.id, *files, str(self._device), str(self._dtype), self.weight_format)

    def fingerprint(self) -> dict[str, str]:
        """Name of every file, and its `fingerprint`; the same wherever the files lie."""
        return self._fingerprint

    @property
    def head_form(self) -> Form:
        """For `Qwen3Decoder.head`: as the layers, and eight bits where those have four, as codes break below that."""
        return int8 if self.weight_format == "int4" else self._form

    @cached_property
    def native(self) -> Build:
        """The step that was built for this processor, or why there is none."""
        if self._native_folder is None:
            return Build(None, "it was not asked for")
        if self._device.type != "cpu" or self.weight_format not in NATIVE_FORMS:
            return Build(None, f"it does not know {self._device.type} with {self.weight_format} weights")
        return build(self._native_folder)

    @property
    def _form(self) -> Form:
        return (FORMS if self.native.function is None else NATIVE_FORMS)[self.weight_format]

    def load(self, part: str) -> Any:
        """`network`: the `Qwen3Decoder`, on the runtime's device and in its number format. `tokenizer`: the folder
        that holds `tokenizer.json`.

        Raises ModelError where a file is damaged or does not fit; all tensors are checked before the first is read.
        """
        loaders: dict[str, Callable[[], Any]] = {"network": self._network, "tokenizer": lambda: self.located.folder}
        if part not in loaders:
            raise ModelError(f"{self.located.card.id} has the parts {', '.join(PART_NAMES)}, and no {part!r}.")
        return loaders[part]()

    def check(self) -> None:
        """Compare every tensor name, shape and format with the network. Reads no tensor."""
        _ = self._tensors

    @cached_property
    def config(self) -> Qwen3Config:
        """Sizes of the network. Raises ModelError where they are not those of the planner that was asked for."""
        path = self.located.folder / "config.json"
        values = read_json(path)
        try:
            config = Qwen3Config.from_json(values)
        except ModelError as error:
            raise ModelError(f"{path}: {error}", path=path, key=error.key) from None
        if values.get("tie_word_embeddings") is False:
            raise ModelError(
                f"{path}: `tie_word_embeddings` is false; a planner's output head is its embedding. These files are of "
                "another model.",
                path=path,
                key="tie_word_embeddings",
            )
        published = Qwen3Config.from_json(configuration(self.located.card.configuration))
        if config != published:
            name = next(name for name in vars(published) if getattr(config, name) != getattr(published, name))
            fits = [one.id for one in planners() if Qwen3Config.from_json(configuration(one.configuration)) == config]
            raise ModelError(
                f"{path}: `{name}` is {getattr(config, name)}, and that of {self.located.card.id} is "
                f"{getattr(published, name)}. Ask for the planner that these files are"
                f"{f' ({fits[0]})' if fits else ''}, or name another folder.",
                path=path,
                key=name,
            )
        return config

    @cached_property
    def _fingerprint(self) -> dict[str, str]:
        files = dict.fromkeys((self.located.weights, *weight_files(self.located.weights)))
        return {path.name: fingerprint(path) for path in (*files, *(self.located.folder / name for name in COMPANIONS))}

    @cached_property
    def _tensors(self) -> dict[str, Stored]:
        advice = f"Fetch it with `{fetch_command(self.located.card)}`."
        found = find_tensors([WeightSet(self.located.weights, _tied)], advice)
        check(found, expected_shapes(self._empty()), "the planner")
        return found

    def _empty(self) -> Qwen3:
        with skeleton():
            return Qwen3(self.config)

    def _network(self) -> Qwen3Decoder:
        network, found = self._empty(), self._tensors
        fill(network, found, device=self._device, dtype=self._dtype)
        return Qwen3Decoder(network, self._form, self.native.function)


def _tied(key: str) -> str | None:
    """As `naming.qwen3`; a stored output head is the embedding again."""
    return None if key == _HEAD else qwen3(key)
