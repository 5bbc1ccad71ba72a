"""Which checker takes which recorded file, and how close its numbers must come.

A checker is named here and imported only when a file asks for it. Everything follows from the file's metadata, the
first digits of its name and the names of its tensors, never from what a known file holds.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

TensorChecker = Callable[[dict[str, Tensor], dict[str, str], Path], dict[str, Tensor]]
"""(tensors, metadata, path) -> what was computed, under the names of the `out.` tensors, with or without `out.`.
Only the `out.` tensors of selected cases are handed over; all inputs and weights are."""

JsonChecker = Callable[[str, dict[str, Any]], "dict[str, Any] | None"]
"""(section, one of its entries) -> what was computed for each output, or None where the section is not known."""


@dataclass(frozen=True)
class Place:
    """Where an entry of a JSON file stands: the file, and the entry's name in its section."""

    path: Path
    label: str


PlacedChecker = Callable[[str, dict[str, Any], Place], "dict[str, Any] | None"]
"""A JsonChecker that also needs what lies beside the entry: the tensors of its case, or a tokenizer."""

Measure = Literal["absolute", "of_peak", "of_target_peak", "of_step_peak", "exact"]


@dataclass(frozen=True)
class Limit:
    """How an error is measured and the largest that passes.

    of_peak: divided by the largest expected value; of_target_peak: by that of the case's `target_latents`;
    of_step_peak: by that of its step, where `per_step` gives steps (by index) a limit of their own.
    `above` gives limits of their own to expected values above a number: the first that a value exceeds counts.
    """

    measure: Measure
    value: float
    per_step: tuple[tuple[int, float], ...] = ()
    above: tuple[tuple[float, float], ...] = ()


EXACT = Limit("exact", 0.0)

# The first pattern that matches `CASE.OUTPUT` (or `OUTPUT`, where there is no case) counts.
LIMITS_V15: dict[str, tuple[tuple[str, Limit], ...]] = {
    "01": (("*", Limit("absolute", 2e-5)),),
    "02": (("*", Limit("absolute", 2e-5)),),
    "03": (("*", Limit("absolute", 2e-5)),),
    "04": (("*", Limit("absolute", 5e-5)),),
    "05": (
        ("*.target_latents", Limit("of_target_peak", 1e-4)),
        ("*.xt", Limit("of_target_peak", 1e-4)),
        ("*.velocity", Limit("of_target_peak", 1e-4)),
        ("*.timesteps_used", Limit("absolute", 1e-6)),
        ("*", Limit("absolute", 2e-5)),
    ),
    "07": (
        ("adg*", Limit("of_step_peak", 1e-4, per_step=((3, 1e-3),))),
        ("*", Limit("absolute", 1e-5)),
    ),
    "08": (("*", Limit("absolute", 1e-5)),),
    "09": (
        ("*grad*", Limit("of_peak", 1e-4)),
        ("*", Limit("of_peak", 1e-5)),
    ),
    "11": (("*", Limit("of_peak", 1e-4)),),
}
LIMITS_V15["06"] = LIMITS_V15["05"]

