"""Packages that read lyrics of ACE-Step v1 and are no dependency of every install: loaded when a line needs them.

Knows which extra brings which package, and how theirs fail on text that they were not made for.
"""

from __future__ import annotations

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


def package(module: str, purpose: str) -> Any:
    """The package `module`, imported.

    Raises RequestError that says what needs it (`purpose`, in the plural) and how to install it, where it is missing.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise missing(module, error.name or module, purpose) from error


def missing(module: str, needed: str, purpose: str) -> RequestError:
    """What to raise where `needed`, by itself or for `module`, is not installed."""
    extra = _EXTRAS.get(module, _EXTRA)
    return RequestError(
        f'{purpose} need {needed}, which is not installed: pip install "partita[{extra}]".', field="lyrics"
    )
