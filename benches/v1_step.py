"""How fast one step of the ACE-Step v1 transformer is here, against the original's own module, uncompiled.

    python benches/v1_step.py --checkpoint-dir DIR --original CHECKOUT [--seconds 30] [--steps 5] [--layers 24]

DIR is a folder as published (it holds `ace_step_transformer`), CHECKOUT a working tree of the ACE-Step v1 repository;
diffusers must be installed. Both networks hold the same mapped weights in bfloat16 and take steps in turn, so that a
slow minute of the machine hits both. Ours computes the context's keys and values once a song, and lays its weights out
once at load, as its renderer and loader do; both times are printed beside the step's.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from compare import machine
from partita.models.acestepv1.conditioner import Context
from partita.models.acestepv1.config import TransformerConfig
from partita.models.acestepv1.transformer import Transformer

FRAMES_PER_S = 44100 / 4096
SONG_STEPS = 60  # of the published default, over which the context's share is spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint-dir", type=Path, required=True)
    parser.add_argument("--original", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the song")
    parser.add_argument("--batch", type=int, default=1, help="rows that go through in one pass")
    parser.add_argument("--text", type=int, default=40, help="text tokens")
    parser.add_argument("--lyrics", type=int, default=150, help="lyric tokens")
    parser.add_argument("--steps", type=int, default=5, help="steps of each, in turn")
    parser.add_argument("--layers", type=int, default=0, help="take only so many blocks; 0 takes all")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's choice")
    parser.add_argument("--profile", action="store_true", help="print where one step of ours spends its time")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    frames = int(args.seconds * FRAMES_PER_S)
    folder = args.checkpoint_dir / "ace_step_transformer"
    values: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    values["num_layers"] = args.layers or values["num_layers"]
    weights = mapped(folder / "diffusion_pytorch_model.safetensors")

    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator).to(torch.bfloat16)  # noqa: E731
    context = Context(
        draw(args.batch, 1 + args.text + args.lyrics, TransformerConfig.from_json(values).width),
        torch.ones(args.batch, 1 + args.text + args.lyrics, dtype=torch.bool),
    )
    latents, timestep = draw(args.batch, 8, 16, frames), torch.full((args.batch,), 750.0)

    with torch.inference_mode():
        theirs = original_network(args.original, values, weights)
        ours, packing = timed(lambda: our_network(values, weights))
        cache = ours.cross_cache(context)
        run_ours: Callable[[], Tensor] = lambda: ours(latents, timestep, cache)  # noqa: E731
        run_theirs: Callable[[], Tensor] = lambda: theirs.decode(  # noqa: E731
            latents,
            torch.ones(args.batch, frames),
            context.hidden,
            context.mask.float(),
            timestep,
            output_length=frames,
            return_dict=False,
        )[0]
        mine, reference = run_ours().float(), run_theirs().float()
        stepping, other, caching = [], [], []
        for _ in range(args.steps):
            other.append(timed(run_theirs)[1])
            stepping.append(timed(run_ours)[1])
            caching.append(timed(lambda: ours.cross_cache(context))[1])
        print(machine())
        print(
            f"{values['num_layers']} blocks, bfloat16, {frames} frames ({args.seconds:g} s), batch {args.batch}, "
            f"context of {context.hidden.shape[1]}; {args.steps} steps of each in turn"
        )
        gap = mine - reference
        print(
            f"velocities up to {reference.abs().max():.3g}; largest difference {gap.abs().max():.3g}, "
            f"relative (norms) {gap.norm() / reference.norm():.2g}"
        )
        report(stepping, other, caching, packing)
        if args.profile:
            profile(run_ours)


def report(stepping: list[float], other: list[float], caching: list[float], packing: float) -> None:
    """Milliseconds, median and best, and the ratio of the originals' to ours."""
    print(f"{'ms':34}{'median':>10}{'best':>10}")
    rows = {}
    for name, times in (
        ("step, partita", stepping),
        ("step, original", other),
        ("context once a song, partita", caching),
    ):
        rows[name] = statistics.median(times) * 1e3, min(times) * 1e3
        print(f"{name:34}{rows[name][0]:10.0f}{rows[name][1]:10.0f}")
    share = [
        step + once / SONG_STEPS
        for step, once in zip(rows["step, partita"], rows["context once a song, partita"], strict=True)
    ]
    print(f"{f'step with its share of {SONG_STEPS}, partita':34}{share[0]:10.0f}{share[1]:10.0f}")
    median, best = (theirs / mine for theirs, mine in zip(rows["step, original"], share, strict=True))
    print(f"{'original / partita':34}{median:10.2f}{best:10.2f}")
    print(f"weights read and laid out once in {packing:.1f} s")


def mapped(path: Path) -> dict[str, Tensor]:
    """Every tensor of the file, as views of its map."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (safe_open is no mapping)


def our_network(values: dict[str, Any], weights: dict[str, Tensor]) -> Transformer:
    with torch.device("meta"):
        network = Transformer(TransformerConfig.from_json(values))
    network.load_state_dict({name: weights[name] for name in network.state_dict()}, assign=True)
    return network.requires_grad_(False).eval().prepare()


def original_network(checkout: Path, values: dict[str, Any], weights: dict[str, Tensor]) -> Any:
    """The original's class over the same tensors; only what it computes itself is made anew."""
    sys.path.insert(0, str(checkout))
    module = importlib.import_module("acestep.models.ace_step_transformer")
    with torch.device("meta"):
        network: nn.Module = module.ACEStepTransformer2DModel(**values)
    positions = module.Qwen2RotaryEmbedding(
        dim=values["attention_head_dim"], max_position_embeddings=values["max_position"], base=values["rope_theta"]
    )
    network.add_module("rotary_emb", positions.to(torch.bfloat16))
    network.load_state_dict({name: weights[name] for name in network.state_dict()}, assign=True)
    return network.requires_grad_(False).eval()


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What `run` returns, and the seconds that it took."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def profile(run: Callable[[], object]) -> None:
    with torch.profiler.profile() as recorded:
        run()
    print(recorded.key_averages().table(sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=40))


if __name__ == "__main__":
    main()