# Files of v1 are told apart by their `kind`.
LIMITS_V1: dict[str, tuple[tuple[str, Limit], ...]] = {
    "dcae": (
        ("*.latents", Limit("absolute", 1.5e-4)),
        ("*.latents_scaled", Limit("absolute", 3e-5)),
        ("*.mel", Limit("absolute", 3e-5)),
        ("*", Limit("absolute", 4e-4)),
    ),
    "vocoder": (("*.wav", Limit("absolute", 1e-6)), ("*", Limit("absolute", 3e-5))),
    "mel": (
        ("*.linear", Limit("absolute", 2e-4)),
        ("*.mel", Limit("absolute", 1e-5)),
        ("*.log_mel", Limit("absolute", 8e-3, above=((-5.0, 1e-4), (-8.0, 1e-3)))),
    ),
    "resample": (("*", Limit("absolute", 3e-6)),),
    "music_dcae": (("*.latents", Limit("absolute", 8e-4)), ("*.wav_*", Limit("absolute", 2e-6))),
    "transformer": (
        ("*.encoder_hidden_mask", EXACT),
        ("*.proj_loss_*", Limit("absolute", 5e-6)),
        ("*", Limit("absolute", 5e-5)),
    ),
    "conformer": (
        ("*.hidden", Limit("absolute", 2e-5)),
        ("*.pos_emb", Limit("absolute", 1e-5)),
        ("*", Limit("absolute", 1e-4)),
    ),
    "block": (("rope.*", Limit("absolute", 1e-5)), ("*.out", Limit("absolute", 2e-5))),
    "schedulers": (
        ("*.sigma*", Limit("absolute", 2e-7)),
        ("*timesteps", Limit("absolute", 1e-4)),
        ("*.samples", Limit("absolute", 3e-5)),
    ),
    "guidance": (("*.guided", Limit("absolute", 2e-4)),),
    "pipeline": (
        ("*timesteps", Limit("absolute", 1e-4)),
        ("*.decode_first_input", Limit("absolute", 1e-5)),
        ("*", Limit("absolute", 5e-4)),
    ),
    "text_encoder": (("*.last_hidden_state", Limit("absolute", 3e-4)),),
}

TENSOR_CHECKERS: dict[str, str] = {
    "01": "tests.golden.networks:check_condition_encoder",
    "02": "tests.golden.networks:check_dit",
    "03": "tests.golden.networks:check_audio_tokenizer",
    "04": "tests.golden.vae:check_vae",
    "05": "tests.golden.generation:check_generation",
    "06": "tests.golden.generation:check_generation",
    "07": "tests.golden.sampling:check_guidance",
    "08": "tests.golden.blending:check_blending",
    "11": "tests.golden.scoring:check_matrices",
    "dcae": "tests.golden.v1_codec:check_dcae",
    "vocoder": "tests.golden.v1_codec:check_vocoder",
    "mel": "tests.golden.v1_codec:check_mel",
    "resample": "tests.golden.v1_codec:check_resample",
    "music_dcae": "tests.golden.v1_codec:check_music_dcae",
    "transformer": "tests.golden.v1_networks:check_transformer",
    "conformer": "tests.golden.v1_networks:check_lyric_encoder",
    "block": "tests.golden.v1_networks:check_block",
    "text_encoder": "tests.golden.v1_text:check_text_encoder",
    "schedulers": "tests.golden.v1_sampling:check_schedulers",
    "guidance": "tests.golden.v1_sampling:check_guidance",
    "pipeline": "tests.golden.v1_pipeline:check_pipeline",
}

# Files with the same two digits hold different things: the first checker that knows an entry takes it.
JSON_CHECKERS: dict[str, tuple[str, ...]] = {
    "08": ("tests.golden.prompts:check_prompts", "tests.golden.preparation:check_preparation"),
}
PLACED_CHECKERS: dict[str, tuple[str, ...]] = {
    "10": ("tests.golden.planner:check_planner",),
    "11": ("tests.golden.scoring:check_scores",),
    "ly": ("tests.golden.v1_lyrics:check_lyrics",),
}

# Sections that are one entry each, and hold outputs although they look like constants.
WHOLE_SECTIONS: dict[str, tuple[str, ...]] = {
    "10": ("tokenizer", "prefix_trees", "instructions"),
}

# How far numbers in a JSON file may be off: the first pattern that matches `SECTION.ENTRY.OUTPUT` counts, and what
# matches none must be equal, as all texts and whole numbers must.
JSON_LIMITS_V15: dict[str, tuple[tuple[str, float], ...]] = {
    "10": (("decodes.*.steps", 1e-5),),  # logits after temperatures are recorded with five decimals
    "11": (
        ("pmi_cases.*", 1e-5),
        ("normalised.*", 1e-5),
        ("rewards.*", 1e-5),
        ("per_condition.*", 1e-5),
        ("alignment_cases.*.coverage", 1e-5),
        ("alignment_cases.*.monotonicity", 1e-5),
        ("alignment_cases.*.confidence", 1e-5),
        ("alignment_cases.*.lyrics_score", 1e-5),
    ),
}


