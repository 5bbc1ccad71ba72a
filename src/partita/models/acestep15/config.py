"""The configuration of an ACE-Step 1.5 checkpoint: one frozen value read from `config.json`.

It knows names, sizes and the rules by which absent keys are filled; it knows no tensor and no file.
Key names and default values are those of the published `config.json` files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from partita.errors import ModelError

LayerType = Literal["sliding_attention", "full_attention"]


@dataclass(frozen=True)
class BlockSize:
    """Sizes that one transformer layer is built from."""

    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    eps: float


def alternating_layer_types(count: int) -> tuple[LayerType, ...]:
    """Layer types of every published checkpoint: even layers slide, odd layers see everything."""
    return tuple("full_attention" if index % 2 else "sliding_attention" for index in range(count))


@dataclass(frozen=True, kw_only=True)
class AceStepConfig:
    """Sizes of one checkpoint. Lengths count latent frames, windows count tokens; `in_channels` is context plus latent.

    Fields that default to `None` here fall back to the decoder's values, or to the alternating layer types.
    `timbre_class_token` is the XL rule: the timbre encoder reads its embedding from a class token put in front.
    """

    # transformer
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    in_channels: int
    audio_acoustic_hidden_dim: int
    patch_size: int = 2
    layer_types: tuple[LayerType, ...] = ()
    use_sliding_window: bool = True
    sliding_window: int = 128
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1_000_000.0

    # condition encoders, tokenizer and detokenizer
    encoder_hidden_size: int | None = None
    encoder_intermediate_size: int | None = None
    encoder_num_attention_heads: int | None = None
    encoder_num_key_value_heads: int | None = None
    text_hidden_dim: int
    num_lyric_encoder_hidden_layers: int = 8
    timbre_hidden_dim: int = 64
    num_timbre_encoder_hidden_layers: int = 4
    timbre_fix_frame: int = 750
    timbre_class_token: bool = False
    pool_window_size: int = 5
    num_attention_pooler_hidden_layers: int = 2
    fsq_dim: int | None = None
    fsq_input_levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    fsq_input_num_quantizers: int = 1

    # what the checkpoint is, and how it was trained
    is_turbo: bool = False
    model_version: str | None = None
    data_proportion: float = 0.5
    timestep_mu: float = -0.4
    timestep_sigma: float = 1.0

    # sizes derived from the fields above
    decoder_block: BlockSize = field(init=False, repr=False)
    encoder_block: BlockSize = field(init=False, repr=False)

    def __post_init__(self) -> None:
        def fill(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name, fallback in _ENCODER_FALLBACKS.items():
            fill(name, getattr(self, name) or getattr(self, fallback))
        fill("fsq_dim", self.fsq_dim or self.encoder_hidden_size)
        depths = {
            "num_hidden_layers": self.num_hidden_layers,
            "num_lyric_encoder_hidden_layers": self.num_lyric_encoder_hidden_layers,
            "num_timbre_encoder_hidden_layers": self.num_timbre_encoder_hidden_layers,
            "num_attention_pooler_hidden_layers": self.num_attention_pooler_hidden_layers,
        }
        if not self.layer_types:
            fill("layer_types", alternating_layer_types(max(depths.values())))
        for name, depth in depths.items():
            if depth > len(self.layer_types):
                raise ModelError(
                    f"`layer_types` lists {len(self.layer_types)} layers, but `{name}` is {depth}. "
                    "List one type for every layer, or leave `layer_types` out.",
                    key="layer_types",
                )
        if self.fsq_input_num_quantizers != 1:
            raise ModelError(
                f"`fsq_input_num_quantizers` is {self.fsq_input_num_quantizers}; only 1 is supported.",
                key="fsq_input_num_quantizers",
            )
        for heads, kv_heads in (
            ("num_attention_heads", "num_key_value_heads"),
            ("encoder_num_attention_heads", "encoder_num_key_value_heads"),
        ):
            if getattr(self, heads) % getattr(self, kv_heads):
                raise ModelError(
                    f"`{heads}` = {getattr(self, heads)} is no multiple of `{kv_heads}` = {getattr(self, kv_heads)}.",
                    key=heads,
                )
        fill("decoder_block", self._block(""))
        fill("encoder_block", self._block("encoder_"))

    def _block(self, prefix: str) -> BlockSize:
        return BlockSize(
            hidden_size=getattr(self, f"{prefix}hidden_size"),
            intermediate_size=getattr(self, f"{prefix}intermediate_size"),
            num_heads=getattr(self, f"{prefix}num_attention_heads"),
            num_kv_heads=getattr(self, f"{prefix}num_key_value_heads"),
            head_dim=self.head_dim,
            eps=self.rms_norm_eps,
        )

    @property
    def context_channels(self) -> int:
        """Channels of the context latents: source latents and chunk mask."""
        return self.in_channels - self.audio_acoustic_hidden_dim

    def window(self, layer: int) -> int | None:
        """Reach of self-attention in layer `layer` to each side, inclusive; `None` where it sees everything."""
        slides = self.use_sliding_window and self.layer_types[layer] == "sliding_attention"
        return self.sliding_window if slides else None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> AceStepConfig:
        """Read a `config.json` as published. Unknown keys are ignored.

        Raises `ModelError` naming the key where a required key is missing, a value has the wrong type, or a setting
        asks for something that no ACE-Step 1.5 checkpoint has (attention biases, scaled rotary positions).
        """
        _refuse_other_architectures(values)
        found: dict[str, Any] = {}
        for one in fields(cls):
            if not one.init:
                continue
            if values.get(one.name) is not None:
                found[one.name] = _typed(one.name, str(one.type), values[one.name])
            elif one.name in _REQUIRED:
                raise ModelError(
                    f"The model's configuration lacks `{one.name}`. Take the `config.json` published with the weights.",
                    key=one.name,
                )
        if "rope_theta" not in found and isinstance(values.get("rope_parameters"), Mapping):
            theta = values["rope_parameters"].get("rope_theta", cls.rope_theta)
            found["rope_theta"] = _typed("rope_theta", "float", theta)
        found.setdefault("timbre_class_token", values.get("encoder_hidden_size") is not None)
        return cls(**found)

    def to_json(self) -> dict[str, Any]:
        """The published form: `from_json(config.to_json()) == config`.

        Encoder sizes equal to the decoder's are left out, since other programs take their presence for an XL model.
        """
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        if not self.timbre_class_token:
            for name, fallback in _ENCODER_FALLBACKS.items():
                if values[name] == values[fallback]:
                    del values[name]
        values = {name: value for name, value in values.items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


_REQUIRED = frozenset(
    {
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "in_channels",
        "audio_acoustic_hidden_dim",
        "text_hidden_dim",
    }
)
_MAY_BE_ZERO = frozenset({"sliding_window"})
_ENCODER_FALLBACKS = {
    "encoder_hidden_size": "hidden_size",
    "encoder_intermediate_size": "intermediate_size",
    "encoder_num_attention_heads": "num_attention_heads",
    "encoder_num_key_value_heads": "num_key_value_heads",
}


def _refuse_other_architectures(values: Mapping[str, Any]) -> None:
    rope = values.get("rope_scaling") or values.get("rope_parameters")
    kind = (rope.get("rope_type") or rope.get("type") or "default") if isinstance(rope, Mapping) else "default"
    refusals = (
        ("attention_bias", bool(values.get("attention_bias"))),
        ("hidden_act", values.get("hidden_act", "silu") != "silu"),
        ("rope_scaling", kind != "default"),
    )
    for key, refused in refusals:
        if refused:
            seen = values.get(key, kind)
            raise ModelError(f"`{key}` = {seen!r} belongs to no ACE-Step 1.5 model that is supported.", key=key)


def _typed(name: str, annotation: str, value: Any) -> Any:
    """`value` as the type that a field's annotation names, or `ModelError`."""
    if annotation.startswith("tuple"):
        return _typed_list(name, annotation, value)
    if annotation == "bool":
        good, converted = isinstance(value, bool), value
    elif annotation.startswith("str"):
        good, converted = isinstance(value, str), value
    else:
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if good and annotation.startswith("int"):
            good = float(value).is_integer() and (value > 0 or name in _MAY_BE_ZERO)
            converted = int(value) if good else value
        else:
            converted = float(value) if good else value
    if not good:
        raise ModelError(f"`{name}` should be {annotation.removesuffix(' | None')}, but is {value!r}.", key=name)
    return converted


def _typed_list(name: str, annotation: str, value: Any) -> tuple[Any, ...]:
    kinds = get_args(LayerType)
    of_names = "LayerType" in annotation
    if isinstance(value, (list, tuple)) and all(
        (entry in kinds) if of_names else (type(entry) is int and entry > 1) for entry in value
    ):
        return tuple(value)
    wanted = f"a list of {' or '.join(kinds)}" if of_names else "a list of whole numbers above 1"
    raise ModelError(f"`{name}` should be {wanted}, but is {value!r}.", key=name)
