"""The paths of the ACE-Step door: forms of a body, errors, files, tokens, models, adapters, and what is not here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from partita.service.doors import acestep
from partita.service.doors.acestep.absent_paths import ABSENT
from partita.service.doors.acestep.fields import FIELDS
from partita.service.doors.acestep.samples import random_sample
from partita.song.request import SongRequest
from tests.fakes import ToneRenderer
from tests.service.doors.acestep_client import Client, envelope, serving, settings_in, tones, wav
from tests.weights.adapter_files import kohya, lora_factors, network

ASKED = {"prompt": "words", "audio_duration": "1", "batch_size": "1"}
TOKEN = "a-secret-of-ours"


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator[Client]:
    folder = Path(tmp_path_factory.mktemp("door"))
    with serving(folder, manager=tones(settings_in(folder))) as client:
        yield client


@pytest.fixture(scope="module")
def file(client: Client) -> str:
    """The `file` of a finished song."""
    return client.items(client.release(ASKED)["task_id"])[0]["file"]


def name_of(file: str) -> str:
    return file.partition("=")[2]


FORMS: list[tuple[str, dict[str, Any]]] = [
    ("json", {"json": ASKED}),
    ("+json", {"content": json.dumps(ASKED), "headers": {"Content-Type": "application/vnd.x+json; charset=utf-8"}}),
    ("multipart", {"files": {name: (None, value) for name, value in ASKED.items()}}),
    ("form", {"data": ASKED}),
    ("json without its type", {"content": " " + json.dumps(ASKED), "headers": {"Content-Type": "text/plain"}}),
    ("form without its type", {"content": urlencode(ASKED), "headers": {"Content-Type": ""}}),
]


@pytest.mark.parametrize("sent", [sent for _, sent in FORMS], ids=[name for name, _ in FORMS])
def test_a_body_may_have_each_of_the_forms(client: Client, sent: dict[str, Any]) -> None:
    released = envelope(client.http.post("/release_task", **sent))
    assert list(released) == ["task_id", "status", "queue_position", "notes"]
    assert (released["status"], released["notes"]) == ("queued", [])
    assert client.items(released["task_id"])[0]["metas"]["prompt"] == "words"


def test_a_repeated_text_field_of_a_form_with_files_is_a_list(client: Client) -> None:
    form = [("task_type", (None, "complete")), ("track_classes", (None, "drums")), ("track_classes", (None, "bass"))]
    answer = client.http.post("/release_task", files=[*form, ("ctx_audio", ("a.wav", wav(1)))])
    failure = client.failure(envelope(answer)["task_id"])
    assert "songs that it made" in failure["error"]  # the tracks were read; the audio is none of the model's


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        ({"content": "{", "headers": {"Content-Type": "application/json"}}, 400, "Malformed JSON payload"),
        ({"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}}, 400, "Malformed JSON payload"),
        ({"content": "[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400, "Malformed JSON payload"),
        ({"json": [1]}, 400, "object"),
        ({"content": "{oops", "headers": {"Content-Type": "text/plain"}}, 400, "JSON"),
        ({"content": "hello", "headers": {"Content-Type": "text/plain"}}, 415, "multipart/form-data"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "oundary"),
        ({"content": b"--a\r\nx", "headers": {"Content-Type": "multipart/form-data; boundary=a"}}, 400, "not whole"),
        ({"json": {**ASKED, "src_audio_path": "/etc/passwd"}}, 400, "src_audio_path"),
        ({"json": {**ASKED, "reference_audio_path": "../../x.wav"}}, 400, "reference_audio_path"),
        ({"json": {**ASKED, "src_audio_path": "0" * 32 + "-0.mp3"}}, 400, "src_audio_path"),
        ({"data": {"task_type": "cover"}, "files": {"src_audio": ("a.wav", b"no sound")}}, 400, "src_audio"),
    ],
)
def test_what_cannot_be_read_has_a_real_status(client: Client, sent: dict[str, Any], status: int, told: str) -> None:
    answer = client.http.post("/release_task", **sent)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert told in body["detail"]
    assert (body["code"], body["data"], body["error"]) == (status, None, body["detail"])


def test_a_full_queue_is_429(tmp_path: Path) -> None:
    gate = _Gate()
    settings_ = settings_in(tmp_path)
    manager = tones(settings_, renderer=ToneRenderer(gate))
    with serving(tmp_path, manager=manager, limits={"waiting": 1}) as client:
        try:
            client.release(ASKED)
            gate.reached.wait(20)
            client.release(ASKED)
            answer = client.http.post("/release_task", json=ASKED)
            assert answer.status_code == 429
            assert answer.json()["detail"].startswith("Server busy: queue is full")
            assert int(answer.headers["Retry-After"]) >= 1
            stats = envelope(client.http.get("/v1/stats"))
            assert stats["jobs"] == {"total": 2, "queued": 1, "running": 1, "succeeded": 0, "failed": 0}
            assert (stats["queue_size"], stats["queue_maxsize"]) == (1, 1)
        finally:
            gate.open.set()


class _Gate:
    """Holds the renderer in its first step."""

    def __init__(self) -> None:
        self.reached, self.open = Event(), Event()

    def __call__(self, stage: str, step: int) -> None:
        if stage == "sample":
            self.reached.set()
            assert self.open.wait(20)


def test_tasks_are_asked_after_in_each_form(client: Client, file: str) -> None:
    known = name_of(file)[:32]
    as_text = json.dumps([known, "nobody"])
    as_fields = {"task_id_list": as_text}
    for sent in ({"json": {"task_id_list": [known, "nobody"]}}, {"json": as_fields}, {"data": as_fields}):
        entries = envelope(client.http.post("/query_result", **sent))
        assert [entry["status"] for entry in entries] == [1, 0]
        assert list(entries[0]) == ["task_id", "result", "status", "progress_text"]
        assert isinstance(entries[0]["result"], str)
        assert entries[1] == {"task_id": "nobody", "result": "[]", "status": 0}
    assert envelope(client.http.post("/query_result", data={"task_id_list": "nonsense"})) == []
    assert envelope(client.http.post("/query_result", json={})) == []
    odd = [None, 3, {"a": "\ud800"}, "../x", known + "-" + "0" * 32]
    body = json.dumps({"task_id_list": odd})
    answer = client.http.post("/query_result", content=body, headers={"Content-Type": "application/json"})
    assert [entry["result"] for entry in envelope(answer)] == ["[]"] * len(odd)
    assert client.http.post("/query_result", json={"task_id_list": ["x"] * 1001}).status_code == 400


def test_a_task_that_is_cancelled_failed(client: Client) -> None:
    job = client.service.submit(SongRequest(caption="words", duration_s=1))
    client.service.queue.wait(job.id, 20)
    other = client.service.submit(SongRequest(caption="words", duration_s=600))
    client.service.queue.cancel(other.id)
    assert "cancelled" in client.failure(other.id)["error"]


def test_a_file_is_found_by_its_name_or_its_own_path_and_by_no_other(client: Client, file: str, tmp_path: Path) -> None:
    name = name_of(file)
    job_id, folder = name[:32], client.service.folder
    own = client.service.queue.song_path(job_id, 0)
    link = folder / "songs" / job_id / "link.mp3"
    link.symlink_to("/etc/hostname")
    secret = next(path for path in folder.iterdir() if path.is_file())

    def get(path: str) -> int:
        return client.http.get("/v1/audio", params={"path": path}).status_code

    assert [get(one) for one in (name, file, str(own), str(own.parent / ".." / job_id / own.name))] == [200] * 4
    for path in (
        "/etc/passwd", "../../etc/passwd", str(secret), secret.name, str(link), str(own.with_suffix(".flac")),
        str(tmp_path / own.name), f"{job_id}/0.mp3", "", " ", "\x00", "/\x00" + name, "a" * 10_000, "file:///etc/passwd",
        f"/v1/audio?path=/v1/audio?path={name}", f"//{name}", "C:\\windows\\x.wav", str(folder),
        f"{folder}/songs/{job_id}",
    ):  # fmt: skip
        assert get(path) == 403, path
    assert get("0" * 32 + "-0.mp3") == 404
    assert get(f"{job_id}-1.mp3") == 404
    assert get(f"{job_id}-0.wav") == 404
    assert client.http.get("/v1/audio").status_code == 422


def test_a_text_song_does_not_care_what_is_sent_as_its_source(client: Client) -> None:
    before = sorted((client.service.folder / "uploads").glob("*"))
    released = client.release({**ASKED, "task_type": "text2music"}, src_audio=b"this is no sound")
    assert any("src_audio" in note for note in client.items(released["task_id"])[0]["notes"])
    assert sorted((client.service.folder / "uploads").glob("*")) == before


def test_an_upload_may_be_named_by_its_id(client: Client) -> None:
    upload = client.service.uploads.take([wav(1)], "a.wav")
    released = client.release({"task_type": "repaint", "prompt": "x", "src_audio_path": upload.id})
    assert "songs that it made" in client.failure(released["task_id"])["error"]


def test_health_and_models(client: Client) -> None:
    assert envelope(client.http.get("/health")) == {
        "status": "ok", "service": "ACE-Step API", "version": "1.0", "models_initialized": True,
        "llm_initialized": False, "loaded_model": "built-in", "loaded_lm_model": None,
    }  # fmt: skip
    tasks = ["text2music", "repaint", "lego", "extract", "complete"]
    entry = {"name": "built-in", "is_default": True, "is_loaded": True, "supported_task_types": tasks}
    lists = {"lm_models": [], "loaded_lm_model": None, "llm_initialized": False}
    assert envelope(client.http.get("/v1/model_inventory")) == {"models": [entry], "default_model": "built-in", **lists}
    listed = client.http.get("/v1/models").json()
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert (model["id"], model["architecture"], model["context_length"]) == ("acestep/built-in", None, 4096)
    assert model["pricing"] == dict.fromkeys(("prompt", "completion", "request", "image"), "0")


def test_a_model_is_put_in_use(client: Client) -> None:
    told = envelope(client.http.post("/v1/init", json={"model": "built-in", "init_llm": True, "slot": 2}))
    assert list(told) == [
        "message", "loaded_model", "loaded_lm_model", "models", "lm_models", "llm_initialized", "slot",
    ]  # fmt: skip
    assert told["loaded_model"] == "built-in"
    assert "partita download ace-step-1.5-planner-1.7b" in told["message"]
    away = envelope(client.http.post("/v1/init", json={"model": "acestep-v15-turbo"}))
    assert away["loaded_model"] == "built-in"
    assert "partita download ace-step-1.5-turbo" in away["message"]
    assert client.http.post("/v1/init", json={"model": "nobody"}).status_code == 400
    assert client.http.post("/v1/init", json={"slot": 9}).status_code == 422
    assert set(envelope(client.http.post("/v1/reinitialize"))) == {"message", "reloaded"}


@pytest.mark.parametrize(
    ("feature", "method", "path"), [(f, method, path) for f, paths in ABSENT.items() for method, path in paths]
)
def test_what_is_not_here_says_so(client: Client, feature: str, method: str, path: str) -> None:
    answer = client.http.request(method, path.format(index=0, task="x"), json={} if method != "GET" else None)
    assert answer.status_code == 501
    assert feature in answer.json()["detail"]


def test_no_path_of_training_and_datasets_is_forgotten() -> None:
    assert {name: len(paths) for name, paths in ABSENT.items()} == {
        "training": 6, "dataset building": 14, "transcription": 1,
    }  # fmt: skip


def test_unknown_paths_and_schema_errors_are_json(client: Client) -> None:
    unknown = client.http.get("/v1/nothing")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "Not Found")
    wrong = client.http.post("/v1/lora/scale", json={"scale": 2})
    assert wrong.status_code == 422
    assert wrong.json()["detail"][0]["loc"] == ["body", "scale"]


def test_the_document_names_every_field_and_every_path(client: Client) -> None:
    told = client.http.get("/openapi.json").json()
    forms = told["paths"]["/release_task"]["post"]["requestBody"]["content"]
    assert set(forms) == {"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}
    assert {field.name for field in FIELDS} < set(forms["multipart/form-data"]["schema"]["properties"])
    assert {"/query_result", "/v1/audio", "/v1/chat/completions", "/v1/lora/load", "/v1/create_sample"} < set(
        told["paths"]
    )


def test_many_who_wait_for_a_worker_leave_room_for_who_does_not(tmp_path: Path) -> None:
    gate = _Gate()
    manager = tones(settings_in(tmp_path), renderer=ToneRenderer(gate))
    with serving(tmp_path, manager=manager) as client, ThreadPoolExecutor(60) as pool:
        task = client.release(ASKED)["task_id"]
        gate.reached.wait(20)
        waiting = [pool.submit(client.http.post, "/format_input", json={"prompt": "x"}) for _ in range(60)]
        assert client.entry(task)["status"] == 0
        assert client.http.get("/health").status_code == 200
        gate.open.set()
        assert {one.result().status_code for one in waiting} <= {200, 429}


def test_chat_completions_are_there(client: Client) -> None:
    body = {"model": "acestep/acestep-v15-turbo", "messages": [{"role": "user", "content": "soft piano"}]}
    answer = client.http.post("/v1/chat/completions", json={**body, "audio_config": {"duration": 1}}).json()
    (audio,) = answer["choices"][0]["message"]["audio"]
    assert audio["audio_url"]["url"].startswith("data:audio/mpeg;base64,")


@pytest.fixture(scope="module")
def locked(tmp_path_factory) -> Iterator[Client]:
    folder = Path(tmp_path_factory.mktemp("locked"))
    with serving(folder, manager=tones(settings_in(folder)), token=TOKEN) as client:
        yield client


class TestToken:
    """Where the server has a token, as the header or, on four paths, in the body."""

    @pytest.mark.parametrize("path", sorted(acestep.BODY_TOKEN_PATHS))
    @pytest.mark.parametrize(
        ("header", "said", "told"),
        [
            (None, None, "Missing"), ("Bearer x", None, "Invalid API key"),
            (f"Bearer {TOKEN}", "x", "Invalid ai_token"),
            (None, "x", "Invalid ai_token"), (None, "ß\ud800", "Invalid ai_token"), (f"Bearer {TOKEN}", None, None),
            (TOKEN, None, None), (None, TOKEN, None), ("Bearer x", TOKEN, None),
        ],
    )  # fmt: skip
    def test_header_or_body(self, locked: Client, path: str, header: str | None, said: str | None, told: str | None):
        headers = {"Content-Type": "application/json"} | ({} if header is None else {"Authorization": header})
        body = json.dumps({**ASKED, **({} if said is None else {"ai_token": said})})
        answer = locked.http.post(path, content=body, headers=headers)
        assert answer.status_code == (200 if told is None else 401), answer.text
        if told is not None:
            assert told in answer.json()["detail"]

    def test_every_other_path_asks_for_the_header(self, locked: Client) -> None:
        for path in ("/v1/stats", "/v1/model_inventory", "/v1/audio?path=x", "/v1/lora/status", "/v1/dataset/samples"):
            assert locked.http.get(path).status_code == 401, path
            assert locked.http.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code != 401, path
        for path in ("/v1/init", "/v1/chat/completions", "/v1/create_sample", "/v1/lora/load"):
            assert locked.http.post(path, json={"ai_token": TOKEN}).status_code == 401, path
        assert [locked.http.get(path).status_code for path in ("/health", "/v1/models")] == [200, 200]

    def test_a_large_form_of_nobody_is_not_read(self, locked: Client) -> None:
        sent = {"src_audio": ("a.wav", b"\0" * (17 * 2**20))}
        assert locked.http.post("/release_task", data={"ai_token": TOKEN}, files=sent).status_code == 401


class TestAdapters:
    """`/v1/lora`: by name out of one folder."""

    def test_only_the_folder_of_adapters_is_looked_into(self, client: Client, tmp_path: Path) -> None:
        (tmp_path / "x.safetensors").write_bytes(b"")
        for path in (str(tmp_path / "x.safetensors"), "../x", "x", ".", "/", "\x00", "~/x", "a" * 4096):
            answer = client.http.post("/v1/lora/load", json={"lora_path": path})
            assert answer.status_code == 404, path

    def test_one_is_loaded_scaled_switched_and_unloaded(self, client: Client) -> None:
        folder = client.service.settings.adapters
        folder.mkdir(parents=True, exist_ok=True)
        kohya(folder / "singer.safetensors", lora_factors(network()))
        post = client.http.post
        assert post("/v1/lora/toggle", json={"use_lora": True}).status_code == 400
        loaded = envelope(post("/v1/lora/load", json={"lora_path": "singer", "adapter_name": "one"}))
        assert loaded["message"].startswith("✅")
        assert (loaded["lora_path"], loaded["adapter_name"]) == ("singer", "one")
        assert post("/v1/lora/load", json={"lora_path": "singer", "adapter_name": "one"}).status_code == 400
        assert envelope(post("/v1/lora/scale", json={"scale": 0.5}))["scale"] == 0.5
        assert post("/v1/lora/scale", json={"scale": 0.5, "adapter_name": "two"}).status_code == 400
        assert envelope(client.http.get("/v1/lora/status")) == {
            "lora_loaded": True, "use_lora": True, "lora_scale": 0.5, "adapter_type": "lora", "scales": {"one": 0.5},
            "active_adapter": "one", "adapters": ["one"], "synthetic_default_mode": False,
        }  # fmt: skip
        notes = client.items(client.release(ASKED)["task_id"])[0]["notes"]
        assert notes[0] == "The LoRA that is loaded is not applied: built-in takes none."
        assert envelope(post("/v1/lora/toggle", json={"use_lora": False}))["use_lora"] is False
        assert "LoRA" not in str(client.items(client.release(ASKED)["task_id"])[0]["notes"])
        assert envelope(post("/v1/lora/unload"))["message"].startswith("✅")
        assert envelope(post("/v1/lora/unload"))["message"].startswith("⚠️")
        assert envelope(client.http.get("/v1/lora/status"))["adapters"] == []


def test_every_example_is_a_request_that_can_be_asked_for() -> None:
    seen = []
    for kind in ("simple_mode", "custom_mode"):
        random_sample(kind, lambda count: seen.append(count) or 0)
    assert min(seen) >= 6
    for index in range(seen[1]):
        sample = random_sample("custom_mode", lambda count, index=index: index)
        SongRequest(
            caption=sample["caption"], lyrics=sample["lyrics"], bpm=sample["bpm"], key=sample["keyscale"],
            language=sample["language"], duration_s=sample["duration"],
        )  # fmt: skip
        assert sample["timesignature"] in ("2", "3", "4", "6")


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_NAME = st.sampled_from([field.name for field in FIELDS if field.name != "audio_duration"]) | st.text(max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(_NAME, _VALUE, max_size=6))
def test_no_body_makes_the_server_fail(client: Client, body: dict[str, Any]) -> None:
    sent = {**body, "audio_duration": 0.1, "batch_size": 1}
    answer = client.http.post("/release_task", content=json.dumps(sent), headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        assert client.entry(answer.json()["data"]["task_id"])["status"] in (0, 1, 2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    kind=st.sampled_from(
        [
            "application/json",
            "multipart/form-data; boundary=a",
            "application/x-www-form-urlencoded",
            "",
            "text/x",
            "a;b=c",
        ]
    ),
    path=st.sampled_from(["/release_task", "/query_result", "/create_random_sample", "/format_input"]),
)
def test_no_bytes_make_the_server_fail(client: Client, content: bytes, kind: str, path: str) -> None:
    answer = client.http.post(path, content=content, headers={"Content-Type": kind})
    assert answer.status_code in (200, 400, 415), answer.text
