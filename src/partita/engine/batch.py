"""Which songs are rendered in one pass: those of like shape, which share every network and every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from partita.song.plan import Plan
from partita.song.resolve import ResolvedRequest
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ


def passes_of(resolved: Sequence[ResolvedRequest], plans: Sequence[Plan] | None = None) -> list[list[int]]:
    """Places in `resolved` of the songs of each pass, in the order in which the first of each is there.

    With their `plans`, songs are as long as these say.
    """
    groups: dict[Any, list[int]] = {}
    for index, one in enumerate(resolved):
        length = _length(one) if plans is None else _planned_length(plans[index])
        groups.setdefault(_shape(one, length), []).append(index)
    return list(groups.values())


def _shape(one: ResolvedRequest, length: Any) -> tuple[Any, ...]:
    """What songs of one pass have in common."""
    adapters = tuple((adapter.facts.sha256, adapter.strength) for adapter in one.adapters)
    return one.model, adapters, one.task.kind, one.sampling, length, one.parity


def _planned_length(plan: Plan) -> Any:
    return _frames(plan.duration_s), None if plan.codes is None else len(plan.codes)


def _frames(duration_s: float) -> int:
    return -(-round(duration_s * SAMPLE_RATE_HZ) // FRAME_SAMPLES)


def _length(one: ResolvedRequest) -> Any:
    """Frames, or where the planner decides the length all that it reads it from."""
    if one.duration_s is None:
        return one.caption, one.lyrics, one.language, one.bpm, one.time_signature
    return _frames(one.duration_s)
