"""How fast one step of the ACE-Step 1.5 transformer is here, against diffusers' AceStepTransformer1DModel, uncompiled.

    python benches/compare.py [--size 2b|tiny] [--seconds 30] [--steps 8] [--runs 3] [--clock wall|cpu]

Both hold the same random weights in the same memory and take steps in turn, so that a slow minute of the machine hits
both. Ours computes the keys and values of the condition once a song, as its renderer does; that time is counted in.
On a machine that others use, `--threads 1 --clock cpu` still measures: it counts the process's own time.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.dit import DiT

LATENT_FRAMES_PER_S = 25

PUBLISHED_2B = AceStepConfig(
    hidden_size=2048,
    intermediate_size=6144,
    num_hidden_layers=24,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    in_channels=192,
    audio_acoustic_hidden_dim=64,
    text_hidden_dim=1024,
)
TINY = AceStepConfig(
    hidden_size=256,
    intermediate_size=768,
    num_hidden_layers=8,
    num_attention_heads=4,
    num_key_value_heads=4,
    head_dim=64,
    in_channels=192,
    audio_acoustic_hidden_dim=64,
    text_hidden_dim=256,
)
RENAMED = (
    ("proj_in.1.", "proj_in_conv."),
    ("proj_out.1.", "proj_out_conv."),
    (".q_proj.", ".to_q."),
    (".k_proj.", ".to_k."),
    (".v_proj.", ".to_v."),
    (".o_proj.", ".to_out.0."),
    (".q_norm.", ".norm_q."),
    (".k_norm.", ".norm_k."),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["2b", "tiny"], default="2b")
    parser.add_argument("--layers", type=int, default=0, help="take only so many layers; 0 takes all")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the song")
    parser.add_argument("--condition", type=int, default=300, help="positions of the packed condition")
    parser.add_argument("--steps", type=int, default=8, help="steps of a song")
    parser.add_argument("--runs", type=int, default=3, help="songs")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's choice")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--profile", action="store_true", help="print where one step of ours spends its time")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    config = PUBLISHED_2B if args.size == "2b" else TINY
    config = replace(config, num_hidden_layers=args.layers or config.num_hidden_layers)
    seconds_of = partial(time_of, time.perf_counter if args.clock == "wall" else time.process_time)
    frames = round(args.seconds * LATENT_FRAMES_PER_S)

    weights = random_weights(config, dtype)
    ours, theirs = our_network(config, weights), diffusers_network(config, weights)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, frames, config.audio_acoustic_hidden_dim, generator=generator).to(dtype)
    context = torch.randn(1, frames, config.context_channels, generator=generator).to(dtype)
    condition = torch.randn(1, args.condition, config.encoder_block.hidden_size, generator=generator).to(dtype)
    t = torch.full((1,), 0.75, dtype=dtype)

    with torch.inference_mode():
        cache = ours.cross_cache(condition)
        run_ours: Callable[[], Tensor] = lambda: ours(x, t, None, cache, context)  # noqa: E731
        run_theirs: Callable[[], Tensor] = lambda: theirs(x, t, t, condition, context, return_dict=False)[0]  # noqa: E731
        mine, reference = run_ours().float(), run_theirs().float()
        gap = ((mine - reference).norm() / reference.norm()).item()
        caching, stepping, other = [], [], []
        for _ in range(args.runs):
            caching.append(seconds_of(lambda: ours.cross_cache(condition)))
            for _ in range(args.steps):
                other.append(seconds_of(run_theirs))
                stepping.append(seconds_of(run_ours))
        report(args, frames, gap, caching, stepping, other)
        if args.profile:
            profile(run_ours)


def report(
    args: argparse.Namespace, frames: int, gap: float, caching: list[float], stepping: list[float], other: list[float]
) -> None:
    """The table: median and best of a step, and of a song's share of the condition's keys and values."""
    print(machine())
    print(
        f"{args.size} of {args.layers or 'all'} layers, {args.dtype}, {frames} frames ({args.seconds:g} s), "
        f"condition of {args.condition} positions, "
        f"{args.steps} steps a song, {args.runs} songs in turn, {args.clock} time; "
        f"relative difference of the velocities {gap:.1e}"
    )
    print(f"{'':28}{'median s':>10}{'best s':>10}")
    totals = {}
    for name, pick in (("median", statistics.median), ("best", min)):
        totals[name] = (pick(stepping) + pick(caching) / args.steps, pick(other))
    print(f"{'step, partita':28}{statistics.median(stepping):10.3f}{min(stepping):10.3f}")
    print(f"{'condition once, partita':28}{statistics.median(caching):10.3f}{min(caching):10.3f}")
    print(f"{'step with its share, partita':28}{totals['median'][0]:10.3f}{totals['best'][0]:10.3f}")
    print(f"{'step, diffusers':28}{totals['median'][1]:10.3f}{totals['best'][1]:10.3f}")
    ratios = [theirs / ours for ours, theirs in totals.values()]
    print(f"{'diffusers / partita':28}{ratios[0]:10.2f}{ratios[1]:10.2f}")


def machine() -> str:
    """Processor, threads and versions in one line."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [line.split(":", 1)[1].strip() for line in information.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    import diffusers

    return f"{model}, {torch.get_num_threads()} threads, torch {torch.__version__}, diffusers {diffusers.__version__}"


def random_weights(config: AceStepConfig, dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights under the published names: unit norms, the rest normal with a spread that keeps magnitudes.

    All are cut from one row of random numbers, each from another place, since drawing billions takes minutes.
    """
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in DiT(config).state_dict().items()}
    most = max(math.prod(shape) for shape in shapes.values())
    pool = torch.randn(most + 101 * len(shapes), generator=torch.Generator().manual_seed(0)).to(dtype)
    weights = {}
    for place, (name, shape) in enumerate(shapes.items()):
        if "norm" in name:
            weights[name] = torch.ones(shape, dtype=dtype)
        else:
            spread = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.02
            weights[name] = pool[101 * place :][: math.prod(shape)].view(shape) * spread
    return weights


def our_network(config: AceStepConfig, weights: dict[str, Tensor]) -> DiT:
    with torch.device("meta"):
        network = DiT(config)
    network.load_state_dict(weights, assign=True)
    return network.eval()


def diffusers_network(config: AceStepConfig, weights: dict[str, Tensor]) -> nn.Module:
    """diffusers' transformer over the same tensors, renamed as its conversion script renames them."""
    from diffusers.models.transformers.ace_step_transformer import AceStepTransformer1DModel

    with torch.device("meta"):
        network = AceStepTransformer1DModel(
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_key_value_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            in_channels=config.in_channels,
            audio_acoustic_hidden_dim=config.audio_acoustic_hidden_dim,
            encoder_hidden_size=config.encoder_block.hidden_size,
            sliding_window=config.sliding_window,
        )
    renamed = {}
    for name, value in weights.items():
        for old, new in RENAMED:
            name = name.replace(old, new)
        renamed[name] = value
    network.load_state_dict(renamed, assign=True)
    return network.eval()


def time_of(clock: Callable[[], float], run: Callable[[], object]) -> float:
    start = clock()
    run()
    return clock() - start


def profile(run: Callable[[], object]) -> None:
    with torch.profiler.profile() as recorded:
        run()
    print(recorded.key_averages().table(sort_by="self_cpu_time_total", row_limit=14, max_name_column_width=40))


if __name__ == "__main__":
    main()
