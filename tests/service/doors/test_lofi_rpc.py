"""The methods of lofi.nvim's daemon, its waiting list and its notifications, with a player that does as it is told."""

import json
import queue
import threading

import pytest
from hypothesis import given, strategies as st

from partita.errors import Cancelled, DownloadError, ModelError, ResourceError
from partita.service.doors.lofi.backends import ACE_STEP
from partita.service.doors.lofi.config import LofiConfig
from partita.service.doors.lofi.player import Played
from partita.service.doors.lofi.protocol import LONGEST_OUTPUT_BYTES
from partita.service.doors.lofi.rpc import Daemon
from partita.service.doors.lofi.tracks import Tracks
from partita.weights.download import Planned, Progress

WAIT_S = 20


class FakePlayer:
    """Plays what it is let play: `go` is released once for each song."""

    def __init__(self, *, steps=20, wait=False):
        self.steps, self.wait = steps, wait
        self.go = threading.Semaphore(0)
        self.begun = queue.Queue()
        self.played = []
        self.fault = None
        self.model = "built-in"
        self.missing = False
        self.download_fault = None

    def model_for(self, backend):
        return self.model

    def play(self, order, path, *, on_share, cancel=None):
        self.begun.put(order.prompt)
        self.played.append(order)
        on_share(0.0)
        while self.wait and not self.go.acquire(timeout=0.01):
            if cancel.is_set():
                raise Cancelled
        if self.fault is not None:
            raise self.fault
        for step in range(1, self.steps + 1):
            on_share(step / self.steps)
        path.write_bytes(order.prompt.encode())
        rate = order.backend.sample_rate_hz
        return Played(self.model, order.duration_s + 0.02, rate, 1.5, ("a note",))

    def whole(self, backend):
        return None if self.missing and backend is ACE_STEP else "it plays"

    def download(self, backend, on_event):
        self.begun.put("download")
        if self.wait:
            assert self.go.acquire(timeout=WAIT_S)
        on_event(Planned("hub", (("a/one.bin", 400), ("two.bin", 2)), 402, 0))
        for done in (0, 1, 2, 399, 400):
            on_event(Progress("a/one.bin", done, 400))
        if self.download_fault is not None:
            raise self.download_fault
        on_event(Progress("two.bin", 2, 2))


class Client:
    """A daemon without a process, and its lines in the order in which they were sent."""

    def __init__(self, folder, player):
        self.config = LofiConfig.of_environment({"LOFI_CACHE_PATH": str(folder)})
        self.player, self.tracks = player, Tracks(folder)
        self.lines, self.left, self.number = queue.Queue(), threading.Event(), 0
        self.daemon = Daemon(self.config, player, self.tracks, send=self.lines.put, leave=self.left.set)
        self.daemon.start()

    def next(self):
        line = self.lines.get(timeout=WAIT_S)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert len(line) <= LONGEST_OUTPUT_BYTES
        return json.loads(line)

    def ask(self, method, params=None):
        """The request's answer, which is the next line."""
        self.number += 1
        call = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.daemon.handle(json.dumps(call).encode())
        told = self.next()
        assert told["id"] == self.number
        assert ("result" in told) != ("error" in told)
        return told.get("result", told.get("error"))

    def generate(self, prompt="rain", **params):
        return self.ask("generate", {"prompt": prompt, "duration_sec": 5, "seed": 1, **params})

    def until(self, method):
        """The notifications up to the first of this method."""
        told = [self.next()]
        while told[-1]["method"] != method:
            told.append(self.next())
        return [one["params"] for one in told]


@pytest.fixture
def client(tmp_path):
    return Client(tmp_path / "tracks", FakePlayer())


@pytest.fixture
def slow(tmp_path):
    client = Client(tmp_path / "tracks", FakePlayer(wait=True))
    yield client
    client.player.wait = False  # its thread comes to an end


