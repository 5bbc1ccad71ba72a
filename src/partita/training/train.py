"""Train the built-in model: `python -m partita.training.train --out runs/built-in --minutes 75 --workers 2`.

Flow matching as ACE-Step 1.5 does it: x_t = t noise + (1 - t) x_0, the network predicts v = noise - x_0. Every step
draws its data and its random numbers from its own number, so a resumed run takes the same steps as one that never
stopped. What reads the captions is learned first, in seconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor

from partita.errors import ModelError, RequestError
from partita.models.score_model import ScoreModel, ScoreModelConfig
from partita.text.score_tokens import ScoreTokens
from partita.training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from partita.training.corpus import HELD_OUT_SEEDS, TRAINING_SEEDS, Batch, Corpus, build, captions_of
from partita.training.ema import WeightMean
from partita.training.listen import train_reader
from partita.training.log import RunLog, plot_log
from partita.training.parallel import Team, join, leave
from partita.training.tokens import train_tokenizer
from partita.weights.builtin import TOKENIZER, load_builtin

log = logging.getLogger(__name__)

TIME_MEAN, TIME_DEVIATION = -0.4, 1.0  # of ACE-Step 1.5's training configuration
NOISE_SHIFT = 3.0  # an even draw, shifted so, is above 0.9 once in four
KEPT_WEIGHT = 0.1  # of channels that are given: copying them is easy and is not what is to be learned
LONGEST_STEP_S = 20.0  # more was the machine asleep or the run paused, and does not count as training
HELD_OUT_BATCHES = 3
HELD_OUT_BATCH_SEED = 1


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What a run depends on. Exactly one of `minutes` and `steps` says when it ends and drives the learning rate."""

    minutes: float | None = None
    steps: int | None = None
    batch_size: int = 24
    learning_rate: float = 1.5e-3
    warmup_steps: int = 100
    decay_share: float = 0.3  # last part of the run, in which the rate falls to zero
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    mean_decay: float = 0.998
    drop_condition: float = 0.15
    seed: int = 0
    device: str = "cpu"
    number_format: str = "bfloat16"
    checkpoint_every_s: float = 180.0
    held_out_every_s: float = 300.0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise RequestError("Give a run either minutes or steps, not both and not neither.")

    def progress(self, step: int, elapsed_s: float) -> float:
        """Share of the run that is done, 0..1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None
        return min(1.0, elapsed_s / (60 * self.minutes))

    def rate(self, step: int, elapsed_s: float) -> float:
        """Learning rate: warm-up, then constant, then linear to zero (warm-up, stable, decay)."""
        left = (1.0 - self.progress(step, elapsed_s)) / self.decay_share
        return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps, max(left, 0.0))


def draw_times(count: int, generator: torch.Generator) -> Tensor:
    """Times `[count]` in (0, 1): half are ACE-Step 1.5's, half lie near noise.

    ACE-Step's, the larger of two logistic-normal draws, are above 0.9 once in a hundred. Style and density of a whole
    song are settled there: trained on these times alone, this model heard nothing of the style it was given.
    """
    draws = torch.randn(2, count, generator=generator) * TIME_DEVIATION + TIME_MEAN
    usual = torch.sigmoid(draws).amax(dim=0)
    even = torch.rand(count, generator=generator)
    near_noise = NOISE_SHIFT * even / (1 + (NOISE_SHIFT - 1) * even)
    return torch.where(torch.rand(count, generator=generator) < 0.5, usual, near_noise.clamp(1e-4, 1 - 1e-4))


def flow_loss(velocity: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error, with channels that are given (`mask` 0) at `KEPT_WEIGHT`."""
    weight = KEPT_WEIGHT + (1.0 - KEPT_WEIGHT) * mask
    return (weight * (velocity.float() - wanted).square()).sum() / weight.sum()


def batch_loss(model: ScoreModel, batch: Batch, generator: torch.Generator, settings: TrainSettings) -> Tensor:
    """Flow loss of one batch; all random numbers come from `generator` (a CPU one)."""
    device = torch.device(settings.device)
    clean = torch.from_numpy(batch.latents)
    noise = torch.randn(clean.shape, generator=generator)
    t = draw_times(len(clean), generator)
    noisy = torch.lerp(clean, noise, t[:, None, None])
    casts, drop = torch.from_numpy(batch.casts).long().to(device), torch.from_numpy(batch.drop).to(device)
    context = torch.from_numpy(batch.context).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.number_format == "bfloat16"):
        velocity = model(noisy.to(device), t.to(device), model.conditions(casts, drop), context)
    return flow_loss(velocity, (noise - clean).to(device), context[..., clean.shape[-1] :])


