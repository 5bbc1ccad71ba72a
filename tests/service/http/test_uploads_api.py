"""Uploads over HTTP: raw, as a form, from an address; what is refused, and what a broken connection leaves: nothing."""

import anyio
import pytest

from partita.service.config import Limits
from partita.service.http import uploads as routes
from partita.service.http.app import create_app
from tests.service.http.conftest import problem, service_of, wav

UNKNOWN = "0" * 32


def left(client) -> list[str]:
    folder = service_of(client).uploads.folder
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_raw_body_is_an_upload(api):
    answer = api.post("/v1/uploads", content=wav(), headers={"X-File-Name": "../../My Song.wav"})
    assert answer.status_code == 201
    told = answer.json()
    assert told["bytes"] == len(wav())
    assert told["duration_s"] == pytest.approx(1.0)
    assert api.get(told["link"]).json() == told
    assert left(api) == [f"{told['id']}.about.json", f"{told['id']}.wav"]


@pytest.mark.parametrize("kind", ["audio/wav", "application/octet-stream", "application/x-www-form-urlencoded"])
def test_the_content_type_of_a_raw_body_does_not_matter(api, kind):
    assert api.post("/v1/uploads", content=wav(), headers={"Content-Type": kind}).status_code == 201


def test_a_form_is_an_upload(api):
    answer = api.post("/v1/uploads", files={"file": ("take 1.wav", wav(), "audio/wav")})
    assert answer.status_code == 201
    assert left(api)[1].endswith(".wav")


def test_a_deleted_upload_is_gone(api):
    link = api.post("/v1/uploads", content=wav()).json()["link"]
    assert api.delete(link).status_code == 204
    for answer in (api.get(link), api.delete(link)):
        problem(answer, 404)
    assert left(api) == []


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04\x95pickle", b"<svg/>", b"RIFF\0\0\0\0WAVEfmt "])
def test_what_is_no_audio_is_refused_and_not_kept(api, content):
    told = problem(api.post("/v1/uploads", content=content, headers={"X-File-Name": "a.wav"}), 422)
    assert str(service_of(api).folder) not in told["detail"]
    problem(api.post("/v1/uploads", files={"file": ("a.mp3", content)}), 422)
    assert left(api) == []


@pytest.mark.parametrize(
    "files",
    [
        {"sound": ("a.wav", b"x")},
        [("file", ("a.wav", b"x")), ("file", ("b.wav", b"x"))],
        [("file", (None, "text"))],
        [(f"f{n}", (f"{n}.wav", b"")) for n in range(30)],
    ],
)
def test_a_form_of_other_parts_is_refused(api, files):
    answer = api.post("/v1/uploads", files=files)
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code)
    assert left(api) == []


@pytest.mark.parametrize("as_form", [False, True])
def test_a_file_beyond_the_limit_is_refused_before_all_of_it_is_read(open_api, as_form):
    api = open_api(limits=Limits(upload_bytes=10_000))
    sent = {"files": {"file": ("a.wav", b"\0" * 50_000)}} if as_form else {"content": b"\0" * 50_000}
    told = problem(api.post("/v1/uploads", **sent), 413)
    assert "MiB" in told["detail"]
    assert left(api) == []


def test_a_body_that_never_ends_is_cut_at_the_limit(open_api):
    """What `curl -T /dev/zero` sends: no length, and no end."""
    api = open_api(limits=Limits(upload_bytes=1_000_000))
    sent, answers = 0, []

    async def receive():
        nonlocal sent
        sent += 65536
        return {"type": "http.request", "body": b"\0" * 65536, "more_body": True}

    async def send(message):
        answers.append(message)

    anyio.run(call, api, receive, send)
    assert answers[0]["status"] == 413
    assert sent < 1_200_000
    assert left(api) == []


@pytest.mark.parametrize("kind", [b"audio/wav", b"multipart/form-data; boundary=x"])
def test_a_caller_who_hangs_up_half_way_leaves_nothing(api, kind):
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' if b"x" in kind[-1:] else b""
    messages = iter(
        [
            {"type": "http.request", "body": form + wav()[:5000], "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive():
        return next(messages)

    async def send(message):
        pass

    anyio.run(call, api, receive, send, kind)
    assert left(api) == []


async def call(client, receive, send, kind: bytes = b"audio/wav") -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/uploads",
        "raw_path": b"/v1/uploads",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", b"testserver"), (b"content-type", kind)],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    await create_app(service_of(client))(scope, receive, send)


def test_addresses_are_fetched_only_where_that_is_switched_on(api):
    told = problem(api.post("/v1/uploads", json={"url": "https://example.org/a.wav"}), 403)
    assert told["field"] == "url"
    assert "--fetch-urls" in told["detail"]


def test_an_address_becomes_an_upload_where_that_is_allowed(open_api, monkeypatch):
    asked: list[str] = []

    def fetch(url, *, largest_bytes, timeout_s):
        asked.append(url)
        assert largest_bytes == 10**6
        yield wav()[:1000]
        yield wav()[1000:]

    monkeypatch.setattr(routes, "fetch", fetch)
    api = open_api(fetch_urls=True, limits=Limits(upload_bytes=10**6))
    answer = api.post("/v1/uploads", json={"url": "https://example.org/a.wav?x=1"})
    assert answer.status_code == 201
    assert asked == ["https://example.org/a.wav?x=1"]
    assert left(api)[1].endswith(".wav")


@pytest.mark.parametrize("url", ["http://127.0.0.1/a.wav", "http://169.254.169.254/latest", "file:///etc/passwd", "x"])
def test_private_addresses_are_never_fetched(open_api, url):
    answer = open_api(fetch_urls=True).post("/v1/uploads", json={"url": url})
    assert answer.status_code in (403, 422)
    problem(answer, answer.status_code)


@pytest.mark.parametrize("body", [{}, {"url": 3}, {"url": "x", "more": 1}, []])
def test_a_bad_request_to_fetch_is_refused(api, body):
    problem(api.post("/v1/uploads", json=body), 422)


@pytest.mark.parametrize("name", [UNKNOWN, "x", "..%2f..%2fetc", UNKNOWN.upper() + "A"])
def test_an_unknown_upload_is_not_found(api, name):
    answer = api.get(f"/v1/uploads/{name}")
    assert answer.status_code in (404, 422)
    problem(answer, answer.status_code)


def test_a_song_from_an_upload_that_is_gone_names_the_field(api):
    request = {"task": {"kind": "cover", "source": {"upload": UNKNOWN}}, "model": "ace-step-1.5-turbo"}
    assert problem(api.post("/v1/songs", json=request), 404)["field"] == "task.source.upload"
