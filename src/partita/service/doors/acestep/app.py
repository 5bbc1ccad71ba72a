"""The paths of the ACE-Step 1.5 REST API as an app. The wrapping for tokens, limits and CORS is the server's."""

from __future__ import annotations

from fastapi import FastAPI

from partita.service.service import Service


def create_app(service: Service) -> FastAPI:
    """The app over a service that is open."""
    app = FastAPI(title="Partita, ACE-Step 1.5 door")
    app.state.service = service
    return app
