"""Loads the parts of an ACE-Step 1.5 model one by one, from whichever layout its files are in.

It knows which tensors belong to which network and where each configuration stands; the networks are `partita.models`'
business, and what is kept in memory is the engine's. Parts: `text_encoder`, `conditioner`, `transformer`,
`audio_tokenizer`, `audio_detokenizer`, `vae`, `silence_latent`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from partita.errors import ModelError
from partita.models.acestep15.condition import ConditionEncoder
from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.dit import DiT
from partita.models.acestep15.model import AceStepModel
from partita.models.acestep15.tokenizer import AudioDetokenizer, AudioTokenizer
from partita.models.oobleck import OobleckConfig, OobleckVAE
from partita.models.oobleck_folded import FoldedOobleck
from partita.models.qwen3 import Qwen3, Qwen3Config
from partita.runtime import Runtime
from partita.song.card import ModelCard
from partita.text.tokenizers import TextTokenizer
from partita.weights.catalog import configuration, shared_files
from partita.weights.configs import read_json
from partita.weights.locate import locate
from partita.weights.located import Located
from partita.weights.located_loader import Adaptable, LocatedLoader, bytes_of, parsed, summary
from partita.weights.naming import SILENCE_KEY
from partita.weights.places import Caches
from partita.weights.skeleton import skeleton
from partita.weights.tensors import Stored, TensorReader, check, expected_shapes, fill, find_tensors
from partita.weights.torchfile import read_tensor_file

T = TypeVar("T")
PART_NAMES = (
    "text_encoder",
    "conditioner",
    "transformer",
    "audio_tokenizer",
    "audio_detokenizer",
    "vae",
    "silence_latent",
)

# The diffusers layout names the encoders' sizes as if they were all; here they stand beside the transformer's.
_DIFFUSERS_ENCODER_SIZES = {
    name: f"encoder_{name}"
    for name in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
}


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """The tokenizer and the network that reads its ids."""

    tokenizer: TextTokenizer
    model: Qwen3


class Conditioner(nn.Module):
    """The condition encoder and the null condition `[1, 1, He]`, which guidance needs beside it."""

    def __init__(self, config: AceStepConfig) -> None:
        super().__init__()
        self.encoder = ConditionEncoder(config)
        self.null_condition_emb = nn.Parameter(torch.empty(1, 1, config.encoder_block.hidden_size))


class AceStep15Loader(LocatedLoader):
    """Reads the parts of one located model for one runtime. Holds headers and configurations, no tensors."""

    part_names = PART_NAMES

    def _readers(self) -> dict[str, Callable[[], Any]]:
        """By part; `silence_latent` is float32 `[15000, 64]`, whatever the number format."""
        return {
            "text_encoder": self._text_encoder,
            "conditioner": lambda: self._acoustic(Conditioner, ""),
            "transformer": lambda: self._acoustic(DiT, "decoder."),
            "audio_tokenizer": lambda: self._acoustic(AudioTokenizer, "tokenizer."),
            "audio_detokenizer": lambda: self._acoustic(AudioDetokenizer, "detokenizer."),
            "vae": self._vae,
            "silence_latent": self._silence,
        }

    def check(self) -> None:
        """Compare every tensor name, shape and format of every file with the networks. Reads no tensor."""
        _ = self._model_tensors, self._vae_tensors, self._text_tensors

    def describe(self) -> dict[str, Callable[[], str]]:
        """For each network a function that checks it as `check` does and says what was found."""

        def said(tensors: Callable[[], dict[str, Stored]]) -> Callable[[], str]:
            return lambda: summary(tensors())

        return {
            "the acoustic model": said(lambda: self._model_tensors),
            "the VAE": said(lambda: self._vae_tensors),
            "the text encoder": said(lambda: self._text_tensors),
            "the silence latent": lambda: f"{list(self._silence().shape)}",
        }

    def part_bytes(self) -> dict[str, int]:
        """Bytes of every network's tensors in this loader's number format, by part. Reads no tensor."""
        kinds = {"conditioner": Conditioner, "transformer": DiT}
        kinds |= {"audio_tokenizer": AudioTokenizer, "audio_detokenizer": AudioDetokenizer}
        with skeleton():
            networks: dict[str, nn.Module] = {part: kind(self.config) for part, kind in kinds.items()}
        networks |= {"text_encoder": self._empty_text_encoder(), "vae": self._empty_vae()}
        return {part: bytes_of(networks[part], self._dtype) for part in PART_NAMES if part in networks}

    @cached_property
    def config(self) -> AceStepConfig:
        """The acoustic model's configuration, whatever the layout keeps of it."""
        card, network = self.located.card, self.located.networks["model"]
        if network.layout == "published" and network.config is not None:
            values = read_json(network.config)
        else:
            values = configuration(card.configuration)
            values["timbre_class_token"] = "encoder_hidden_size" in values
            if network.layout == "diffusers" and network.config is not None:
                values |= _diffusers_values(network.config.parents[1])
        _check_variant(card, values, network.config)
        return parsed(AceStepConfig.from_json, values, network.config)

    @cached_property
    def _model_tensors(self) -> dict[str, Stored]:
        found = find_tensors(self.located.networks["model"].weights, self._advice)
        with skeleton():
            expected = expected_shapes(AceStepModel(self.config))
        check({name: stored for name, stored in found.items() if name != SILENCE_KEY}, expected, "the acoustic model")
        return found

    @cached_property
    def _vae_tensors(self) -> dict[str, Stored]:
        return self._tensors("vae", expected_shapes(self._empty_vae()), "the VAE")

    @cached_property
    def _text_tensors(self) -> dict[str, Stored]:
        return self._tensors("text_encoder", expected_shapes(self._empty_text_encoder()), "the text encoder")

    def _empty_vae(self) -> OobleckVAE:
        config = self._config("vae", OobleckConfig.from_json, shared_files(self.located.card)[0].id)
        with skeleton():
            return OobleckVAE(config)

    def _empty_text_encoder(self) -> Qwen3:
        config = self._config("text_encoder", Qwen3Config.from_json, shared_files(self.located.card)[1].id)
        with skeleton():
            return Qwen3(config)

    def _acoustic(self, kind: Callable[[AceStepConfig], nn.Module], prefix: str) -> nn.Module:
        with skeleton():
            network = kind(self.config)
        fill(network, self._model_tensors, prefix=prefix, device=self._device, dtype=self._dtype)
        return network

    def _text_encoder(self) -> TextEncoder:
        model = self._empty_text_encoder()
        fill(model, self._text_tensors, device=self._device, dtype=self._dtype)
        return TextEncoder(TextTokenizer.load(self.located.files["tokenizer"].parent), model)

    def _vae(self) -> FoldedOobleck:
        vae = self._empty_vae()
        # In the stored format: folding computes in float32 and rounds once, to the format asked for.
        fill(vae, self._vae_tensors)
        return FoldedOobleck(vae, dtype=self._dtype, device=self._device)

    def _silence(self) -> Tensor:
        channels = self.config.audio_acoustic_hidden_dim
        path = self.located.files.get("silence")
        if path is not None:
            latent = read_tensor_file(path)
            fits = latent.dim() == 3 and latent.shape[:2] == (1, channels)
            latent = latent.transpose(1, 2) if fits else latent
            wanted = f"[1, {channels}, frames]"
        else:
            stored = self._model_tensors.get(SILENCE_KEY)
            if stored is None:
                path = self.located.networks["model"].folder
                raise ModelError(f"{path} holds no {SILENCE_KEY}. {self._advice}", path=path, key=SILENCE_KEY)
            with TensorReader() as reader:
                path, latent = stored.path, reader.read(stored)
            fits = latent.dim() == 3 and latent.shape[0] == 1 and latent.shape[2] == channels
            wanted = f"[1, frames, {channels}]"
        if not fits or latent.shape[1] < self.config.timbre_fix_frame:
            raise ModelError(
                f"{path}: the silence latent should have the shape {wanted} with at least "
                f"{self.config.timbre_fix_frame} frames, and has {list(latent.shape)}. {self._advice}",
                path=path,
                key=SILENCE_KEY,
            )
        return latent[0].to(device=self._device, dtype=torch.float32).contiguous()


