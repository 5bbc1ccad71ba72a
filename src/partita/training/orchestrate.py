"""Teach the built-in model's orchestrator which instruments a prompt asks for. Takes seconds.

Knows nothing of music: prompts in, the roles and programs of the piece that was captioned out.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from partita.models.score_model import Orchestration, Orchestrator
from partita.text.score_tokens import ScoreTokens
from partita.training.corpus import Corpus

STEPS = 500
BATCH_SIZE = 256
LEARNING_RATE = 0.02  # high for a network, right for a table whose rows are few and seldom met
WEIGHT_DECAY = 0.02


def orchestration_loss(logits: Orchestration, programs: Tensor) -> Tensor:
    """Cross entropy of which roles play, and of the programs of those that do; `programs` `[B, 6]`, -1 where absent."""
    presence = F.binary_cross_entropy_with_logits(logits.presence.float(), (programs >= 0).float())
    choice = F.cross_entropy(logits.programs.float().flatten(0, 1), programs.flatten().long(), ignore_index=-1)
    return presence + choice


def train_orchestrator(
    orchestrator: Orchestrator, tokens: ScoreTokens, corpus: Corpus, *, seed: int, steps: int = STEPS
) -> float:
    """Train from zero on `corpus`, the rate falling linearly to zero; return the last loss. Same seed, same weights."""
    torch.nn.init.zeros_(orchestrator.table.weight)
    torch.nn.init.zeros_(orchestrator.bias)
    device = orchestrator.bias.device
    optimizer = torch.optim.AdamW(orchestrator.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    last = 0.0
    for step in range(steps):
        rng = np.random.default_rng([seed, 2, step])
        pieces = rng.integers(len(corpus), size=BATCH_SIZE)
        ids, mask = tokens([corpus.prompt(piece, rng) for piece in pieces])
        loss = orchestration_loss(
            orchestrator(ids.to(device), mask.to(device)), torch.from_numpy(corpus.programs[pieces]).to(device)
        )
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = float(loss.detach())
    return last
