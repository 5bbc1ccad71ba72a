"""Plans and words over HTTP: each on a worker between two jobs, and each refusal told."""

import threading

import pytest

from partita.engine.engine import Engine
from partita.service.http import common
from partita.song.planning import Description
from tests.fakes import ToneRenderer
from tests.service.http.conftest import made, problem, service_of, wav
from tests.service.jobs.conftest import Gate

TONE = {"caption": "a tone", "duration_s": 1}
WORDS = Description(caption="soft piano", lyrics="[Instrumental]", bpm=70, seed=3)


def test_a_plan_is_what_would_be_played(real):
    request = {"caption": "lofi", "duration_s": 1.5, "seed": 4}
    planned = real.post("/v1/plan", json=request).json()
    assert planned["seeds"] == [4]
    job = made(real, request)
    record = real.get(job["songs"][0]["links"]["record"]).json()
    assert record["plan"] == planned["plans"][0]
    assert made(real, {"plan": planned["plans"][0], "seed": 4})["state"] == "done"


def test_a_plan_of_several_songs_has_the_seeds_it_is_for(real):
    planned = real.post("/v1/plan", json={"caption": "lofi", "duration_s": 1.5, "count": 2}).json()
    assert len(planned["plans"]) == 2
    assert planned["seeds"][1] == planned["seeds"][0] + 1


@pytest.mark.parametrize("route", ["write", "format", "describe"])
def test_without_a_planner_the_answer_says_how_to_get_one(real, route):
    body = {"write": {"wish": "lofi"}, "format": {"caption": "lofi"}, "describe": {"codes": [1, 2, 3]}}[route]
    told = problem(real.post(f"/v1/{route}", json=body), 424)
    assert "partita download" in told["detail"]


def test_words_are_written_rewritten_and_told_by_the_engine(api, monkeypatch):
    heard: list[tuple] = []

    def speak(verb):
        def call(self, *given, **options):
            assert options.pop("cancel") is not None
            heard.append((verb, given, options["seed"]))
            return WORDS

        return call

    for verb in ("write", "format", "describe"):
        monkeypatch.setattr(Engine, verb, speak(verb))
    upload = api.post("/v1/uploads", content=wav()).json()["id"]
    for verb, body in (
        ("write", {"wish": "rain", "seed": 1}),
        ("format", {"caption": "rain", "lyrics": "la", "seed": 2}),
        ("describe", {"audio": {"upload": upload}, "seed": 3}),
        ("describe", {"codes": [7, 8], "seed": 4}),
    ):
        assert api.post(f"/v1/{verb}", json=body).json() == WORDS.model_dump(mode="json")
    assert [(verb, seed) for verb, _, seed in heard] == [("write", 1), ("format", 2), ("describe", 3), ("describe", 4)]
    assert heard[2][1][0].path == str(service_of(api).uploads.path(upload))
    assert heard[3][1] == ((7, 8),)


@pytest.mark.parametrize(
    ("route", "body", "status", "field"),
    [
        ("plan", {}, 422, "caption"),
        ("plan", {"caption": "x", "sampling": {"steps": 0}}, 422, "sampling.steps"),
        ("plan", {"task": {"kind": "cover", "source": "/etc/passwd"}}, 403, "task.source.path"),
        ("plan", {"caption": "x", "duration_s": 10_000}, 413, "duration_s"),
        ("describe", {}, 422, "body"),
        ("describe", {"codes": []}, 422, "codes"),
        ("describe", {"codes": [70_000]}, 422, "codes.0"),
        ("describe", {"audio": "/etc/passwd"}, 403, "audio.path"),
        ("describe", {"audio": {"upload": "0" * 32}}, 404, "audio.upload"),
        ("describe", {"audio": {"song": "0" * 32}}, 404, "audio.song"),
        ("write", {"wish": ""}, 422, "wish"),
        ("write", {"wish": "x", "seed": -1}, 422, "seed"),
        ("write", {"wish": "x", "planner": {"top_p": 2}}, 422, "planner.top_p"),
        ("format", {"caption": "x", "bpm": 9}, 422, "bpm"),
        ("format", {"caption": "x", "melody": "y"}, 422, "melody"),
    ],
)
def test_a_bad_field_is_named(api, route, body, status, field):
    told = problem(api.post(f"/v1/{route}", json=body), status)
    assert told.get("field") in (field, "request" if field == "body" else field)


@pytest.mark.parametrize("route", ["plan", "write", "format", "describe"])
def test_what_is_no_json_is_a_400(api, route):
    problem(api.post(f"/v1/{route}", content=b"{", headers={"Content-Type": "application/json"}), 400)


def test_planning_waits_for_the_song_and_keeps_nobody_else_waiting(open_api, monkeypatch):
    monkeypatch.setattr(common, "WAITING_CALLS", 2)
    gate = Gate()
    api = open_api(ToneRenderer(gate))
    api.post("/v1/songs", json=TONE)
    gate.wait()
    answers: list[int] = []
    answered = threading.Semaphore(0)

    def ask() -> None:
        answers.append(api.post("/v1/plan", json=TONE).status_code)
        answered.release()

    callers = [threading.Thread(target=ask) for _ in range(6)]
    for one in callers:
        one.start()
    for _ in range(4):
        assert answered.acquire(timeout=20)
    assert answers == [429] * 4  # two wait, and four were sent away
    assert api.get("/health").status_code == 200
    gate.open()
    for one in callers:
        one.join(20)
    assert sorted(answers) == [200, 200, 429, 429, 429, 429]
