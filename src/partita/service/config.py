"""What a server is told when it starts: where it listens, who may ask, and how much it takes. Values only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from partita.song.values import Asked

DoorName = Literal["acestep", "openai"]
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SHORTEST_TOKEN = 8
MIB = 2**20
DAY_S = 24 * 3600.0


class Limits(Asked):
    """How much a server takes, from one request and in all. Beyond them stands an honest 413 or 429."""

    upload_bytes: int = Field(default=200 * MIB, ge=1, description="Largest body that is taken.")
    duration_s: float = Field(default=600.0, gt=0, description="Longest song.")
    songs: int = Field(default=16, ge=1, description="Most songs that one request makes (count times best_of).")
    waiting: int = Field(default=200, ge=1, description="Most jobs that wait at once.")
    requests_per_minute: int = Field(default=600, ge=0, description="Of one caller; 0 is no limit.")
    open_requests: int = Field(default=250, ge=1, description="Of one caller, being answered at once, streams too.")
    body_timeout_s: float = Field(default=30.0, gt=0, description="Longest pause in a body that is being sent.")
    uploads_bytes: int = Field(default=4096 * MIB, ge=1, description="Most bytes of uploads that are kept.")


class Retention(Asked):
    """How long what is over is kept. Songs go with their job, oldest first; what waits or runs is never touched."""

    age_s: float | None = Field(default=30 * DAY_S, gt=0, description="Of jobs that are over, and of uploads.")
    bytes: int | None = Field(default=20_480 * MIB, gt=0, description="Of all songs together.")


class ServiceConfig(Asked):
    """A server. It listens on loopback; anywhere else only with a token."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = 8460
    doors: tuple[DoorName, ...] = Field(default=(), description="Other protocols to speak, by name.")
    door_ports: dict[DoorName, Annotated[int, Field(ge=0, le=65535)]] = Field(
        default_factory=dict, description="Ports of doors, where not their usual ones."
    )
    token: str | None = Field(
        default=None, min_length=SHORTEST_TOKEN, description="What callers say as `Authorization: Bearer`."
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Web pages that may call, such as http://localhost:5173; local: all of this machine."
    )
    fetch_urls: bool = Field(default=False, description="Whether audio may be given as an http(s) address.")
    folder: Path | None = Field(default=None, description="Where jobs, songs and uploads are kept.")
    limits: Limits = Limits()
    retention: Retention = Retention()

    @property
    def is_local(self) -> bool:
        return self.host in LOOPBACK
