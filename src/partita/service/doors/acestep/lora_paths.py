"""The paths of `/v1/lora`: adapters for all later songs."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from partita.service.doors.acestep.door import answer, door_of

router = APIRouter(prefix="/v1/lora", tags=["lora"])


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Load(_Body):
    """The body of `load`."""

    lora_path: str = Field(min_length=1, max_length=4096, examples=["my-singer"])
    adapter_name: str | None = Field(default=None, max_length=200)


class Toggle(_Body):
    """The body of `toggle`."""

    use_lora: bool


class Scale(_Body):
    """The body of `scale`."""

    scale: float = Field(ge=0, le=1)
    adapter_name: str | None = Field(default=None, max_length=200)


@router.post("/load")
def load(request: Request, asked: Load) -> Response:
    """Load an adapter of the server's folder, by its name."""
    return answer(door_of(request).loras.load(asked.lora_path, asked.adapter_name))


@router.post("/unload")
def unload(request: Request) -> Response:
    """Unload all adapters."""
    return answer(door_of(request).loras.unload())


@router.post("/toggle")
def toggle(request: Request, asked: Toggle) -> Response:
    """Switch the adapters on or off."""
    return answer(door_of(request).loras.toggle(asked.use_lora))


@router.post("/scale")
def scale(request: Request, asked: Scale) -> Response:
    """How much of an adapter, or of all."""
    return answer(door_of(request).loras.scale(asked.scale, asked.adapter_name))


@router.get("/status")
def status(request: Request) -> Response:
    """Which adapters are loaded."""
    return answer(door_of(request).loras.status())
