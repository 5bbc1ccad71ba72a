"""A client of the ACE-Step protocol, and servers for it: with the built-in model, or with tones in its place."""

from __future__ import annotations

import io
import json
import threading
import time
import wave
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from partita.engine.engine import Engine
from partita.service.config import ServiceConfig
from partita.service.doors.acestep import BODY_TOKEN_PATHS, PUBLIC
from partita.service.doors.acestep.app import create_app
from partita.service.http.limits import guarded
from partita.service.manager import Manager, ManagerConfig
from partita.service.service import Service
from partita.settings import Settings
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime

SOON_S = 40.0


def wav(seconds: float = 1.0, level: float = 0.3, rate_hz: int = 24_000) -> bytes:
    """A tone as a client sends it; at level 0 the silence that goes with text2music."""
    tone = level * np.sin(2 * np.pi * 220 * np.arange(int(seconds * rate_hz)) / rate_hz)
    samples = (32767 * np.stack([tone, tone], axis=1)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(samples.tobytes())
    return file.getvalue()


class Client:
    """What these clients do, over HTTP."""

    def __init__(self, service: Service, http: TestClient) -> None:
        self.service, self.http = service, http

    def release(self, params: Mapping[str, Any], **files: bytes) -> dict[str, Any]:
        """As the DAW: every parameter as text, audio as files, null left out. Returns `data`."""
        sent: dict[str, Any] = {name: (None, _text(value)) for name, value in params.items() if value is not None}
        sent |= {name: (f"{name}.wav", content, "audio/wav") for name, content in files.items()}
        answer = self.http.post("/release_task", files=sent)
        assert answer.status_code == 200, answer.text
        return envelope(answer)

    def entry(self, task_id: str) -> dict[str, Any]:
        return envelope(self.http.post("/query_result", json={"task_id_list": [task_id]}))[0]

    def finished(self, task_id: str) -> dict[str, Any]:
        """The entry once its status is not 0. Asks again whenever the queue tells of a change."""
        changed = threading.Event()
        stop = self.service.queue.subscribe(lambda event: changed.set())
        try:
            until = time.monotonic() + SOON_S
            while (entry := self.entry(task_id))["status"] == 0:
                assert time.monotonic() < until, entry
                changed.wait(0.05)  # errands tell of nothing, so it is not waited for a change alone
                changed.clear()
            return entry
        finally:
            stop()

    def items(self, task_id: str) -> list[dict[str, Any]]:
        entry = self.finished(task_id)
        assert entry["status"] == 1, entry
        return json.loads(entry["result"])

    def failure(self, task_id: str) -> dict[str, Any]:
        entry = self.finished(task_id)
        assert entry["status"] == 2, entry
        (item,) = json.loads(entry["result"])
        return item


def envelope(answer: Any) -> Any:
    """`data` of an answer, whose envelope is looked at."""
    body = answer.json()
    assert list(body) == ["data", "code", "error", "timestamp", "extra"]
    assert (body["code"], body["error"], body["extra"]) == (200, None, None)
    assert abs(body["timestamp"] / 1000 - time.time()) < 60
    return body["data"]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings_in(folder: Path) -> Settings:
    """A machine of its own, without any downloaded model."""
    return Settings(data=folder / "data", cache=folder / "cache", checkpoint_dir=None, model="built-in")


def tones(settings: Settings, **more: Any) -> Manager:
    """A manager whose songs are tones, made at once."""
    chosen: dict[str, Any] = {"renderer": ToneRenderer(), "loader": lambda card: FakeLoader()} | more
    engine = Engine(runtime=fake_runtime(), settings=settings, **chosen)
    return Manager(lambda device: engine, ManagerConfig(min_free_bytes=0))


@contextmanager
def serving(
    folder: Path, *, manager: Manager | None = None, token: str | None = None, **config: Any
) -> Iterator[Client]:
    """A client of a server in `folder`; without a manager it plays the built-in model. With a token, it is wrapped."""
    settings = settings_in(folder)
    chosen = ServiceConfig(folder=folder / "service", token=token, **config)
    with (
        Service(chosen, settings=settings, managers=None if manager is None else [manager]) as service,
        ExitStack() as stack,
    ):
        app: Any = create_app(service, token=token)
        if token is not None:
            app = guarded(app, chosen, public=PUBLIC | BODY_TOKEN_PATHS)
        http = stack.enter_context(TestClient(app, raise_server_exceptions=False))
        yield Client(service, http)
