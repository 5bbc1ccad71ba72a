"""Server-sent events: how a job is at once, every change, an end; and nothing is left of a caller who is gone."""

import asyncio
import json

import anyio
import pytest

from partita.service.http import events
from partita.service.http.app import create_app
from tests.fakes import ToneRenderer
from tests.service.http.conftest import made, over, problem, service_of
from tests.service.jobs.conftest import Gate

TONE = {"caption": "a tone", "duration_s": 1}


def told(lines) -> list[tuple[str, str, dict]]:
    """Kind, id and data of each event."""
    found, event = [], {}
    for line in lines:
        if not line and event:
            found.append((event["event"], event["id"], json.loads(event["data"])))
            event = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value
    return found


def test_a_job_is_followed_from_where_it_is_to_its_end(open_api):
    gate = Gate()
    api = open_api(ToneRenderer(gate))
    job = api.post("/v1/songs", json=TONE).json()
    gate.wait()
    with api.stream("GET", job["links"]["events"]) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        gate.open()
        heard = told(answer.iter_lines())
    kinds = [kind for kind, _, _ in heard]
    assert kinds[0] == kinds[-1] == "state"
    assert "song" in kinds
    assert heard[0][2]["state"] == "running"
    assert heard[-1][2] == over(api, job["id"])
    ids = [name for _, name, _ in heard]
    assert ids == [f"{job['id']}-{number}" for number in range(len(ids))]
    song = next(data for kind, _, data in heard if kind == "song")
    assert api.get(song["song"]["links"]["audio"]).status_code == 200
    assert all(0 <= data["progress"]["share"] <= 1 for kind, _, data in heard if kind == "progress")


def test_of_a_job_that_is_over_the_one_event_says_so(api):
    job = made(api, TONE)
    heard = told([*api.get(job["links"]["events"]).text.splitlines(), ""])
    assert [(kind, data["state"]) for kind, _, data in heard] == [("state", "done")]


def test_a_deleted_job_ends_its_events(open_api):
    gate = Gate()
    api = open_api(ToneRenderer(gate))
    api.post("/v1/songs", json=TONE)
    gate.wait()
    job = api.post("/v1/songs", json=TONE).json()
    with api.stream("GET", job["links"]["events"]) as answer:
        api.delete(job["links"]["job"])
        heard = told(answer.iter_lines())
    assert heard[-1][2]["state"] == "cancelled"
    gate.open()


def listeners(api) -> int:
    return len(service_of(api).queue._news._listeners)


class Caller:
    """Someone at the other end of one request for events, who reads what comes and may hang up."""

    def __init__(self, api, path: str) -> None:
        self._api, self._path = api, path
        self.gone, self.started = asyncio.Event(), asyncio.Event()
        self.text = ""
        self.news = asyncio.Event()

    async def run(self) -> None:
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
            "path": self._path, "raw_path": self._path.encode(), "query_string": b"", "root_path": "",
            "scheme": "http", "headers": [(b"host", b"x")], "client": ("127.0.0.1", 1), "server": ("x", 80),
        }  # fmt: skip
        await create_app(service_of(self._api))(scope, self._receive, self._send)

    async def _receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        self.started.set()
        self.text += message.get("body", b"").decode()
        self.news.set()

    async def until(self, words: str) -> None:
        while words not in self.text:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 20)


@pytest.mark.parametrize("everything", [False, True])
def test_a_caller_who_hangs_up_leaves_nothing_behind(open_api, everything):
    gate = Gate()
    api = open_api(ToneRenderer(gate))
    first = api.post("/v1/songs", json=TONE).json()
    gate.wait()
    before = listeners(api)

    async def call() -> None:
        callers = [Caller(api, "/v1/events" if everything else f"/v1/songs/{first['id']}/events") for _ in range(5)]
        async with anyio.create_task_group() as group:
            for one in callers:
                group.start_soon(one.run)
            for one in callers:
                await one.started.wait()
            while listeners(api) < before + 5 * 2:  # an app counts for its figures too
                await asyncio.sleep(0)
            if everything:
                other = await asyncio.to_thread(service_of(api).submit, _request())
                for one in callers:
                    await one.until(other.id)
            for one in callers:
                one.gone.set()

    anyio.run(call)
    assert listeners(api) == before + 5  # the figures of the five apps
    gate.open()
    assert over(api, first["id"])["state"] == "done"


def _request():
    from partita.song.request import SongRequest

    return SongRequest(**TONE)


def test_a_silent_stream_says_now_and_then_that_it_lives(open_api, monkeypatch):
    monkeypatch.setattr(events, "PING_S", 0.05)
    gate = Gate()
    api = open_api(ToneRenderer(gate))
    job = api.post("/v1/songs", json=TONE).json()
    gate.wait()

    async def call() -> None:
        caller = Caller(api, f"/v1/songs/{job['id']}/events")
        async with anyio.create_task_group() as group:
            group.start_soon(caller.run)
            await caller.until(": ping")
            caller.gone.set()

    anyio.run(call)
    gate.open()


def test_a_caller_who_does_not_read_is_cut_off_and_loses_no_more_than_steps(api, monkeypatch):
    monkeypatch.setattr(events, "MOST_WAITING", 10)
    job = service_of(api).queue.job(made(api, TONE)["id"])

    async def fill() -> list[int]:
        line = events._Line(lambda event: True)
        sizes = []
        for kind in ["progress"] * 50 + ["state"] * 11:
            line.hear(events.JobEvent(kind, job))
            await asyncio.sleep(0)
            sizes.append(len(line._line))
        assert line.overrun
        return sizes

    sizes = anyio.run(fill)
    assert sizes[49] == 1
    assert sizes[-1] == 12


def test_events_of_an_unknown_job_are_a_404_and_not_an_empty_stream(api):
    problem(api.get(f"/v1/songs/{'0' * 32}/events"), 404)
