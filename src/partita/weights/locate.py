"""Finds a model's files, wherever they lie and in whichever layout, without reading one.

A folder that the user names must hold the model itself; what it lacks of the other parts comes from the caches, and
`Located` says whence. What a family needs and what its layouts are, `locate_acestep15` and `locate_acestepv1` know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from partita.errors import ModelError
from partita.song.card import Family, ModelCard
from partita.weights.catalog import every_file, fetch_command, total_bytes
from partita.weights.located import Found, Located, Places
from partita.weights.places import Caches

_MODULES: dict[Family, str] = {
    "acestep-1.5": "partita.weights.locate_acestep15",
    "acestep-v1": "partita.weights.locate_acestepv1",
}


def locate(card: ModelCard, caches: Caches, checkpoint_dir: Path | None = None) -> Located:
    """The files of `card`: from `checkpoint_dir` where one is given, and from the caches.

    Raises ModelError that names what is missing, where it was looked for, and the command that fetches it.
    """
    found = search(card, caches, checkpoint_dir)
    located = found.whole()
    if located is None:
        raise _not_here(found, caches, checkpoint_dir)
    return located


def search(card: ModelCard, caches: Caches, checkpoint_dir: Path | None = None) -> Found:
    """What there is of `card`. Raises ModelError where `checkpoint_dir` is no folder or an index is damaged."""
    if checkpoint_dir is not None and not checkpoint_dir.is_dir():
        raise ModelError(f"The checkpoint folder {checkpoint_dir} does not exist.", path=checkpoint_dir)
    named = _named_folders(checkpoint_dir)
    cached = tuple(dict.fromkeys(_cached_folders(card, caches)))
    find: Callable[[ModelCard, Places], Found] = import_module(_MODULES[card.family]).find
    return find(card, Places(named[:-1] if checkpoint_dir else cached, named + cached, checkpoint_dir))


def _named_folders(checkpoint_dir: Path | None) -> tuple[Path, ...]:
    """Where a folder that the user names may hold things; the last, its parent, is for shared parts alone."""
    if checkpoint_dir is None:
        return ()
    # Beside a model folder lie the shared parts; `split_files` is how ComfyUI's repository groups them.
    inside = [folder for name in ("split_files", "models") if (folder := checkpoint_dir / name).is_dir()]
    return (checkpoint_dir, *inside, checkpoint_dir.absolute().parent)


def _cached_folders(card: ModelCard, caches: Caches) -> Iterator[Path]:
    repositories = [entry.repository for entry in every_file(card)] + ([card.diffusers] if card.diffusers else [])
    for repository in dict.fromkeys(repositories):
        yield from caches.folders(repository)


def _not_here(found: Found, caches: Caches, checkpoint_dir: Path | None) -> ModelError:
    card, missing = found.card, found.missing()
    looked = [str(folder) for folder in caches.searched]
    seen = ""
    if checkpoint_dir is not None:
        looked.insert(0, str(checkpoint_dir))
        names = sorted(str(path.relative_to(checkpoint_dir)) for path in checkpoint_dir.rglob("*.safetensors"))
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        seen = f" The folder holds {shown}." if names else " The folder holds no safetensors file."
    absent = [Path(name) for name in missing if name not in found.words.values()]
    return ModelError(
        f"{card.id} is not whole on this machine: missing {', '.join(missing)}. Looked in {', '.join(looked)}.{seen} "
        f"Fetch what is missing with `{fetch_command(card)}` ({total_bytes(card) / 1e9:.1f} GB in all), or name the "
        "folder that holds it with --checkpoint-dir.",
        path=absent[0] if absent else checkpoint_dir,
    )
