"""Teach the built-in model's reader which style, energy and instruments a prompt asks for. Takes minutes on one core.

`python -m partita.training.listen SOURCE DIRECTORY` teaches the reader alone, with a tokenizer of its own, and writes
the model in `SOURCE` with it to `DIRECTORY`: no other weight changes. Knows nothing of music: prompts in, the cast of
the piece that was captioned out.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from partita.models.score_caption import CaptionReader, Likelihoods
from partita.models.score_model import ScoreModel, ScoreModelConfig
from partita.score.styles import Cast
from partita.text.score_prompt import score_prompt
from partita.text.score_tokens import ScoreTokens
from partita.training.composer import PieceSpec, caption, sample_spec
from partita.training.corpus import CAPTIONS_PER_PIECE, TRAINING_SEEDS, duration_of
from partita.training.tokens import train_tokenizer
from partita.weights.builtin import CONFIG, TOKENIZER, WEIGHTS, save_builtin

log = logging.getLogger(__name__)

STEPS = 500
BATCH_SIZE = 256
LEARNING_RATE = 0.02  # high for a network, right for a table whose rows are few and seldom met
WEIGHT_DECAY = 0.02
OUTLINES = 12_000
OUTLINE_STEPS = 2000  # captions of outlines never come twice, in six languages


class Prompts(Protocol):
    """Pieces with captions: their casts `[N, 8]` (`Cast.numbers`), and a prompt of any of them."""

    casts: np.ndarray

    def __len__(self) -> int: ...

    def prompt(self, piece: int, rng: np.random.Generator) -> str: ...


class Outlines:
    """The outlines of the pieces of `seeds`, captioned afresh whenever one is asked for."""

    def __init__(self, seeds: Sequence[int], *, held_out: bool = False) -> None:
        self.specs = [sample_spec(seed, duration_of(seed)) for seed in seeds]
        self.casts = np.array([cast_of(spec).numbers() for spec in self.specs], dtype=np.int8)
        self._held_out = held_out

    def __len__(self) -> int:
        return len(self.specs)

    def prompt(self, piece: int, rng: np.random.Generator) -> str:
        """A caption with the plan; at times one of the two alone."""
        spec = self.specs[piece]
        text = caption(spec, int(rng.integers(2**48)), held_out=self._held_out)
        chance = rng.random()
        return text if chance < 0.1 else prompt_of(spec, "" if chance < 0.15 else text)


def prompt_of(spec: PieceSpec, text: str) -> str:
    """What the reader is given for a piece with the caption `text`."""
    return score_prompt(
        text, bpm=spec.bpm, time_signature=spec.time_signature, key=spec.key, duration_s=spec.duration_s
    )


def cast_of(spec: PieceSpec) -> Cast:
    """Who plays a piece, by its outline."""
    return Cast(spec.genre, spec.energy, dict(spec.programs))


def reading_loss(heard: Likelihoods, casts: Tensor) -> Tensor:
    """Cross entropy of style, of energy, of which roles play, and of the programs of those that do.

    `casts` `[B, 8]`: style, energy, then each role's program, -1 where it is absent.
    """
    casts = casts.long()
    programs = casts[:, 2:]
    presence = F.binary_cross_entropy_with_logits(heard.presence.float(), (programs >= 0).float())
    choice = F.cross_entropy(heard.programs.float().flatten(0, 1), programs.flatten(), ignore_index=-1)
    style = F.cross_entropy(heard.style.float(), casts[:, 0])
    energy = F.cross_entropy(heard.energy.float(), casts[:, 1])
    return presence + choice + style + energy


def train_reader(
    reader: CaptionReader, tokens: ScoreTokens, corpus: Prompts, *, seed: int, steps: int = STEPS
) -> float:
    """Train from zero on `corpus`, the rate falling linearly to zero; return the last loss. Same seed, same weights."""
    torch.nn.init.zeros_(reader.table.weight)
    torch.nn.init.zeros_(reader.bias)
    device = reader.bias.device
    optimizer = torch.optim.AdamW(reader.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    last = 0.0
    for step in range(steps):
        rng = np.random.default_rng([seed, 2, step])
        pieces = rng.integers(len(corpus), size=BATCH_SIZE)
        ids, mask = tokens([corpus.prompt(int(piece), rng) for piece in pieces])
        loss = reading_loss(reader(ids.to(device), mask.to(device)), torch.from_numpy(corpus.casts[pieces]).to(device))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = float(loss.detach())
        if step % 200 == 199:
            log.info("step %d of %d, loss %.3f", step + 1, steps, last)
    return last


def relearn(
    source: Path, directory: Path, *, outlines: int = OUTLINES, steps: int = OUTLINE_STEPS, seed: int = 0
) -> float:
    """Write the model of `source` to `directory` with a tokenizer and a reader learned afresh; return the last loss.

    The reader has the sizes of `ScoreModelConfig`'s defaults, everything else those of `source`.
    """
    usual = ScoreModelConfig()
    config = ScoreModelConfig.from_json(json.loads((source / CONFIG).read_text()))
    config = replace(config, vocab_size=usual.vocab_size, max_tokens=usual.max_tokens, pair_rows=usual.pair_rows)
    pieces = Outlines(TRAINING_SEEDS[:outlines])
    directory.mkdir(parents=True, exist_ok=True)
    learned = directory / f"{TOKENIZER}.learned"
    texts = (
        prompt_of(spec, caption(spec, index * CAPTIONS_PER_PIECE + number))
        for index, spec in enumerate(pieces.specs)
        for number in range(CAPTIONS_PER_PIECE)
    )
    train_tokenizer(texts, learned, config.vocab_size)
    model = ScoreModel(config)
    others = {name: value for name, value in load_file(source / WEIGHTS).items() if not name.startswith("reader.")}
    missing, unknown = model.load_state_dict(others, strict=False)
    assert not unknown, unknown
    assert all(name.startswith("reader.") for name in missing), missing
    loss = train_reader(model.reader, ScoreTokens(learned, config.max_tokens), pieces, seed=seed, steps=steps)
    save_builtin(directory, model, learned, _note(source))
    learned.unlink()
    return loss


def _note(source: Path) -> dict[str, str]:
    """What the weights of `source` say of themselves."""
    with safe_open(source / WEIGHTS, framework="pt") as file:
        return dict(file.metadata() or {})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Teach the built-in model's reader, and nothing else of it.")
    parser.add_argument("source", type=Path, help="directory of a model's files")
    parser.add_argument("directory", type=Path, help="where to write the model with another reader")
    parser.add_argument("--outlines", type=int, default=OUTLINES)
    parser.add_argument("--steps", type=int, default=OUTLINE_STEPS)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(given.threads)
    relearn(given.source, given.directory, outlines=given.outlines, steps=given.steps)


if __name__ == "__main__":
    main()
