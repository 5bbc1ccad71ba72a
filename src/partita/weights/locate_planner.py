"""Finds a planner's files, wherever they lie, without reading one: weights, configuration, tokenizer in one folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from partita.errors import ModelError
from partita.song.card import PlannerCard
from partita.weights.catalog import fetch_command, total_bytes
from partita.weights.places import Caches
from partita.weights.shards import INDEX_SUFFIX, weight_files

COMPANIONS = ("config.json", "tokenizer.json")
"""What must lie beside the weights."""


@dataclass(frozen=True, slots=True)
class LocatedPlanner:
    """A planner's folder, and its weights there: one file, or an index of several."""

    card: PlannerCard
    weights: Path

    @property
    def folder(self) -> Path:
        return self.weights.parent

    def missing(self) -> tuple[Path, ...]:
        """Files that it needs and that are not there."""
        named = (*(weight_files(self.weights) if self.weights.is_file() else (self.weights,)),)
        return tuple(path for path in (*named, *(self.folder / name for name in COMPANIONS)) if not path.is_file())


def search_planner(card: PlannerCard, caches: Caches, checkpoint_dir: Path | None = None) -> LocatedPlanner | None:
    """The best of the folders that hold weights of `card`: a whole one if there is one. None where there is none.

    Raises ModelError where `checkpoint_dir` is no folder or an index is damaged.
    """
    if checkpoint_dir is not None and not checkpoint_dir.is_dir():
        raise ModelError(f"The checkpoint folder {checkpoint_dir} does not exist.", path=checkpoint_dir)
    found: LocatedPlanner | None = None
    for folder in dict.fromkeys(_folders(card, caches, checkpoint_dir)):
        paths = (folder / "model.safetensors", folder / f"model{INDEX_SUFFIX}")
        weights = next((path for path in paths if path.is_file()), None)
        if weights is None:
            continue
        here = LocatedPlanner(card, weights)
        if not here.missing():
            return here
        found = found or here
    return found


def locate_planner(card: PlannerCard, caches: Caches, checkpoint_dir: Path | None = None) -> LocatedPlanner:
    """The files of `card`: from `checkpoint_dir` where one is given, else from the caches.

    Raises ModelError that names what is missing, where it was looked for, and the command that fetches it.
    """
    found = search_planner(card, caches, checkpoint_dir)
    missing = [str(path) for path in found.missing()] if found else ["its weights"]
    if found is None or missing:
        looked = [str(checkpoint_dir)] if checkpoint_dir else [str(folder) for folder in caches.searched]
        raise ModelError(
            f"{card.id} is not whole on this machine: missing {', '.join(missing)}. Looked in {', '.join(looked)}. "
            f"Fetch it with `{fetch_command(card)}` ({total_bytes(card) / 1e9:.1f} GB), or name the folder that holds "
            f"{card.folder} with --checkpoint-dir.",
            path=found.missing()[0] if found else checkpoint_dir,
        )
    return found


def _folders(card: PlannerCard, caches: Caches, checkpoint_dir: Path | None) -> Iterator[Path]:
    if checkpoint_dir is not None:
        # Published variants have a suffix; one is meant by naming its folder itself.
        yield from (checkpoint_dir / card.folder, checkpoint_dir / "checkpoints" / card.folder, checkpoint_dir)
        return
    for repository in dict.fromkeys(entry.repository for entry in card.files):
        for folder in caches.folders(repository):
            yield folder / card.folder
            if repository.endswith(card.folder):
                yield folder
