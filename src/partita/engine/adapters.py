"""Adapters for the time of one run: finding them by name, path or digest, and lending a network that has them.

A network is never changed: a run borrows a stand-in that shares everything but the adapted layers, so that two runs
that borrow one network from the store, with other adapters or none, cannot see each other's. There is nothing to lock
and nothing to restore.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import nn

from partita.errors import ModelError, ReplayError, ResourceError
from partita.models.adapters import adapted
from partita.render.protocol import Parts
from partita.song.adapters import AdapterFacts
from partita.song.card import Family
from partita.weights.adapters import Adapter, adapters_in, inspect_adapter, load_adapter
from partita.weights.adapters.files import has_adapter
from partita.weights.loaders import ADAPTED_PARTS, adaptable
from partita.weights.tensors import expected_shapes

_MEMORY = "known.json"


class AdapterShelf:
    """Where adapters are: a folder of them, each by its name, and any path that was used before, by its digest.

    `folder` is made when first needed. What was used is remembered in `known.json` in it, which may be deleted: then
    only a replay with an adapter outside the folder does not find it by itself.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self) -> list[Path]:
        """Every adapter in the folder, in the order of names."""
        return adapters_in(self.folder)

    def locate(self, path_or_name: str) -> Path:
        """The adapter that a person means: one of the folder by its name, else the one at that path.

        Raises ModelError where there is none.
        """
        if Path(path_or_name).name == path_or_name:
            for name in (path_or_name, f"{path_or_name}.safetensors"):
                if has_adapter(self.folder / name):
                    return self.folder / name
        path = Path(path_or_name).expanduser()
        if path.exists():
            return path
        here = ", ".join(sorted(path.stem if path.is_file() else path.name for path in self.paths())) or "none"
        raise ModelError(
            f"There is no adapter {path_or_name!r}: it is no path, and {self.folder} holds: {here}.", path=path
        )

    def resolve(self, path_or_name: str) -> AdapterFacts:
        """The facts of the adapter that a person means, remembered so that `find` finds it again.

        Raises ModelError where there is none or it cannot be read, ResourceError where it cannot be remembered.
        """
        path = self.locate(path_or_name)
        facts = inspect_adapter(path)
        self._remember(facts.sha256, path)
        return facts

    def find(self, sha256: str, name: str = "") -> Path:
        """The adapter with this digest: where it was last used, else in the folder. Its bytes are compared.

        Raises ReplayError where it is nowhere; `name` is what the message calls it.
        """
        known = self._known().get(sha256)
        for path in ([Path(known)] if known else []) + self.paths():
            if _is(path, sha256):
                return path
        last = f" It was last at {known}." if known else ""
        raise ReplayError(
            f"The adapter {name or 'of this song'} (sha256 {sha256}) is not here.{last} Put it into {self.folder}."
        )

    def find_again(self, facts: AdapterFacts) -> Path:
        """As `find`, and with the scale that it had: a PEFT folder keeps that outside the weight file.

        Raises ReplayError where it is nowhere or says another scale.
        """
        path = self.find(facts.sha256, facts.name)
        here = inspect_adapter(path)
        for setting in _deciding(facts).keys() | _deciding(here).keys():
            before, after = _deciding(facts).get(setting), _deciding(here).get(setting)
            if before != after:
                raise ReplayError(
                    f"The adapter {facts.name} had {setting} {before}, and {path} says {after}: put its configuration "
                    "back as it was."
                )
        return path

    def _known(self) -> dict[str, str]:
        try:
            known = json.loads((self.folder / _MEMORY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # nothing remembered yet, or damaged: it is only a memory of where to look first
        return {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}

    def _remember(self, sha256: str, path: Path) -> None:
        place = str(path.absolute())
        if self._known().get(sha256) == place:
            return
        file = self.folder / _MEMORY
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(file.with_suffix(".lock")):
                partial = file.with_suffix(".part")
                partial.write_text(json.dumps(self._known() | {sha256: place}, indent=1), encoding="utf-8")
                partial.replace(file)
        except OSError as error:
            raise ResourceError(
                f"{file} cannot be written ({error.strerror}), and a replay would not find the adapter again: make "
                "room, or set PARTITA_DATA to a folder that can be written to."
            ) from error


class AdaptedParts:
    """`partita.render.protocol.Parts` in which some have adapters at strengths, and all others are as they were.

    Which parts an adapter changes, the model's family says. Adapters are read when the first of them is lent, for all
    of them, and stay read for as long as this value lives (their factors are views of the mapped files). `what` is what
    an error calls the network; `as_trained` is what `load_adapter` takes.

    Changes are applied on the fly unless `merge` is set. On two cores, bfloat16, 1500 tokens, one 2048 x 2048 layer:
    12.7 ms plain, 1.3 ms more with LoRA of rank 64, 1.5 to 2.6 ms more with LoKr or DoRA; merging takes 11 to 17 ms
    once and keeps a second copy of every adapted weight (1.2 GB for the attention of a 2B model). So it pays from
    about ten calls of the network on, and then saves at most a tenth or two of the adapted layers' time.
    """

    def __init__(
        self,
        parts: Parts,
        adapters: Sequence[tuple[Path, float]],
        *,
        family: Family = "acestep-1.5",
        what: str = "the transformer",
        as_trained: bool = True,
        merge: bool = False,
    ) -> None:
        self._parts, self._adapters = parts, tuple(adapters)
        self._family: Family = family
        self._what, self._as_trained, self._merge = what, as_trained, merge
        self._read: list[Adapter] = []

    def use(self, name: str) -> AbstractContextManager[Any]:
        """Lend a part. Entering raises ModelError where its files or an adapter's are unusable, or do not fit."""
        lent = self._parts.use(name)
        return self._adapted(lent) if name in ADAPTED_PARTS[self._family] and self._adapters else lent

    @contextmanager
    def _adapted(self, lent: AbstractContextManager[nn.Module]) -> Iterator[nn.Module]:
        with lent as network:
            if not self._read:
                self._read = [self._load(path, network) for path, _ in self._adapters]
            here = expected_shapes(network)
            chosen = [
                ({name: delta for name, delta in one.deltas.items() if f"{name}.weight" in here}, strength)
                for one, (_, strength) in zip(self._read, self._adapters, strict=True)
            ]
            with adapted(network, chosen, merge=self._merge) as stand_in:
                yield stand_in

    def _load(self, path: Path, network: nn.Module) -> Adapter:
        whole = adaptable(self._family, network)
        return load_adapter(path, whole.shapes, self._what, idle=whole.idle, as_trained=self._as_trained)


def _is(path: Path, sha256: str) -> bool:
    try:
        return inspect_adapter(path).sha256 == sha256
    except (ModelError, OSError):
        return False  # something else lies there by this time


def _deciding(facts: AdapterFacts) -> dict[str, Any]:
    """Settings outside the weight file that change what the adapter does."""
    kept = ("alpha_pattern", "rank_pattern", "use_rslora", "r")
    return {"alpha": facts.alpha} | {name: facts.metadata[name] for name in kept if name in facts.metadata}
