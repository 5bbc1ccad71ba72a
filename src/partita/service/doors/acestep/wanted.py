"""What one request of the protocol comes to: the songs that it asks for, or what else it asks for. Values only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from partita.song.values import Value

WantedKind = Literal["song", "write", "format", "metadata", "describe", "codes"]
"""song: songs as described. write, format: songs, after a planner has put them into words. The others are no songs:
the plan of one, a source in words, the codes of a source."""


class Wanted(Value):
    """What is to be done. `fields` are those of a SongRequest but for seed and count, as JSON.

    `seeds` has a job each: its first seed (none: any) and how many songs. `query` is the wish that a planner writes
    from, `planner` the options of the planner that writes. `prompt` and `lyrics` are as they were entered.
    """

    kind: WantedKind = "song"
    fields: dict[str, Any] = Field(default_factory=dict)
    seeds: tuple[tuple[int | None, int], ...] = ((None, 1),)
    notes: tuple[str, ...] = ()
    query: str = ""
    instrumental: bool = False
    planner: dict[str, Any] = Field(default_factory=dict)
    prompt: str = ""
    lyrics: str = ""
