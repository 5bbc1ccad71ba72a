"""Songs over HTTP: asked for, looked at, fetched whole and in ranges, cancelled, deleted; and every refusal."""

import json
import threading

import pytest
from starlette.testclient import TestClient

from partita.service.config import Limits
from partita.song.record import Record
from tests.fakes import ToneRenderer
from tests.service.http.conftest import made, over, problem, service_of, wav
from tests.service.jobs.conftest import Gate

TONE = {"caption": "a tone", "duration_s": 1}
UNKNOWN = "0" * 32


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def held(open_api, gate) -> TestClient:
    """An app whose first song waits before the gate."""
    return open_api(ToneRenderer(gate))


def test_a_song_is_asked_for_made_and_fetched(real):
    answer = real.post("/v1/songs", json={"caption": "lofi", "duration_s": 1.5, "seed": 5})
    assert answer.status_code == 202
    asked = answer.json()
    assert asked["state"] == "queued"
    assert answer.headers["location"] == asked["links"]["job"] == f"/v1/songs/{asked['id']}"
    job = over(real, asked["id"])
    assert job["state"] == "done"
    assert job["request"]["caption"] == "lofi"
    (song,) = job["songs"]
    assert (song["seed"], song["model"], song["duration_s"]) == (5, "built-in", pytest.approx(1.5, abs=0.1))
    sound = real.get(song["links"]["audio"])
    assert sound.content.startswith(b"fLaC")
    record = Record.from_json(real.get(song["links"]["record"]).content)
    assert record.seed == 5


def test_the_same_request_gives_the_same_samples_as_the_library(real):
    from partita.song.request import SongRequest

    request = SongRequest(caption="slow piano", duration_s=1, seed=11)
    song = service_of(real).queue.managers[0].generate(request)
    job = made(real, request.model_dump(mode="json"))
    assert real.get(job["songs"][0]["links"]["record"]).json()["audio_sha256"] == song.record.audio_sha256


@pytest.mark.parametrize(
    ("asked", "kind", "head"),
    [
        ("wav", "audio/wav", b"RIFF"),
        ("flac", "audio/flac", b"fLaC"),
        ("mp3", "audio/mpeg", b""),
        ("ogg", "audio/ogg", b"OggS"),
        ("opus", "audio/ogg; codecs=opus", b"OggS"),
        ("aac", "audio/mp4", b"\0\0\0"),
    ],
)
def test_a_song_comes_in_every_format_under_a_name_of_ours(api, asked, kind, head):
    job = made(api, TONE)
    answer = api.get(job["links"]["audio"], params={"format": asked})
    assert answer.headers["content-type"] == kind
    assert answer.content.startswith(head)
    name = f"partita-{job['id'][:8]}-0.{'m4a' if asked == 'aac' else asked}"
    assert answer.headers["content-disposition"] == f'inline; filename="{name}"'


def test_ranges_are_served_as_players_ask_for_them(api):
    job = made(api, TONE)
    where = job["links"]["audio"]
    whole = api.get(where)
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    size = len(whole.content)

    def part(ranges: str):
        return api.get(where, headers={"Range": ranges})

    first = part("bytes=0-9")
    assert (first.status_code, first.content) == (206, whole.content[:10])
    assert first.headers["content-range"] == f"bytes 0-9/{size}"
    assert part("bytes=-5").content == whole.content[-5:]
    assert part(f"bytes={size - 3}-").content == whole.content[-3:]
    assert part("bytes=0-3,10-13").headers["content-type"].startswith("multipart/byteranges")
    for nonsense in ("bananas", "bytes=", "bytes=x-y", "metres=0-4"):
        assert part(nonsense).status_code == 200
    told = problem(part(f"bytes={size + 1}-"), 416)
    assert str(size) in told["detail"]
    assert part(f"bytes={size + 1}-").headers["content-range"] == f"bytes */{size}"
    seen = api.head(where)
    assert (seen.status_code, seen.headers["content-length"], seen.content) == (200, str(size), b"")


