"""Packages that read lyrics of ACE-Step v1 and are no dependency of every install: loaded when a line needs them.

Knows which extra brings which package, and how theirs fail on text that they were not made for.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from partita.errors import RequestError

_EXTRAS = {"cutlet": "japanese"}
_EXTRA = "v1"

# What these packages and the original's own steps die of on odd text: a number out of range, an amount with two points.
FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError),
    *(NotImplementedError, RecursionError, TypeError, ValueError),
)


@cache
def _imported(module: str) -> Any:
    return import_module(module)


def package(module: str, purpose: str) -> Any:
    """The package `module`, imported.

    Raises RequestError that says what `purpose` needs it and how to install it, where it is missing.
    """
    try:
        return _imported(module)
    except ImportError as error:
        extra = _EXTRAS.get(module, _EXTRA)
        raise RequestError(
            f"{purpose} needs the package {error.name or module}, which is not installed: "
            f'pip install "partita[{extra}]".',
            field="lyrics",
        ) from error
