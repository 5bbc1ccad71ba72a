"""Partita's own HTTP API as a FastAPI app. It knows routes and documents; tokens, limits and sockets are around it."""

from __future__ import annotations

from fastapi import FastAPI

from partita.service.service import Service


def create_app(service: Service) -> FastAPI:
    """The app of an entered service. Several may be made of one service."""
    raise NotImplementedError
