"""When each solver is worth it: error against network evaluations. `python benches/solvers.py` (about a minute)

Fields: Gaussian data (flow known exactly), a mixture of three Gaussians, the small ACE-Step 1.5 base of the recorded
numbers (random weights, guidance 3), and the built-in model (trained, guidance 2). Errors are root mean squares against
the exact flow or a run of many steps, divided by the deviation of the music; the best of each line is starred.
`2m-log` is DPM-Solver++ 2M as published, with its line over log((1 - t) / t), which the package leaves out. The
stochastic solver follows no flow: of it the mean and deviation of Gaussian music are printed, as shares of the truth.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from partita.models.acestep15.condition import context_latents
from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.model import AceStepModel
from partita.sampling.flow import Velocity, predict_with
from partita.sampling.guidance import Guidance, with_null
from partita.sampling.loop import State, denoise
from partita.sampling.noise import Stream, batch_noise, noise
from partita.sampling.schedules import linear_schedule
from partita.sampling.solvers import Move, Solver, dpmpp_2m, estimate, euler, heun, sde
from partita.score.codec import silence
from partita.score.context import lay_context
from partita.score.grid import frame_count, lay_grid
from partita.score.instruments import programs_for
from partita.score.styles import ENERGIES, STYLES, Cast
from partita.score.types import ROLES, Grid, Section
from partita.weights.builtin import BUILTIN_DIRECTORY, load_builtin

RECORDED = Path(__file__).parents[1] / "tests" / "golden" / "data" / "v15" / "06_generate_base_sft.safetensors"
RECORDED_CASE = "repaint_default"
EVALUATIONS = (4, 8, 16, 32, 64)
CHANNELS = 16
DURATION_S = 8.0
F64 = torch.float64


@dataclass(frozen=True)
class Field:
    """A flow to follow: where it starts, its velocity, and either where it ends or the steps of the reference run."""

    name: str
    start: Tensor
    velocity: Velocity
    guidance: Guidance | None = None
    reference_steps: int = 2000
    end: Tensor | None = None


def main() -> int:
    """Print the tables; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shifts", type=float, nargs="+", default=[1.0, 3.0])
    options = parser.parse_args()
    solvers: dict[str, tuple[Solver, int]] = {
        "euler": (euler, 1),
        "heun": (heun(direct_end=False), 2),
        "heun-direct": (heun(), 2),
        "dpmpp-2m": (dpmpp_2m, 1),
        "2m-log": (dpmpp_2m_in_log_snr, 1),
    }
    with torch.inference_mode():
        for field in (gaussian(), mixture(), recorded_network(), built_in_model()):
            for shift in options.shifts:
                print_table(field, shift, solvers)
        print_stochastic()
    return 0


