"""Checks recorded schedules, solvers and guidance of ACE-Step v1 against `partita.sampling`.

A recorded trajectory follows a velocity that its file spells out; every step of the loop is one of the recorded
evaluations. Guidance is run step by step through the function that the loop uses.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from partita.sampling import schedules, solvers
from partita.sampling.guidance import ApgSettings, Guidance, Window, guide
from partita.sampling.loop import State, denoise
from partita.sampling.schedules import Schedule
from partita.sampling.solvers import Solver

Case = dict[str, Any]
Inputs = dict[str, Tensor]
Computed = dict[str, Tensor]

OUTSIDE_APG = {"norm_threshold": 2.5, "eta": 0.0}  # what the original's arguments are where a case names none
ALWAYS = Window(0, 1000)


def check_schedulers(tensors: dict[str, Tensor], meta: dict[str, str], path: Path) -> Computed:
    """Tables and trajectories of every case, under `<case>.<name>`."""
    del path
    of_mode: dict[str, Callable[[Inputs, Case], Computed]] = {
        "init": _training_tables,
        "table": lambda given, case: _tables(_schedule(case)),
        "oss": _picked_tables,
        "traj": _trajectory,
    }
    return _for_each_case(tensors, meta, lambda given, case: of_mode[case["mode"]](given, case))


def check_guidance(tensors: dict[str, Tensor], meta: dict[str, str], path: Path) -> Computed:
    """Guided predictions of consecutive steps, [steps, B, 8, 16, T], of every case."""
    del path
    return _for_each_case(tensors, meta, lambda given, case: {"guided": _guided(given, case)})


def _for_each_case(
    tensors: dict[str, Tensor], meta: dict[str, str], check: Callable[[Inputs, Case], Computed]
) -> Computed:
    computed: Computed = {}
    for name, case in json.loads(meta["cases"]).items():
        if any(key.startswith(f"out.{name}.") for key in tensors):
            prefix = f"in.{name}."
            given = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            computed |= {f"{name}.{output}": value for output, value in check(given, case).items()}
    return computed


def _training_tables(given: Inputs, case: Case) -> Computed:
    levels = torch.tensor(schedules.training_levels(case["shift"], case.get("sigma_max", 1.0)))
    return {"sigmas": levels, "timesteps": levels * 1000, "sigma_min_max": torch.stack([levels[-1], levels[0]])}


def _schedule(case: Case) -> Schedule:
    shift = case["shift"]
    start = schedules.training_levels(shift, case.get("sigma_max", 1.0))[0]
    schedule = schedules.shifted_twice_schedule(case["steps"], shift, start=start)
    return schedules.doubled(schedule) if case["scheduler"] == "heun" else schedule


def _tables(schedule: Schedule) -> Computed:
    levels = torch.tensor(schedule.times)
    return {"sigmas": levels, "timesteps": levels[:-1] * 1000}


def _picked_tables(given: Inputs, case: Case) -> Computed:
    picks, shift = case["oss_steps"], case["shift"]
    base = torch.tensor(schedules.shifted_twice_schedule(max(picks), shift).times[:-1]) * 1000
    return {"base_timesteps": base} | _tables(schedules.picked_schedule(picks, shift))


def _trajectory(given: Inputs, case: Case) -> Computed:
    def velocity(x: Tensor, t: float, index: int) -> Tensor:
        s = torch.tensor(t) * 1000 / 1000
        return 0.8 * torch.sin(1.7 * x + 0.3) - 0.5 * x * (1 - s) + 0.25 * s

    steps = denoise(State(given["x0"]), _schedule(case), velocity, solver=_solver(given, case))
    return {"samples": torch.stack([step.after.x for step in steps])}


def _solver(given: Inputs, case: Case) -> Solver:
    if case["scheduler"] == "pingpong":
        draws = given["noise"]
        return solvers.sde(lambda step: draws[step])
    heun = case["scheduler"] == "heun"
    solver = solvers.granular(solvers.heun_in_turns if heun else solvers.euler, case["omega"], over_batch=True)
    return solvers.by_estimate(solver) if heun else solver


def _guided(given: Inputs, case: Case) -> Tensor:
    guidance = _guidance(case)
    average, found = None, []
    for index, (cond, null) in enumerate(zip(given["cond"], given["uncond"], strict=True)):
        parts = [cond, null]
        if guidance.double is not None:
            parts.append(given["only_text"][index])
        guided, average = guide(guidance, parts, torch.zeros_like(cond), 0.5, index, average)
        found.append(guided)
    return torch.stack(found)


def _guidance(case: Case) -> Guidance:
    if case["fn"] == "cfg_double_condition":
        scales = case["guidance_scale_text"], case["guidance_scale_lyric"]
        return Guidance("cfg", window=ALWAYS, double=scales)
    scale = case["guidance_scale"]
    if case["fn"] == "apg":
        knobs = {name: case.get(name, usual) for name, usual in OUTSIDE_APG.items()}
        return Guidance("apg", scale, apg=ApgSettings(momentum=case["momentum"], dims=(-2, -1), **knobs))
    if case["fn"] == "cfg_zero_star":
        # The original's number is the last step that stands still.
        return Guidance("cfg_star", scale, zero_steps=case["zero_steps"] + 1 if case["use_zero_init"] else 0)
    assert case["fn"] == "cfg", case["fn"]
    return Guidance("cfg", scale)
