"""Examples to start from, of our own writing: a description alone, or a whole song in words."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

SIMPLE = "simple_mode"
Pick = Callable[[int], int]


def random_sample(sample_type: str, pick: Pick = secrets.randbelow) -> dict[str, Any]:
    """An example: `simple_mode` has description, instrumental and vocal_language, any other kind is a whole song."""
    chosen = _read()["simple" if sample_type == SIMPLE else "custom"]
    return dict(chosen[pick(len(chosen))])


def random_description(pick: Pick = secrets.randbelow) -> str:
    """The description of one of the simple examples."""
    return random_sample(SIMPLE, pick)["description"]


@cache
def _read() -> dict[str, list[dict[str, Any]]]:
    place = files("partita.service.doors.acestep").joinpath("samples.json")
    return json.loads(place.read_text(encoding="utf-8"))
