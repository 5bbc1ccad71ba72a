"""The door as an application of its own: chat completions, music, models. Token, limits and CORS are around it."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from partita.service.doors.openai.chat import chat_router
from partita.service.doors.openai.errors import install
from partita.service.doors.openai.kitchen import TIMEOUT_S
from partita.service.doors.openai.models import models_router
from partita.service.doors.openai.music import music_router
from partita.service.service import Service

__all__ = ["chat_router", "create_app", "models_router", "music_router"]


def create_app(service: Service, *, timeout_s: float = TIMEOUT_S) -> FastAPI:
    """The app of an entered service. A song that is not streamed is given up after `timeout_s` seconds."""
    app = FastAPI(
        title="Partita, in the protocol of OpenAI's and OpenRouter's clients",
        version=version("partita"),
        description="Songs from conversations and from words. Whatever has no effect is told in the answer.",
    )
    app.include_router(chat_router(service, timeout_s=timeout_s))
    app.include_router(music_router(service, timeout_s=timeout_s))
    app.include_router(models_router(service))
    install(app)

    @app.get("/health", tags=["health"], summary="Whether the server is up")
    def health() -> dict[str, str]:
        return {"status": "ok", "service": "Partita", "version": version("partita")}

    return app
