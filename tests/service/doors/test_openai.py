"""The door over real sockets: the official client, raw requests, clients that go away, and errors with their status."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import schemathesis
import soundfile
import uvicorn
from openai import OpenAI
from schemathesis import GenerationMode

from partita.engine.engine import Engine
from partita.errors import ModelError
from partita.service.config import ServiceConfig
from partita.service.doors.openai.app import create_app
from partita.service.http.limits import guarded
from partita.service.manager import Manager, ManagerConfig
from partita.service.service import Service
from partita.settings import Settings
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime
from tests.service.http.test_schemathesis import try_all
from tests.service.jobs.conftest import SOON_S, Gate

TOKEN = "a token for tests"


@contextlib.contextmanager
def opened(folder: Path, renderer: ToneRenderer | None = None, **config: Any) -> Iterator[Service]:
    """A service of the built-in model, or of tones."""
    settings = Settings(cache=folder / "cache", data=folder / "data", model="built-in", checkpoint_dir=None)
    fakes: dict[str, Any] = {"runtime": fake_runtime(), "renderer": renderer, "loader": lambda card: FakeLoader()}
    manager = Manager(
        lambda device: Engine(settings=settings, **(fakes if renderer else {})), ManagerConfig(min_free_bytes=0)
    )
    chosen = ServiceConfig(folder=folder / "service", **config)
    with Service(chosen, settings=settings, managers=[manager]) as service:
        yield service


@contextlib.contextmanager
def serving(
    folder: Path, renderer: ToneRenderer | None = None, *, timeout_s: float = 60.0, **config: Any
) -> Iterator[tuple[str, Service]]:
    """The door of such a service on a port of its own."""
    with opened(folder, renderer, **config) as service:
        listener = socket.create_server(("127.0.0.1", 0))
        app = guarded(create_app(service, timeout_s=timeout_s), service.config)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", service
        finally:
            server.should_exit = True
            thread.join(SOON_S)
            listener.close()
            assert not thread.is_alive()


def client_of(url: str, key: str = "none") -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=SOON_S)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Service]]:
    """A server that plays the built-in model."""
    with serving(tmp_path_factory.mktemp("openai")) as served:
        yield served


@pytest.fixture(scope="module")
def client(real: tuple[str, Service]) -> Iterator[OpenAI]:
    with client_of(real[0]) as made:
        yield made


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Service]]:
    """A server whose songs are tones, made at once."""
    with serving(tmp_path_factory.mktemp("tones"), ToneRenderer(), token=TOKEN) as served:
        yield served


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def seconds(data: bytes) -> float:
    with soundfile.SoundFile(io.BytesIO(data)) as sound:
        return sound.frames / sound.samplerate


def of_data_url(url: str) -> tuple[str, bytes]:
    head, _, encoded = url.partition(",")
    return head, base64.b64decode(encoded, validate=True)


def test_a_chat_is_answered_with_a_song_in_openrouters_shape(client: OpenAI, real: tuple[str, Service]) -> None:
    answer = client.chat.completions.create(
        model="acestep/acestep-v15-turbo",
        messages=said("calm piano, rain on the window"),
        max_tokens=100,
        extra_body={"audio_config": {"duration": 1.5, "key_scale": "D minor", "bpm": 100}},
    )
    choice = answer.choices[0]
    assert (answer.object, answer.model, choice.finish_reason) == (
        "chat.completion",
        "acestep/acestep-v15-turbo",
        "stop",
    )
    assert answer.id.startswith("chatcmpl-")
    content = choice.message.content
    assert content is not None
    assert content.startswith(
        "## Metadata\n**Caption:** calm piano, rain on the window\n**BPM:** 100\n**Duration:** 1.5s\n**Key:** D minor\n"
    )
    assert "## Lyrics" not in content
    raw = answer.model_dump(warnings=False)
    head, data = of_data_url(raw["choices"][0]["message"]["audio"][0]["audio_url"]["url"])
    assert (head, data[:3]) == ("data:audio/mpeg;base64", b"ID3")
    assert seconds(data) == pytest.approx(1.5, abs=0.1)
    notes = raw["partita"]["notes"]
    assert any("ace-step-1.5-turbo is not on this machine" in note for note in notes)
    assert any(note.startswith("max_tokens was asked for and is not applied") for note in notes)
    record = real[1].queue.job(raw["partita"]["song"]).songs[0].record
    assert set(notes) <= set(record.warnings)
    assert record.request.model == raw["partita"]["model"] == "built-in"


def test_with_audio_the_answer_is_what_the_official_client_reads(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="built-in",
        modalities=["text", "audio"],
        audio={"format": "wav", "voice": "alloy"},
        messages=said("<prompt>slow waltz</prompt><lyrics>[Verse]\nround and round</lyrics>"),
        seed=3,
        extra_body={"audio_config": {"duration": 1}},
    )
    message = answer.choices[0].message
    assert message.audio is not None
    assert message.audio.transcript == "[Verse]\nround and round"
    assert message.audio.expires_at > answer.created
    data = base64.b64decode(message.audio.data)
    assert data[:4] == b"RIFF"
    assert seconds(data) == pytest.approx(1)
    assert message.content is not None
    assert message.content.endswith("## Lyrics\n[Verse]\nround and round")
    assert "does not sing" in message.content


def test_the_same_seed_is_the_same_song(client: OpenAI) -> None:
    def make() -> bytes:
        return client.audio.speech.create(
            model="built-in", voice="x", input="a march", response_format="flac", extra_body={"seed": 5, "duration": 1}
        ).content

    assert make() == make()


def test_a_stream_has_its_order(tones: tuple[str, Service]) -> None:
    with client_of(tones[0], TOKEN) as client:
        stream = client.chat.completions.create(
            model="built-in",
            messages=said("loud rock"),
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"audio_config": {"duration": 1, "format": "flac"}},
        )
        chunks = [chunk.model_dump(warnings=False) for chunk in stream]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    first, text, audio, stop, usage = chunks
    assert first["choices"][0]["delta"] | {"role": "assistant", "content": ""} == first["choices"][0]["delta"]
    assert text["choices"][0]["delta"]["content"].startswith("\n\n## Metadata\n**Caption:** loud rock\n")
    head, data = of_data_url(audio["choices"][0]["delta"]["audio"][0]["audio_url"]["url"])
    assert (head, data[:4]) == ("data:audio/flac;base64", b"fLaC")
    assert stop["choices"][0]["finish_reason"] == "stop"
    assert stop["partita"]["model"] == "built-in"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 0)


def test_streamed_audio_comes_in_pieces_that_the_official_client_reads(tones: tuple[str, Service]) -> None:
    with client_of(tones[0], TOKEN) as client:
        stream = client.chat.completions.create(
            model="built-in",
            messages=said("loud rock"),
            stream=True,
            audio={"format": "pcm16", "voice": "alloy"},
            extra_body={"audio_config": {"duration": 4}},
        )
        pieces = [delta.audio for chunk in stream if (delta := chunk.choices[0].delta).audio is not None]
    assert pieces[0].transcript == "loud rock"
    assert pieces[-1].expires_at
    data = [piece.data for piece in pieces if piece.data]
    assert len(data) > 1
    whole = base64.b64decode("".join(data))
    assert whole == b"".join(map(base64.b64decode, data))
    assert len(whole) == 4 * 24_000 * 2


@pytest.mark.parametrize(
    ("name", "kind", "begins"),
    [
        ("mp3", "audio/mpeg", b"ID3"),
        ("wav", "audio/wav", b"RIFF"),
        ("flac", "audio/flac", b"fLaC"),
        ("opus", "audio/ogg", b"OggS"),
        ("aac", "audio/mp4", b"\x00\x00\x00"),
        ("pcm", "audio/pcm", b""),
    ],
)
def test_music_comes_in_every_format(tones: tuple[str, Service], name: str, kind: str, begins: bytes) -> None:
    sent = {"input": "a tone", "duration": 1, "response_format": name, "voice": "alloy", "speed": 2}
    answer = httpx.post(f"{tones[0]}/v1/audio/music", json=sent, headers={"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content.startswith(begins)
    notes = json.loads(answer.headers["x-partita-notes"])
    assert any(note.startswith("speed was asked for and is not applied") for note in notes)
    job = tones[1].queue.job(answer.headers["x-partita-song"])
    assert job.options.door == "openai"
    assert set(notes) <= set(job.songs[0].record.warnings)


def test_speech_streams_to_the_official_client(tones: tuple[str, Service], tmp_path: Path) -> None:
    with (
        client_of(tones[0], TOKEN) as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input="calm", instructions="piano", extra_body={"duration": 2}
        ) as sound,
    ):
        sound.stream_to_file(tmp_path / "song.mp3")
        job = tones[1].queue.job(sound.headers["x-partita-song"])
    assert seconds((tmp_path / "song.mp3").read_bytes()) == pytest.approx(2, abs=0.1)
    assert job.request.caption == "calm, piano"


def test_speech_comes_as_events_where_they_are_asked_for(tones: tuple[str, Service]) -> None:
    sent = {"input": "a tone", "duration": 1, "response_format": "wav", "stream_format": "sse"}
    answer = httpx.post(f"{tones[0]}/v1/audio/speech", json=sent, headers={"Authorization": f"Bearer {TOKEN}"})
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in events] == ["speech.audio.delta"] * (len(events) - 1) + ["speech.audio.done"]
    whole = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert seconds(whole) == pytest.approx(1)


def test_models_are_listed_and_found(client: OpenAI) -> None:
    listed = client.models.list().data
    assert [one.id for one in listed][:2] == ["built-in", "acestep/built-in"]
    raw = listed[0].model_dump()
    assert raw["pricing"] == {"prompt": "0", "completion": "0", "request": "0", "image": "0"}
    assert (raw["input_modalities"], raw["output_modalities"]) == (["text", "audio"], ["audio", "text"])
    assert client.models.retrieve("acestep/built-in").id == "acestep/built-in"
    for name in ("gpt-music", "acestep/acestep-v15-turbo"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve(name)
        assert caught.value.code == "model_not_found"


def test_a_song_that_was_made_can_be_sent_back_to_be_edited(client: OpenAI) -> None:
    song = client.audio.speech.create(
        model="built-in", voice="x", input="calm piano", response_format="flac", extra_body={"duration": 4, "seed": 1}
    ).content
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(song).decode(), "format": "flac"}}
    edit = {"task_type": "repaint", "repainting_start": 1, "repainting_end": 2, "audio_config": {"format": "flac"}}
    answer = client.chat.completions.create(
        model="built-in",
        messages=[{"role": "user", "content": [{"type": "text", "text": "with drums"}, part]}],  # type: ignore[list-item]
        extra_body=edit,
    ).model_dump(warnings=False)
    _, data = of_data_url(answer["choices"][0]["message"]["audio"][0]["audio_url"]["url"])
    before, rate = soundfile.read(io.BytesIO(song))
    after, _ = soundfile.read(io.BytesIO(data))
    assert (after[: rate // 2] == before[: rate // 2]).all()
    assert (after[rate : 2 * rate] != before[rate : 2 * rate]).any()


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "play"}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "<prompt></prompt>"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 20_000}]}, "messages"),
        ({"temperature": "hot"}, "temperature"),
        ({"audio_config": {"bpm": "fast"}}, "audio_config.bpm"),
        ({"audio_config": {"format": "midi"}}, "audio_config.format"),
        ({"seed": "x"}, "seed"),
        ({"task_type": "cover"}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA"}}]}]}, None),
    ],
)
def test_what_makes_no_sense_is_a_bad_request(client: OpenAI, sent: dict[str, Any], param: str | None) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="built-in", messages=said("calm"), extra_body=sent)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param == param
    assert "Traceback" not in str(caught.value.body)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/chat/completions", b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        ("POST", "/v1/chat/completions", b'{"seed": NaN, "messages": [{"role": "user", "content": "x"}]}', 400),
        ("POST", "/v1/chat/completions", b"[" * 100_000, 400),
        ("POST", "/v1/audio/music", b'{"input": ""}', 400),
        ("POST", "/v1/audio/music", b'{"input": "x", "duration": 1e9}', 413),
        ("GET", "/v1/chat/completions", b"", 405),
        ("GET", "/v1/nothing", b"", 404),
    ],
)
def test_raw_requests_get_errors_in_the_protocols_shape(
    real: tuple[str, Service], method: str, path: str, body: bytes, status: int
) -> None:
    answer = httpx.request(method, real[0] + path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_without_the_token_nobody_is_answered(tones: tuple[str, Service]) -> None:
    with client_of(tones[0], "another key") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    assert httpx.get(f"{tones[0]}/health").json()["status"] == "ok"


def test_a_full_queue_is_a_rate_limit(tmp_path: Path) -> None:
    gate = Gate()
    with (
        serving(tmp_path, ToneRenderer(gate), limits={"waiting": 1}) as (url, _),
        client_of(url) as client,
        httpx.Client(timeout=SOON_S) as raw,
        contextlib.ExitStack() as stack,
    ):
        for duration_s in (1, 2):  # of unlike shape, so that the second waits for the first
            body = {"messages": said("a tone"), "audio_config": {"duration": duration_s}, "stream": True}
            answer = stack.enter_context(raw.stream("POST", f"{url}/v1/chat/completions", json=body))
            assert answer.status_code == 200
            if duration_s == 1:
                gate.wait()
        with pytest.raises(openai.RateLimitError) as caught:
            client.audio.speech.create(model="built-in", voice="x", input="a tone")
        assert int(caught.value.response.headers["retry-after"]) >= 1
        gate.open()


class Cancelling:
    """Hears of every job that is cancelled."""

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called, self.jobs, cancel = threading.Event(), [], service.queue.cancel

        def hear(job_id: str) -> Any:
            job = cancel(job_id)
            self.jobs.append(job_id)
            self.called.set()
            return job

        monkeypatch.setattr(service.queue, "cancel", hear)


def leave_stream(url: str, gate: Gate) -> None:
    body = {"messages": said("a tone"), "audio_config": {"duration": 1}, "stream": True}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=SOON_S) as answer:
        lines = answer.iter_lines()
        assert "assistant" in next(lines)
        gate.wait()


def leave_answer(url: str, gate: Gate) -> None:
    body = json.dumps({"input": "a tone", "duration": 1}).encode()
    host = url.removeprefix("http://")
    with socket.create_connection(host.split(":")) as connection:
        head = f"POST /v1/audio/music HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        gate.wait()


@pytest.mark.parametrize("leave", [leave_stream, leave_answer])
def test_a_client_that_goes_away_cancels_its_song(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leave: Callable[[str, Gate], None]
) -> None:
    gate = Gate()
    with serving(tmp_path, ToneRenderer(gate)) as (url, service):
        cancelling = Cancelling(service, monkeypatch)
        leave(url, gate)
        assert cancelling.called.wait(SOON_S)
        gate.open()
        assert service.queue.wait(cancelling.jobs[0], SOON_S).state == "cancelled"


def test_a_song_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    gate = Gate()
    opener = threading.Timer(0.6, gate.open)  # the deadline passes while the run stands before the gate
    with serving(tmp_path, ToneRenderer(gate), timeout_s=0.3) as (url, service), client_of(url) as client:
        opener.start()
        with pytest.raises(openai.InternalServerError) as caught:
            client.audio.speech.create(model="built-in", voice="x", input="a tone", extra_body={"duration": 1})
        assert caught.value.status_code == 504
        (job,) = service.queue.jobs()
        assert job.fault is not None
        assert job.fault.kind == "DeadlineError"


def test_a_key_brings_a_client_back_to_its_song(tones: tuple[str, Service]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "once"}
    sent = {"input": "a tone", "duration": 1}
    answers = [httpx.post(f"{tones[0]}/v1/audio/music", json=sent, headers=headers) for _ in range(2)]
    assert answers[0].headers["x-partita-song"] == answers[1].headers["x-partita-song"]
    other = httpx.post(f"{tones[0]}/v1/audio/music", json=sent | {"input": "another"}, headers=headers)
    assert other.status_code == 409


def fail(stage: str, step: int) -> None:
    raise ModelError("the transformer of /home/me is damaged")


def test_what_fails_while_it_plays_is_told_with_its_status(tmp_path: Path) -> None:
    with serving(tmp_path, ToneRenderer(fail)) as (url, _), client_of(url) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            client.audio.speech.create(model="built-in", voice="x", input="a tone", extra_body={"duration": 1})
        assert (caught.value.status_code, caught.value.code) == (503, "model_not_ready")
        with pytest.raises(openai.APIError, match="is damaged"):
            list(client.chat.completions.create(model="built-in", messages=said("a tone"), stream=True))
        raw = httpx.post(f"{url}/v1/chat/completions", json={"messages": said("a tone"), "stream": True})
        events = [line[6:] for line in raw.text.splitlines() if line.startswith("data: ")]
        assert events[-1] == "[DONE]"
        last = json.loads(events[-2])
        assert last["choices"][0]["finish_reason"] == "error"
        assert last["choices"][0]["delta"]["content"].startswith("\n\nError: ")
        assert last["error"]["code"] == "model_not_ready"


def test_a_stream_shows_signs_of_life_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partita.service.doors.openai.chat.PAUSE_S", 0.05)
    gate = Gate()
    with serving(tmp_path, ToneRenderer(gate)) as (url, _):
        body = {"messages": said("a tone"), "audio_config": {"duration": 1}, "stream": True}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=SOON_S) as answer:
            gate.wait()
            lines = []
            for line in answer.iter_lines():
                lines.append(line)
                if sum(line.startswith(": running") for line in lines) == 3:
                    gate.open()
    texts = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert texts[0]["choices"][0]["delta"]["content"] == ""
    assert not any("running" in json.dumps(text) for text in texts)
    assert lines[-2] == "data: [DONE]"


def test_the_document_of_the_api_has_every_path_and_an_example(real: tuple[str, Service]) -> None:
    document = httpx.get(f"{real[0]}/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/chat/completions", "/v1/audio/music", "/v1/audio/speech", "/v1/models", "/v1/models/{model}", "/health",
    }  # fmt: skip
    assert document["components"]["schemas"]["ChatBody"]["examples"]
    assert "429" in document["paths"]["/v1/chat/completions"]["post"]["responses"]


def at_random(folder: Path, mode: GenerationMode, examples: int) -> None:
    with opened(folder, ToneRenderer(), limits={"duration_s": 5}) as service:
        document = schemathesis.openapi.from_asgi("/openapi.json", create_app(service))
        if mode is GenerationMode.NEGATIVE:
            document = document.include(method="POST")  # any name of a model is well formed
        try_all(document, mode, examples)


def test_bad_requests_at_random_are_answered_as_the_document_says(tmp_path: Path) -> None:
    at_random(tmp_path, GenerationMode.NEGATIVE, 4)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_requests_at_random_are_answered_as_the_document_says(tmp_path: Path, mode: GenerationMode) -> None:
    at_random(tmp_path, mode, 150)
