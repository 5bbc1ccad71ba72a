"""The two command lines: the client against a socket that answers as a test wants, the one-shot program with the
built-in model."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile

from partita.audio.tags import read_record
from partita.errors import ModelError, ResourceError, SaveError
from partita.service.doors.acestep_rs import client, program
from partita.service.doors.acestep_rs.sockets import HAS_UNIX_SOCKETS
from partita.song.record import Record

unix_only = pytest.mark.skipif(not HAS_UNIX_SOCKETS, reason="this system has no Unix sockets")
WAIT_S = 30.0


class Scripted:
    """Listens, reads all of the first connection, and answers with `reply`; none closes without one."""

    def __init__(self, path: Path, reply: bytes | None) -> None:
        self.path, self.reply, self.heard = path, reply, b""
        self.hold = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while chunk := connection.recv(65_536):
                self.heard += chunk
            if self.reply == b"later":
                self.hold.wait(WAIT_S)
            elif self.reply is not None:
                connection.sendall(self.reply)

    def end(self) -> None:
        self.hold.set()
        self._thread.join(WAIT_S)
        self._listener.close()


@pytest.fixture
def scripted() -> Iterator[Callable[[bytes | None], Scripted]]:
    folder = Path(tempfile.mkdtemp(prefix="p"))
    made: list[Scripted] = []

    def make(reply: bytes | None) -> Scripted:
        made.append(Scripted(folder / "s", reply))
        return made[-1]

    yield make
    for one in made:
        one.end()
    shutil.rmtree(folder)


def ask(server: Scripted, *options: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = client.main(["--socket", str(server.path), *options])
    server.end()
    told = capfd.readouterr()
    return code, told.out, told.err


@unix_only
def test_what_the_client_sends_with_the_usual_values(scripted, capfd):
    server = scripted(b'{"ok":true}\n')
    assert ask(server, "--caption", "café", capfd=capfd) == (0, "", "ok\n")
    assert server.heard == '{"caption":"café","duration_s":30.0,"language":"en","shift":3.0}\n'.encode()


@unix_only
def test_what_the_client_sends_of_every_option(scripted, capfd):
    server = scripted(b'{"ok":true}\n')
    options = (
        "--caption a --output /tmp/a.ogg --duration 12.5 --lyrics la --metas bpm:90 --language de --shift 1 --seed 7"
    )
    assert ask(server, *options.split(), capfd=capfd)[0] == 0
    assert json.loads(server.heard) == {
        "caption": "a",
        "output": "/tmp/a.ogg",
        "duration_s": 12.5,
        "lyrics": "la",
        "metas": "bpm:90",
        "language": "de",
        "shift": 1.0,
        "seed": 7,
    }


@unix_only
def test_unload_sends_nothing_else(scripted, capfd):
    server = scripted(b'{"ok":true,"message":"pipeline unloaded"}\n')
    assert ask(server, "--unload", capfd=capfd) == (0, "", "ok\n")
    assert server.heard == b'{"command":"unload"}\n'


@unix_only
@pytest.mark.parametrize(
    ("reply", "code", "out", "err"),
    [
        (
            '{"ok":true,"path":"/tmp/ü.ogg","duration_s":30.0,"sample_rate":48000,"channels":2}\n',
            0,
            "/tmp/ü.ogg\n",
            "generated 30.0s of audio → /tmp/ü.ogg\n",
        ),
        ('{"ok":true,"path":"/tmp/a.ogg"}', 0, "/tmp/a.ogg\n", "done → /tmp/a.ogg\n"),
        ('{"ok":false,"error":"empty request"}\n', 1, "", "Error: generation failed: empty request\n"),
        (
            '{"ok":false}\n',
            1,
            "",
            'Error: daemon returned ok=false without error field (raw: {"ok":false})\n',
        ),
        (None, 1, "", "Error: daemon closed connection without sending a response\n"),
        ("hello\n", 1, "", "Error: failed to parse daemon response\n\nCaused by:\n    Expecting value"),
        ("[]\n", 1, "", "Error: failed to parse daemon response"),
        ('{"path":"x"}\n', 1, "", "Error: failed to parse daemon response\n\nCaused by:\n    missing field 'ok'\n"),
    ],
)
def test_what_the_client_makes_of_an_answer(scripted, capfd, reply, code, out, err):
    told = ask(scripted(None if reply is None else reply.encode()), "--caption", "a", capfd=capfd)
    assert told[:2] == (code, out)
    assert told[2].startswith(err)


@unix_only
def test_the_client_waits_no_longer_than_it_is_told(scripted, capfd):
    code = client.main(["--socket", str(scripted(b"later").path), "--caption", "a", "--timeout-secs", "0"])
    assert (code, capfd.readouterr().err) == (1, "Error: timed out waiting for daemon response\n")


@unix_only
def test_where_no_daemon_is(tmp_path: Path, capfd):
    assert client.main(["--socket", str(tmp_path / "s"), "--caption", "a"]) == 1
    told = capfd.readouterr().err
    assert told.startswith(f"Error: failed to connect to {tmp_path / 's'}\n")
    assert "No such file or directory (os error 2)" in told


def test_without_a_caption(capfd):
    assert client.main([]) == 1
    assert capfd.readouterr().err == "Error: --caption is required for generation\n"


@pytest.mark.parametrize("options", ["--nonsense", "--duration soon", "--seed -1", "--seed 1.5", "--timeout-secs x"])
def test_options_that_make_no_sense(options: str, capfd):
    with pytest.raises(SystemExit) as caught:
        client.main(["--caption", "a", *options.split()])
    assert caught.value.code == 2
    assert "usage:" in capfd.readouterr().err


@pytest.mark.parametrize("module", ["client", "program"])
def test_help_is_quick_and_imports_nothing_heavy(module: str):
    code = f"""
