"""What will be played: the plan that a planner makes of a resolved request and a renderer follows.

Knows nothing of how it is made or rendered. Where every value came from is kept beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from partita.score.types import SectionKind
from partita.song.planning import PlannedBy
from partita.song.values import request_error

if TYPE_CHECKING:
    from partita.song.resolve import ResolvedRequest

LAST_CODE = 63_999
CODES_PER_S = 5
Origin = Literal["user", "style", "source", "rule", "language model", "card"]


class PlannedSection(BaseModel):
    """A part of the form, `[start_s, end_s)` in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: SectionKind
    start_s: float
    end_s: float


class Plan(BaseModel):
    """A frozen plan. What is none was left to the renderer's model.

    `codes` are 5 Hz semantic audio codes, 0..63999. A bar begins at `beat_offset_s`, which is above 0 only where
    something was put before a song whose beats go on; it comes with the tempo. `origins` has one entry for every other
    field that is set. `notes` are sentences for the record: what of the words may not come out as they are written.
    `planner` is the language model that had a part in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    caption: str
    lyrics: str
    language: str
    duration_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    bpm: int | None = None
    key: str | None = None
    time_signature: str | None = None
    beat_offset_s: float = 0.0
    sections: tuple[PlannedSection, ...] = ()
    codes: tuple[Annotated[int, Field(ge=0, le=LAST_CODE)], ...] | None = None
    origins: dict[str, Origin] = {}
    notes: tuple[str, ...] = ()
    planner: PlannedBy | None = None

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Read a plan. Raises RequestError where the text is none."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise request_error(error, "plan") from None


class Planner(Protocol):
    """Makes the plan of one song. `seed` feeds whatever the planner draws, on a stream of its own."""

    def plan(self, resolved: ResolvedRequest, seed: int) -> Plan: ...
