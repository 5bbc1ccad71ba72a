"""What the server is and has: `/health`, `/v1/stats`, the lists of models, and putting a model in use."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from partita.errors import ModelError, ResourceError
from partita.service.doors.acestep.door import Door, Told, answer, door_of, refusal
from partita.service.doors.acestep.models import name_of, planner_note

LONGEST_LOAD_S = 600.0
SLOTS = 3

router = APIRouter(tags=["models"])


class Init(BaseModel):
    """The body of `/v1/init`."""

    model_config = ConfigDict(extra="ignore", str_max_length=500)

    model: str | None = Field(default=None, examples=["acestep-v15-turbo"])
    init_llm: bool = False
    lm_model_path: str | None = Field(default=None, examples=["acestep-5Hz-lm-1.7B"])
    slot: int = Field(default=1, ge=1, le=SLOTS, description="Models are loaded as they are needed: any slot is one.")


@router.get("/health")
def health(request: Request) -> Response:
    """That the server is there, and which models play."""
    models = door_of(request).models
    told = models.told()
    return answer(
        {
            "status": "ok",
            "service": "ACE-Step API",
            "version": "1.0",
            "models_initialized": True,
            "llm_initialized": told["llm_initialized"],
            "loaded_model": told["default_model"],
            "loaded_lm_model": told["loaded_lm_model"],
        }
    )


@router.get("/v1/stats")
def stats(request: Request) -> Response:
    """How many tasks there are of each kind, and how long one takes."""
    door = door_of(request)
    jobs, errands = door.service.queue.counts(), door.errands.counts()
    counted = {
        "queued": jobs.get("queued", 0) + errands["waiting"],
        "running": jobs.get("running", 0),
        "succeeded": jobs.get("done", 0) + errands["done"],
        "failed": jobs.get("failed", 0) + jobs.get("cancelled", 0) + errands["failed"],
    }
    return answer(
        {
            "jobs": {"total": sum(counted.values()), **counted},
            "queue_size": counted["queued"],
            "queue_maxsize": door.service.config.limits.waiting,
            "avg_job_seconds": round(door.service.queue.average_job_s, 3),
        }
    )


@router.get("/v1/models")
def models(request: Request) -> Response:
    """The models in the shape of OpenRouter's list."""
    return Told(door_of(request).models.told_openrouter())


@router.get("/v1/model_inventory")
def inventory(request: Request) -> Response:
    """The models and planners that are on this machine, and what each can do."""
    return answer(door_of(request).models.told())


@router.post("/v1/init")
async def init(request: Request, asked: Init) -> Response:
    """Put a model in use for the tasks that name none, and load it. Waits for the song that is being made."""
    door = door_of(request)
    return await door.wait_for(lambda: _init(door, asked))


def _init(door: Door, asked: Init) -> Response:
    said: list[str] = []
    if asked.model is not None:
        said.extend(door.models.use(asked.model).notes)
    fault = _load(door)
    if fault is not None:
        return refusal(500, fault)
    told = door.models.told()
    if asked.init_llm:
        note = planner_note(asked.lm_model_path, door.models.settings)
        said.append("The language model is loaded when it is needed." if note is None else note)
    data: dict[str, Any] = {
        "message": " ".join([f"{told['default_model']} is in use.", *said]),
        "loaded_model": told["default_model"],
        "loaded_lm_model": told["loaded_lm_model"] if asked.init_llm else None,
        "models": told["models"],
        "lm_models": told["lm_models"],
        "llm_initialized": told["llm_initialized"],
        "slot": asked.slot,
    }
    return answer(data)


@router.post("/v1/reinitialize")
async def reinitialize(request: Request) -> Response:
    """Load the model in use again, where it was let go of."""
    door = door_of(request)
    return await door.wait_for(lambda: _reinitialize(door))


def _reinitialize(door: Door) -> Response:
    fault = _load(door)
    if fault is not None:
        return refusal(500, fault)
    return answer({"message": f"{name_of(door.models.used())} is loaded.", "reloaded": ["DiT/VAE/Text Encoder"]})


def _load(door: Door) -> str | None:
    """Load the model in use; why it could not be, or none."""
    model = door.models.used().id
    try:
        door.service.queue.run(lambda engine, cancel: engine.load(model), timeout_s=LONGEST_LOAD_S)
    except (ModelError, ResourceError) as error:
        return str(error)
    return None