@torch.no_grad()
def initialise(model: ScoreModel) -> None:
    """Start values that let a short run learn from its first step: no output, open gates, calm embeddings."""
    for layer in model.dit.layers:
        table = layer.get_parameter("scale_shift_table")
        table.zero_()
        table[:, [2, 5]] = 0.5  # the gates of attention and MLP; published models learn theirs over far longer runs
    model.dit.scale_shift_table.zero_()
    for embedding in (model.dit.time_embed, model.dit.time_embed_r):
        embedding.time_proj.weight.mul_(0.1)
        embedding.time_proj.bias.zero_()
    for parameter in model.dit.proj_out.parameters():
        parameter.zero_()
    model.null_condition.normal_()


class Run:
    """One training run in a directory: model, mean weights, optimiser, log and checkpoints."""

    def __init__(
        self,
        out: Path,
        settings: TrainSettings,
        config: ScoreModelConfig,
        corpus: Corpus,
        held_out: Corpus,
        tokens: ScoreTokens,
        team: Team,
    ) -> None:
        self.team = team
        self.out, self.settings, self.corpus, self.held_out, self.tokens = out, settings, corpus, held_out, tokens
        torch.manual_seed(settings.seed)
        self.model = ScoreModel(config).to(settings.device)
        self.mean = WeightMean(self.model, settings.mean_decay)
        self.model.reader.requires_grad_(False)  # learned on its own, in `begin`
        self.optimizer = torch.optim.AdamW(
            [parameter for parameter in self.model.parameters() if parameter.requires_grad],
            lr=settings.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.log = RunLog(out / "log.jsonl")
        self.step, self.elapsed_s = 0, 0.0
        self.stop = self.over = False

    def begin(self, start: Path | None) -> None:
        """Start values: those of the model files in `start`, or of nothing, with a reader that has learned to read.

        Raises ModelError where the files do not fit.
        """
        if start is not None:
            learned = load_builtin(start).model.state_dict()
            try:
                self.model.load_state_dict(learned)
            except RuntimeError as error:
                raise ModelError(f"The run cannot start from {start}, which has other sizes: {error}") from error
            self.mean = WeightMean(self.model, self.settings.mean_decay)
            return
        initialise(self.model)
        reader = self.model.reader.requires_grad_(True)
        train_reader(reader, self.tokens, self.corpus, seed=self.settings.seed)
        reader.requires_grad_(False)
        self.mean = WeightMean(self.model, self.settings.mean_decay)

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint"

    def resume(self) -> None:
        """Go on from the checkpoint in the run's directory. Raises RequestError where there is none."""
        found = find_checkpoint(self.checkpoint)
        if found is None:
            raise RequestError(f"There is no checkpoint in {self.out} to resume from; leave out --resume.")
        values = load_checkpoint(found, self.model, self.mean, self.optimizer)
        self.step, self.elapsed_s = values["step"], values["elapsed_s"]

    def save(self) -> None:
        values = {
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "settings": asdict(self.settings),
            "config": self.model.config.to_json(),
        }
        save_checkpoint(self.checkpoint, self.model, self.mean, self.optimizer, values)

    def take_step(self) -> dict[str, float]:
        """One optimiser step on the batch of this step's number."""
        settings = self.settings
        # Every process draws a batch of its own; together they are one batch of `batch_size`.
        number = self.step * self.team.size + self.team.rank
        share = settings.batch_size // self.team.size
        batch = self.corpus.batch(number, share, seed=settings.seed, drop=settings.drop_condition)
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + number)
        loss = batch_loss(self.model, batch, generator, settings)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        # The leader's clock is everyone's, so that all take the same learning rate; who wants to stop, stops all.
        clock = self.elapsed_s if self.team.leads else 0.0
        elapsed_s, stops = self.team.average(self.model.parameters(), [clock, float(self.stop)])
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        rate = settings.rate(self.step, elapsed_s)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        if self.team.leads:
            self.mean.update(self.model)
        self.step += 1
        self.over = stops > 0 or settings.progress(self.step, elapsed_s) >= 1.0
        return {
            "loss": float(loss.detach()),
            "gradient_norm": float(norm),
            "learning_rate": rate,
        }

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Loss of the mean weights on the same few batches of pieces that are never trained on."""
        kept = {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}
        self.mean.copy_to(self.model)
        losses = []
        for number in range(HELD_OUT_BATCHES):
            batch = self.held_out.batch(number, self.settings.batch_size, seed=HELD_OUT_BATCH_SEED, drop=0.0)
            generator = torch.Generator().manual_seed(number)
            losses.append(float(batch_loss(self.model, batch, generator, self.settings)))
        for name, parameter in self.model.named_parameters():
            parameter.copy_(kept[name])
        return sum(losses) / len(losses)

    def train(self) -> None:
        """Step until the run is over or `stop` is set, with a checkpoint at the end in either case."""
        last_step = last_save = last_look = time.monotonic()
        self.over = self.settings.progress(self.step, self.elapsed_s) >= 1.0
        while not self.over:
            values = self.take_step()
            now = time.monotonic()
            self.elapsed_s += min(now - last_step, LONGEST_STEP_S)
            last_step = now
            if not self.team.leads:
                continue
            if self.step % 10 == 0 or self.step == 1:
                self.log.write(step=self.step, elapsed_s=self.elapsed_s, **values)
            if now - last_look >= self.settings.held_out_every_s:
                self.log.write(step=self.step, elapsed_s=self.elapsed_s, held_out_loss=self.held_out_loss())
                last_look = now
            if now - last_save >= self.settings.checkpoint_every_s:
                self.save()
                last_save = now
        if self.team.leads:
            self.log.write(step=self.step, elapsed_s=self.elapsed_s, held_out_loss=self.held_out_loss())
            self.save()


def prepare(
    out: Path, corpus: Path, pieces: int, held_out_pieces: int, config: ScoreModelConfig, start: Path | None
) -> None:
    """Build what is missing of the corpus, and put a tokenizer into the run's directory, that of `start` if given."""
    for name, seeds, count in (("training", TRAINING_SEEDS, pieces), ("held-out", HELD_OUT_SEEDS, held_out_pieces)):
        if not (corpus / name / "index.npz").exists():
            log.info("composing %d %s pieces", count, name)
            build(corpus / name, range(seeds.start, seeds.start + count))
    path = out / TOKENIZER
    out.mkdir(parents=True, exist_ok=True)
    if start is not None:
        shutil.copyfile(start / TOKENIZER, path)
    elif not path.exists():
        train_tokenizer(captions_of(Corpus(corpus / "training")), path, config.vocab_size)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train Partita's built-in model.")
    parser.add_argument("--out", type=Path, required=True, help="directory of the run")
    parser.add_argument("--corpus", type=Path, default=Path("runs/corpus"), help="directory of the composed pieces")
    parser.add_argument("--pieces", type=int, default=12000, help="pieces to compose where there is no corpus")
    parser.add_argument("--held-out-pieces", type=int, default=300)
    parser.add_argument("--minutes", type=float, help="length of the run by the clock")
    parser.add_argument("--steps", type=int, help="length of the run in steps")
    parser.add_argument("--batch-size", type=int, default=TrainSettings(steps=1).batch_size)
    parser.add_argument("--learning-rate", type=float, default=TrainSettings(steps=1).learning_rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--number-format", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--workers", type=int, default=1, help="processes that share each batch (CPU only)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch in each process")
    parser.add_argument("--start-from", type=Path, help="directory of model files whose weights the run begins with")
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    parser.add_argument("--plot", action="store_true", help="only draw the log as log.png")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if given.plot:
        plot_log(given.out / "log.jsonl", given.out / "log.png")
        return
    settings = TrainSettings(
        minutes=given.minutes,
        steps=given.steps,
        batch_size=given.batch_size,
        learning_rate=given.learning_rate,
        seed=given.seed,
        device=given.device,
        number_format=given.number_format,
    )
    config = ScoreModelConfig()
    prepare(given.out, given.corpus, given.pieces, given.held_out_pieces, config, given.start_from)
    (given.out / "config.json").write_text(json.dumps(config.to_json(), indent=1))
    meeting_point = given.out / f"meeting-{os.getpid()}"
    start = None if given.resume else given.start_from
    shared = (
        given.workers,
        meeting_point,
        given.out,
        given.corpus,
        settings,
        config,
        given.threads,
        given.resume,
        start,
    )
    # Threads of torch do not survive a fork, and not every system has one.
    context = multiprocessing.get_context("spawn")
    helpers = [context.Process(target=run_worker, args=(rank, *shared)) for rank in range(1, given.workers)]
    for helper in helpers:
        helper.start()
    run_worker(0, *shared)
    for helper in helpers:
        helper.join()
    meeting_point.unlink(missing_ok=True)
    plot_log(given.out / "log.jsonl", given.out / "log.png")


def run_worker(
    rank: int,
    workers: int,
    meeting_point: Path,
    out: Path,
    corpus: Path,
    settings: TrainSettings,
    config: ScoreModelConfig,
    threads: int,
    resume: bool,
    start: Path | None,
) -> None:
    """One process of a run, from start or checkpoint to end. An interrupt ends the run with a checkpoint."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(threads)
    team = join(rank, workers, meeting_point)
    tokens = ScoreTokens(out / TOKENIZER, config.max_tokens)
    run = Run(out, settings, config, Corpus(corpus / "training"), Corpus(corpus / "held-out"), tokens, team)
    if resume:
        run.resume()
    else:
        run.begin(start)

    def ask_to_stop(signum: int, frame: FrameType | None) -> None:
        run.stop = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    if team.leads:
        count = sum(parameter.numel() for parameter in run.model.parameters())
        log.info("%.2f million parameters, from step %d", count / 1e6, run.step)
    run.train()
    if team.leads:
        log.info("stopped at step %d after %.0f s", run.step, run.elapsed_s)
    leave(team)


if __name__ == "__main__":
    main()
