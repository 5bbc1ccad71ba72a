"""Folders on this machine in which published files may already lie.

It knows the layouts of three caches (Hugging Face's, ModelScope's, Partita's own), not what a model needs of them.
Hugging Face's layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from partita.settings import Settings

DEFAULT_REVISION = "main"


@dataclass(frozen=True, slots=True)
class Caches:
    """Where to look and where to download to.

    `own` is Partita's cache folder, `huggingface` the hub cache that downloads from Hugging Face go to. Files in
    `hubs`, further caches of that layout, and in `modelscope`, that program's cache, are used where they lie.
    """

    own: Path
    huggingface: Path
    hubs: tuple[Path, ...] = ()
    modelscope: Path | None = None

    @classmethod
    def of_user(cls, own: Path, *, private: bool = False) -> Caches:
        """The caches of this user; downloads go to the shared cache of Hugging Face, or into `own` if `private`."""
        home = Path.home() / ".cache"
        hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
        if not hub:
            base = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or home) / "huggingface"
            hub = Path(base) / "hub"
        shared = Path(hub).expanduser()
        modelscope = Path(os.environ.get("MODELSCOPE_CACHE") or home / "modelscope" / "hub").expanduser()
        original = home / "ace-step" / "checkpoints"  # where the program of ACE-Step v1 downloads to
        if private:
            return cls(own, own / "huggingface", (shared, original), modelscope)
        return cls(own, shared, (own / "huggingface", original), modelscope)

    @property
    def searched(self) -> tuple[Path, ...]:
        """Every folder that is looked into."""
        return (self.huggingface, *self.hubs, self.own, *([self.modelscope] if self.modelscope else []))

    def hub_repository(self, repository: str, hub: Path | None = None) -> Path:
        """Folder of `owner/name` in a cache of Hugging Face's layout, with `blobs`, `refs` and `snapshots` inside."""
        return (hub or self.huggingface) / ("models--" + repository.replace("/", "--"))

    def own_repository(self, repository: str) -> Path:
        """Folder to which Partita downloads `owner/name` from ModelScope: the files under their own names."""
        return self.own / "models" / repository.replace("/", "--")

    def folders(self, repository: str) -> Iterator[Path]:
        """Folders that hold, or could hold, files of `owner/name` under their own names; best first."""
        for hub in (self.huggingface, *self.hubs):
            yield from _snapshots(self.hub_repository(repository, hub))
        for folder in (self.own_repository(repository), *self._modelscope_folders(repository)):
            if folder.is_dir():
                yield folder

    def _modelscope_folders(self, repository: str) -> tuple[Path, ...]:
        if self.modelscope is None:
            return ()
        owner, _, name = repository.partition("/")
        # ModelScope's program writes a dot in a folder name as three underscores.
        return tuple(self.modelscope / between / owner / name.replace(".", "___") for between in ("models", "."))


def caches_of(settings: Settings) -> Caches:
    """The shared caches of this user, or one folder for everything where `PARTITA_CACHE` names it."""
    return Caches.of_user(settings.cache, private="cache" in settings.model_fields_set)


def _snapshots(repository: Path) -> list[Path]:
    """Snapshots of a repository, the one that `main` points to first, then the latest."""
    reference = repository / "refs" / DEFAULT_REVISION
    current = reference.read_text(encoding="utf-8").strip() if reference.is_file() else ""
    folder = repository / "snapshots"
    if not folder.is_dir():
        return []
    known = sorted(folder.iterdir(), key=lambda snapshot: snapshot.stat().st_mtime, reverse=True)
    return sorted(known, key=lambda snapshot: snapshot.name != current)
