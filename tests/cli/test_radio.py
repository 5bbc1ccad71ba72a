"""`partita radio`, as a command line and as a process."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from partita.cli.radio import command
from partita.errors import RequestError
from tests.radio.test_encoders import decoded


@pytest.fixture
def run(empty_home: Path):
    def run(*arguments: str):
        return CliRunner().invoke(command, list(arguments))

    return run


class TestFolder:
    def test_so_many_songs_are_written_and_it_ends(self, run, empty_home: Path):
        result = run("lofi, rainy evening", "--to", "folder", "show", "--songs", "2", "--duration", "2", "--no-socket")
        assert result.exit_code == 0, result.output
        assert "2 songs were played." in result.output
        assert "playing 1: lofi, rainy evening, " in result.output
        songs = sorted((empty_home / "show").glob("*.flac"))
        assert len(songs) == 2
        assert (empty_home.parent / "data" / "radio" / "radio.db").exists()

    def test_a_folder_may_be_named_by_its_flag_alone(self, run, empty_home: Path):
        result = run("--folder", "show", "--songs", "1", "--duration", "1", "--format", "mp3", "--no-socket")
        assert result.exit_code == 0, result.output
        assert len(list((empty_home / "show").glob("*.mp3"))) == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--to", "http", "--folder", "x"), "--folder is for --to folder"),
            (("--to", "http", "--format", "mp3"), "--format is of songs in a folder"),
            (("--to", "folder", "--port", "1"), "--port is for listeners"),
            (("--songs", "0"), "--songs"),
            (("--to", "radio"), "--to"),
        ],
    )
    def test_flags_that_do_not_go_together(self, run, arguments: tuple[str, ...], said: str):
        result = run(*arguments)
        assert result.exit_code == 2
        assert said in result.output

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--to", "http", "--host", "0.0.0.0", "--port", "0"), "token"),
            (("--to", "folder", "x", "--model", "no-such-model"), "no-such-model"),
            ((" , ", "--to", "folder", "x"), "no words"),
        ],
    )
    def test_what_cannot_be_done_is_said_before_anything_is_made(self, run, arguments, said: str):
        result = run(*arguments, "--no-socket")
        assert isinstance(result.exception, RequestError)
        assert said in str(result.exception)

    def test_without_a_sound_card_it_names_the_other_ways(self, run, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "sounddevice", None)
        result = run("lofi")
        assert isinstance(result.exception, RequestError)
        assert "--to http" in str(result.exception)
        assert "--to folder PATH" in str(result.exception)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: names of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="pr") as made:
        yield Path(made)


@pytest.mark.skipif(os.name == "nt", reason="signals and Unix sockets")
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_radio_is_heard_told_and_ended_by_a_signal(empty_home: Path, folder: Path, number: int):
    # What a shell starts in the background ignores Ctrl-C, and hands that down.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from partita.cli.radio import command; command(standalone_mode=False)"
    )
    arguments = ["lofi", "--to", "http", "--port", "0", "--duration", "3", "--socket", str(folder / "r.sock")]
    radio = subprocess.Popen(
        [sys.executable, "-u", "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert radio.stdout is not None
        first = radio.stdout.readline()
        address = first.split("listen at ")[1].split("/stream.mp3")[0]
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(60)
        control.connect(str(folder / "r.sock"))
        lines = control.makefile("rw", encoding="utf-8")
        assert lines.readline().startswith("event:state ")
        while not lines.readline().startswith("event:playing song=0"):
            pass
        with urllib.request.urlopen(f"{address}/stream.mp3", timeout=60) as stream:
            heard = decoded(stream.read(3 * 24_000))
        assert len(heard) > 2 * 48_000
        with urllib.request.urlopen(f"{address}/now", timeout=60) as now:
            assert json.load(now)["total"] >= 1
        radio.send_signal(number)
        assert radio.wait(60) == 0
        assert "The radio is off." in radio.stdout.read()
        assert not (folder / "r.sock").exists()
        lines.close()
        control.close()
    finally:
        radio.kill()
        radio.wait()
        assert radio.stdout is not None
        radio.stdout.close()