def test_a_song_is_answered_then_told_of(client):
    accepted = client.generate(prompt="lofi beats", seed=42, duration_sec=30)
    assert accepted == {
        "track_id": "b37faaa28f0a0136",
        "status": "generating",
        "position": 0,
        "seed": 42,
        "backend": "musicgen",
    }
    *progress, complete = client.until("generation_complete")
    assert complete == {
        "track_id": "b37faaa28f0a0136",
        "path": str(client.tracks.folder / "b37faaa28f0a0136.wav"),
        "duration_sec": 30.02,
        "sample_rate": 32_000,
        "prompt": "lofi beats",
        "seed": 42,
        "generation_time_sec": 1.5,
        "model_version": "musicgen-small-fp16-v1",
        "backend": "musicgen",
    }
    assert client.tracks.path("b37faaa28f0a0136").read_bytes() == b"lofi beats"
    assert [one["percent"] for one in progress] == [*range(5, 100, 5)]
    assert all(one["tokens_estimated"] == 1503 for one in progress)
    assert [one["tokens_generated"] for one in progress] == sorted(one["tokens_generated"] for one in progress)
    assert {tuple(sorted(one)) for one in progress} == {
        ("eta_sec", "percent", "tokens_estimated", "tokens_generated", "track_id")
    }


def test_ace_step_tells_its_steps(client):
    client.player.steps = 7
    assert client.generate(backend="acestep", inference_steps=7)["backend"] == "ace_step"
    *progress, complete = client.until("generation_complete")
    assert [(one["current_step"], one["total_steps"]) for one in progress] == [(step, 7) for step in range(1, 8)]
    assert [one["percent"] for one in progress] == [14, 28, 42, 57, 71, 85, 99]
    assert (complete["sample_rate"], complete["model_version"]) == (48_000, "ace-step-v1")


def test_the_same_request_is_a_hit_here_and_in_another_process(client):
    client.generate()
    client.until("generation_complete")
    for other in (client, Client(client.tracks.folder, FakePlayer())):
        assert other.generate()["status"] == "complete"
        (complete,) = other.until("generation_complete")
        assert complete["generation_time_sec"] == 0.0
        assert complete["duration_sec"] == 5.02
    assert len(client.player.played) == 1


@pytest.mark.parametrize("change", ["sound", "sampling", "model"])
def test_what_is_no_longer_the_same_is_made_again(client, change):
    client.generate(backend="ace_step")
    track_id = client.until("generation_complete")[-1]["track_id"]
    more = {}
    if change == "sound":
        client.tracks.path(track_id).write_bytes(b"broken")
    elif change == "sampling":
        more = {"inference_steps": 59}
    else:
        client.player.model = "ace-step-v1"
    again = client.generate(backend="ace_step", **more)
    assert (again["status"], again["track_id"]) == ("generating", track_id)
    assert client.until("generation_complete")[-1]["generation_time_sec"] == 1.5


def test_musicgen_hits_whatever_is_said_of_sampling(client):
    client.generate(inference_steps=10)
    client.until("generation_complete")
    assert client.generate(inference_steps=20)["status"] == "complete"


def test_two_at_once_are_made_once(slow):
    assert slow.generate()["status"] == "generating"
    assert slow.generate()["status"] == "queued"
    slow.player.go.release()
    first = slow.until("generation_complete")[-1]
    assert first["generation_time_sec"] == 1.5
    assert slow.until("generation_complete") == [{**first, "generation_time_sec": 0.0}]
    assert len(slow.player.played) == 1


