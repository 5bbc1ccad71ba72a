"""The fields of the protocol: their other names, where they may stand, and how their text becomes values.

A value that makes no sense is left out, as the protocol has it, and a sentence says so. Knows no request and no HTTP.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from partita.song.values import short

Kind = Literal["text", "whole", "number", "flag", "list", "any"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field by its canonical name. `usual` is what the protocol takes where nobody says; a field that is given as
    usual asks for nothing."""

    name: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    usual: Any = None


@dataclass(frozen=True, slots=True)
class Given:
    """What was given, by canonical names, and a sentence for each thing that could not be read."""

    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def get(self, name: str) -> Any:
        """The value, or the protocol's usual one."""
        return self.values.get(name, BY_NAME[name].usual)

    def says(self, name: str) -> bool:
        """Whether it was given otherwise than is usual."""
        return name in self.values and self.values[name] != BY_NAME[name].usual


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _field(name: str, kind: Kind, usual: Any = None, *aliases: str, camel: bool = True) -> Field:
    own = _camel(name)
    return Field(name, kind, tuple(dict.fromkeys((*((own,) if camel and own != name else ()), *aliases))), usual)


FIELDS: tuple[Field, ...] = (
    _field("prompt", "text", "", "caption"),
    _field("global_caption", "text", ""),
    _field("lyrics", "text", ""),
    _field("thinking", "flag", False),
    _field("sample_mode", "flag", False),
    _field("sample_query", "text", "", "description", "desc"),
    _field("use_format", "flag", False, "format"),
    _field("model", "text", None, "model_name", "modelName", "dit_model", "ditModel"),
    _field("bpm", "whole"),
    _field("key_scale", "text", "", "keyscale", "keyScale", "key"),
    _field("time_signature", "text", "", "timesignature", "timeSignature"),
    _field("audio_duration", "number", None, "duration", "audioDuration", "target_duration", "targetDuration"),
    _field("vocal_language", "text", "en", "vocalLanguage", "language"),
    _field("inference_steps", "whole", 8),
    _field("guidance_scale", "number", 7.0),
    _field("use_random_seed", "flag", True),
    _field("seed", "text", "-1"),
    _field("batch_size", "whole", 2),
    _field("reference_audio_path", "text", None, "ref_audio_path", "referenceAudioPath", "refAudioPath"),
    _field(
        "src_audio_path", "text", None, "ctx_audio_path", "sourceAudioPath", "srcAudioPath", "ctxAudioPath", camel=False
    ),
    _field("task_type", "text", "text2music"),
    _field("instruction", "text", ""),
    _field("track_name", "text"),
    _field("track_classes", "list", None, "trackClasses", "instruments"),
    _field("repainting_start", "number", 0.0),
    _field("repainting_end", "number"),
    _field("chunk_mask_mode", "text", "auto"),
    _field("repaint_mode", "text", "balanced"),
    _field("repaint_strength", "number", 0.5),
    _field("repaint_latent_crossfade_frames", "whole", 10),
    _field("repaint_wav_crossfade_sec", "number", 0.0),
    _field("audio_cover_strength", "number", 1.0, "audioCoverStrength", "cover_strength", "coverStrength"),
    _field("cover_noise_strength", "number", 0.0),
    _field("audio_code_string", "text", "", "audioCodeString", "audio_codes"),
    _field("use_adg", "flag", False),
    _field("cfg_interval_start", "number", 0.0),
    _field("cfg_interval_end", "number", 1.0),
    _field("infer_method", "text", "ode"),
    _field("shift", "number", 3.0),
    _field("timesteps", "list"),
    _field("audio_format", "text", "mp3"),
    _field("use_tiled_decode", "flag", True),
    _field("lm_model_path", "text"),
    _field("lm_backend", "text", "vllm"),
    _field("lm_temperature", "number", 0.85),
    _field("lm_cfg_scale", "number", 2.5),
    _field("lm_top_k", "whole", 0),
    _field("lm_top_p", "number", 0.9),
    _field("lm_repetition_penalty", "number", 1.0),
    _field("lm_negative_prompt", "text", "NO USER INPUT"),
    _field("constrained_decoding", "flag", True, "constrainedDecoding", "constrained"),
    _field("constrained_decoding_debug", "flag", False),
    _field("use_cot_caption", "flag", True, "cot_caption", "cot-caption"),
    _field("use_cot_language", "flag", True, "cot_language", "cot-language"),
    _field("is_format_caption", "flag", False),
    _field("allow_lm_batch", "flag", True, "allowLmBatch", "parallel_thinking"),
    _field("analysis_only", "flag", False),
    _field("full_analysis_only", "flag", False),
    _field("extract_codes_only", "flag", False),
    _field("sampler_mode", "text", "euler"),
    _field("velocity_norm_threshold", "number", 0.0),
    _field("velocity_ema_factor", "number", 0.0),
    _field("latent_shift", "number", 0.0),
    _field("latent_rescale", "number", 1.0),
    _field("eta", "number"),
    _field("momentum", "number"),
    _field("guidance_variant", "text", "apg_classic"),
    _field("guidance_params", "any"),
    # Sent by clients and unknown to the original.
    _field("negative_prompt", "text", ""),
    _field("stem_count", "any"),
    _field("engine", "any"),
)

