"""What every value that a user writes is made of: frozen, strict about its fields, and with errors that name them."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from partita.errors import RequestError

LONGEST_SHOWN = 60
_TAGGED = "task"
"""A field that is a union told apart by a tag: pydantic puts the tag into the name of a fault behind it."""
_building = threading.local()


class Value(BaseModel):
    """A frozen value without unknown fields, for what Partita itself fills in."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(Value):
    """A value that a user fills in: numbers are finite, and a bad field is a RequestError."""

    model_config = ConfigDict(allow_inf_nan=False)

    def __init__(self, **data: Any) -> None:
        """Raises RequestError where a field is bad."""
        inside = getattr(_building, "inside", False)
        _building.inside = True
        try:
            super().__init__(**data)
        except ValidationError as error:
            if inside:
                raise  # as part of another value, which knows by which name
            raise request_error(error) from None
        finally:
            _building.inside = inside

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read the value from JSON text. Raises RequestError where it is not one."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise request_error(error) from None


def request_error(error: ValidationError, what: str = "request") -> RequestError:
    """The first fault of a pydantic error, found in `what`, as one sentence: the field, the value, what would do."""
    return fault_error(error.errors(include_url=False)[0], what)


def fault_error(first: Mapping[str, Any], what: str = "request") -> RequestError:
    """One fault, as pydantic details it, as a sentence."""
    field = dotted(first["loc"]) or what
    value = first.get("input")
    if first["type"] == "extra_forbidden":
        return RequestError(
            f"There is no field {field!r} in a {what}; see `partita generate --help`.", field=field, value=value
        )
    reason = first["msg"].removeprefix("Value error, ")
    if isinstance(value, float) and not math.isfinite(value):
        reason = "it must be a finite number"
    if isinstance(value, (dict, BaseModel)):
        return RequestError(f"{field}: {reason}.", field=field, value=value)
    seen = short(value)
    return RequestError(f"{field} cannot be {seen}: {reason[0].lower() + reason[1:]}.", field=field, value=value)


def dotted(where: Sequence[str | int]) -> str:
    """The place of a fault in pydantic's terms as the name of a field."""
    return ".".join(str(part) for at, part in enumerate(where) if at == 0 or where[at - 1] != _TAGGED)


def short(value: Any) -> str:
    """A value as a message shows it: whole pages of text are of no use there."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text)} characters)"
