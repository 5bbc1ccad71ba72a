"""Routes that make no sound: the plan of a song, and songs in words, written, rewritten or told from audio.

Each waits for a worker between two jobs, so that nothing runs beside a song.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Body
from pydantic import Field, model_validator

from partita.engine.planning import DESCRIBING
from partita.service.guard import admit_audio
from partita.service.http.common import LanesOf, ServiceOf
from partita.service.http.problems import responses
from partita.service.http.schemas import SONG_EXAMPLES
from partita.song.plan import LAST_CODE, Plan
from partita.song.planning import Description, PlannerOptions
from partita.song.request import MAX_SEED, SongRequest, TimeSignature
from partita.song.source import AudioRef
from partita.song.values import Asked, Value

router = APIRouter(prefix="/v1", tags=["planning"])
_ANSWERS = responses(400, 404, 409, 424, 504)
MOST_CODES = 5 * 600
"""Of ten minutes."""
WAIT_S = 600.0
"""Longest wait for an answer, songs that are made before included; whoever wants to wait less closes the connection."""

_Seed = Annotated[int | None, Field(ge=0, le=MAX_SEED, description="The same seed gives the same words again.")]


class PlannedSongs(Value):
    """The plan of every song of a request, and the seeds they have."""

    seeds: tuple[int, ...]
    plans: tuple[Plan, ...]


class DescribeRequest(Asked):
    """Audio, or semantic codes, to be told in words."""

    audio: AudioRef | None = Field(default=None, description="An upload, a song of this server, or a sha256.")
    codes: tuple[Annotated[int, Field(ge=0, le=LAST_CODE)], ...] | None = Field(
        default=None, min_length=1, max_length=MOST_CODES, description="Semantic codes at 5 Hz."
    )
    model: str | None = Field(default=None, description="The ACE-Step 1.5 model through whose codec audio is heard.")
    planner: PlannerOptions = DESCRIBING
    seed: _Seed = None
    parity: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.audio is None) == (self.codes is None):
            raise ValueError("give one of audio and codes")
        return self


class WriteRequest(Asked):
    """A wish that becomes caption, lyrics and metadata."""

    wish: str = Field(min_length=1, max_length=10_000, description="What the song should be like.")
    language: str | None = Field(default=None, description="Language code of the lyrics.")
    instrumental: bool = False
    planner: PlannerOptions = PlannerOptions()
    seed: _Seed = None
    parity: bool = False


class FormatRequest(Asked):
    """Words to be put as song models read them best. What is given besides stays as it is."""

    caption: str = Field(default="", max_length=10_000)
    lyrics: str = Field(default="", max_length=50_000)
    bpm: int | None = Field(default=None, ge=30, le=300)
    duration_s: float | None = Field(default=None, gt=0)
    key: str | None = None
    time_signature: TimeSignature | Literal[""] | None = None
    language: str | None = None
    planner: PlannerOptions = PlannerOptions()
    seed: _Seed = None
    parity: bool = False


@router.post("/plan", summary="What would be played", responses=_ANSWERS)
async def plan(
    service: ServiceOf,
    lanes: LanesOf,
    asked: Annotated[SongRequest, Body(openapi_examples=SONG_EXAMPLES)],  # type: ignore[arg-type]
) -> PlannedSongs:
    """The plan of every song of a request, without playing it. Given back as `plan`, it is followed exactly."""

    def make() -> PlannedSongs:
        admitted = service.admit(asked)

        def run(engine, cancel) -> PlannedSongs:
            resolved = engine.resolve(admitted)
            settled = admitted.model_copy(update={"seed": resolved.seeds[0]})
            return PlannedSongs(seeds=resolved.seeds, plans=tuple(engine.plan(settled, cancel=cancel)))

        return service.queue.run(run, timeout_s=WAIT_S)

    return await lanes.model.call(make)


@router.post("/describe", summary="Audio in words", responses=_ANSWERS)
async def describe(service: ServiceOf, lanes: LanesOf, asked: DescribeRequest) -> Description:
    """What audio sounds like, in a planner's words: caption, lyrics, tempo, key, metre and language."""

    def make() -> Description:
        heard = asked.codes or ()
        if asked.audio is not None:
            heard = admit_audio(asked.audio, service.queue, service.uploads, field="audio")
        return service.queue.run(
            lambda engine, cancel: engine.describe(
                heard, model=asked.model, planner=asked.planner, seed=asked.seed, parity=asked.parity, cancel=cancel
            ),
            timeout_s=WAIT_S,
        )

    return await lanes.model.call(make)


@router.post("/write", summary="A song in words, from a wish", responses=_ANSWERS)
async def write(service: ServiceOf, lanes: LanesOf, asked: WriteRequest) -> Description:
    """Caption, lyrics, tempo, key, metre and length, written by a planner."""
    options = {name: getattr(asked, name) for name in ("language", "instrumental", "planner", "seed", "parity")}
    return await lanes.model.call(
        lambda: service.queue.run(
            lambda engine, cancel: engine.write(asked.wish, **options, cancel=cancel), timeout_s=WAIT_S
        )
    )


@router.post("/format", summary="Words as song models read them best", responses=_ANSWERS)
async def format_words(service: ServiceOf, lanes: LanesOf, asked: FormatRequest) -> Description:
    """Caption and lyrics in a planner's own words; tempo, length, key, metre and language stay as they are given."""
    options = {name: getattr(asked, name) for name in FormatRequest.model_fields if name not in ("caption", "lyrics")}
    return await lanes.model.call(
        lambda: service.queue.run(
            lambda engine, cancel: engine.format(asked.caption, asked.lyrics, **options, cancel=cancel),
            timeout_s=WAIT_S,
        )
    )