def print_table(field: Field, shift: float, solvers: dict[str, tuple[Solver, int]]) -> None:
    """One line for each number of evaluations, one column for each solver."""
    end = follow(field, dpmpp_2m, field.reference_steps, shift) if field.end is None else field.end
    print(f"\n{field.name}, shift {shift:g}\n{'evaluations':>11} " + " ".join(f"{name:>12}" for name in solvers))
    for evaluations in EVALUATIONS:
        found = [
            float((follow(field, solver, evaluations // looks, shift) - end).pow(2).mean().sqrt() / end.std())
            for solver, looks in solvers.values()
        ]
        cells = [f"{value:>11.2e}{'*' if value == min(found) else ' '}" for value in found]
        print(f"{evaluations:>11} " + " ".join(cells), flush=True)


def follow(field: Field, solver: Solver, steps: int, shift: float) -> Tensor:
    """The end of the flow in so many steps of an even grid with a shift."""
    x = State(field.start)
    for done in denoise(
        x, linear_schedule(steps, shift, F64), predict_with(field.velocity), guidance=field.guidance, solver=solver
    ):
        x = done.after
    return x.x


def print_stochastic() -> None:
    """Mean and deviation that the stochastic solver leaves of Gaussian music, as shares of the true deviation."""
    mean, deviation = _moments()
    shape = (4000, CHANNELS)
    print(f"\nsde on Gaussian data\n{'evaluations':>11} {'mean off by':>12} {'deviation':>12}")
    for steps in EVALUATIONS:
        solver = sde(lambda k: batch_noise([2], shape, Stream.STEP, k).double())
        field = Field("", batch_noise([1], shape).double(), _gaussian_velocity(mean, deviation))
        end = follow(field, solver, steps, 1.0)[0]
        off = ((end.mean(0) - mean).abs() / deviation).mean()
        print(f"{steps:>11} {float(off):>12.3f} {float((end.std(0) / deviation).mean()):>12.3f}")


def dpmpp_2m_in_log_snr(move: Move) -> Tensor:
    """DPM-Solver++ 2M (arXiv:2211.01095) as published: steps are measured in log((1 - t) / t), the last is Euler's."""
    if move.last is None or move.t_next == 0:
        return euler(move)
    h, h_last = _log_snr(move.t_next) - _log_snr(move.t), _log_snr(move.t) - _log_snr(move.last.t)
    clean = estimate(move.x, move.v, move.t)
    ahead = clean + h / (2 * h_last) * (clean - estimate(move.last.x, move.last.v, move.last.t))
    return move.t_next / move.t * move.x + (1 - move.t_next / move.t) * ahead


def _log_snr(t: float) -> float:
    return -math.inf if t == 1 else math.log((1 - t) / t)


def _moments() -> tuple[Tensor, Tensor]:
    mean, deviation = (noise(seed, (CHANNELS,)).double() for seed in (10, 11))
    return mean, torch.exp(0.7 * deviation - 1.5)


def _gaussian_velocity(mean: Tensor, deviation: Tensor) -> Velocity:
    def velocity(x: Tensor, t: Tensor) -> Tensor:
        time = t[:, None, None]
        slope = (time - (1 - time) * deviation**2) / (time**2 + (1 - time) ** 2 * deviation**2)
        return slope * (x - (1 - time) * mean) - mean

    return velocity


def gaussian() -> Field:
    """Channels of their own mean and deviation (0.05 to 0.9): music is that far off the mean along every channel."""
    mean, deviation = _moments()
    start = batch_noise(range(1, 33), (4, CHANNELS)).double()
    return Field("Gaussian data", start, _gaussian_velocity(mean, deviation), end=mean + deviation * start)


def mixture() -> Field:
    """Three songs to choose between, each with a deviation of 0.3: the flow bends where it takes sides."""
    songs, deviation = noise(12, (3, CHANNELS)).double(), 0.3

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        time = t[:, None, None, None]
        variance = time**2 + (1 - time) ** 2 * deviation**2
        away = x[..., None, :] - (1 - time) * songs
        share = torch.softmax(-away.pow(2).sum(-1) / (2 * variance[..., 0]), dim=-1)
        towards = (time - (1 - time) * deviation**2) / variance * away - songs
        return (share[..., None] * towards).sum(-2)

    return Field("mixture of three", batch_noise(range(1, 65), (4, CHANNELS)).double(), velocity)


def recorded_network() -> Field:
    """The small random ACE-Step 1.5 base of the recorded numbers, with the condition of one of its cases."""
    tensors = load_file(RECORDED)
    with safe_open(RECORDED, "pt") as file:
        config = json.loads(file.metadata()["config"])
    model = AceStepModel(AceStepConfig.from_json(config))
    model.load_state_dict({k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")})
    model = model.double().eval()
    states = tensors[f"out.{RECORDED_CASE}.encoder_hidden_states"].double()
    source, mask = (tensors[f"in.{RECORDED_CASE}.{name}"].double() for name in ("src_latents", "chunk_masks"))
    context = context_latents(source, mask[..., 0])
    cache = model.decoder.cross_cache(with_null(states, model.null_condition_emb))

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        predicted = model.decoder(x, t, None, cache, torch.cat([context, context]))
        assert isinstance(predicted, Tensor)
        return predicted

    start = tensors[f"in.{RECORDED_CASE}.noise"].double()
    return Field("recorded network, guidance 3", start, velocity, Guidance("cfg", 3.0), reference_steps=1000)


def built_in_model() -> Field:
    """The model that ships with the package, writing eight seconds in its usual guidance."""
    model = load_builtin(BUILTIN_DIRECTORY).model
    cast = Cast(STYLES[0], ENERGIES[1], {role: programs_for(role)[0] for role in ROLES[:4]})
    grid = lay_grid(Grid(100.0, "4/4"), (Section("verse", 0.0, DURATION_S),), "C major", DURATION_S)
    frames = frame_count(DURATION_S)
    keep = np.tile([role not in cast.programs for role in ROLES], (frames, 1))
    context = torch.from_numpy(lay_context(np.concatenate([silence(frames), grid], axis=1), keep)).float()[None]
    states = model.conditions(torch.tensor([cast.numbers()]))
    cache = model.dit.cross_cache(with_null(states, model.null_condition))

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return model(x.float(), t.float(), cache, torch.cat([context, context])).double()

    start = noise(1, (frames, 64)).double()[None]
    return Field("built-in model, guidance 2", start, velocity, Guidance("cfg", 2.0), reference_steps=200)


if __name__ == "__main__":
    sys.exit(main())
