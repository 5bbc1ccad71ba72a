"""The loader of a model: from its card and this user's settings to something that reads its parts.

The one place that knows which module reads which family.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from partita.runtime import Runtime
from partita.settings import Settings
from partita.song.card import Family, ModelCard
from partita.weights.located import Located
from partita.weights.places import caches_of

if TYPE_CHECKING:
    from torch import nn

    from partita.weights.located_loader import Adaptable

_MODULES: dict[Family, str] = {
    "built-in": "partita.weights.builtin",
    "acestep-1.5": "partita.weights.acestep15",
    "acestep-v1": "partita.weights.acestepv1",
}

ADAPTED_PARTS: dict[Family, tuple[str, ...]] = {
    "built-in": (),
    "acestep-1.5": ("transformer",),
    "acestep-v1": ("transformer", "conditioner"),
}
"""The parts that adapters of a family change, the largest first."""


class Loader(Protocol):
    """Reads the parts of one model from disk."""

    part_names: tuple[str, ...]

    @property
    def identity(self) -> tuple[str, ...]:
        """Whatever changes what is loaded."""
        ...

    def load(self, part: str) -> Any:
        """Raises ModelError where files are missing, damaged or do not fit the network."""
        ...

    def fingerprint(self) -> dict[str, str]:
        """Each file's identity, the same wherever the files lie."""
        ...


def loader_for(card: ModelCard, runtime: Runtime, *, settings: Settings, checkpoint_dir: Path | None = None) -> Loader:
    """Find the files of `card` and make the loader of its family.

    Raises ModelError that names what is missing and the command that fetches it.
    """
    return import_module(_MODULES[card.family]).open_model(card, runtime, caches_of(settings), checkpoint_dir)


def describe(located: Located) -> dict[str, Callable[[], str]]:
    """For each network of a located model a function that checks it against its files and says what was found.

    The functions raise ModelError; no tensor is read.
    """
    return import_module(_MODULES[located.card.family]).loader_of(located).describe()


def part_bytes(located: Located, number_format: str) -> dict[str, int]:
    """Bytes that the tensors of each part take in memory in a number format, from configurations alone.

    Held at once they are what is needed beside room to compute; one at a time, the largest is. Raises ModelError.
    """
    return import_module(_MODULES[located.card.family]).loader_of(located, number_format).part_bytes()


def adaptable(family: Family, network: nn.Module) -> Adaptable:
    """What adapters of a family may change, as any one of `ADAPTED_PARTS` says it."""
    return import_module(_MODULES[family]).adaptable(network)
