"""What was found of a model on disk, whatever its family: named networks with their files, and single files by role.

It reads no file but the index of a sharded one. Which networks a family has, and where they lie in each layout, is the
business of `locate_acestep15` and `locate_acestepv1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from partita.song.card import FileEntry, ModelCard
from partita.weights.shards import INDEX_SUFFIX, WeightSet, weight_files

Layout = Literal["published", "diffusers", "comfyui"]
_COMFYUI_FOLDERS = ("", "diffusion_models", "unet", "checkpoints", "vae", "text_encoders", "clip")


@dataclass(frozen=True, slots=True)
class Network:
    """The files of one network. `config` is none where the layout has no configuration file for it."""

    layout: Layout
    weights: tuple[WeightSet, ...]
    config: Path | None

    @property
    def folder(self) -> Path:
        """Where its first file lies."""
        return self.weights[0].path.parent

    def missing(self) -> tuple[Path, ...]:
        """Files that it names and that are not there."""
        named = [file for weights in self.weights for file in _files(weights.path)]
        named += [self.config] if self.config else []
        return tuple(file for file in named if not file.exists())


@dataclass(frozen=True, slots=True)
class Places:
    """Folders to look into, best first. `own` may hold the model itself, `every` any part of it; `named` is the folder
    that the user named, if there is one."""

    own: tuple[Path, ...]
    every: tuple[Path, ...]
    named: Path | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """Everything that a model needs, on disk: its networks and single files by role, the model itself first.

    `known` is what the catalog says of files that lie in the published layout.
    """

    card: ModelCard
    networks: Mapping[str, Network]
    files: Mapping[str, Path]
    known: Mapping[Path, FileEntry]

    @property
    def model(self) -> Network:
        """The network that the model is named for, the first."""
        return next(iter(self.networks.values()))

    def by_role(self) -> dict[str, Path]:
        """Every file that loading reads, under a name that does not depend on where it lies."""
        named: dict[str, Path] = {}
        for role, network in self.networks.items():
            for weights in network.weights:
                part = f"{role}/{weights.path.parent.name}" if network.layout == "diffusers" else role
                named |= {f"{part}/{file.name}": file for file in _with_index(weights.path)}
            if network.config is not None:
                named[f"{role}/{network.config.name}"] = network.config
        return named | {f"{role}/{path.name}": path for role, path in self.files.items()}


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of a model; none for each role of which nothing is on this machine. `words` call roles by name."""

    card: ModelCard
    networks: Mapping[str, Network | None]
    files: Mapping[str, Path | None]
    words: Mapping[str, str]
    known: Mapping[Path, FileEntry]

    @property
    def model(self) -> Network | None:
        """The network that the model is named for, the first."""
        return next(iter(self.networks.values()))

    def missing(self) -> tuple[str, ...]:
        """Names of the things that were not found, and files that were found to be missing."""
        names: list[str] = []
        for role, network in self.networks.items():
            names += [self.words[role]] if network is None else [str(file) for file in network.missing()]
        return (*names, *(self.words[role] for role, path in self.files.items() if path is None))

    def whole(self) -> Located | None:
        """All of it as `Located`, or none where anything is missing."""
        if self.missing():
            return None
        networks = {role: network for role, network in self.networks.items() if network is not None}
        files = {role: path for role, path in self.files.items() if path is not None}
        return Located(self.card, networks, files, self.known)


def best(networks: Iterator[Network]) -> Network | None:
    """The first that is whole, else the first."""
    first: Network | None = None
    for network in networks:
        if not network.missing():
            return network
        first = first or network
    return first


def known_files(network: Network | None, entries: Iterable[FileEntry]) -> dict[Path, FileEntry]:
    """What the catalog knows of the files in the folder of `network`; other layouts are other files."""
    if network is None or network.layout != "published":
        return {}
    return {network.folder / PurePosixPath(entry.path).name: entry for entry in entries}


def single_or_sharded(folder: Path, stem: str) -> Path | None:
    """The weights called `stem` in `folder`: one file, or an index of several."""
    for path in (folder / f"{stem}.safetensors", folder / f"{stem}{INDEX_SUFFIX}"):
        if path.is_file():
            return path
    # Shards without their index: the index is what is missing, and the message should say so.
    return folder / f"{stem}{INDEX_SUFFIX}" if any(folder.glob(f"{stem}-*-of-*.safetensors")) else None


def comfyui_files(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Single files called one of `names`, in `folder` or in one of those that ComfyUI sorts them into."""
    for name in names:
        for sub in _COMFYUI_FOLDERS:
            if (path := folder / sub / name).is_file():
                yield path


def _files(path: Path) -> tuple[Path, ...]:
    return weight_files(path) if path.exists() else (path,)


def _with_index(path: Path) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((path, *_files(path))))
