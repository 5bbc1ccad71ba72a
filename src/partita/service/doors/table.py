"""How a door treats each field of its protocol: a table that is data, told in docs and to callers.

Knows no protocol. A door checks its table in its tests: every field of its specification has a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Treatment = Literal["passed on", "translated", "not applied"]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field of a door's protocol: where it goes, and how, or why not."""

    name: str
    treatment: Treatment
    to: str
    """The field of the request or the option that it becomes; for what is not applied, why."""


def not_applied(rows: Iterable[FieldRow], given: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for each field that was given and has no effect, for the record and the answer."""
    return tuple(
        f"{row.name} was asked for and is not applied: {row.to}."
        for row in rows
        if row.treatment == "not applied" and given.get(row.name) not in (None, "", [], ())
    )


def as_markdown(rows: Iterable[FieldRow]) -> str:
    """The table for the docs."""
    lines = ["| field | treatment | |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{row.name}` | {row.treatment} | {row.to} |" for row in rows)])
