"""Teach the built-in model's reader which style, energy and instruments a prompt asks for. Takes seconds.

Knows nothing of music: prompts in, the cast of the piece that was captioned out.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from partita.models.score_caption import CaptionReader, Likelihoods
from partita.text.score_tokens import ScoreTokens
from partita.training.corpus import Corpus

STEPS = 500
BATCH_SIZE = 256
LEARNING_RATE = 0.02  # high for a network, right for a table whose rows are few and seldom met
WEIGHT_DECAY = 0.02


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


def train_reader(reader: CaptionReader, tokens: ScoreTokens, corpus: Corpus, *, seed: int, steps: int = STEPS) -> float:
    """Train from zero on `corpus`, the rate falling linearly to zero; return the last loss. Same seed, same weights."""
    torch.nn.init.zeros_(reader.table.weight)
    torch.nn.init.zeros_(reader.bias)
    device = reader.bias.device
    optimizer = torch.optim.AdamW(reader.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    last = 0.0
    for step in range(steps):
        rng = np.random.default_rng([seed, 2, step])
        pieces = rng.integers(len(corpus), size=BATCH_SIZE)
        ids, mask = tokens([corpus.prompt(piece, rng) for piece in pieces])
        loss = reading_loss(reader(ids.to(device), mask.to(device)), torch.from_numpy(corpus.casts[pieces]).to(device))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = float(loss.detach())
    return last