def test_what_the_caller_has_is_not_sent_again(api):
    job = made(api, TONE)
    tag = api.get(job["links"]["audio"]).headers["etag"]
    again = api.get(job["links"]["audio"], headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert api.get(job["links"]["audio"], headers={"If-None-Match": '"other"'}).status_code == 200
    changed = {"Range": "bytes=0-3", "If-Range": '"other"'}
    assert api.get(job["links"]["audio"], headers=changed).status_code == 200


def test_files_beside_a_song_are_linked_and_served(real):
    output = {"format": "mp3", "midi": True, "stems": True, "keep_latents": True}
    job = made(real, {"caption": "funk, drums, bass", "duration_s": 1, "output": output})
    links = job["songs"][0]["links"]["files"]
    kinds = {name.rsplit(".", 1)[-1] for name in links}
    assert {"mid", "json", "flac", "safetensors"} <= kinds
    for name, link in links.items():
        answer = real.get(link)
        assert answer.status_code == 200, name
        assert answer.content
    midi = next(link for name, link in links.items() if name.endswith(".mid"))
    assert real.get(midi).content.startswith(b"MThd")
    assert real.get(midi).headers["content-type"] == "audio/midi"


@pytest.mark.parametrize(
    "name", ["nothing.wav", "..%2f..%2fjobs.sqlite", "%2e%2e/%2e%2e/jobs.sqlite", "%2fetc%2fpasswd", "0.flac%00", "a/b"]
)
def test_no_file_but_the_jobs_own_is_served(api, name):
    job = made(api, TONE)
    answer = api.get(f"/v1/songs/{job['id']}/files/{name}")
    problem(answer, 404)


def test_several_songs_of_a_job_are_told_apart(api):
    job = made(api, TONE | {"count": 2, "seed": 3})
    assert [song["seed"] for song in job["songs"]] == [3, 4]
    sounds = [api.get(song["links"]["audio"]).content for song in job["songs"]]
    assert sounds[0] != sounds[1]
    assert api.get(f"/v1/songs/{job['id']}/record", params={"index": 1}).json()["request"]["seeds"] == [4]
    assert "2" in problem(api.get(f"/v1/songs/{job['id']}/audio", params={"index": 2}), 404)["detail"]


def test_a_song_that_is_not_finished_is_a_conflict_that_says_what_to_do(held, gate):
    job = held.post("/v1/songs", json=TONE).json()
    gate.wait()
    told = problem(held.get(job["links"]["audio"]), 409)
    assert "/events" in told["detail"]
    problem(held.get(f"/v1/songs/{job['id']}/record"), 409)
    problem(held.get(f"/v1/songs/{job['id']}/files/0.flac"), 404)
    gate.open()
    assert over(held, job["id"])["state"] == "done"


def test_jobs_wait_in_order_and_the_urgent_come_first(held, gate):
    first = held.post("/v1/songs", json=TONE).json()
    gate.wait()
    second = held.post("/v1/songs", json=TONE).json()
    urgent = held.post("/v1/songs", json=TONE, params={"priority": 5}).json()
    assert held.get(first["links"]["job"]).json()["state"] == "running"
    assert held.get(urgent["links"]["job"]).json()["position"] == 0
    assert held.get(second["links"]["job"]).json()["position"] == 1
    gate.open()


def test_a_job_is_cancelled_while_it_runs_and_while_it_waits(held, gate):
    running, waiting = (held.post("/v1/songs", json=TONE).json() for _ in range(2))
    gate.wait()
    assert held.post(waiting["links"]["cancel"]).json()["state"] == "cancelled"
    held.post(running["links"]["cancel"])
    gate.open()
    assert over(held, running["id"])["state"] == "cancelled"
    problem(held.get(running["links"]["audio"]), 404)
    assert held.post(running["links"]["cancel"]).json()["state"] == "cancelled"


def test_a_deleted_job_is_gone_with_its_files(api):
    job = made(api, TONE)
    folder = service_of(api).folder / "songs" / job["id"]
    assert folder.exists()
    assert api.delete(job["links"]["job"]).status_code == 204
    assert not folder.exists()
    for answer in (api.get(job["links"]["job"]), api.get(job["links"]["audio"]), api.delete(job["links"]["job"])):
        problem(answer, 404)


def test_the_same_key_is_the_same_job(api):
    key = {"Idempotency-Key": "abc"}
    first = api.post("/v1/songs", json=TONE, headers=key).json()
    assert api.post("/v1/songs", json=TONE, headers=key).json()["id"] == first["id"]
    problem(api.post("/v1/songs", json=TONE | {"caption": "other"}, headers=key), 409)


def test_a_deadline_that_passes_is_told_in_the_job(held, gate):
    held.post("/v1/songs", json=TONE)
    gate.wait()
    late = held.post("/v1/songs", json=TONE, params={"deadline_s": 0.01}).json()
    job = over(held, late["id"])
    assert (job["state"], job["fault"]["kind"]) == ("failed", "DeadlineError")
    told = problem(held.get(job["links"]["audio"]), 404)
    assert job["fault"]["message"] in told["detail"]
    gate.open()


def test_jobs_are_listed_in_pages_the_latest_first(api):
    ids = [made(api, TONE | {"seed": seed})["id"] for seed in range(5)]
    seen, where = [], "/v1/songs?limit=2&state=done"
    while where:
        page = api.get(where).json()
        seen += [job["id"] for job in page["jobs"]]
        where = page["next"]
    assert seen == ids[::-1]
    assert api.get("/v1/songs", params={"state": "failed"}).json() == {"jobs": [], "next": None}
    problem(api.get("/v1/songs", params={"before": UNKNOWN}), 404)


@pytest.mark.parametrize("route", ["", "/audio", "/record", "/events", "/files/x.mid"])
def test_an_unknown_job_is_not_found(api, route):
    problem(api.get(f"/v1/songs/{UNKNOWN}{route}"), 404)


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({}, "caption", "''"),
        ({"caption": "x", "steps": 3}, "steps", "3"),
        ({"caption": "x", "sampling": {"steps": 999}}, "sampling.steps", "999"),
        ({"caption": "x", "duration_s": "long"}, "duration_s", "'long'"),
        ({"caption": "x", "duration_s": -1}, "duration_s", "-1"),
        ({"caption": 5}, "caption", "5"),
        ({"caption": "x", "model": "gpt"}, "model", "'gpt'"),
        ({"caption": "x", "style": "no such style"}, "style", "'no such style'"),
        ({"caption": "x", "task": {"kind": "cover"}}, "task.source", None),
        ({"caption": "x", "task": {"kind": "dance"}}, "task", None),
        ({"caption": "x", "output": {"format": "wma"}}, "output.format", "'wma'"),
        ({"caption": "x" * 10_001}, "caption", None),
        ({"caption": "x", "task": {"kind": "cover", "source": {"upload": "me"}}}, "task.source.upload", "'me'"),
        ([], "request", None),
        ("lofi", "request", None),
    ],
)
def test_a_bad_field_is_named_with_its_value(api, body, field, value):
    told = problem(api.post("/v1/songs", json=body), 422)
    assert told["field"] == field
    if value is not None:
        assert told["value"] == value
    assert len(told["detail"]) < 600
    assert api.get("/v1/songs").json()["jobs"] == []