BY_NAME: Mapping[str, Field] = {field.name: field for field in FIELDS}

NESTED = "param_obj"
METADATA = ("metas", "meta", "metadata", "user_metadata", "userMetadata")
TOKEN = "ai_token"
SOURCE_FILES = ("ctx_audio", "src_audio")
REFERENCE_FILES = ("ref_audio", "reference_audio")

_KNOWN = frozenset(
    {spelling for field in FIELDS for spelling in (field.name, *field.aliases)}
    | {NESTED, TOKEN, *METADATA, *SOURCE_FILES, *REFERENCE_FILES}
)
_TRUE = frozenset({"1", "true", "yes", "y", "on"})
_MOST_NAMED = 12


def read_fields(body: Mapping[str, Any], fields: Iterable[Field] = FIELDS) -> Given:
    """The fields of a body: each under its names in order, at the top, else in `param_obj`, else in the metadata.

    The first value that is not null wins. What cannot be read, and names that are none, are told in `notes`.
    """
    notes: list[str] = []
    places = [body, _inner(body, NESTED, notes), _metadata(body, notes)]
    values: dict[str, Any] = {}
    for field in fields:
        found = _find(places, (field.name, *field.aliases))
        if found is None:
            continue
        try:
            value = _READ[field.kind](found)
        except (ValueError, OverflowError, RecursionError):
            notes.append(_unread(field, found))
            continue
        if value is not None:
            values[field.name] = value
    unknown = sorted(name for name in body if name not in _KNOWN)
    if unknown:
        named = ", ".join(short(name) for name in unknown[:_MOST_NAMED])
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        notes.append(f"There is no field {named}{more} in this protocol: not used.")
    return Given(values, tuple(notes))


def _unread(field: Field, found: Any) -> str:
    usual = "nothing" if field.usual in (None, "") else field.usual
    return f"{field.name} cannot be {short(found)}: {usual} was taken, as where it is not given."


def _find(places: Iterable[Mapping[str, Any]], names: tuple[str, ...]) -> Any:
    return next((place[name] for place in places for name in names if place.get(name) is not None), None)


def _inner(body: Mapping[str, Any], name: str, notes: list[str]) -> Mapping[str, Any]:
    """The object under `name`, given as such or as JSON text; empty where it is none."""
    value = body.get(name)
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            notes.append(f"{name} is no JSON object: not used.")
    return value if isinstance(value, dict) else {}


def _metadata(body: Mapping[str, Any], notes: list[str]) -> Mapping[str, Any]:
    return next((inner for name in METADATA if (inner := _inner(body, name, notes))), {})


def _text(value: Any) -> str | None:
    if isinstance(value, (dict, list)):
        raise ValueError("text was expected")
    text = str(value)
    text.encode()  # lone surrogates are no text; UnicodeEncodeError is a ValueError
    return text if text.strip() else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    if number is not None and number != int(number):
        raise ValueError("a whole number was expected")
    return None if number is None else int(number)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("a number was expected")
    if isinstance(value, str) and not value.strip():
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a finite number was expected")
    return number


def _flag(value: Any) -> bool | None:
    if isinstance(value, (dict, list)):
        raise ValueError("a truth value was expected")
    text = str(value).strip().lower()
    return text in _TRUE if text else None


def _list(value: Any) -> list[str] | None:
    """Texts of a list, of a JSON list, or of a text between commas or bars."""
    if isinstance(value, str) and value.strip().startswith("["):
        value = json.loads(value)
    if isinstance(value, str):
        value = value.replace("|", ",").split(",")
    if isinstance(value, (dict, bool)):
        raise ValueError("a list was expected")
    items = value if isinstance(value, list) else [value]
    texts = [text.strip() for item in items if (text := _text(item)) is not None]
    return texts or None


def _any(value: Any) -> Any:
    return None if value in ("", [], {}) else value


_READ: Mapping[Kind, Callable[[Any], Any]] = {
    "text": _text,
    "whole": _whole,
    "number": _number,
    "flag": _flag,
    "list": _list,
    "any": _any,
}
