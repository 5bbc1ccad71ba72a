"""Processes that share a batch end with the same averaged gradients, and hear each other's signals."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from partita.training.parallel import Team, join, leave


def average_in_a_team(rank: int, meeting_point: Path, answer: Connection) -> None:
    team = join(rank, 2, meeting_point)
    layers = torch.nn.Linear(2, 1), torch.nn.Linear(3, 1)
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    for index, parameter in enumerate(parameters[:3]):  # the last has no gradient, as what is not trained
        parameter.grad = torch.full_like(parameter, float(10 * index + rank))
    sums = team.average(parameters, [float(rank), 5.0])
    answer.send(
        (sums, [parameter.grad.flatten().tolist() for parameter in parameters[:3] if parameter.grad is not None])
    )
    leave(team)


def test_two_processes_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(2)]
    processes = [
        context.Process(target=average_in_a_team, args=(rank, tmp_path / "meeting", pipes[rank][1]))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    answers = [pipe[0].recv() for pipe in pipes]
    for process in processes:
        process.join()
    assert answers[0] == answers[1]
    sums, gradients = answers[0]
    assert sums == [1.0, 10.0]
    assert gradients == [[0.5, 0.5], [10.5], [20.5, 20.5, 20.5]]


def test_one_process_needs_no_meeting(tmp_path: Path) -> None:
    team = join(0, 1, tmp_path / "meeting")
    assert team == Team()
    assert team.leads
    assert team.average([], [3.0]) == [3.0]
    leave(team)
    assert not (tmp_path / "meeting").exists()