def open_model(card: ModelCard, runtime: Runtime, caches: Caches, checkpoint_dir: Path | None) -> AceStep15Loader:
    """The loader of `card`. Raises ModelError where its files are not on this machine."""
    return AceStep15Loader(locate(card, caches, checkpoint_dir), runtime.device.value, runtime.number_format.value)


def adaptable(network: nn.Module) -> Adaptable:
    """What adapters may change, from the transformer."""
    return Adaptable(expected_shapes(network))


def loader_of(located: Located, number_format: str = "float32") -> AceStep15Loader:
    """A loader for looking at files and not for songs."""
    return AceStep15Loader(located, number_format=number_format)


def _diffusers_values(folder: Path) -> dict[str, Any]:
    """What the components' configurations say, under the published names."""
    condition, tokenizer, transformer = (
        read_json(folder / part / "config.json") for part in ("condition_encoder", "audio_tokenizer", "transformer")
    )
    values = {name: value for name, value in {**tokenizer, **condition}.items() if name not in transformer}
    values |= {ours: condition[theirs] for theirs, ours in _DIFFUSERS_ENCODER_SIZES.items() if theirs in condition}
    values |= transformer
    return {name: value for name, value in values.items() if not name.startswith("_") and value is not None}


def _check_variant(card: ModelCard, values: Mapping[str, Any], path: Path | None) -> None:
    """Structure does not tell a turbo from a base checkpoint; its configuration does."""
    turbo = values.get("is_turbo")
    if isinstance(turbo, bool) and turbo != ("turbo" in card.variant):
        kind = "a turbo" if turbo else "no turbo"
        raise ModelError(
            f"{path} says is_turbo {str(turbo).lower()}: this is {kind} checkpoint, and {card.id} was asked for. "
            "Ask for the model that these files are, or name another folder.",
            path=path,
            key="is_turbo",
        )