import sys
from partita.service.doors.acestep_rs.{module} import main
try:
    main(["--help"])
except SystemExit as end:
    assert end.code == 0
heavy = {{"torch", "numpy", "pydantic", "fastapi", "symusic"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "--caption" in done.stdout


# The one-shot program.


@pytest.fixture(autouse=True)
def _logs_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "log_to_stderr", lambda asked: None)


def test_a_song_and_its_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd):
    monkeypatch.setenv("PARTITA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PARTITA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    options = ["-c", "slow piano", "-o", "new/folder/sóng.wav", "-d", "1", "-s", "7", "--metas", "bpm: 90"]
    assert program.main(options) == 0
    assert capfd.readouterr().out == (
        '{"path":"new/folder/sóng.wav","duration_s":1,"sample_rate":48000,"channels":2}\n'
    )
    path = tmp_path / "new/folder/sóng.wav"
    facts = soundfile.info(path)
    assert (facts.format, facts.subtype, facts.samplerate, facts.channels) == ("WAV", "FLOAT", 48_000, 2)
    assert facts.duration == pytest.approx(1.0)
    text = read_record(path)
    assert text is not None
    record = Record.from_json(text)
    assert (record.seed, record.plan.bpm) == (7, 90)
    assert any("acestep-v15-turbo was asked for and is not applied" in note for note in record.warnings)


def refused(*options: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = program.main(["-c", "a", *options])
    told = capfd.readouterr()
    assert told.out == ""
    return code, told.err


@pytest.mark.parametrize(("length", "told"), [("0.5", "0.5"), ("601", "601"), ("nan", "NaN"), ("inf", "inf")])
def test_a_length_out_of_range(capfd, length: str, told: str):
    text = f"Error: duration must be between 1 and 600 seconds, got {told}\n"
    assert refused("-o", "a.flac", "-d", length, capfd=capfd) == (1, text)


def test_a_format_that_is_none_comes_before_the_folder(capfd, tmp_path: Path):
    text = "Error: unsupported output format 'flac'. Use .wav or .ogg\n"
    assert refused("-o", str(tmp_path / "new" / "a.flac"), capfd=capfd) == (1, text)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made(capfd, tmp_path: Path):
    (tmp_path / "file").touch()
    code, told = refused("-o", str(tmp_path / "file" / "x" / "a.ogg"), capfd=capfd)
    assert code == 1
    assert told.startswith("Error: ")
    assert "(os error" in told


@pytest.mark.parametrize(
    "options", ["-o a.wav", "-c a", "-c a -o a.wav -d long", "-c a -o a.wav --seed -2", "-c a -o a.wav --version"]
)
def test_options_of_the_program_that_make_no_sense(options: str, capfd):
    with pytest.raises(SystemExit) as caught:
        program.main(options.split())
    assert caught.value.code == 2
    assert "usage:" in capfd.readouterr().err


def test_what_fails_later_is_told_with_its_step(capfd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    class Failing:
        def __init__(self, step: str) -> None:
            self.step = step

        def load(self) -> None:
            if self.step == "load":
                raise ModelError("manager: pipeline load failed: damaged")

        def play(self, asked: object, file_format: object):
            if self.step == "play":
                raise ResourceError("manager: generation failed even on CPU: x")
            return type("Song", (), {"warnings": ()})()

        def write(self, song: object, path: Path, file_format: object) -> None:
            raise SaveError("audio: the disk is full.")

    for step, text in (
        ("load", "failed to load pipeline: manager: pipeline load failed: damaged"),
        ("play", "generation failed: manager: generation failed even on CPU: x"),
        ("write", "failed to write audio: audio: the disk is full."),
    ):
        monkeypatch.setattr(program, "_player", lambda step=step: Failing(step))
        assert refused("-o", str(tmp_path / "a.ogg"), capfd=capfd) == (1, f"Error: {text}\n")
