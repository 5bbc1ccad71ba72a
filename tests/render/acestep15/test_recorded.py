"""Sampling in parity against recorded runs of the original: its conditions and noise in, its latents out."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.layout import Layout, Span
from partita.models.acestep15.model import AceStepModel
from partita.render.acestep15 import sampling
from partita.render.acestep15.conditions import ConditionSet
from partita.render.acestep15.recipe import Recipe
from partita.render.acestep15.sampling import Manner, Place, Take, sample
from partita.sampling.guidance import Guidance
from partita.sampling.repaint import BlendSettings
from partita.sampling.schedules import Schedule, linear_schedule, turbo_schedule

DATA = Path(__file__).parents[2] / "golden/data/v15"
FILES = ("05_generate_turbo", "06_generate_base_sft")
# What these need is a schedule of their own, which the schedules' own tests hold.
CASES = [
    (name, case)
    for name in FILES
    for case in json.loads(safe_open(DATA / f"{name}.safetensors", "pt").metadata()["cases"])
    if "timesteps" not in case
]


@cache
def recorded(name: str) -> tuple[AceStepModel, dict[str, Tensor], dict[str, Any]]:
    with safe_open(DATA / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (it is no mapping)
        meta = file.metadata()
    model = AceStepModel(AceStepConfig.from_json(json.loads(meta["config"])))
    weights = {key.removeprefix("weights."): tensor for key, tensor in tensors.items() if key.startswith("weights.")}
    model.load_state_dict(weights, assign=True)
    return model.eval(), tensors, json.loads(meta["cases"])


def layout_with(frames: int, mask: Tensor | None) -> Layout:
    spans: tuple[Span, ...] | None = None
    if mask is not None:
        edges = torch.diff(torch.nn.functional.pad(mask.int(), (1, 1)))
        firsts, ends = (torch.nonzero(edges == step).flatten().tolist() for step in (1, -1))
        spans = tuple(zip(firsts, ends, strict=True))
    return Layout(
        frames=frames, valid=frames, spans=spans or (), source=(), clean=(), mask=(), repaint=spans, hint=None,
        is_cover=False,
    )  # fmt: skip


def schedule_of(case: dict[str, Any]) -> Schedule:
    if case["_variant"] == "turbo":
        return turbo_schedule(torch.float32, shift=case["shift"])
    return linear_schedule(case["infer_steps"], case.get("shift", 1.0), torch.float32, clamp=False)


@pytest.mark.parametrize(("name", "case_name"), CASES, ids=[case for _, case in CASES])
def test_latents_are_the_originals(name, case_name, monkeypatch):
    model, tensors, cases = recorded(name)
    case = cases[case_name]
    given = {key.removeprefix(f"in.{case_name}."): value for key, value in tensors.items()}
    found = {key.removeprefix(f"out.{case_name}."): value for key, value in tensors.items()}
    turbo, mask = case["_variant"] == "turbo", given.get("repaint_mask")
    frames = given["noise"].shape[1]
    start_strength, strength = case.get("cover_noise_strength", 0.0), case.get("audio_cover_strength", 1.0)
    kind = "adg" if case.get("use_adg") else "apg"
    interval = case.get("cfg_interval_start", 0.0), case.get("cfg_interval_end", 1.0)
    manner = Manner(
        frames=frames,
        schedule=schedule_of(case),
        solver="sde" if case.get("infer_method") == "sde" else "euler",
        guidance=None
        if turbo
        else Guidance(kind, case.get("diffusion_guidance_sale", 7.0), interval, clamp_cosine=False),
        distilled=turbo,
        parity=True,
        strength=strength,
        start_strength=start_strength,
        edit=None,
        keeps=mask is not None,
        blend=None
        if mask is None
        else BlendSettings(case.get("repaint_injection_ratio", 0.5), case.get("repaint_crossfade_frames", 10), 0.0),
    )
    clean = given.get("clean_src_latents", given["src_latents"])
    takes = []
    for item in range(len(given["noise"])):
        sets: dict[Any, ConditionSet] = {
            "main": ConditionSet(found["encoder_hidden_states"][item], found["context_latents"][item])
        }
        if strength < 1:
            plain = found["non_cover_encoder_hidden_states"][item], found["non_cover_context_latents"][item]
            sets["plain"] = ConditionSet(*plain)
        recipe = Recipe(
            layout=layout_with(frames, None if mask is None else mask[item].bool()),
            instruction="",
            seed=item,
            kept_frames=frames,
            samples=0,
        )
        takes.append(Take(recipe, sets, model.null_condition_emb, clean[item]))
    monkeypatch.setattr(sampling, "parity_noise", lambda seeds, *_, **__: given["noise"])
    monkeypatch.setattr(sampling, "noise", lambda seed, _, stream, step: given["sde_noise"][step, seed])
    with torch.inference_mode():
        *_, latents = sample(takes, manner, model.decoder, Place(torch.device("cpu"), torch.float32))
    assert isinstance(latents, Tensor)
    expected = found["target_latents"]
    torch.testing.assert_close(latents, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)
