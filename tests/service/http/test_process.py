"""What a stranger may try, against a real server process: each has a clear answer, and nothing stays behind."""

import io
import re
import signal
import socket
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import soundfile

from tests.service.http.server_process import SMALL, ServerProcess, rest, wait_over, wait_until

MEGABYTE = 10**6


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of this file, with small limits. Whatever was tried, its log shows no fault of ours."""
    limits = ("--max-upload-bytes", str(MEGABYTE), "--max-body-timeout", "0.5", "--max-requests-per-minute", "0")
    with ServerProcess(tmp_path_factory.mktemp("server"), *limits) as server:
        yield server
        assert server.terminate() == 0
        assert "Traceback" not in server.log()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def song(server: ServerProcess) -> str:
    """Id of a job that is done."""
    with server.client() as client:
        job = client.post("/v1/songs", json=SMALL | {"seed": 1, "output": {"midi": True}}).raise_for_status().json()
        assert wait_over(client, job["id"])["state"] == "done"
        return job["id"]


def check_problem(answer: httpx.Response, *statuses: int) -> dict:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    for word in ("Traceback", "/site-packages/", "line ", "/work/", "root:"):
        assert word not in answer.text.replace("at line 1 column", "")
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["detail"]
    return told


def wav(seconds: float = 1.0) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, 0.1 * np.sin(np.arange(int(8000 * seconds)) / 5), 8000, format="WAV")
    return content.getvalue()


@pytest.mark.parametrize(
    ("body", "statuses", "field"),
    [
        (b"", (400, 422), None),
        (b"{", (400,), None),
        (b"\xff\xfe\x00", (400,), None),
        (b"[]", (422,), None),
        (b"null", (422,), None),
        (b'"a song"', (422,), None),
        (b'{"caption": 7}', (422,), "caption"),
        (b'{"caption": "x", "duration_s": "long"}', (422,), "duration_s"),
        (b'{"caption": "x", "duration_s": NaN}', (400, 422), None),
        (b'{"caption": "x", "duration_s": 1e999}', (400, 422), None),
        (b'{"caption": "x", "seed": 1e400}', (400, 422), None),
        (b'{"caption": "x", "sampling": {"steps": []}}', (422,), "sampling.steps"),
        (b'{"caption": "x", "tempo": 100}', (422,), "tempo"),
        (b'{"caption": "x", "task": {"kind": "dance"}}', (422,), None),
        (b'{"caption": "x", "duration_s": 100000}', (413, 422), "duration_s"),
        (b'{"caption": "x", "count": 1000}', (413, 422), "count"),
        (b'{"caption": "x", "model": "../../etc/passwd"}', (404, 422), "model"),
        (b'{"caption": "' + b"x" * 900_000 + b'"}', (413, 422), None),
        (b"[" * 100_000, (400, 422), None),
    ],
)
def test_a_body_that_makes_no_sense_is_told_what_is_wrong(client, body, statuses, field):
    told = check_problem(
        client.post("/v1/songs", content=body, headers={"Content-Type": "application/json"}), *statuses
    )
    if field is not None:
        assert told["field"] == field


@pytest.mark.parametrize(
    "source",
    ["/etc/passwd", "../../../etc/passwd", "song.wav", "~/x.wav", "\x00", "a" * 5000, {"path": "/etc/passwd"}, {}, 7,
     {"upload": "../etc/passwd"}, {"upload": "0" * 32}, {"song": "0" * 32}, {"sha256": "0" * 64}, "http://127.0.0.1/a.wav",
     "file:///etc/passwd", "\\\\host\\share\\a.wav"],
)  # fmt: skip
def test_no_request_opens_a_file_by_its_name(client, source):
    task = {"kind": "cover", "source": source}
    check_problem(client.post("/v1/songs", json=SMALL | {"task": task}), 403, 404, 422)


@pytest.mark.parametrize("name", ["/etc", "../../data", "a\x00b", "a" * 5000])
def test_no_adapter_is_opened_by_its_path(client, name):
    check_problem(client.post("/v1/songs", json=SMALL | {"adapters": [{"name": name}]}), 403, 404, 422)


NAMES = (
    "../../jobs.sqlite", "..", ".", "/etc/passwd", "//etc/passwd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd", "%252e%252e%252fetc", "..\\..\\etc", "%00", "a%00.flac", "x" * 3000, "%c0%ae%c0%ae/",
    "C:%5Cwindows", "~", "song.flac/..", "file:%2f%2f/etc/passwd", "%0d%0aX: y",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_path_leads_out_of_the_folder_of_a_song(server, song, name):
    for path in (f"/v1/songs/{song}/files/{name}", f"/v1/songs/{name}/audio", f"/v1/uploads/{name}", f"/{name}"):
        with server.connect() as asking:
            asking.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head, _, body = rest(asking).partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1.1 (307|400|403|404|405|422) ", head), head
        assert b"root:" not in body
        assert b"SQLite format" not in body
        assert b"Traceback" not in body


def test_a_link_in_the_folder_of_a_song_is_not_followed(server, client):
    job = client.post("/v1/songs", json=SMALL | {"seed": 2, "output": {"midi": True}}).json()
    assert wait_over(client, job["id"])["state"] == "done"
    links = client.get(f"/v1/songs/{job['id']}").json()["songs"][0]["links"]
    name = next(name for name in links["files"] if name.endswith(".mid"))
    (path,) = server.folder.rglob(f"*{job['id']}*/**/{name}")
    secret = server.home / "secret"
    secret.write_text("root: a secret")
    path.unlink()
    path.symlink_to(secret)
    check_problem(client.get(links["files"][name]), 403, 404)


def test_an_upload_declared_as_two_gigabytes_is_refused_before_it_is_read(server):
    for path, kind in (("/v1/uploads", "audio/wav"), ("/v1/songs", "multipart/form-data; boundary=x")):
        with server.connect() as asking:
            asking.sendall(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
                "Content-Length: 2147483648\r\nConnection: close\r\n\r\n".encode()
            )
            asking.settimeout(1.5)
            assert asking.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert not [name for name in server.files() if name.startswith("uploads")]


def test_an_upload_that_never_says_how_large_it_is_is_cut(server, client):
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b"\x00" * 65536

    check_problem(client.post("/v1/uploads", content=endless(), headers={"Content-Type": "audio/wav"}), 413)
    assert sent < 200 * MEGABYTE
    wait_until(lambda: not [name for name in server.files() if name.startswith("uploads")])


def test_a_file_that_is_no_sound_is_refused_and_not_kept(server, client):
    for content in (b"", b"no sound", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"PK\x03\x04" * 100, b"\x80\x04\x95pickle."):
        check_problem(client.post("/v1/uploads", files={"file": ("../../a.wav", content)}), 422)
    wait_until(lambda: not [name for name in server.files() if name.startswith("uploads")])


def test_what_is_sent_lies_under_a_name_of_ours(server, client):
    for name in ("../../../evil.wav", "/etc/evil.wav", "a" * 300 + ".wav", "evil.wav\x00.exe", "con.wav", "a/b\\c.wav"):
        told = client.post("/v1/uploads", files={"file": (name, wav())})
        assert told.status_code == 201, told.text
        assert re.fullmatch("[0-9a-f]{32}", told.json()["id"])
        kept = {file for file in server.files() if told.json()["id"] in file}
        assert kept
        assert all(re.fullmatch(r"uploads/[0-9a-f]{32}[.a-z]*", file) for file in kept)
        assert client.delete(f"/v1/uploads/{told.json()['id']}").status_code == 204
    assert not list(server.home.parent.rglob("*evil*"))


def test_a_half_sent_upload_leaves_nothing(server):
    before = server.files()
    held = server.open_files()
    whole = wav(30)
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + whole
    for kind, content in (("audio/wav", whole), ("multipart/form-data; boundary=x", form)):
        with server.connect() as asking:
            asking.sendall(
                f"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(content) + 100}\r\n\r\n".encode()
                + content[: len(content) // 2]
            )
    wait_until(lambda: server.files() == before and server.open_files() <= held)
    assert not list((server.home / "tmp").iterdir())


def test_who_sends_slowly_is_told_and_left(server):
    heads, bodies = server.connect(), server.connect()
    with heads, bodies:
        heads.sendall(b"POST /v1/uploads HTTP/1.1\r\nHost: loc")
        bodies.sendall(
            b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\nContent-Length: 9\r\n\r\nRIFF"
        )
        for connection in (heads, bodies):
            assert rest(connection).startswith(b"HTTP/1.1 408 ")
    wait_until(lambda: not [name for name in server.files() if name.startswith("uploads")])


def test_listeners_who_vanish_are_forgotten(server, client, song):
    client.get("/health")
    held = server.open_files()
    for _ in range(3):
        listeners = [server.connect() for _ in range(10)]
        for listener in listeners:
            listener.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert listener.recv(15) == b"HTTP/1.1 200 OK"
        for number, listener in enumerate(listeners):
            if number % 2:  # as a process that is killed: with a reset instead of a farewell
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            listener.close()
    job = client.post("/v1/songs", json=SMALL | {"seed": 3}).json()
    assert wait_over(client, job["id"])["state"] == "done", "those who are gone hold up nobody"
    wait_until(lambda: server.open_files() <= held + 2)


def test_who_vanishes_while_a_song_is_sent_leaves_nothing_open(server, client, song):
    assert client.get(f"/v1/songs/{song}/audio?format=wav").status_code == 200
    held = server.open_files()
    for _ in range(10):
        with server.connect() as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            asking.sendall(f"GET /v1/songs/{song}/audio?format=wav HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert asking.recv(15) == b"HTTP/1.1 200 OK"
    wait_until(lambda: server.open_files() <= held)


def test_pages_of_elsewhere_are_refused(client):
    check_problem(client.post("/v1/songs", json=SMALL, headers={"Origin": "https://evil.example"}), 403)
    check_problem(client.get("/v1/songs", headers={"Host": "evil.example"}), 403)


def test_what_was_running_when_it_was_stopped_is_made_after_all(tmp_path):
    with ServerProcess(tmp_path) as server:
        with server.client() as client:
            job = client.post("/v1/songs", json={"caption": "slow strings", "duration_s": 90, "seed": 1}).json()["id"]
            wait_until(lambda: client.get(f"/v1/songs/{job}").json()["state"] == "running")
            with httpx.stream("GET", f"{server.url}/v1/events", timeout=60) as events:
                began = time.monotonic()
                assert server.terminate(signal.SIGTERM) == 0
                assert time.monotonic() - began < 30
                with pytest.raises(httpx.TransportError):
                    events.read()
        server.start()
        assert server.wait_ready()
        with server.client() as client:
            wait_until(lambda: client.get(f"/v1/songs/{job}").json()["state"] != "queued")
            told = client.get(f"/v1/songs/{job}").json()
            assert told["state"] in ("running", "done")
            with server.connect() as listener:
                listener.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert listener.recv(15) == b"HTTP/1.1 200 OK"
                server.send(signal.SIGINT)
                time.sleep(0.2)  # the first signal may not be merged with the second
                began = time.monotonic()
                assert server.terminate(signal.SIGINT) == 130
                assert time.monotonic() - began < 10, "the second Ctrl-C waits for nobody"
        assert "Traceback" not in server.log()
