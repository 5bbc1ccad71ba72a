"""Where the parts of ACE-Step v1 lie: the published folder, one sub-folder a network, or one file for ComfyUI. Reads
none of them.

The lyric vocabulary is published with the original program and not with the weights, and ComfyUI has a copy of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from partita.song.card import ModelCard
from partita.weights import naming
from partita.weights.located import Found, Network, Places, best, comfyui_files, known_files, single_or_sharded
from partita.weights.naming import Naming
from partita.weights.shards import WeightSet

TOKENIZER_FILE = "tokenizer.json"
# role -> folder, stem of the weights, naming in one file for ComfyUI, words
_NETWORKS: dict[str, tuple[str, str, Naming, str]] = {
    "transformer": (
        "ace_step_transformer",
        "diffusion_pytorch_model",
        naming.comfyui_v1_transformer,
        "ace_step_transformer",
    ),
    "dcae": ("music_dcae_f8c8", "diffusion_pytorch_model", naming.comfyui_v1_dcae, "music_dcae_f8c8"),
    "vocoder": ("music_vocoder", "diffusion_pytorch_model", naming.comfyui_v1_vocoder, "music_vocoder"),
    "text_encoder": ("umt5-base", "model", naming.comfyui_v1_text_encoder, "umt5-base"),
}
_WORDS = {role: words for role, (_, _, _, words) in _NETWORKS.items()}
_WORDS |= {"tokenizer": f"umt5-base/{TOKENIZER_FILE}", "lyric_vocabulary": "the lyric vocabulary (lyric_vocab.json)"}
_VOCABULARY_NAMES = ("lyric_vocab.json", "vocab.json")
_VOCABULARY_IN_PROGRAMS = (
    "acestep/models/lyrics_utils/vocab.json",
    "comfy/text_encoders/ace_lyrics_tokenizer/vocab.json",
)


def find(card: ModelCard, places: Places) -> Found:
    """What there is of `card`."""
    networks = {
        role: best(_networks(role, card, places.own if role == "transformer" else places.every, places.named))
        for role in _NETWORKS
    }
    folder = _NETWORKS["text_encoder"][0]
    transformer = networks["transformer"]
    beside = () if transformer is None else (transformer.folder,)
    files = {
        "tokenizer": next(_existing(one / folder / TOKENIZER_FILE for one in places.every), None),
        "lyric_vocabulary": next(_existing(_vocabularies(beside, places)), None),
    }
    known = {
        path: entry
        for role, (name, _, _, _) in _NETWORKS.items()
        for path, entry in known_files(
            networks[role], (one for one in card.files if PurePosixPath(one.path).parent.name == name)
        ).items()
    }
    vocabulary = files["lyric_vocabulary"]
    published = [one for one in card.files if one.path in _VOCABULARY_IN_PROGRAMS]
    if vocabulary is not None and published:
        known[vocabulary] = published[0]
    return Found(card, networks, files, _WORDS, known)


def _networks(role: str, card: ModelCard, folders: Iterable[Path], named: Path | None) -> Iterator[Network]:
    name, stem, comfyui_naming, _ = _NETWORKS[role]
    for folder in folders:
        # The folder that the user named may be that of the transformer itself, whatever it is called.
        bare = [folder] if role == "transformer" and folder == named and folder.name not in _folders(but=name) else []
        for place in (folder / name, *bare):
            weights = single_or_sharded(place, stem)
            if weights is not None:
                yield Network("published", (WeightSet(weights),), place / "config.json")
        for path in comfyui_files(folder, card.comfyui):
            yield Network("comfyui", (WeightSet(path, comfyui_naming),), None)


def _folders(but: str) -> set[str]:
    return {name for name, _, _, _ in _NETWORKS.values()} - {but}


def _vocabularies(beside: tuple[Path, ...], places: Places) -> Iterator[Path]:
    for folder in (*(places.own if places.named else ()), *beside):
        yield from (folder / name for name in _VOCABULARY_NAMES)
    for folder in places.every:
        yield folder / _VOCABULARY_NAMES[0]
        yield from (folder / path for path in _VOCABULARY_IN_PROGRAMS)


def _existing(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if path.is_file())
