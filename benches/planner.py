"""How fast the planner writes audio codes here, beside the memory's speed and transformers' `generate`.

    python benches/planner.py FOLDER [--formats full int8 int4] [--steps native torch] [--codes 48] [--prompt 400]
        [--rounds 5] [--threads 2] [--no-transformers]

FOLDER holds a planner as published. A step is `native`, built for this processor as by default, or by `torch`, as where
there is no compiler. One song with guidance: two rows of a pass, prompts of `--prompt` tokens and a quarter of that.
Every round times the sum over a 2 GiB buffer, then each contestant, so that a slow minute of the machine hits all
alike; figures are medians over rounds of ratios within a round. `memory` is the share of the buffer's speed at which a
contestant reads what a token needs: weights of the layers, the cut head, keys and values.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from partita.models.quantised import read_bytes
from partita.models.qwen3_decoder import Head, Qwen3Decoder
from partita.planner.lm.decode import Continuation, Written, decode
from partita.planner.lm.sampling import Sampling
from partita.planner.lm.vocabulary import PlannerVocabulary
from partita.runtime import cpu_name
from partita.settings import Settings
from partita.song.card import PlannerCard
from partita.weights.catalog import configuration, planners
from partita.weights.configs import read_json
from partita.weights.locate_planner import LocatedPlanner
from partita.weights.planner import PlannerLoader, WeightFormat

BUFFER_BYTES = 2 << 30
SAMPLING = Sampling()


@dataclass(frozen=True)
class Counted:
    """Codes and nothing else, so many; the first is column `first` of the head."""

    left: int
    first: int

    @property
    def done(self) -> bool:
        return self.left == 0

    def forced(self) -> tuple[int, ...]:
        return ()

    def steady(self) -> int:
        return max(1, self.left)

    def remaining(self) -> int:
        return self.left

    def masked(self, logits: Tensor) -> tuple[Tensor, Counted]:
        logits[: self.first] = -torch.inf
        return logits, self

    def advance(self, token: int) -> Counted:
        return replace(self, left=self.left - 1)


@dataclass(frozen=True)
class Contestant:
    """`write` writes the codes and gives its seconds; `token_bytes` is what one code makes it read."""

    name: str
    write: Callable[[], float]
    token_bytes: int


def main() -> None:
    options = parsed()
    torch.set_num_threads(options.threads)
    print(f"{cpu_name()}, {options.threads} threads, torch {torch.__version__}")
    card = card_of(options.folder)
    began = time.perf_counter()
    vocabulary = PlannerVocabulary.load(options.folder)
    print(f"vocabulary of {vocabulary.size} tokens: {time.perf_counter() - began:.2f} s")
    contestants = [
        one
        for form in options.formats
        for step in options.steps
        if (one := ours(options, card, vocabulary, form, step))
    ]
    if options.transformers:
        contestants.append(transformers_generate(options))
    race(contestants, options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--formats", nargs="+", choices=["full", "int8", "int4"], default=["full", "int8", "int4"])
    parser.add_argument("--steps", nargs="+", choices=["native", "torch"], default=["native", "torch"])
    parser.add_argument("--number-format", default="bfloat16")
    parser.add_argument("--codes", type=int, default=48)
    parser.add_argument("--prompt", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-transformers", dest="transformers", action="store_false")
    return parser.parse_args()


def card_of(folder: Path) -> PlannerCard:
    """The planner whose hidden size the folder's configuration has."""
    size = read_json(folder / "config.json")["hidden_size"]
    return next(one for one in planners() if configuration(one.configuration)["hidden_size"] == size)


