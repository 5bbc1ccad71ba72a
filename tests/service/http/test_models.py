"""Models and adapters over HTTP: what there is, load and unload, downloads with progress, one at a time."""

import threading

import numpy as np
import pytest
from safetensors.numpy import save_file

from partita.errors import DownloadError
from partita.service.http import downloads as service_downloads
from partita.weights.catalog import catalog, planners
from partita.weights.download import Checking, Notice, Planned, Progress
from tests.service.http.conftest import problem, service_of

TURBO = "ace-step-1.5-turbo"


def test_every_model_is_listed_with_its_state(real):
    told = real.get("/v1/models").json()
    assert [one["id"] for one in told["models"]] == [card.id for card in (*catalog(), *planners())]
    assert told["default"] == "built-in"
    built_in = told["models"][0]
    assert (built_in["state"], built_in["default"], built_in["sings"]) == ("shipped", True, False)
    turbo = next(one for one in told["models"] if one["id"] == TURBO)
    assert (turbo["state"], turbo["loaded"]) == ("absent", False)
    assert turbo["download_bytes"] > 10**9
    assert "cover" in turbo["tasks"]
    assert all("/" not in name for one in told["models"] for name in one["missing"])


def test_a_model_is_found_by_its_alias(real):
    assert real.get("/v1/models/builtin").json() == real.get("/v1/models/built-in").json()


def test_a_model_is_loaded_and_let_go_of(real):
    assert real.post("/v1/models/built-in/load").json() == {"loaded": ["built-in"]}
    assert real.get("/v1/models/built-in").json()["loaded"] is True
    assert real.post("/v1/models/built-in/unload").json() == {"loaded": []}
    real.post("/v1/models/built-in/load")
    assert real.post(f"/v1/models/{TURBO}/unload").json() == {"loaded": ["built-in"]}
    assert real.post("/v1/models/unload").json() == {"loaded": []}


def test_a_model_that_is_not_here_says_how_to_fetch_it(real):
    assert f"partita download {TURBO}" in problem(real.post(f"/v1/models/{TURBO}/load"), 424)["detail"]


def test_a_planner_is_not_loaded_by_hand(real):
    problem(real.post("/v1/models/ace-step-1.5-planner-0.6b/load"), 422)


@pytest.mark.parametrize("way", ["", "/load", "/unload", "/download"])
@pytest.mark.parametrize("name", ["gpt-5", "%2e%2e%2fetc", "x" * 150])
def test_an_unknown_model_is_not_found(real, name, way):
    answer = real.get(f"/v1/models/{name}") if not way else real.post(f"/v1/models/{name}{way}")
    problem(answer, 404)


class Server:
    """In place of `fetch`: hands out a file in steps, as the test says."""

    def __init__(self, monkeypatch) -> None:
        self.calls, self.proceed, self.fault = 0, threading.Semaphore(0), None
        monkeypatch.setattr(service_downloads, "fetch", self.fetch)

    def fetch(self, card, caches, *, on_event, **options) -> None:
        self.calls += 1
        on_event(Planned("Hub", (("a.bin", 100), ("b.bin", 50)), 150, 0))
        on_event(Notice("from a mirror"))
        for path, done in (("a.bin", 50), ("a.bin", 100), ("b.bin", 50)):
            assert self.proceed.acquire(timeout=20)
            if self.fault is not None:
                raise self.fault
            on_event(Progress(path, done, 100 if path == "a.bin" else 50))
        on_event(Checking("b.bin"))


@pytest.fixture
def server(monkeypatch) -> Server:
    return Server(monkeypatch)


def end_of(client, where: str) -> dict:
    """The download when it is over, as its events tell it."""
    with client.stream("GET", where, headers={"Accept": "text/event-stream"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "event: progress" in list(answer.iter_lines())
    told = client.get(where).json()
    assert told["state"] != "running"
    return told


def test_a_download_is_followed_to_its_end(api, server):
    where = f"/v1/models/{TURBO}/download"
    problem(api.get(where), 404)
    begun = api.post(where)
    assert begun.status_code == 202
    assert begun.json()["state"] == "running"
    assert api.post(f"/v1/models/{TURBO}/download").json()["started_at"] == begun.json()["started_at"]
    for _ in range(3):
        server.proceed.release()
    told = end_of(api, where)
    assert (told["state"], told["source"], told["total_bytes"], told["done_bytes"]) == ("done", "Hub", 150, 150)
    assert "from a mirror" in told["notes"]
    assert server.calls == 1
    assert api.post(where).json()["state"] == "running"  # again, from where it stands
    for _ in range(3):
        server.proceed.release()
    assert end_of(api, where)["state"] == "done"
    assert server.calls == 2


def test_a_download_is_stopped_between_two_pieces(api, server):
    where = f"/v1/models/{TURBO}/download"
    api.post(where)
    assert api.delete(where).status_code == 200
    server.proceed.release()
    assert end_of(api, where)["state"] == "cancelled"


def test_a_download_that_fails_says_why(api, server):
    server.fault = DownloadError("The hub is closed on Sundays.")
    where = f"/v1/models/{TURBO}/download"
    api.post(where)
    server.proceed.release()
    told = end_of(api, where)
    assert (told["state"], told["fault"]["kind"]) == ("failed", "DownloadError")
    assert "Sundays" in told["fault"]["message"]


def test_a_fault_that_nobody_foresaw_is_logged_and_not_told(api, server, caplog):
    server.fault = ZeroDivisionError("secret")
    where = f"/v1/models/{TURBO}/download"
    api.post(where)
    server.proceed.release()
    told = end_of(api, where)
    assert told["state"] == "failed"
    assert "secret" not in str(told)
    assert "ZeroDivisionError" in caplog.text


def test_without_a_network_a_download_fails_and_a_shipped_model_is_there(api):
    api.post(f"/v1/models/{TURBO}/download")
    assert "offline" in end_of(api, f"/v1/models/{TURBO}/download")["fault"]["message"]
    api.post("/v1/models/built-in/download")
    assert end_of(api, "/v1/models/built-in/download")["state"] == "done"


def test_adapters_are_listed_by_what_they_say(api):
    assert api.get("/v1/adapters").json() == {"adapters": [], "damaged": []}
    folder = service_of(api).settings.adapters
    folder.mkdir(parents=True)
    prefix = "base_model.model.layers.0.self_attn.q_proj"
    matrices = {"lora_A": np.ones((4, 8), np.float32), "lora_B": np.ones((8, 4), np.float32)}
    save_file({f"{prefix}.{name}.weight": value for name, value in matrices.items()}, folder / "soft.safetensors")
    (folder / "broken.safetensors").write_bytes(b"nothing")
    told = api.get("/v1/adapters").json()
    assert [(one["use"], one["kind"], one["rank"]) for one in told["adapters"]] == [("soft", "lora", 4)]
    assert told["damaged"] == ["broken"]
    assert str(folder) not in str(told)


def test_an_adapter_that_is_not_on_the_shelf_is_not_found(api):
    request = {"caption": "x", "adapters": ["soft"], "model": TURBO}
    assert problem(api.post("/v1/songs", json=request), 404)["field"] == "adapters.0.name"
