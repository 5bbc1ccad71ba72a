"""`partita daemon` as a process of its own with the built-in model, asked by a plain socket and by the client."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import soundfile

from partita.audio.tags import read_record
from partita.service.doors.acestep_rs.sockets import HAS_UNIX_SOCKETS
from partita.song.record import Record

pytestmark = pytest.mark.skipif(not HAS_UNIX_SOCKETS, reason="this system has no Unix sockets")
WAIT_S = 60.0
_VERB = (
    "import sys; from partita.cli.daemon import command; sys.exit(command.main(sys.argv[1:], standalone_mode=False))"
)
_CLIENT = "import sys; from partita.service.doors.acestep_rs.client import main; sys.exit(main(sys.argv[1:]))"


@dataclass
class Process:
    """A daemon, its log line by line, and where it listens."""

    folder: Path
    options: tuple[str, ...] = ()
    log: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.socket = self.folder / "s"
        where = () if "--tcp" in self.options else ("--socket", str(self.socket))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _VERB, *where, *self.options],
            env=environment(self.folder),
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))
            if line.rstrip().endswith(" ready"):
                self.ready.set()
        self.ready.set()

    def ask(self, **request: Any) -> dict[str, Any]:
        """As `socat` does: one line, the writing half shut down, all of the answer read."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(WAIT_S)
            connection.connect(str(self.socket))
            connection.sendall(json.dumps(request, ensure_ascii=False).encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)
            return json.loads(connection.makefile("rb").read())

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(WAIT_S)
        self.reader.join(WAIT_S)
        return code


def environment(folder: Path) -> dict[str, str]:
    own = {"PARTITA_DATA": str(folder / "data"), "PARTITA_CACHE": str(folder / "cache")}
    return os.environ | own | {"XDG_DATA_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "RUST_LOG": "info"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="p"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[Process]:
    running = Process(folder)
    assert running.ready.wait(WAIT_S)
    assert running.process.poll() is None, running.log
    yield running
    assert running.end() == 0
    assert not running.socket.exists()
    assert not any("Traceback" in line for line in running.log)


def record_in(path: Path) -> Record:
    text = read_record(path)
    assert text is not None
    return Record.from_json(text)


def test_a_song_with_its_record_and_what_was_not_applied(daemon: Process, folder: Path):
    path = folder / "songs" / "café.ogg"
    told = daemon.ask(
        caption="música tranquila, piano",
        lyrics="[verse]\nla la la",
        metas="bpm: 90, key: Am",
        duration_s=2,
        shift=2,
        seed=5,
        output=str(path),
        nonsense=True,
    )
    assert told == {"ok": True, "path": str(path), "duration_s": 2.0, "sample_rate": 48000, "channels": 2}
    facts = soundfile.info(path)
    assert (facts.format, facts.subtype, facts.samplerate, facts.channels) == ("OGG", "VORBIS", 48_000, 2)
    record = record_in(path)
    assert (record.request.model, record.seed, record.plan.bpm, record.plan.key) == ("built-in", 5, 90, "A minor")
    assert record.plan.caption == "música tranquila, piano"
    said = " ".join(record.warnings)
    assert "built-in plays instruments and does not sing" in said
    assert "acestep-v15-turbo was asked for and is not applied" in said
    assert "shift 2 was asked for and is not applied" in said
    assert [one.name for one in path.parent.iterdir()] == ["café.ogg"]


def test_the_same_seed_is_the_same_song_in_every_format(daemon: Process, folder: Path):
    for name in ("one.wav", "two", "three.MP3"):
        assert daemon.ask(caption="a tune", duration_s=1, seed=9, output=str(folder / name))["ok"]
    one, two, three = (record_in(folder / name) for name in ("one.wav", "two", "three.MP3"))
    assert one.audio_sha256 == two.audio_sha256 == three.audio_sha256
    assert (folder / "one.wav").read_bytes()[:4] == b"RIFF"
    assert soundfile.info(folder / "two").subtype == "FLOAT"
    assert soundfile.info(folder / "three.MP3").format == "MP3"


def test_parallel_callers_the_client_and_the_spool(daemon: Process, folder: Path):
    client = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, "--socket", str(daemon.socket), "--caption", "a tune", "--duration", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    answers: list[dict[str, Any]] = []
    callers = [
        threading.Thread(target=lambda n=n: answers.append(daemon.ask(caption="a tune", duration_s=1, seed=n)))
        for n in range(3)
    ]
    for caller in callers:
        caller.start()
    out, err = client.communicate(timeout=WAIT_S)
    for caller in callers:
        caller.join(WAIT_S)
    assert client.returncode == 0, err
    assert err == f"generated 1.0s of audio → {out}"
    paths = {out.strip(), *(told["path"] for told in answers)}
    assert len(paths) == 4
    assert all(Path(path).parent == folder / "home" / "ace-step" / "spool" for path in paths)
    assert all(Path(path).exists() for path in paths)


def test_unloading_and_making_the_next_song(daemon: Process):
    assert daemon.ask(command="unload") == {"ok": True, "message": "pipeline unloaded"}
    assert daemon.ask(caption="a tune", duration_s=1)["ok"]


def test_a_song_that_cannot_be_written_is_kept(daemon: Process, folder: Path):
    (folder / "taken.wav").mkdir()
    told = daemon.ask(caption="a tune", duration_s=1, output=str(folder / "taken.wav"))
    assert told["error"].startswith("failed to write audio file: audio: ")
    (kept,) = (folder / "data" / "kept").glob("taken-*.flac")
    assert str(kept) in told["error"]


def test_a_second_daemon_does_not_take_the_socket(daemon: Process):
    done = subprocess.run(
        [sys.executable, "-c", _VERB, "--socket", str(daemon.socket)],
        env=environment(daemon.folder),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: another program is listening on {daemon.socket}")
    assert daemon.ask(command="unload")["ok"]


def test_over_tcp_only_the_spool_is_written_to_and_ctrl_c_ends_a_song(tmp_path: Path):
    running = Process(tmp_path, ("--tcp", "0", "--model", "built-in", "--device", "0"))
    try:
        assert running.ready.wait(WAIT_S)
        (line,) = (line for line in running.log if " listening on " in line)
        port = int(line.rsplit(":", 1)[1])
        run = [sys.executable, "-c", _CLIENT, "--tcp", str(port), "--caption", "a tune"]
        refused = subprocess.run(
            [*run, "--output", str(tmp_path / "x.ogg")], capture_output=True, timeout=WAIT_S, check=False
        )
        assert b"could not create output directory" in refused.stderr
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as connection:
            connection.sendall(b'{"caption":"a long tune","duration_s":600}\n')
            with subprocess.Popen(run, stderr=subprocess.PIPE) as waiting:
                assert running.end(signal.SIGINT) == 0
                assert waiting.wait(WAIT_S) == 1
            told = json.loads(connection.makefile("rb").readline())
        assert told == {"ok": False, "error": "generation failed: the daemon was stopped"}
    finally:
        running.end(signal.SIGKILL)


def test_help_is_quick_and_imports_no_torch():
    code = (
        f"import sys; sys.argv[1:] = ['--help']\ntry:\n exec({_VERB!r})\nfinally:\n assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "--socket" in done.stdout


@pytest.mark.parametrize("options", [("--socket", "a", "--tcp", "1"), ("--tcp", "99999"), ("--min-free-mb", "-1")])
def test_options_that_make_no_sense(options: tuple[str, ...]):
    from click.testing import CliRunner

    from partita.cli.daemon import command

    result = CliRunner().invoke(command, options)
    assert result.exit_code == 2
