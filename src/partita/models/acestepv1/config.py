"""The configuration of ACE-Step v1's transformer and its condition encoders: one frozen value read from `config.json`.

It knows names and sizes, no tensor and no file. Key names are those of the published `config.json`; the defaults of
the fields are the published values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from partita.errors import ModelError


@dataclass(frozen=True, slots=True)
class Weaken:
    """Queries of the blocks `first <= index < end` are multiplied by `factor`, bias included.

    Entropy-rectifying guidance: attention of the unconditional prediction that is nearly uniform.
    """

    factor: float
    first: int
    end: int

    def factor_of(self, block: int) -> float:
        """What the queries of a block are multiplied by."""
        return self.factor if self.first <= block < self.end else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LyricEncoderConfig:
    """Sizes of the lyric encoder. The published model keeps them in its code: these defaults."""

    input_size: int = 1024
    output_size: int = 1024
    attention_heads: int = 16
    linear_units: int = 4096
    num_blocks: int = 6

    def __post_init__(self) -> None:
        for one in fields(self):
            _whole(f"lyric_encoder.{one.name}", getattr(self, one.name))
        if self.output_size % (2 * self.attention_heads):
            raise ModelError(
                f"`lyric_encoder.output_size` = {self.output_size} does not split into "
                f"{self.attention_heads} heads of an even width.",
                key="lyric_encoder.output_size",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerConfig:
    """Sizes of one checkpoint. The width of a token is `num_attention_heads * attention_head_dim`."""

    in_channels: int = 8
    out_channels: int = 8
    max_height: int = 16
    patch_size: tuple[int, int] = (16, 1)
    num_layers: int = 24
    num_attention_heads: int = 20
    attention_head_dim: int = 128
    mlp_ratio: float = 2.5
    rope_theta: float = 1_000_000.0
    speaker_embedding_dim: int = 512
    text_embedding_dim: int = 768
    lyric_encoder_vocab_size: int = 6693
    lyric_hidden_size: int = 1024
    ssl_encoder_depths: tuple[int, ...] = (8, 8)
    ssl_latent_dims: tuple[int, ...] = (1024, 768)
    ssl_names: tuple[str, ...] = ("mert", "m-hubert")
    lyric_encoder: LyricEncoderConfig = field(default_factory=LyricEncoderConfig)

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.type == "int":
                _whole(one.name, getattr(self, one.name))
            elif one.type == "float":
                _positive(one.name, getattr(self, one.name))
        if self.patch_size != (self.max_height, 1):
            raise ModelError(
                f"`patch_size` = {list(self.patch_size)} is not supported: a token is one frame over all "
                f"{self.max_height} rows, [{self.max_height}, 1].",
                key="patch_size",
            )
        if self.attention_head_dim % 2:
            raise ModelError(
                f"`attention_head_dim` = {self.attention_head_dim} is odd, and positions turn pairs of channels.",
                key="attention_head_dim",
            )
        if self.feed_forward_width < 1:
            raise ModelError(
                f"`mlp_ratio` = {self.mlp_ratio} leaves the feed-forward without a channel.", key="mlp_ratio"
            )
        encoder = self.lyric_encoder
        for name in ("input_size", "output_size"):
            if getattr(encoder, name) != self.lyric_hidden_size:
                raise ModelError(
                    f"`lyric_encoder.{name}` = {getattr(encoder, name)} is not `lyric_hidden_size` = "
                    f"{self.lyric_hidden_size}, which goes in and comes out.",
                    key=f"lyric_encoder.{name}",
                )
        if not len(self.ssl_names) == len(self.ssl_latent_dims) == len(self.ssl_encoder_depths):
            raise ModelError(
                f"`ssl_names`, `ssl_latent_dims` and `ssl_encoder_depths` list {len(self.ssl_names)}, "
                f"{len(self.ssl_latent_dims)} and {len(self.ssl_encoder_depths)} encoders; they belong together.",
                key="ssl_names",
            )

    @property
    def width(self) -> int:
        """Channels of a token, D."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def feed_forward_width(self) -> int:
        """Channels of each half of the gated feed-forward."""
        return int(self.width * self.mlp_ratio)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read a `config.json` as published. Unknown keys are ignored.

        Raises `ModelError` naming the key where one that decides a shape is missing or a value has the wrong type.
        """
        found: dict[str, Any] = {}
        for one in fields(cls):
            value = values.get(one.name)
            if value is not None:
                found[one.name] = _read(one.name, str(one.type), value)
            elif one.name not in _MAY_BE_ABSENT:
                raise ModelError(
                    f"The transformer's configuration lacks `{one.name}`. "
                    "Take the `config.json` published with the weights.",
                    key=one.name,
                )
        if "lyric_encoder" not in found:
            size = found["lyric_hidden_size"]
            found["lyric_encoder"] = LyricEncoderConfig(input_size=size, output_size=size)
        elif "input_size" not in values["lyric_encoder"]:
            sizes = {"input_size": found["lyric_hidden_size"], **values["lyric_encoder"]}
            found["lyric_encoder"] = _read("lyric_encoder", "LyricEncoderConfig", sizes)
        return cls(**found)


_MAY_BE_ABSENT = frozenset({"lyric_encoder", "rope_theta", "ssl_encoder_depths", "ssl_names"})


def _read(name: str, annotation: str, value: Any) -> Any:
    if annotation == "LyricEncoderConfig":
        if not isinstance(value, Mapping):
            raise ModelError(f"`{name}` should be a table of sizes, but is {value!r}.", key=name)
        known = {one.name for one in fields(LyricEncoderConfig)}
        return LyricEncoderConfig(**{key: size for key, size in value.items() if key in known})
    if not annotation.startswith("tuple"):
        return value  # the class itself looks at plain numbers
    kind = str if "str" in annotation else int
    if not isinstance(value, (list, tuple)) or not all(type(entry) is kind for entry in value):
        wanted = "names" if kind is str else "whole numbers"
        raise ModelError(f"`{name}` should be a list of {wanted}, but is {value!r}.", key=name)
    return tuple(value)


def _whole(name: str, value: Any) -> None:
    if type(value) is not int or value <= 0:
        raise ModelError(f"`{name}` should be a whole number above 0, but is {value!r}.", key=name)


def _positive(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ModelError(f"`{name}` should be a number above 0, but is {value!r}.", key=name)
