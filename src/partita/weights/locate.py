"""Finds a model's files, wherever they lie and in whichever layout, without reading one.

Layouts: the published folders; the diffusers one, split by component; single files for ComfyUI. A folder that the user
names must hold the model itself; what it lacks of the shared parts comes from the caches, and `Located` says whence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from partita.errors import ModelError
from partita.song.card import ModelCard, SharedFiles
from partita.weights import naming
from partita.weights.catalog import catalog, every_file, fetch_command, shared_files, total_bytes
from partita.weights.naming import Naming
from partita.weights.places import Caches
from partita.weights.shards import INDEX_SUFFIX, WeightSet, weight_files

Layout = Literal["published", "diffusers", "comfyui"]

SILENCE_FILE = "silence_latent.pt"
TOKENIZER_FILE = "tokenizer.json"
_MODEL, _CODEC = "model", "diffusion_pytorch_model"
_DIFFUSERS_PARTS: dict[str, Naming] = {
    "transformer": naming.diffusers_transformer,
    "condition_encoder": naming.diffusers_condition_encoder,
    "audio_tokenizer": naming.diffusers_audio_tokenizer,
    "audio_token_detokenizer": naming.diffusers_audio_token_detokenizer,
}
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
class Located:
    """Everything an ACE-Step 1.5 model needs, on disk. `silence` is none where the weights hold it (diffusers)."""

    card: ModelCard
    model: Network
    vae: Network
    text_encoder: Network
    tokenizer: Path
    silence: Path | None

    def by_role(self) -> dict[str, Path]:
        """Every file that loading reads, under a name that does not depend on where it lies."""
        networks = (("model", self.model), ("vae", self.vae), ("text_encoder", self.text_encoder))
        named: dict[str, Path] = {}
        for role, network in networks:
            for weights in network.weights:
                part = f"{role}/{weights.path.parent.name}" if network.layout == "diffusers" else role
                named |= {f"{part}/{file.name}": file for file in _with_index(weights.path)}
            if network.config is not None:
                named[f"{role}/{network.config.name}"] = network.config
        named[f"tokenizer/{self.tokenizer.name}"] = self.tokenizer
        if self.silence is not None:
            named[f"silence/{self.silence.name}"] = self.silence
        return named


@dataclass(frozen=True, slots=True)
class Found:
    """What `search` found of a model; none for each thing that is not on this machine."""

    card: ModelCard
    model: Network | None
    vae: Network | None
    text_encoder: Network | None
    tokenizer: Path | None
    silence: Path | None

    def missing(self) -> tuple[str, ...]:
        """Names of the things that were not found, and files that were found to be missing."""
        names: list[str] = []
        for name, network in (("weights", self.model), ("VAE", self.vae), ("text encoder", self.text_encoder)):
            names += [name] if network is None else [str(file) for file in network.missing()]
        names += [] if self.tokenizer else [f"text encoder's {TOKENIZER_FILE}"]
        has_silence = self.silence is not None or (self.model is not None and self.model.layout == "diffusers")
        return tuple(names if has_silence else [*names, SILENCE_FILE])


def locate(card: ModelCard, caches: Caches, checkpoint_dir: Path | None = None) -> Located:
    """The files of `card`: from `checkpoint_dir` where one is given, and from the caches.

    Raises ModelError that names what is missing, where it was looked for, and the command that fetches it.
    """
    found = search(card, caches, checkpoint_dir)
    missing = found.missing()
    complete = found.model and found.vae and found.text_encoder and found.tokenizer
    if missing or not complete:
        raise _not_here(card, caches, checkpoint_dir, missing)
    return Located(card, found.model, found.vae, found.text_encoder, found.tokenizer, found.silence)  # pyright: ignore[reportArgumentType]


def search(card: ModelCard, caches: Caches, checkpoint_dir: Path | None = None) -> Found:
    """What there is of `card`. Raises ModelError where `checkpoint_dir` is no folder or an index is damaged."""
    if checkpoint_dir is not None and not checkpoint_dir.is_dir():
        raise ModelError(f"The checkpoint folder {checkpoint_dir} does not exist.", path=checkpoint_dir)
    named = _named_folders(checkpoint_dir)
    cached = tuple(dict.fromkeys(_cached_folders(card, caches)))
    vae, text = shared_files(card)
    model = _best(_models(card, named[:-1] if checkpoint_dir else cached, bare=checkpoint_dir))
    every = named + cached
    return Found(
        card,
        model,
        _best(_vaes(vae, card, every)),
        _best(_text_encoders(text, card, every)),
        next(_tokenizers(text, every), None),
        next(_silences(card, model, every), None),
    )


def _models(card: ModelCard, folders: Iterable[Path], bare: Path | None) -> Iterator[Network]:
    others = {other.folder for other in catalog()} - {card.folder}
    for folder in folders:
        here = [folder / card.folder]
        # A folder that is the model folder itself: a repository of its own, or what the user named.
        if folder.name not in others and (bare is None or folder == bare):
            here.append(folder)
        for place in here:
            weights = _single_or_sharded(place, _MODEL)
            if weights is not None and _is_acoustic(place):
                yield Network("published", (WeightSet(weights),), place / "config.json")
        diffusers = [_single_or_sharded(folder / part, _CODEC) for part in _DIFFUSERS_PARTS]
        if diffusers[0] is not None:
            paths = [
                path or folder / part / f"{_CODEC}.safetensors"
                for path, part in zip(diffusers, _DIFFUSERS_PARTS, strict=True)
            ]
            sets = tuple(WeightSet(path, name) for path, name in zip(paths, _DIFFUSERS_PARTS.values(), strict=True))
            yield Network("diffusers", sets, folder / "transformer" / "config.json")
        for path in _comfyui(folder, card.comfyui):
            yield Network("comfyui", (WeightSet(path, naming.comfyui_model),), None)


def _vaes(shared: SharedFiles, card: ModelCard, folders: Iterable[Path]) -> Iterator[Network]:
    for folder in folders:
        weights = _single_or_sharded(folder / shared.folder, _CODEC)
        if weights is not None:
            yield Network("published", (WeightSet(weights),), weights.parent / "config.json")
        for path in _comfyui(folder, (*shared.comfyui, *_all_in_one(card))):
            yield Network("comfyui", (WeightSet(path, naming.comfyui_vae),), None)


def _text_encoders(shared: SharedFiles, card: ModelCard, folders: Iterable[Path]) -> Iterator[Network]:
    for folder in folders:
        for name in (shared.folder, "text_encoder"):
            weights = _single_or_sharded(folder / name, _MODEL)
            if weights is not None:
                yield Network("published", (WeightSet(weights, naming.qwen3),), weights.parent / "config.json")
        for path in _comfyui(folder, (*shared.comfyui, *_all_in_one(card))):
            yield Network("comfyui", (WeightSet(path, naming.comfyui_text_encoder),), None)


def _tokenizers(shared: SharedFiles, folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for name in (shared.folder, "tokenizer", "text_encoder"):
            if (path := folder / name / TOKENIZER_FILE).is_file():
                yield path


def _silences(card: ModelCard, model: Network | None, folders: tuple[Path, ...]) -> Iterator[Path]:
    if model is not None and (path := model.folder / SILENCE_FILE).is_file():
        yield path
    if model is not None and model.layout == "published":
        return
    # Every checkpoint ships the same latent (that of silence, from the one VAE): other layouts may take any copy.
    for folder in folders:
        for name in ("", card.folder, *(other.folder for other in catalog())):
            if (path := folder / name / SILENCE_FILE).is_file():
                yield path


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


def _single_or_sharded(folder: Path, stem: str) -> Path | None:
    for path in (folder / f"{stem}.safetensors", folder / f"{stem}{INDEX_SUFFIX}"):
        if path.is_file():
            return path
    # Shards without their index: the index is what is missing, and the message should say so.
    return folder / f"{stem}{INDEX_SUFFIX}" if any(folder.glob(f"{stem}-*-of-*.safetensors")) else None


def _is_acoustic(folder: Path) -> bool:
    return not (folder / TOKENIZER_FILE).exists()


def _comfyui(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        for sub in _COMFYUI_FOLDERS:
            if (path := folder / sub / name).is_file():
                yield path


def _all_in_one(card: ModelCard) -> tuple[str, ...]:
    return tuple(name for name in card.comfyui if name.endswith("_aio.safetensors"))


def _best(networks: Iterator[Network]) -> Network | None:
    first: Network | None = None
    for network in networks:
        if not network.missing():
            return network
        first = first or network
    return first


def _files(path: Path) -> tuple[Path, ...]:
    return weight_files(path) if path.exists() else (path,)


def _with_index(path: Path) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((path, *_files(path))))


def _not_here(card: ModelCard, caches: Caches, checkpoint_dir: Path | None, missing: tuple[str, ...]) -> ModelError:
    looked = [str(folder) for folder in caches.searched]
    seen = ""
    if checkpoint_dir is not None:
        looked.insert(0, str(checkpoint_dir))
        names = sorted(str(path.relative_to(checkpoint_dir)) for path in checkpoint_dir.rglob("*.safetensors"))
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        seen = f" The folder holds {shown}." if names else " The folder holds no safetensors file."
    absent = [Path(name) for name in missing if name.endswith((".safetensors", ".json"))]
    return ModelError(
        f"{card.id} is not whole on this machine: missing {', '.join(missing)}. Looked in {', '.join(looked)}.{seen} "
        f"Fetch what is missing with `{fetch_command(card)}` ({total_bytes(card) / 1e9:.1f} GB in all), or name the "
        "folder that holds it with --checkpoint-dir.",
        path=absent[0] if absent else checkpoint_dir,
    )
