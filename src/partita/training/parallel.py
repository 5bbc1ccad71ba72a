"""Several processes that train one model: each takes a share of every batch, gradients are averaged.

On a CPU two processes of one thread each get more done than one process of two threads: small operations need not
wait for one another. Knows nothing of what is trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as distributed
from torch import nn


@dataclass(frozen=True, slots=True)
class Team:
    """Which of how many processes this one is. Rank 0 writes logs and checkpoints."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def average(self, parameters: Iterable[nn.Parameter], signals: list[float]) -> list[float]:
        """Average gradients over the team in place; return the sums of each process's `signals`."""
        if self.size == 1:
            return signals
        given = [parameter for parameter in parameters if parameter.grad is not None]
        gradients = [parameter.grad for parameter in given if parameter.grad is not None]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), torch.tensor(signals)])
        distributed.all_reduce(flat)
        sums = flat[len(flat) - len(signals) :].tolist()
        flat.div_(self.size)
        offset = 0
        for gradient in gradients:
            gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
            offset += gradient.numel()
        return sums


def join(rank: int, size: int, meeting_point: Path) -> Team:
    """Meet the other processes of this machine at a file that does not exist yet."""
    if size > 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        distributed.init_process_group(
            "gloo", init_method=f"file://{meeting_point.resolve()}", rank=rank, world_size=size
        )
    return Team(rank, size)


def leave(team: Team) -> None:
    if team.size > 1:
        distributed.destroy_process_group()
