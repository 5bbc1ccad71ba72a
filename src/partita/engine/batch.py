"""Which songs are rendered in one pass: those of like shape, which share every network and every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from partita.song.resolve import ResolvedRequest
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ


def passes_of(resolved: Sequence[ResolvedRequest]) -> list[list[int]]:
    """Places in `resolved` of the songs of each pass, in the order in which the first of each is there."""
    groups: dict[Any, list[int]] = {}
    for index, one in enumerate(resolved):
        groups.setdefault(_shape(one), []).append(index)
    return list(groups.values())


def _shape(one: ResolvedRequest) -> tuple[Any, ...]:
    """What songs of one pass have in common."""
    adapters = tuple((adapter.facts.sha256, adapter.strength) for adapter in one.adapters)
    return one.model, adapters, one.task.kind, one.sampling, _length(one), one.parity


def _length(one: ResolvedRequest) -> Any:
    """Frames, or where the planner decides the length all that it reads it from."""
    if one.duration_s is None:
        return one.caption, one.lyrics, one.language, one.bpm, one.time_signature
    return -(-round(one.duration_s * SAMPLE_RATE_HZ) // FRAME_SAMPLES)