@pytest.mark.parametrize("body", [b"", b"{", b'{"caption": "x"', b"caption=x", b"\xff\xfe", b"[" * 100_000, b"\0"])
def test_what_is_no_json_is_a_400(api, body):
    told = problem(api.post("/v1/songs", content=body, headers={"Content-Type": "application/json"}), 400)
    assert "JSON" in told["detail"]


def test_a_body_beyond_all_reason_is_refused(api):
    body = json.dumps({"caption": "x", "lyrics": "la " * 3_000_000})
    problem(api.post("/v1/songs", content=body), 413)


@pytest.mark.parametrize(
    ("query", "field"),
    [("priority=1000", "priority"), ("priority=high", "priority"), ("deadline_s=0", "deadline_s"),
     ("deadline_s=nan", "deadline_s"), ("deadline_s=inf", "deadline_s")],
)  # fmt: skip
def test_bad_options_are_named(api, query, field):
    assert problem(api.post(f"/v1/songs?{query}", json=TONE), 422)["field"] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"task": {"kind": "cover", "source": "/etc/passwd"}}, "task.source.path"),
        ({"task": {"kind": "cover", "source": {"path": "song.wav"}}}, "task.source.path"),
        ({"caption": "x", "references": [{"path": "/tmp/a.wav"}]}, "references.0.path"),
        ({"style": "/etc/passwd"}, "style"),
        ({"style": "mine.yaml"}, "style"),
        ({"caption": "x", "adapters": ["/models/a.safetensors"]}, "adapters.0.name"),
        ({"caption": "x", "adapters": ["../a"]}, "adapters.0.name"),
    ],
)
def test_paths_are_refused_and_named(api, body, field):
    assert problem(api.post("/v1/songs", json=body), 403)["field"] == field