def test_ten_wait_in_order_of_priority_and_the_next_is_refused(slow):
    assert slow.generate("first")["status"] == "generating"
    assert slow.player.begun.get(timeout=WAIT_S) == "first"
    places = [("n1", "normal", 0), ("n2", "normal", 1), ("h1", "high", 0), ("h2", "high", 1), ("n3", "normal", 4)]
    for prompt, priority, place in places:
        told = slow.generate(prompt, priority=priority)
        assert (told["status"], told["position"]) == ("queued", place)
    for number in range(4, 9):
        slow.generate(f"n{number}")
    assert slow.generate("one too many") == {
        "code": -32004,
        "message": "Queue full",
        "data": {"error_code": "QUEUE_FULL", "details": "Maximum 10 pending requests. Current queue: 10"},
    }
    assert slow.ask("ping") == {"status": "ok"}
    assert len(slow.ask("get_backends", [])["backends"]) == 2
    made = ["first"]
    for _ in range(11):
        slow.player.go.release()
        made.append(slow.until("generation_complete")[-1]["prompt"])
    assert made[1:] == ["first", "h1", "h2", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"]


def test_a_waiting_song_keeps_its_parameters(slow):
    slow.generate("first")
    slow.generate("second", backend="ace_step", inference_steps=9, scheduler="Heun", guidance_scale=3, duration_sec=240)
    slow.player.go.release(2)
    slow.until("generation_complete")
    slow.until("generation_complete")
    second = slow.player.played[1]
    assert (second.steps, second.scheduler, second.guidance_scale, second.duration_s) == (9, "heun", 3.0, 240)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ModelError("weights are damaged"), "MODEL_LOAD_FAILED", "weights are damaged"),
        (ResourceError("out of memory"), "MODEL_INFERENCE_FAILED", "out of memory"),
        (OSError(28, "No space left on device"), "MODEL_INFERENCE_FAILED", "No space left"),
        (ZeroDivisionError("secret"), "MODEL_INFERENCE_FAILED", "log"),
    ],
)
def test_a_song_that_fails_is_told_and_the_next_is_made(client, error, code, words):
    client.player.fault = error
    track_id = client.generate()["track_id"]
    (told,) = client.until("generation_error")
    assert (told["track_id"], told["code"]) == (track_id, code)
    assert words in told["message"]
    assert "secret" not in told["message"]
    client.player.fault = None
    assert client.generate()["status"] == "generating"
    client.until("generation_complete")
    assert not [path for path in client.tracks.folder.iterdir() if path.name.startswith(f".{track_id}")]


def test_a_folder_that_takes_nothing_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    client = Client(tmp_path / "file" / "tracks", FakePlayer())
    assert client.generate()["status"] == "generating"
    assert client.until("generation_error")[-1]["code"] == "MODEL_INFERENCE_FAILED"


def test_cancel_stops_the_one_that_is_made_and_takes_off_those_that_wait(slow):
    running = slow.generate("running")["track_id"]
    slow.player.begun.get(timeout=WAIT_S)
    waiting = slow.generate("waiting")["track_id"]
    after = slow.generate("after")["track_id"]
    assert slow.ask("cancel", {"track_id": waiting}) == {"cancelled": True, "was_generating": False}
    assert slow.until("generation_cancelled") == [{"track_id": waiting, "at_step": 0, "total_steps": 253}]
    assert slow.ask("cancel", {"track_id": running}) == {"cancelled": True, "was_generating": True}
    assert slow.until("generation_cancelled")[-1]["track_id"] == running
    slow.player.go.release()
    assert slow.until("generation_complete")[-1]["track_id"] == after
    assert slow.ask("cancel", {"track_id": after}) == {"code": -32001, "message": "Already complete"}
    for unknown in (running, "../../etc/passwd"):
        told = slow.ask("cancel", {"track_id": unknown})
        assert (told["code"], told["message"]) == (-32000, "Track not found")
    assert slow.ask("cancel", {})["code"] == -32602


@pytest.mark.parametrize("params", [None, {}, [], {"verbose": True}, "text", 5])
def test_methods_without_parameters_take_any(client, params):
    assert client.ask("ping", params) == {"status": "ok"}
    assert client.ask("get_backends", params)["default_backend"] == "musicgen"


def test_the_backends(client):
    told = client.ask("get_backends")
    assert told["backends"] == [
        {
            "type": "musicgen",
            "name": "MusicGen-Small",
            "status": "ready",
            "min_duration_sec": 5,
            "max_duration_sec": 120,
            "sample_rate": 32_000,
        },
        {
            "type": "ace_step",
            "name": "ACE-Step-3.5B",
            "status": "ready",
            "min_duration_sec": 5,
            "max_duration_sec": 240,
            "sample_rate": 48_000,
        },
    ]
    client.generate(backend="ace_step")
    client.until("generation_complete")
    first, second = client.ask("get_backends")["backends"]
    assert "model_version" not in first
    assert second["model_version"] == "ace-step-v1"


def test_unknown_methods(client):
    assert client.ask("play") == {"code": -32601, "message": "Method not found: play"}


def test_shutdown_is_answered_first(client):
    assert client.ask("shutdown") == {"status": "shutting_down"}
    assert client.left.is_set()


