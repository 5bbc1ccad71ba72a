"""How fast the Oobleck codec decodes here, against diffusers' AutoencoderOobleck, at the published size.

    python benches/compare_vae.py [--seconds 30] [--runs 3] [--dtype bfloat16] [--encode] [--profile] [--ours-only]

Both hold the same random weights and are run in turn, so that a slow minute of the machine hits both. Prints each time,
the ratio of the medians, the difference of the results and the peak of resident memory while each ran. On a machine
that does other work, `--threads 1 --clock cpu` counts the processor time of this process instead of the wall's.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import psutil
import torch

from partita.models import oobleck_folded
from partita.models.oobleck import OobleckConfig, OobleckVAE
from partita.models.oobleck_folded import FoldedOobleck
from partita.models.oobleck_tiling import decode_tiled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's choice")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--stretch", type=int, default=None, help="values of one stretch of a block")
    parser.add_argument("--encode", action="store_true", help="time encoding instead of decoding")
    parser.add_argument("--profile", action="store_true", help="time the kinds of work and the blocks of ours")
    parser.add_argument("--ours-only", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    dtype = getattr(torch, args.dtype)
    config = OobleckConfig()
    frames = round(args.seconds * config.sampling_rate / config.hop_length)

    torch.manual_seed(0)
    vae = OobleckVAE(config).to(dtype).requires_grad_(False)
    theirs = None if args.ours_only else diffusers_twin(vae, dtype)
    ours = FoldedOobleck(vae, stretch_values=args.stretch)
    del vae
    latents = torch.randn(1, config.decoder_input_channels, frames)
    audio = torch.randn(1, config.audio_channels, frames * config.hop_length).clamp_(-3, 3) / 3

    if args.encode:
        run_ours: Callable[[], torch.Tensor] = lambda: ours.encode(audio).mean  # noqa: E731
        run_theirs = lambda: theirs.encode(audio.to(dtype)).latent_dist.mean  # noqa: E731  # pyright: ignore
    else:
        run_ours = lambda: decode_tiled(ours, latents)  # noqa: E731
        run_theirs = lambda: theirs.decode(latents.to(dtype)).sample  # noqa: E731  # pyright: ignore

    what = "encode" if args.encode else "decode"
    threads = torch.get_num_threads()
    print(f"{what} {args.seconds:g} s, {args.dtype}, {threads} threads, {args.clock} clock, torch {torch.__version__}")
    with peak_memory() as peak:
        result = run_ours()
    print(f"ours: {peak[0] / 2**20:.0f} MiB above the {peak[1] / 2**20:.0f} MiB resident before")
    if theirs is not None:
        with peak_memory() as peak:
            reference = run_theirs().float()
        print(f"diffusers: {peak[0] / 2**20:.0f} MiB above the {peak[1] / 2**20:.0f} MiB resident before")
        gap = (result - reference).abs().max() / reference.abs().max()
        print(f"largest difference, of the peak: {gap:.2e}")

    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(args.runs):
        times["ours"].append(seconds_of(run_ours, clock))
        if theirs is not None:
            times["diffusers"].append(seconds_of(run_theirs, clock))
    for name, values in times.items():
        median = statistics.median(values)
        shown = " ".join(f"{value:.2f}" for value in values)
        print(f"{name}: median {median:.2f} s, {args.seconds / median:.2f} times real time; runs {shown}")
    if theirs is not None:
        by_median = statistics.median(times["diffusers"]) / statistics.median(times["ours"])
        print(f"ratio of medians {by_median:.2f}, of best runs {min(times['diffusers']) / min(times['ours']):.2f}")
    if args.profile:
        profile(run_ours, clock)


def diffusers_twin(vae: OobleckVAE, dtype: torch.dtype) -> torch.nn.Module:
    """diffusers' network with the weights of `vae`."""
    from diffusers.models.autoencoders.autoencoder_oobleck import AutoencoderOobleck

    config = vae.config
    theirs = AutoencoderOobleck(
        encoder_hidden_size=config.encoder_hidden_size,
        downsampling_ratios=list(config.downsampling_ratios),
        channel_multiples=list(config.channel_multiples),
        decoder_channels=config.decoder_channels,
        decoder_input_channels=config.decoder_input_channels,
        audio_channels=config.audio_channels,
        sampling_rate=config.sampling_rate,
    )
    theirs.load_state_dict(vae.state_dict())
    return torch.nn.Module.to(theirs, dtype).eval().requires_grad_(False)


def seconds_of(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    with torch.no_grad():
        run()
    return clock() - start


@contextlib.contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Resident bytes above those at entry, at most; and those at entry."""
    process = psutil.Process()
    before = process.memory_info().rss
    peak = [0, before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with torch.no_grad():
            yield peak
    finally:
        done.set()
        watcher.join()


def profile(run: Callable[[], object], clock: Callable[[], float]) -> None:
    """Time spent in each kind of work, by the number of channels that leave it."""
    spent: dict[str, float] = defaultdict(float)

    def timed(kind: type, label: Callable[[object, torch.Tensor], str]) -> Callable[..., torch.Tensor]:
        inner = kind.__call__

        def call(self: object, *inputs: object, **options: object) -> torch.Tensor:
            start = clock()
            out = inner(self, *inputs, **options)
            spent[label(self, out)] += clock() - start
            return out

        kind.__call__ = call
        return inner

    def conv_label(conv: object, out: torch.Tensor) -> str:
        assert isinstance(conv, oobleck_folded._Conv)
        kind = "transposed" if conv.transposed else "conv"
        return f"{kind} k{conv.weight.shape[-1]} d{conv.dilation} to {out.shape[1]}"

    inner_conv = timed(oobleck_folded._Conv, conv_label)
    inner_snake = timed(oobleck_folded._Snake, lambda _, out: f"snake {out.shape[1]}")
    try:
        total = seconds_of(run, clock)
    finally:
        oobleck_folded._Conv.__call__ = inner_conv
        oobleck_folded._Snake.__call__ = inner_snake
    for name, value in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"{value * 1e3:9.1f} ms  {100 * value / total:5.1f} %  {name}")
    rest = total - sum(spent.values())
    print(f"{rest * 1e3:9.1f} ms  {100 * rest / total:5.1f} %  residual sums and copies")


if __name__ == "__main__":
    main()
