"""Many callers at once are each answered or refused with 429, and many jobs leave nothing behind in the process."""

from collections.abc import Iterator

import httpx
import pytest

from tests.service.http.server_load import marathon, storm
from tests.service.http.server_process import ServerProcess, wait_until

TOKEN = "a token for the load test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a token and both doors. Its log shows no fault, whatever was asked of it at once."""
    flags = ("--door", "acestep=0", "--door", "openai=0", "--max-requests-per-minute", "0")
    with ServerProcess(tmp_path_factory.mktemp("server"), *flags, PARTITA_TOKEN=TOKEN) as server:
        yield server
        assert server.terminate() == 0
        assert "Traceback" not in server.log()
        assert TOKEN not in server.log()


def test_every_app_of_the_process_asks_for_the_token(server):
    guarded = {"api": "/v1/songs", "acestep": "/v1/stats", "openai": "/v1/models"}
    assert set(server.urls) == set(guarded)
    for name, url in server.urls.items():
        assert httpx.get(f"{url}/health").status_code == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert httpx.get(url + guarded[name], headers=headers).status_code == 401
        assert httpx.get(url + guarded[name], headers=BEARER).status_code == 200


def check_storm(server: ServerProcess, callers: int, songs: int) -> None:
    with server.client() as client:
        client.get("/health")
        held = server.open_files()
    found = storm(server, callers, songs, BEARER)
    assert {status for _, status in found.answers} <= {200, 202, 429}, found.answers
    assert not found.without_time
    assert sum(found.answers[what, status] for what, status in found.answers if what == "submit") == callers
    assert found.answers["fetch", 200] >= min(callers, 50), found.answers
    with server.client() as client:
        assert client.get("/health").status_code == 200
    wait_until(lambda: server.open_files() <= held + 2)


def check_marathon(server: ServerProcess, jobs: int, looks: int, grown_bytes: int) -> None:
    before = server.files()
    held = marathon(server, jobs, looks, BEARER)
    assert held[-1].jobs == jobs
    assert held[-1].open_files <= held[0].open_files + 2, held
    assert held[-1].memory_bytes - held[0].memory_bytes < grown_bytes, held
    assert {name for name in server.files() - before if name.startswith("songs/")} == set()


def test_callers_at_once_are_all_answered(server):
    check_storm(server, 20, songs=5)


def test_jobs_leave_nothing_behind(server):
    check_marathon(server, 10, 2, 64 * 2**20)


@pytest.mark.long
def test_two_hundred_callers_at_once_are_all_answered(server):
    check_storm(server, 200, songs=200)


@pytest.mark.long
def test_a_thousand_jobs_leave_nothing_behind(server):
    check_marathon(server, 1000, 10, 64 * 2**20)
