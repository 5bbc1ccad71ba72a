"""How a song is to be sampled, and how a planner is to plan it, in the protocol's words.

The built-in model samples in a way of its own, so ACE-Step's numbers mean nothing to it; a sentence says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from partita.service.doors.acestep.fields import Given
from partita.service.doors.choice import BUILT_IN
from partita.service.doors.spoken import planned, planner_here
from partita.settings import Settings
from partita.song.card import ModelCard
from partita.song.planning import PlannerMode
from partita.song.values import short

_SAMPLING = (
    "inference_steps", "guidance_scale", "shift", "infer_method", "sampler_mode", "timesteps", "use_adg",
    "cfg_interval_start", "cfg_interval_end", "guidance_variant",
)  # fmt: skip
_VARIANTS = {
    "apg": "apg", "apg_classic": "apg", "cfg": "cfg", "cfg_star": "cfg-star", "adg": "adg", "adg_w_norm": "adg-w-norm",
    "adg_wo_clip": "adg-wo-clip",
}  # fmt: skip
_PLANNER = ("lm_temperature", "lm_cfg_scale", "lm_top_k", "lm_top_p", "lm_negative_prompt", "lm_model_path")
_NO_NEGATIVE = ("", "NO USER INPUT")


def sampling_of(given: Given, card: ModelCard, notes: list[str]) -> dict[str, Any]:
    """Fields of `Sampling`: what was given, as far as it can be read. Whether the model has it is told later."""
    asked = [name for name in _SAMPLING if name in given.values]
    if card.id == BUILT_IN:
        told = [f"{name} {_shown(given.values[name])}" for name in asked if name != "use_adg" or given.get(name)]
        if told:
            notes.append(f"{', '.join(told)}: not applied, for {card.id} samples in a way of its own.")
        return {}
    sampling: dict[str, Any] = {}
    timesteps = _timesteps(given, notes)
    if timesteps is not None:
        sampling["timesteps"] = timesteps
    else:
        sampling |= {
            ours: given.values[name]
            for name, ours in (("inference_steps", "steps"), ("shift", "shift"))
            if name in asked
        }
    if card.sampling.guidance_supported or given.says("guidance_scale"):
        sampling["guidance_scale"] = given.values.get("guidance_scale")
    solver, guidance = _solver(given, notes), _guidance(given, notes)
    interval = (given.get("cfg_interval_start"), given.get("cfg_interval_end"))
    sampling |= {"solver": solver, "guidance": guidance}
    if interval != (0.0, 1.0):
        sampling["guidance_interval"] = interval
    return {name: value for name, value in sampling.items() if value is not None}


def planner_of(
    given: Given, card: ModelCard, settings: Settings, fields: Mapping[str, Any], notes: list[str]
) -> dict[str, Any]:
    """The field `planner` of a request, or nothing where no language model plans it."""
    mode, asked = _mode(given)
    task = fields.get("task") or {}
    if mode != "off" and (task.get("kind", "text-to-music") != "text-to-music" or task.get("codes")):
        what = "codes were given" if task.get("codes") else "a language model plans songs from words alone"
        if given.get("thinking"):
            notes.append(f"thinking was asked for and is not applied: {what}.")
        mode = "off"
    # The wish for a little help is the protocol's usual one: what cannot help is not missed.
    if mode == "metadata" and (not card.codes or planner_here(settings) is None) and not _asks_for_help(given):
        mode = "off"
    options = planner_options(given, full=mode == "full")
    words = planned(mode, card, settings, asked, options=options, duration_s=fields.get("duration_s"))
    notes.extend(words.notes)
    if "planner" not in words.fields and any(given.says(name) for name in _PLANNER):
        named = ", ".join(name for name in _PLANNER if given.says(name))
        notes.append(f"{named}: not applied, for no language model plans this song.")
    return words.fields


def planner_options(given: Given, *, full: bool = False) -> dict[str, Any]:
    """Fields of `PlannerOptions` but its mode; `full` is that it writes codes."""
    options: dict[str, Any] = {
        "model": _base_name(given.get("lm_model_path")),
        "temperature": given.values.get("lm_temperature"),
        "top_p": given.values.get("lm_top_p"),
        "top_k": given.values.get("lm_top_k"),
    }
    if options["top_p"] is not None:
        options["top_p"] = min(options["top_p"], 1.0)
    if options["top_k"] is not None:
        options["top_k"] = max(options["top_k"], 0)
    if full:
        options["guidance_scale"] = max(given.get("lm_cfg_scale"), 1.0)
        options["rewrite_caption"] = given.get("use_cot_caption")
        if given.get("lm_negative_prompt").strip() not in _NO_NEGATIVE and options["guidance_scale"] > 1:
            options["negative_prompt"] = given.get("lm_negative_prompt")
    return {name: value for name, value in options.items() if value is not None}


def _mode(given: Given) -> tuple[PlannerMode, str]:
    if given.get("thinking"):
        return "full", "thinking"
    if given.get("use_cot_caption"):
        return "metadata", "use_cot_caption"
    return ("metadata", "use_cot_language") if given.get("use_cot_language") else ("off", "thinking")


def _asks_for_help(given: Given) -> bool:
    return any(given.values.get(name) for name in ("use_cot_caption", "use_cot_language"))


def _base_name(path: str | None) -> str | None:
    return None if path is None else path.strip().rstrip("/\\").replace("\\", "/").rpartition("/")[2] or None


def _timesteps(given: Given, notes: list[str]) -> list[float] | None:
    texts = given.get("timesteps")
    if not texts:
        return None
    try:
        return [float(text) for text in texts]
    except ValueError:
        notes.append(f"timesteps {short(','.join(texts))} are no numbers between commas: not applied.")
        return None


def _solver(given: Given, notes: list[str]) -> str | None:
    method, mode = given.get("infer_method").strip().lower(), given.get("sampler_mode").strip().lower()
    for name, value, known in (("infer_method", method, ("ode", "sde")), ("sampler_mode", mode, ("euler", "heun"))):
        if value not in known:
            notes.append(f"{name} {short(value)} is not applied: it is {' or '.join(known)}.")
    if method == "sde":
        return "sde"
    return "heun" if mode == "heun" else None


def _guidance(given: Given, notes: list[str]) -> str | None:
    if given.get("use_adg"):
        return "adg"
    if not given.says("guidance_variant"):
        return None
    variant = given.get("guidance_variant").strip().lower().replace("-", "_")
    if variant not in _VARIANTS:
        notes.append(f"guidance_variant {short(variant)} is not applied: it is one of {', '.join(_VARIANTS)}.")
    return _VARIANTS.get(variant)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else ",".join(value) if isinstance(value, list) else str(value)