def test_nothing_to_download(client):
    for backend in ("musicgen", "ACE-Step"):
        told = client.ask("download_backend", {"backend": backend})
        assert (told["status"], told["files_downloaded"]) == ("already_installed", 0)
    assert told["backend"] == "ace_step"
    assert client.ask("download_backend", {"backend": "suno"})["code"] == -32007
    assert client.ask("download_backend", [])["code"] == -32602
    assert client.ask("download_backend", {"backend": 5})["code"] == -32602


def test_a_download_tells_of_itself_while_others_are_answered(slow):
    slow.player.missing = True
    call = {"jsonrpc": "2.0", "id": "dl", "method": "download_backend", "params": {"backend": "ace_step"}}
    slow.daemon.handle(json.dumps(call).encode())
    assert slow.player.begun.get(timeout=WAIT_S) == "download"
    assert slow.ask("ping") == {"status": "ok"}
    assert slow.ask("download_backend", {"backend": "ace_step"})["status"] == "already_downloading"
    slow.player.go.release()
    told = [slow.next() for _ in range(4)]
    assert [one["params"] for one in told] == [
        {"file_name": "one.bin", "bytes_downloaded": 0, "bytes_total": 400, "files_completed": 0, "files_total": 2},
        {"file_name": "one.bin", "bytes_downloaded": 399, "bytes_total": 400, "files_completed": 0, "files_total": 2},
        {"file_name": "one.bin", "bytes_downloaded": 400, "bytes_total": 400, "files_completed": 1, "files_total": 2},
        {"file_name": "two.bin", "bytes_downloaded": 2, "bytes_total": 2, "files_completed": 2, "files_total": 2},
    ]
    assert slow.next() == {
        "jsonrpc": "2.0",
        "id": "dl",
        "result": {"backend": "ace_step", "status": "complete", "files_downloaded": 2},
    }


def test_a_download_that_fails(client):
    client.player.missing, client.player.download_fault = True, DownloadError("the hub does not answer")
    call = {"jsonrpc": "2.0", "id": 1, "method": "download_backend", "params": {"backend": "ace_step"}}
    client.daemon.handle(json.dumps(call).encode())
    while (told := client.next()).get("method") == "download_progress":
        pass
    assert told["error"] == {
        "code": -32002,
        "message": "Model download failed",
        "data": {"error_code": "MODEL_DOWNLOAD_FAILED", "details": "the hub does not answer"},
    }


def test_long_words_of_a_client_make_no_long_line(client):
    assert client.ask("m" * 9000)["code"] == -32601
    assert client.generate(backend="♫" * 9000)["code"] == -32007
    assert client.generate(backend="ace_step", scheduler="\x01" * 9000)["code"] == -32011
    assert client.generate(backend="ace_step", guidance_scale=1e300)["code"] == -32010


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return Client(tmp_path_factory.mktemp("fuzz"), FakePlayer())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
methods = st.sampled_from(["generate", "get_backends", "download_backend", "ping", "cancel", "play"])
params = json_values | st.fixed_dictionaries(
    {},
    optional={
        "prompt": json_values | st.text(min_size=1, max_size=30),
        "duration_sec": json_values | st.integers(0, 300),
        "seed": json_values | st.integers(0, 3),
        "priority": json_values | st.sampled_from(["normal", "high"]),
        "backend": json_values | st.sampled_from(["musicgen", "ace_step"]),
        "inference_steps": json_values | st.integers(0, 250),
        "scheduler": json_values | st.sampled_from(["euler", "heun", "pingpong"]),
        "guidance_scale": json_values | st.floats(0, 40),
        "track_id": json_values,
    },
)
calls = st.fixed_dictionaries(
    {},
    optional={"jsonrpc": st.just("2.0") | json_values, "id": json_values, "method": methods, "params": params},
)


@given(st.binary(max_size=60) | calls.map(lambda call: json.dumps(call).encode()))
def test_no_line_kills_the_daemon(fuzzed, line):
    for piece in line.split(b"\n"):
        fuzzed.daemon.handle(piece)
    fuzzed.daemon.handle(b'{"jsonrpc":"2.0","id":"still here","method":"ping"}')
    while (told := fuzzed.next()).get("id") != "still here":
        assert told["jsonrpc"] == "2.0"
        assert ("method" in told) != ("id" in told)
        assert told.get("error", {}).get("code") != -32603
    assert told["result"] == {"status": "ok"}
