"""An app over a service: with the built-in model, kept for all tests, or with tones that a gate holds up."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from partita.engine.engine import Engine
from partita.service.config import Limits, ServiceConfig
from partita.service.http.app import create_app
from partita.service.manager import Manager, ManagerConfig
from partita.service.service import Service
from partita.settings import Settings
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime

SHORT = Limits(duration_s=2, songs=2, waiting=50)


def settings_in(folder: Path, **fields: Any) -> Settings:
    return Settings(data=folder / "data", cache=folder / "cache", offline=True, **fields)


def real_service(folder: Path, **config: Any) -> Service:
    """A service with the built-in model."""
    settings = settings_in(folder)
    manager = Manager(lambda device: Engine(settings=settings), ManagerConfig(min_free_bytes=0))
    return Service(
        ServiceConfig(folder=folder / "service", **{"limits": SHORT} | config), settings=settings, managers=[manager]
    )


@pytest.fixture(scope="session")
def real(tmp_path_factory) -> Iterator[TestClient]:
    """A client of an app with the built-in model; songs of at most two seconds."""
    with real_service(tmp_path_factory.mktemp("real")) as service, TestClient(create_app(service)) as client:
        yield client


@pytest.fixture
def open_api(tmp_path) -> Iterator[Callable[..., TestClient]]:
    """Opens apps whose songs are tones, and closes them when the test is over."""
    with ExitStack() as stack:

        def make(renderer: ToneRenderer | None = None, **config: Any) -> TestClient:
            settings = settings_in(tmp_path)
            engine = Engine(
                runtime=fake_runtime(),
                settings=settings,
                renderer=renderer or ToneRenderer(),
                loader=lambda card: FakeLoader(),
            )
            manager = Manager(lambda device: engine, ManagerConfig(min_free_bytes=0))
            told = ServiceConfig(folder=tmp_path / "service", **config)
            service = stack.enter_context(Service(told, settings=settings, managers=[manager]))
            return stack.enter_context(TestClient(create_app(service)))

        yield make


@pytest.fixture
def api(open_api) -> TestClient:
    return open_api()


def service_of(client: TestClient) -> Service:
    return client.app.state.service  # type: ignore[attr-defined]


def wav(seconds: float = 1.0, hz: float = 220.0) -> bytes:
    buffer = io.BytesIO()
    t = np.arange(int(seconds * 16000)) / 16000
    soundfile.write(buffer, 0.3 * np.sin(2 * np.pi * hz * t), 16000, format="WAV")
    return buffer.getvalue()


def made(client: TestClient, request: dict[str, Any], **headers: str) -> dict[str, Any]:
    """The job of a request, once it is over."""
    answer = client.post("/v1/songs", json=request, headers=headers)
    assert answer.status_code == 202, answer.text
    return over(client, answer.json()["id"])


def over(client: TestClient, job_id: str) -> dict[str, Any]:
    job = service_of(client).queue.wait(job_id, 60)
    assert job.is_over, job
    return client.get(f"/v1/songs/{job_id}").json()


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem document of an answer, which must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["type"].startswith("urn:partita:problem:")
    assert told["title"]
    assert told["detail"]
    assert "Traceback" not in answer.text
    return told
