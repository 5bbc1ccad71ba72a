"""The program `partita-lofi-daemon` over real pipes with the built-in model, as Neovim runs it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import soundfile

from partita.service.doors.lofi.tracks import Tracks

WAIT_S = 60
PROGRAM = shutil.which("partita-lofi-daemon", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="the program is not installed")


class Neovim:
    """Starts the program as the plugin does and writes as its Lua side writes."""

    def __init__(self, folder, *arguments, **pipes):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOFI_", "PARTITA_"))}
        environment |= {
            "LOFI_CACHE_PATH": str(folder / "tracks"),
            "LOFI_DEVICE": "cpu",
            "LOFI_THREADS": "1",
            "PARTITA_DATA": str(folder / "data"),
            "PARTITA_CACHE": str(folder / "cache"),
            "HF_HOME": str(folder / "none"),
            "XDG_CACHE_HOME": str(folder / "xdg"),
        }
        self.tracks = Tracks(folder / "tracks")
        self.process = subprocess.Popen(
            [str(PROGRAM), *(arguments or ["--daemon"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            **pipes,
        )
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()

    def write(self, method, **params):
        """One request, an empty table as a list and slashes escaped."""
        self.number += 1
        call = {"params": params or [], "method": method, "id": self.number, "jsonrpc": "2.0"}
        text = json.dumps(call, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        return self.number

    def read(self):
        watch = threading.Timer(WAIT_S, self.process.kill)
        watch.start()
        line = self.process.stdout.readline()
        watch.cancel()
        assert line.endswith(b"\n"), self.process.stderr.read().decode()
        assert len(line) < 4096
        return json.loads(line)

    def until(self, method, **params):
        """Every line up to the first notification of this method with these params."""
        lines = [self.read()]
        while lines[-1].get("method") != method or not params.items() <= lines[-1]["params"].items():
            lines.append(self.read())
        return lines

    def seconds_to_end(self, end):
        """How long the process goes on after `end`, and its exit code."""
        began = time.monotonic()
        end()
        code = self.process.wait(timeout=WAIT_S)
        return time.monotonic() - began, code


def test_a_session(tmp_path):
    with Neovim(tmp_path) as vim:
        vim.write("get_backends")
        vim.write("generate", prompt="käse / rain", duration_sec=5, seed=42, priority="normal")
        vim.write("generate", prompt="second", duration_sec=5, seed=1.0, backend="ace_step", guidance_scale=7)
        vim.write("generate", prompt="third", duration_sec=5, seed=2, priority="high")
        vim.write("ping")
        answers = [vim.read() for _ in range(5)]
        assert [one["id"] for one in answers] == [1, 2, 3, 4, 5]
        assert [one["result"].get("status") for one in answers] == [None, "generating", "queued", "queued", "ok"]
        assert [one["result"]["position"] for one in answers[1:4]] == [0, 0, 0]
        made = []
        for _ in range(3):
            *progress, complete = vim.until("generation_complete")
            assert {one["method"] for one in progress} == {"generation_progress"}
            percents = [one["params"]["percent"] for one in progress]
            assert percents == sorted(set(percents))
            assert percents[-1] <= 99
            made.append(complete["params"])
        assert [one["prompt"] for one in made] == ["käse / rain", "third", "second"]
        for one in made:
            info = soundfile.info(one["path"])
            assert (info.duration, info.samplerate, info.channels) == (one["duration_sec"], one["sample_rate"], 2)
        assert [one["sample_rate"] for one in made] == [32_000, 32_000, 48_000]

        # The end of input in the middle of a song: what was asked before is answered, and nothing lives on.
        vim.write("generate", prompt="long", duration_sec=120, seed=3)
        vim.until("generation_progress")
        vim.write("ping")
        seconds, code = vim.seconds_to_end(vim.process.stdin.close)
        assert (seconds < 1, code) == (True, 0), (seconds, code)
        assert vim.number in [json.loads(line).get("id") for line in vim.process.stdout.read().splitlines()]
        assert {path.suffix for path in vim.tracks.folder.iterdir() if path.name != ".lock"} == {".wav", ".json"}

    # Another process: a hit at once; killed in the middle of a song, the cache is whole.
    with Neovim(tmp_path) as vim:
        vim.write("generate", prompt="käse / rain", duration_sec=5, seed=42)
        answer, complete = vim.read(), vim.read()
        assert answer["result"]["status"] == "complete"
        assert complete["params"] == {**made[0], "generation_time_sec": 0.0}
        vim.write("generate", prompt="long", duration_sec=120, seed=3)
        track_id = vim.read()["result"]["track_id"]
        vim.until("generation_progress", track_id=track_id)
        seconds, code = vim.seconds_to_end(vim.process.kill)
        assert code == -signal.SIGKILL
        notes = sorted(vim.tracks.folder.glob("*.json"))
        assert len(notes) == 3
        assert all(vim.tracks.find(note.stem) is not None for note in notes)
        assert vim.tracks.find(track_id) is None
        assert not vim.tracks.path(track_id).exists()


@pytest.mark.long
def test_killed_at_any_moment_it_leaves_whole_tracks(tmp_path):
    moment = random.Random(1)
    for prompt in range(15):
        with Neovim(tmp_path) as vim:
            for seed in range(8):
                vim.write("generate", prompt=f"number {prompt}", duration_sec=20, seed=seed)
            vim.until("generation_progress")
            time.sleep(moment.uniform(0, 3))
            vim.process.kill()
            vim.process.wait()
        notes = {path.stem for path in vim.tracks.folder.glob("*.json")}
        assert notes == {path.stem for path in vim.tracks.folder.glob("[!.]*.wav")}
        assert all(vim.tracks.find(note) for note in notes)
    assert notes


def test_it_answers_before_it_can_play(tmp_path):
    with Neovim(tmp_path) as vim:
        vim.write("ping")
        assert vim.read()["result"] == {"status": "ok"}
        if (process := Path(f"/proc/{vim.process.pid}/cmdline")).exists():
            assert b"lofi-daemon" in process.read_bytes()
        vim.process.stdin.write(b"\n\xff\xfe\n  \r\n[]\nnot json\n")
        vim.write("generate", prompt="x", duration_sec=3)
        vim.write("shutdown")
        told = [vim.read() for _ in range(5)]
        assert [one.get("error", {}).get("code") for one in told] == [-32700, -32700, -32700, -32005, None]
        assert told[-1]["result"] == {"status": "shutting_down"}
        assert vim.process.wait(timeout=WAIT_S) == 0
        assert vim.process.stdout.read() == b""
    assert not (tmp_path / "tracks").exists()


def test_a_request_without_a_newline_is_answered_at_the_end(tmp_path):
    with Neovim(tmp_path) as vim:
        out, _ = vim.process.communicate(b'{"jsonrpc":"2.0","id":"a","method":"ping"}', timeout=WAIT_S)
        assert json.loads(out)["id"] == "a"
        assert vim.process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_sigterm_ends_it(tmp_path):
    with Neovim(tmp_path) as vim:
        vim.write("ping")
        vim.read()
        seconds, code = vim.seconds_to_end(vim.process.terminate)
        assert (seconds < 1, code) == (True, -signal.SIGTERM)


def test_a_client_that_does_not_read_does_not_keep_it_alive(tmp_path):
    with Neovim(tmp_path) as vim:
        ping = b'{"jsonrpc":"2.0","id":1,"method":"get_backends"}\n'
        vim.process.stdin.write(ping * 500)  # more answers than a pipe holds
        vim.process.stdin.flush()
        vim.read()
        seconds, code = vim.seconds_to_end(vim.process.stdin.close)
        assert (seconds < 1.5, code) == (True, 0), (seconds, code)


def test_a_client_that_stops_reading_ends_it(tmp_path):
    with Neovim(tmp_path) as vim:
        vim.write("ping")
        vim.read()
        vim.process.stdout.close()
        vim.write("ping")
        assert vim.process.wait(timeout=WAIT_S) == 0


def test_nothing_but_the_protocol_reaches_standard_output():
    code = (
        "import os, sys; from partita.service.doors.lofi.program import _own_stdout;"
        "out = _own_stdout(); print('noise'); sys.stdout.flush(); os.system('echo noise'); os.write(out, b'line')"
    )
    for closed in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", "import os; os.close(2);" * closed + code], capture_output=True, timeout=WAIT_S
        )
        assert done.stdout == b"line"
        assert closed or done.stderr == b"noise\nnoise\n"


def test_without_standard_input_it_ends():
    code = "import os; os.close(0); from partita.service.doors.lofi.program import main; main(['--daemon'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=WAIT_S)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
