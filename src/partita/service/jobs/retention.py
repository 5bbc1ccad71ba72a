"""Which jobs that are over have to go: those past their age, and the oldest where their songs are too many bytes.

Values in, ids out; knows no table and no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from partita.service.config import Retention


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that is over: when it ended (Unix seconds) and how many bytes its songs are."""

    id: str
    finished_at: float
    bytes: int


def to_forget(ended: Sequence[Ended], retention: Retention, at: float) -> list[str]:
    """Ids of the jobs that go at `at`; `ended` has those that ended first in front.

    For the sake of bytes the latest one never goes, however large: its caller has had no time to fetch it.
    """
    gone: list[str] = []
    total = sum(one.bytes for one in ended)
    for index, one in enumerate(ended):
        too_old = retention.age_s is not None and one.finished_at <= at - retention.age_s
        too_much = retention.bytes is not None and total > retention.bytes and one.bytes > 0
        if too_old or (too_much and index < len(ended) - 1):
            gone.append(one.id)
            total -= one.bytes
    return gone
