"""Where the parts of an ACE-Step 1.5 model lie, in each layout: the published folders; the diffusers one, split by
component; single files for ComfyUI. Reads none of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from partita.song.card import ModelCard, SharedFiles
from partita.weights import naming
from partita.weights.catalog import catalog, shared_files
from partita.weights.located import Found, Network, Places, best, comfyui_files, known_files, single_or_sharded
from partita.weights.naming import Naming
from partita.weights.shards import WeightSet

SILENCE_FILE = "silence_latent.pt"
TOKENIZER_FILE = "tokenizer.json"
_MODEL, _CODEC = "model", "diffusion_pytorch_model"
_DIFFUSERS_PARTS: dict[str, Naming] = {
    "transformer": naming.diffusers_transformer,
    "condition_encoder": naming.diffusers_condition_encoder,
    "audio_tokenizer": naming.diffusers_audio_tokenizer,
    "audio_token_detokenizer": naming.diffusers_audio_token_detokenizer,
}
_WORDS = {
    "model": "weights",
    "vae": "VAE",
    "text_encoder": "text encoder",
    "tokenizer": f"text encoder's {TOKENIZER_FILE}",
    "silence": SILENCE_FILE,
}


def find(card: ModelCard, places: Places) -> Found:
    """What there is of `card`. No silence latent is looked for where the weights hold it (diffusers)."""
    vae, text = shared_files(card)
    model = best(_models(card, places))
    networks = {
        "model": model,
        "vae": best(_vaes(vae, card, places.every)),
        "text_encoder": best(_text_encoders(text, card, places.every)),
    }
    files = {"tokenizer": next(_tokenizers(text, places.every), None)}
    if model is None or model.layout != "diffusers":
        files["silence"] = next(_silences(card, model, places.every), None)
    known = known_files(model, card.files)
    known |= known_files(networks["vae"], vae.files) | known_files(networks["text_encoder"], text.files)
    return Found(card, networks, files, _WORDS, known)


def _models(card: ModelCard, places: Places) -> Iterator[Network]:
    others = {other.folder for other in catalog()} - {card.folder}
    for folder in places.own:
        here = [folder / card.folder]
        # A folder that is the model folder itself: a repository of its own, or what the user named.
        if folder.name not in others and (places.named is None or folder == places.named):
            here.append(folder)
        for place in here:
            weights = single_or_sharded(place, _MODEL)
            if weights is not None and _is_acoustic(place):
                yield Network("published", (WeightSet(weights),), place / "config.json")
        diffusers = [single_or_sharded(folder / part, _CODEC) for part in _DIFFUSERS_PARTS]
        if diffusers[0] is not None:
            paths = [
                path or folder / part / f"{_CODEC}.safetensors"
                for path, part in zip(diffusers, _DIFFUSERS_PARTS, strict=True)
            ]
            sets = tuple(WeightSet(path, name) for path, name in zip(paths, _DIFFUSERS_PARTS.values(), strict=True))
            yield Network("diffusers", sets, folder / "transformer" / "config.json")
        for path in comfyui_files(folder, card.comfyui):
            yield Network("comfyui", (WeightSet(path, naming.comfyui_model),), None)


def _vaes(shared: SharedFiles, card: ModelCard, folders: Iterable[Path]) -> Iterator[Network]:
    for folder in folders:
        weights = single_or_sharded(folder / shared.folder, _CODEC)
        if weights is not None:
            yield Network("published", (WeightSet(weights),), weights.parent / "config.json")
        for path in comfyui_files(folder, (*shared.comfyui, *_all_in_one(card))):
            yield Network("comfyui", (WeightSet(path, naming.comfyui_vae),), None)


def _text_encoders(shared: SharedFiles, card: ModelCard, folders: Iterable[Path]) -> Iterator[Network]:
    for folder in folders:
        for name in (shared.folder, "text_encoder"):
            weights = single_or_sharded(folder / name, _MODEL)
            if weights is not None:
                yield Network("published", (WeightSet(weights, naming.qwen3),), weights.parent / "config.json")
        for path in comfyui_files(folder, (*shared.comfyui, *_all_in_one(card))):
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
        for name in ("", card.folder, *(other.folder for other in catalog() if other.family == card.family)):
            if (path := folder / name / SILENCE_FILE).is_file():
                yield path


def _is_acoustic(folder: Path) -> bool:
    return not (folder / TOKENIZER_FILE).exists()


def _all_in_one(card: ModelCard) -> tuple[str, ...]:
    return tuple(name for name in card.comfyui if name.endswith("_aio.safetensors"))