def key_of(path: Path, kind: str | None) -> str:
    """What chooses the checker: the metadata's `kind`, else the first two digits of the file's name."""
    return kind if kind else path.name[:2]


def tensor_checker(key: str) -> TensorChecker | None:
    """The checker of a safetensors file, or None where nothing covers it yet."""
    return _imported(TENSOR_CHECKERS.get(key))


def json_checkers(key: str) -> list[JsonChecker]:
    """The checkers to ask about each entry of a JSON file; empty where nothing covers it yet."""
    found = [_imported(name) for name in JSON_CHECKERS.get(key, ())]
    return [checker for checker in found if checker is not None]


def placed_checkers(key: str) -> list[PlacedChecker]:
    """Those of them that are told where the entry stands."""
    found = [_imported(name) for name in PLACED_CHECKERS.get(key, ())]
    return [checker for checker in found if checker is not None]


def json_limit_of(key: str, qualified: str) -> float:
    """How far the numbers of a JSON output named `qualified` may be off."""
    return next((limit for name, limit in JSON_LIMITS_V15.get(key, ()) if fnmatchcase(qualified, name)), 0.0)


def json_error(expected: Any, got: Any) -> float:
    """The largest difference of any two numbers; 1 where anything else differs: a text, a length, a name."""
    if expected == got:
        return 0.0
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        return max(json_error(value, got[name]) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return max(json_error(*pair) for pair in zip(expected, got, strict=True))
    if all(type(value) in (int, float) for value in (expected, got)) and float in (type(expected), type(got)):
        gap = abs(expected - got)
        return gap if gap < 1.0 else 1.0  # NaN and infinities too
    return 1.0


def _imported(name: str | None) -> Any:
    if name is None:
        return None
    module, function = name.split(":")
    if importlib.util.find_spec(module) is None:
        return None
    return getattr(importlib.import_module(module), function)


def limit_of(key: str, qualified: str, expected: Tensor) -> Limit | None:
    """The limit of an output named `qualified`, or None where the table has none. Whole numbers must be equal."""
    if not (expected.is_floating_point() or expected.is_complex()):
        return EXACT
    for pattern, limit in (*LIMITS_V15.get(key, ()), *LIMITS_V1.get(key, ())):
        if fnmatchcase(qualified, pattern):
            return limit
    return None


def errors(limit: Limit, expected: Tensor, got: Tensor, target_peak: float | None) -> tuple[float, float, float]:
    """(largest absolute error, the error in the limit's measure, the limit that applied); infinite where the two
    cannot be compared: another shape, or NaN and infinities in other places."""
    if got.shape != expected.shape:
        return float("inf"), float("inf"), limit.value
    want, have = expected.double(), got.detach().cpu().double()
    if want.numel() == 0:
        return 0.0, 0.0, limit.value
    same = (want == have) | (want.isnan() & have.isnan())
    gap = torch.where(same, 0.0, (want - have).abs()).nan_to_num(nan=float("inf"), posinf=float("inf"))
    worst = float(gap.max())
    peak = float(want.nan_to_num().abs().max())
    if limit.above:
        bounds = torch.full_like(want, limit.value)
        for threshold, value in reversed(limit.above):
            bounds = torch.where(want > threshold, value, bounds)
        at = int((gap / bounds).argmax())
        worst = float(gap.flatten()[at])
        return worst, worst / peak if peak else worst, float(bounds.flatten()[at])
    if limit.measure == "of_target_peak" and target_peak:
        return worst, worst / target_peak, limit.value
    if limit.measure == "of_step_peak" and want.dim() > 1:
        own = dict(limit.per_step)
        steps = [
            (float(g.max()) / max(float(w.nan_to_num().abs().max()), 1e-30), own.get(k, limit.value))
            for k, (g, w) in enumerate(zip(gap, want, strict=True))
        ]
        return worst, *max(steps, key=lambda step: step[0] / step[1])
    return worst, worst / peak if peak else (0.0 if worst == 0 else float("inf")), limit.value


def passes(limit: Limit, absolute: float, relative: float, bound: float) -> bool:
    """Whether the error, in the measure that the limit names, is within its bound."""
    return (absolute if limit.measure in ("absolute", "exact") else relative) <= bound