def test_more_than_the_limits_allow_is_refused(open_api):
    api = open_api(limits=Limits(duration_s=5, songs=3))
    assert problem(api.post("/v1/songs", json=TONE | {"duration_s": 6}), 413)["field"] == "duration_s"
    assert problem(api.post("/v1/songs", json=TONE | {"count": 2, "best_of": 2}), 413)["field"] == "count"


def test_a_full_queue_says_when_to_come_again(open_api):
    gate = Gate()
    api = open_api(ToneRenderer(gate), limits=Limits(waiting=1))
    api.post("/v1/songs", json=TONE)
    gate.wait()
    api.post("/v1/songs", json=TONE)
    answer = api.post("/v1/songs", json=TONE)
    told = problem(answer, 429)
    assert int(answer.headers["retry-after"]) >= told["retry_after_s"] - 1
    gate.open()


def form(request: object, **files: bytes) -> dict:
    parts = [("request", (None, json.dumps(request), "application/json"))]
    return {"files": parts + [(name.rstrip("0123456789"), (f"{name}.wav", data)) for name, data in files.items()]}


def test_a_form_carries_the_audio_along(real):
    job = made(real, {"caption": "lofi", "duration_s": 1.5})
    sound = real.get(job["links"]["audio"]).content
    request = {"task": {"kind": "extend", "right_s": 0.5}}
    answer = real.post("/v1/songs", **form(request, source=sound))
    assert answer.status_code == 202, answer.text
    longer = over(real, answer.json()["id"])
    assert longer["state"] == "done", longer["fault"]
    assert longer["songs"][0]["duration_s"] == pytest.approx(2.0, abs=0.1)
    upload = longer["request"]["task"]["source"]["upload"]
    assert real.get(f"/v1/uploads/{upload}").json()["bytes"] == len(sound)


def test_a_form_that_is_sent_again_with_its_key_is_the_same_job(real):
    job = made(real, {"caption": "lofi", "duration_s": 1.5})
    sound = real.get(job["links"]["audio"]).content
    sent = form({"task": {"kind": "extend", "right_s": 0.4}}, source=sound)
    first, second = (real.post("/v1/songs", **sent, headers={"Idempotency-Key": "form"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]


def test_a_song_of_this_server_is_a_source_with_its_latents(real):
    job = made(real, {"caption": "lofi", "duration_s": 1.5, "output": {"format": "mp3"}})
    request = {"task": {"kind": "extend", "right_s": 0.5, "source": {"song": job["id"]}}}
    longer = made(real, request)
    assert longer["state"] == "done", longer["fault"]
    assert longer["request"]["task"]["source"] == {"path": None, "sha256": None, "upload": None, "song": job["id"]}
    record = real.get(f"/v1/songs/{longer['id']}/record").json()
    assert record["request"]["source"]["song"]["model"] == "built-in"


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        (form({"caption": "x"}, source=wav()), 422, "task.source"),
        (form({"task": {"kind": "cover", "source": {"song": UNKNOWN}}}, source=wav()), 422, "task.source"),
        (form({"caption": "x", "task": {"kind": "cover"}}, source=b"no audio"), 422, None),
        (form({"caption": "x", "task": {"kind": "cover"}}, source1=wav(), source2=wav(0.5)), 422, "source"),
        (form({"caption": "x"}, other=wav()), 422, "other"),
        (form(3), 422, "request"),
        ({"files": [("source", ("a.wav", wav()))]}, 422, "request"),
        ({"files": [("request", (None, "{nonsense"))]}, 400, None),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400, None),
        ({"content": b"garbage", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, None),
    ],
)  # fmt: skip
def test_a_form_that_makes_no_sense_is_refused(api, sent, status, field):
    told = problem(api.post("/v1/songs", **sent), status)
    assert told.get("field") == field


def test_many_callers_at_once_are_answered_or_told_to_wait(open_api):
    api = open_api(limits=Limits(waiting=20))
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(api.post("/v1/songs", json=TONE).status_code)

    callers = [threading.Thread(target=ask) for _ in range(60)]
    for one in callers:
        one.start()
    for one in callers:
        one.join(60)
    assert set(statuses) <= {202, 429}
    assert len(statuses) == 60
    assert statuses.count(202) >= 20
