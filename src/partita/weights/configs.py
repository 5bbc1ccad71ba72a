"""Configuration files beside weights: JSON objects, read with errors that name the file. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from partita.errors import ModelError


def read_json(path: Path, advice: str = " Download it again.") -> dict[str, Any]:
    """The object in a configuration file. Raises ModelError where there is none; `advice` ends its message."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.", path=path) from error
    except ValueError as error:
        raise ModelError(f"{path} is no JSON ({error}).{advice}", path=path) from None
    if not isinstance(values, dict):
        raise ModelError(f"{path} should hold a JSON object.{advice}", path=path)
    return values