def prompts(options: argparse.Namespace) -> tuple[list[int], list[int]]:
    """Ids of text, the same each time."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 100_000, (options.prompt,), generator=draw).tolist()
    return ids, ids[: max(1, options.prompt // 4)]


def ours(
    options: argparse.Namespace, card: PlannerCard, vocabulary: PlannerVocabulary, form: WeightFormat, step: str
) -> Contestant | None:
    name = f"{form}, {step}"
    weights = next(options.folder.glob("model.safetensors*"))
    began = time.perf_counter()
    folder = Settings().cache / "native" if step == "native" else None
    loader = PlannerLoader(LocatedPlanner(card, weights), "cpu", options.number_format, form, folder)
    if step == "native":
        print(f"{name}: {loader.native.reason} ({time.perf_counter() - began:.2f} s)")
        if loader.native.function is None:
            return None
    began = time.perf_counter()
    decoder: Qwen3Decoder = loader.load("network")
    loaded = time.perf_counter()
    # A range where the end lies just before the codes, so that nothing is copied: 24 columns too many.
    head = decoder.head(range(vocabulary.end_id, max(vocabulary.code_ids) + 1), loader.head_form)
    conditional, unconditional = prompts(options)
    work = Continuation(
        prompt=conditional,
        unconditional=unconditional,
        seeds=[0],
        constraint=Counted(options.codes, min(vocabulary.code_ids) - vocabulary.end_id),
        max_tokens=options.codes,
        sampling=SAMPLING,
    )
    ready = time.perf_counter()
    next(decode(decoder, head, work))
    print(
        f"{name}: network {loaded - began:.2f} s, head {ready - loaded:.2f} s, "
        f"prompt of {options.prompt} + {len(unconditional)} tokens {time.perf_counter() - ready:.2f} s"
    )
    return Contestant(name, lambda: seconds_of(decoder, head, work), token_bytes(decoder, head, work))


def seconds_of(decoder: Qwen3Decoder, head: Head, work: Continuation) -> float:
    """Seconds for all codes, the reading of the prompt left out."""
    run = decode(decoder, head, work)
    next(run)
    began = time.perf_counter()
    *_, last = run
    assert isinstance(last, Written)
    return time.perf_counter() - began


def token_bytes(decoder: Qwen3Decoder, head: Head, work: Continuation) -> int:
    """Layers and head once, and the keys and values of both rows at half of their growth."""
    config = decoder.config
    place = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * decoder.like.itemsize
    places = sum(len(prompt) + work.max_tokens // 2 for prompt in work.prompts)
    return read_bytes(decoder) + read_bytes(head.linear) + places * place


def transformers_generate(options: argparse.Namespace) -> Contestant:
    from transformers import Qwen3ForCausalLM

    began = time.perf_counter()
    model = Qwen3ForCausalLM.from_pretrained(options.folder, dtype=getattr(torch, options.number_format)).eval()
    print(f"transformers: network {time.perf_counter() - began:.2f} s")
    conditional, unconditional = (torch.tensor([ids]) for ids in prompts(options))

    def generate(count: int) -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            model.generate(
                conditional,
                attention_mask=torch.ones_like(conditional),
                negative_prompt_ids=unconditional,
                negative_prompt_attention_mask=torch.ones_like(unconditional),
                guidance_scale=SAMPLING.guidance,
                do_sample=True,
                temperature=SAMPLING.temperature,
                top_p=SAMPLING.top_p,
                top_k=0,
                min_new_tokens=count,
                max_new_tokens=count,
                pad_token_id=0,
            )
        return time.perf_counter() - began

    return Contestant("transformers", lambda: generate(options.codes + 1) - generate(1), 0)


def race(contestants: list[Contestant], options: argparse.Namespace) -> None:
    buffer = torch.ones(BUFFER_BYTES // 4, dtype=torch.float32)
    read: list[float] = []
    rates: dict[str, list[float]] = {one.name: [] for one in contestants}
    shares: dict[str, list[float]] = {one.name: [] for one in contestants}
    for one in contestants:
        one.write()
    for _ in range(options.rounds):
        for one in contestants:
            before = timed(buffer.sum)
            rate = options.codes / one.write()
            speed = BUFFER_BYTES / min(before, timed(buffer.sum))
            read.append(speed)
            rates[one.name].append(rate)
            shares[one.name].append(rate * one.token_bytes / speed)
    print(f"memory: {statistics.median(read) / 1e9:.1f} GB/s ({min(read) / 1e9:.1f} to {max(read) / 1e9:.1f})")
    theirs = rates.get("transformers")
    for one in contestants:
        line = f"{one.name:<13}{statistics.median(rates[one.name]):6.1f} codes/s (best {max(rates[one.name]):.1f})"
        if one.token_bytes:
            share = shares[one.name]
            line += f", {one.token_bytes / 1e6:.0f} MB a code"
            line += f", memory {statistics.median(share):.2f} (best {max(share):.2f})"
            if theirs:
                ratios = [a / b for a, b in zip(rates[one.name], theirs, strict=True)]
                line += f", {statistics.median(ratios):.1f} times transformers"
        print(line)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
