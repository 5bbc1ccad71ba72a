"""Words to start from: canned examples, words rewritten, a song in words from a wish."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field as BodyField
from starlette.requests import Request
from starlette.responses import Response

from partita.service.doors.acestep.body import read_plain
from partita.service.doors.acestep.door import Door, answer, check_body_token, door_of
from partita.service.doors.acestep.fields import BY_NAME, Field, Given, read_fields
from partita.service.doors.acestep.request import language_code, metadata_of
from partita.service.doors.acestep.samples import SIMPLE, random_description, random_sample
from partita.service.doors.acestep.spoken import LONGEST_WAIT_S, filled_in, metre_number
from partita.service.doors.spoken import rewritten, written
from partita.song.planning import PlannerOptions
from partita.text.prompts import INSTRUMENTAL_LYRICS

router = APIRouter(tags=["words"])

_FORMAT_FIELDS = (
    *(BY_NAME[name] for name in ("prompt", "lyrics", "bpm", "key_scale", "time_signature", "audio_duration")),
    Field("vocal_language", "text", ("vocalLanguage", "language"), ""),
    Field("temperature", "number", ("lm_temperature",), 0.85),
)


class Wish(BaseModel):
    """The body of `/v1/create_sample`."""

    model_config = ConfigDict(extra="ignore")

    query: str = BodyField(default="", max_length=10_000, examples=["a song about the last bus home"])
    vocal_language: str | None = BodyField(default=None, max_length=40)
    instrumental: bool = False


@router.post("/create_random_sample")
async def create_random_sample(request: Request) -> Response:
    """An example to start from."""
    values = await read_plain(request)
    check_body_token(request, values)
    return answer(random_sample(str(values.get("sample_type") or SIMPLE)))


@router.post("/format_input")
async def format_input(request: Request) -> Response:
    """Caption and lyrics in a planner's words, with tempo, key, metre and length; by rules where no planner is here."""
    values = await read_plain(request)
    check_body_token(request, values)
    door, given = door_of(request), read_fields(values, _FORMAT_FIELDS)
    return await door.wait_for(lambda: _format(door, given))


def _format(door: Door, given: Given) -> Response:
    prompt, lyrics = given.values.get("prompt", ""), given.values.get("lyrics", "")
    if not prompt.strip() and not lyrics.strip():
        raise HTTPException(400, "prompt and lyrics are both empty: give words to rewrite")
    notes = list(given.notes)
    kept = metadata_of(given, notes)
    seconds, language = given.values.get("audio_duration"), given.values.get("vocal_language")
    kept |= {"duration_s": seconds if seconds and seconds > 0 else None}
    kept |= {"language": language_code(language) if language else None}
    temperature = min(max(given.values.get("temperature", 0.85), 0.0), 5.0)
    words = rewritten(
        door.service.queue, door.models.settings, prompt, lyrics, "format_input",
        given=kept, options=PlannerOptions(temperature=temperature), timeout_s=LONGEST_WAIT_S,
    )  # fmt: skip
    fields, said = filled_in(door.service, door.models, words)
    return answer(
        {
            "caption": fields.get("caption") or prompt,
            "lyrics": fields.get("lyrics") or lyrics,
            "bpm": fields.get("bpm", kept.get("bpm")),
            "key_scale": fields.get("key", kept.get("key")) or "",
            "time_signature": metre_number(fields.get("time_signature", kept.get("time_signature"))) or "",
            "duration": fields.get("duration_s", kept.get("duration_s")),
            "vocal_language": fields.get("language", kept.get("language")) or "unknown",
            "notes": [*notes, *said],
        }
    )


@router.post("/v1/create_sample")
async def create_sample(request: Request, wish: Wish) -> Response:
    """A song in words from a wish: a planner's, or by rules, and then without words of its own, where none is here."""
    door = door_of(request)
    return await door.wait_for(lambda: _create(door, wish))


def _create(door: Door, wish: Wish) -> Response:
    query = wish.query.strip() or random_description()
    words = written(
        door.service.queue, door.models.settings, query, "create_sample",
        language=language_code(wish.vocal_language) if wish.vocal_language else None,
        instrumental=wish.instrumental, timeout_s=LONGEST_WAIT_S,
    )  # fmt: skip
    fields, said = filled_in(door.service, door.models, words)
    heard = fields.get("language") or "unknown"
    told: dict[str, Any] = {
        "caption": fields.get("caption") or query,
        "lyrics": fields.get("lyrics") or INSTRUMENTAL_LYRICS,
        "bpm": fields.get("bpm"),
        "keyscale": fields.get("key") or "",
        "duration": fields.get("duration_s"),
        "timesignature": metre_number(fields.get("time_signature")) or "",
        "vocal_language": wish.vocal_language if heard == "unknown" and wish.vocal_language else heard,
        "notes": list(said),
    }
    return answer({**told, "instrumental": told["lyrics"] == INSTRUMENTAL_LYRICS})
