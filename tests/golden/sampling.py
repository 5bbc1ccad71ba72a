"""Checks recorded guidance against `partita.sampling.guidance`: projection, APG with its memory, ADG and plain CFG.

The recorded steps are consecutive. The batch of ADG as first published is run item by item, since that is all it was
right for; the results are those of the batch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from partita.sampling import guidance

CFG_SCALE = 3.5  # the recording keeps no argument for the plain CFG case; this is what its numbers were made with


def check_guidance(tensors: dict[str, Tensor], meta: dict[str, str], path: Path) -> dict[str, Tensor]:
    """Guided predictions [steps, B, T, D] of every case, and APG's running average after each step."""
    del path
    cond, null, x = (tensors[f"in.{name}"] for name in ("pred_cond", "pred_uncond", "latents"))
    times = tensors["in.timesteps"]
    computed = {"cfg.guided": torch.stack([guidance.cfg(c, n, CFG_SCALE) for c, n in zip(cond, null, strict=True)])}
    for name, dims in (("dims1", (1,)), ("lastdim", (-1,))):
        parallel, orthogonal = guidance.project(cond[0] - null[0], cond[0], dims)
        computed |= {f"project.{name}.parallel": parallel, f"project.{name}.orthogonal": orthogonal}
    for case in json.loads(meta.get("apg_cases", "[]")):
        guided, averages = _apg_steps(cond, null, case)
        computed[f"apg.{case['name']}.guided"] = guided
        if case["momentum"] is not None:
            computed[f"apg.{case['name']}.running_average"] = averages
    for case in json.loads(meta.get("adg_cases", "[]")):
        for group, clamp in (("adg", False), ("adg_later", True)):
            computed[f"{group}.{case['name']}.guided"] = _adg_steps(cond, null, x, times, case, clamp)
    return computed


def _apg_steps(cond: Tensor, null: Tensor, case: dict[str, Any]) -> tuple[Tensor, Tensor]:
    settings = guidance.ApgSettings(case["momentum"], case["norm_threshold"], case["eta"], tuple(case["dims"]))
    average, guided, averages = None, [], []
    for c, n in zip(cond, null, strict=True):
        result, average = guidance.apg(c, n, case["guidance_scale"], average, settings)
        guided.append(result)
        averages.append(c.new_zeros(c.shape) if average is None else average)
    return torch.stack(guided), torch.stack(averages)


def _adg_steps(cond: Tensor, null: Tensor, x: Tensor, times: Tensor, case: dict[str, Any], clamp: bool) -> Tensor:
    variant = case["variant"]
    norm = variant == "adg_w_norm_forward"
    clip = case.get("angle_clip", guidance.ADG_CLIP_W_NORM if norm else guidance.ADG_CLIP)
    if variant == "adg_wo_clip_forward":
        clip = None
    steps = []
    for k in range(len(cond)):
        items = [
            guidance.adg(x[k, b : b + 1], cond[k, b : b + 1], null[k, b : b + 1], times[k : k + 1],
                         case["guidance_scale"], clip, norm, clamp)
            for b in range(cond.shape[1])
        ]  # fmt: skip
        steps.append(torch.cat(items))
    return torch.stack(steps)
