"""Loads the parts of ACE-Step v1 one by one, from whichever layout its files are in.

It knows which tensors belong to which network and where each configuration stands; the networks are `partita.models`'
business, and what is kept in memory is the engine's. Parts: `text_encoder`, `lyric_tokenizer`, `conditioner`,
`transformer` (these two from one file), `codec` (mel autoencoder and vocoder).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from partita.errors import ModelError
from partita.models.acestepv1.codec import MusicCodec
from partita.models.acestepv1.conditioner import Conditioner
from partita.models.acestepv1.config import TransformerConfig
from partita.models.acestepv1.dcae import Dcae, DcaeConfig
from partita.models.acestepv1.transformer import Projectors, Transformer, unused_shapes
from partita.models.acestepv1.vocoder import Vocoder, VocoderConfig
from partita.models.umt5 import Umt5Config, Umt5Encoder
from partita.runtime import Runtime
from partita.song.card import ModelCard
from partita.text.tokenizers import UMT5, TextTokenizer
from partita.text.v1.tokenizer import LyricTokenizer
from partita.weights.locate import locate
from partita.weights.located import Located
from partita.weights.located_loader import Adaptable, LocatedLoader, bytes_of, summary
from partita.weights.places import Caches
from partita.weights.skeleton import skeleton
from partita.weights.tensors import Stored, expected_shapes, fill, find_tensors

N = TypeVar("N", bound=nn.Module)
PART_NAMES = ("text_encoder", "lyric_tokenizer", "conditioner", "transformer", "codec")


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """The tokenizer and the network that reads its ids."""

    tokenizer: TextTokenizer
    model: Umt5Encoder


class AceStepV1Loader(LocatedLoader):
    """See `partita.weights.loaders.Loader`."""

    part_names = PART_NAMES

    def _readers(self) -> dict[str, Callable[[], Any]]:
        return {
            "text_encoder": self._text_encoder,
            "lyric_tokenizer": self._lyric_tokenizer,
            "conditioner": lambda: self._filled(Conditioner),
            "transformer": lambda: self._filled(Transformer).prepare(),
            "codec": self._codec,
        }

    def check(self) -> None:
        """Compare every tensor name, shape and format of every file with the networks. Reads no tensor."""
        _ = self._model_tensors, self._dcae_tensors, self._vocoder_tensors, self._text_tensors
        self._check_widths()

    def describe(self) -> dict[str, Callable[[], str]]:
        """For each network a function that checks it as `check` does and says what was found."""
        return {
            "the transformer": self._said_of_transformer,
            "the mel autoencoder": lambda: summary(self._dcae_tensors),
            "the vocoder": lambda: summary(self._vocoder_tensors),
            "the text encoder": lambda: summary(self._text_tensors),
            "the text encoder's tokenizer": lambda: f"{self._text_tokenizer().size} tokens",
            "the lyric vocabulary": lambda: f"{self._lyric_tokenizer().vocabulary_size} ids",
        }

    def part_bytes(self) -> dict[str, int]:
        """Bytes of every network's tensors in this loader's number format, by part. Reads no tensor."""
        with skeleton():
            conditioner, transformer = Conditioner(self.config), Transformer(self.config)
        codec = bytes_of(self._empty_dcae(), self._dtype) + bytes_of(self._empty_vocoder(), self._dtype)
        return {
            "text_encoder": bytes_of(self._empty_text_encoder(), self._text_dtype),
            "conditioner": bytes_of(conditioner, self._dtype),
            "transformer": bytes_of(transformer, self._dtype),
            "codec": codec,
        }

    @cached_property
    def config(self) -> TransformerConfig:
        """Sizes of the transformer and the conditioner."""
        return self._config("transformer", TransformerConfig.from_json, "ace-step-v1-transformer")

    @cached_property
    def _shapes(self) -> Adaptable:
        return _shapes_of(self.config)

    @cached_property
    def _model_tensors(self) -> dict[str, Stored]:
        there = find_tensors(self.located.networks["transformer"].weights, self._advice)
        shapes, idle = self._shapes.shapes, self._shapes.idle
        expected = {name: shape for name, shape in shapes.items() if name in there or name not in idle}
        return self._tensors("transformer", expected, "the transformer")

    @cached_property
    def _dcae_tensors(self) -> dict[str, Stored]:
        return self._tensors("dcae", expected_shapes(self._empty_dcae()), "the mel autoencoder")

    @cached_property
    def _vocoder_tensors(self) -> dict[str, Stored]:
        return self._tensors("vocoder", expected_shapes(self._empty_vocoder()), "the vocoder")

    @cached_property
    def _text_tensors(self) -> dict[str, Stored]:
        return self._tensors("text_encoder", expected_shapes(self._empty_text_encoder()), "the text encoder")

    @property
    def _text_dtype(self) -> torch.dtype:
        # What UMT5 adds up layer by layer leaves the range of float16.
        return torch.float32 if self._dtype == torch.float16 else self._dtype

    def _said_of_transformer(self) -> str:
        found = self._model_tensors
        idle = [found[name] for name in self._shapes.idle if name in found]
        numbers = sum(math.prod(stored.shape) for stored in idle)
        return f"{summary(found)}; {len(idle)} of them ({numbers / 1e6:.0f} million numbers) are never read"

    def _check_widths(self) -> None:
        """Raises ModelError where files that are sound by themselves do not belong together."""
        text, dcae = self._text_config, self._dcae_config
        folders = {role: network.folder for role, network in self.located.networks.items()}
        for role, name, there, wanted in (
            ("text_encoder", "d_model", text.d_model, self.config.text_embedding_dim),
            ("dcae", "latent_channels", dcae.latent_channels, self.config.in_channels),
        ):
            if there != wanted:
                raise ModelError(
                    f"{folders[role]} has {name} {there}, and the transformer in {folders['transformer']} takes "
                    f"{wanted}: they do not belong together. {self._advice}",
                    path=folders[role],
                    key=name,
                )

    @cached_property
    def _text_config(self) -> Umt5Config:
        return self._config("text_encoder", Umt5Config.from_json, "ace-step-v1-text-encoder")

    @cached_property
    def _dcae_config(self) -> DcaeConfig:
        return self._config("dcae", DcaeConfig.from_json, "ace-step-v1-dcae")

    def _empty_dcae(self) -> Dcae:
        with skeleton():
            return Dcae(self._dcae_config)

    def _empty_vocoder(self) -> Vocoder:
        config = self._config("vocoder", VocoderConfig.from_json, "ace-step-v1-vocoder")
        with skeleton():
            return Vocoder(config)

    def _empty_text_encoder(self) -> Umt5Encoder:
        with skeleton():
            return Umt5Encoder(self._text_config)

    def _filled(self, kind: Callable[[TransformerConfig], N]) -> N:
        with skeleton():
            network = kind(self.config)
        fill(network, self._model_tensors, device=self._device, dtype=self._dtype)
        return network

    def _text_tokenizer(self) -> TextTokenizer:
        path = self.located.files["tokenizer"]
        tokenizer = TextTokenizer.load(path.parent, UMT5)
        if tokenizer.size > self._text_config.vocab_size:
            raise ModelError(
                f"{path} has {tokenizer.size} tokens, and the text encoder knows {self._text_config.vocab_size}: they "
                f"do not belong together. {self._advice}",
                path=path,
                key="vocab_size",
            )
        return tokenizer

    def _text_encoder(self) -> TextEncoder:
        tokenizer = self._text_tokenizer()
        model = self._empty_text_encoder()
        fill(model, self._text_tensors, device=self._device, dtype=self._text_dtype)
        return TextEncoder(tokenizer, model)

    def _lyric_tokenizer(self) -> LyricTokenizer:
        path = self.located.files["lyric_vocabulary"]
        tokenizer = LyricTokenizer.load(path)
        if tokenizer.vocabulary_size != self.config.lyric_encoder_vocab_size:
            raise ModelError(
                f"{path} has {tokenizer.vocabulary_size} ids, and the lyric encoder knows "
                f"{self.config.lyric_encoder_vocab_size}: they do not belong together. {self._advice}",
                path=path,
                key="lyric_encoder_vocab_size",
            )
        return tokenizer

    def _codec(self) -> MusicCodec:
        dcae, vocoder = self._empty_dcae(), self._empty_vocoder()
        # In the stored format: folding computes in float32 and rounds once, to the format asked for.
        fill(dcae, self._dcae_tensors)
        fill(vocoder, self._vocoder_tensors)
        return MusicCodec(dcae, vocoder, dtype=self._dtype, device=self._device)


def open_model(card: ModelCard, runtime: Runtime, caches: Caches, checkpoint_dir: Path | None) -> AceStepV1Loader:
    """The loader of `card`. Raises ModelError where its files are not on this machine."""
    return AceStepV1Loader(locate(card, caches, checkpoint_dir), runtime.device.value, runtime.number_format.value)


def adaptable(network: nn.Module) -> Adaptable:
    """What adapters may change, from the transformer or the conditioner."""
    return _shapes_of(cast(Conditioner | Transformer, network).config)


def loader_of(located: Located, number_format: str = "float32") -> AceStepV1Loader:
    """A loader for looking at files and not for songs."""
    return AceStepV1Loader(located, number_format=number_format)


def _shapes_of(config: TransformerConfig) -> Adaptable:
    """All that published files hold. Projections without effect and heads for training are idle: no song needs them."""
    with skeleton():
        used = expected_shapes(Conditioner(config)) | expected_shapes(Transformer(config))
        heads = expected_shapes(Projectors(config))
    idle = unused_shapes(config) | {f"projectors.{name}": shape for name, shape in heads.items()}
    return Adaptable(used | idle, frozenset(idle))
