import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import httpx
import pytest

from partita.cli import serve as verb
from partita.errors import RequestError
from partita.service.config import DAY_S, ServiceConfig
from partita.service.http import server


@pytest.fixture
def told(monkeypatch, real_partita):
    """What `serve` is told by a command line: the configuration and the keys of doors."""
    told = []
    monkeypatch.setattr(server, "serve", lambda config, make, *, keys, on_ready: told.append((config, dict(keys))))
    for name in ("PARTITA_TOKEN", "ACESTEP_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[ServiceConfig, dict[str, str]]:
        answer = real_partita("serve", *arguments)
        assert answer.code == 0, answer.err
        return told.pop()

    return run


def test_without_flags_it_is_the_usual_configuration(told):
    assert told() == (ServiceConfig(), {})


def test_flags_become_the_configuration(told, tmp_path):
    config, _ = told(
        *("--host", "0.0.0.0", "--port", "0", "--token", "long enough", "--folder", str(tmp_path), "--fetch-urls"),
        *("--cors-origin", "http://localhost:5173", "--cors-origin", "https://page.example"),
        *("--door", "acestep=9001", "--door", "openai", "--max-songs", "3", "--max-upload-bytes", "1000"),
        *("--max-duration", "60", "--max-body-timeout", "2.5", "--keep-age", "forever", "--keep-bytes", "5000"),
    )
    assert (config.host, config.port, config.token, config.fetch_urls) == ("0.0.0.0", 0, "long enough", True)
    assert config.folder == tmp_path
    assert config.cors_origins == ("http://localhost:5173", "https://page.example")
    assert (config.doors, config.door_ports) == (("acestep", "openai"), {"acestep": 9001})
    limits = config.limits
    assert (limits.songs, limits.upload_bytes, limits.duration_s, limits.body_timeout_s) == (3, 1000, 60.0, 2.5)
    assert (config.retention.age_s, config.retention.bytes) == (None, 5000)


def test_each_device_that_is_named_has_a_manager_of_its_own(monkeypatch, real_partita, tmp_path):
    made = []
    monkeypatch.setattr(server, "serve", lambda config, make, *, keys, on_ready: made.append(make()))
    assert real_partita("serve", "--device", "cpu, cpu", "--folder", str(tmp_path)).code == 0
    assert real_partita("serve", "--folder", str(tmp_path)).code == 0
    managers = [service.queue.managers for service in made]
    assert [manager.engine.runtime.device.value for manager in managers[0]] == ["cpu", "cpu"]
    assert managers[0][0].engine is not managers[0][1].engine
    assert len(managers[1]) == 1


def test_the_token_may_stand_in_the_environment(told, monkeypatch):
    monkeypatch.setenv("PARTITA_TOKEN", "from the environment")
    assert told()[0].token == "from the environment"
    assert told("--token", "from the flag")[0].token == "from the flag"


def test_the_acestep_door_honours_the_key_of_its_clients(told, monkeypatch):
    monkeypatch.setenv("ACESTEP_API_KEY", "sk-1")
    assert told("--door", "acestep")[1] == {"acestep": "sk-1"}
    assert told("--door", "openai")[1] == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "port"),
        (["--port", "x"], "--port"),
        (["--door", "gradio"], "Doors: acestep, openai"),
        (["--door", "acestep=x"], "no port"),
        (["--door", "acestep=70000"], "no port"),
        (["--max-songs", "0"], "songs"),
        (["--max-duration", "nan"], "duration_s"),
        (["--keep-age", "long"], "forever"),
        (["--keep-age", "0"], "age_s"),
        (["--host", "0.0.0.0", "--port", "0"], "PARTITA_TOKEN"),
        (["--host", "no.such.host.invalid", "--port", "0"], "no address of this machine"),
        (["--fetch", "x"], "no such option"),
    ],
)
def test_what_makes_no_sense_is_told(real_partita, monkeypatch, arguments, words):
    monkeypatch.delenv("PARTITA_TOKEN", raising=False)
    answer = real_partita("serve", *arguments)
    assert answer.code == 2
    assert words.lower() in answer.err.lower()


def test_a_bad_token_is_not_repeated(real_partita):
    answer = real_partita("serve", "--token", "secret!", "--json")
    assert answer.code == 2
    assert "secret!" not in answer.out + answer.err
    assert "8 characters" in answer.json["error"]["message"]


def test_a_port_in_use_is_told(real_partita):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = real_partita("serve", "--port", str(taken.getsockname()[1]))
    assert answer.code == 1
    assert "is taken" in answer.err


def test_without_the_extra_it_says_what_to_install(monkeypatch, real_partita):
    find = verb.importlib.util.find_spec
    monkeypatch.setattr(verb.importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    answer = real_partita("serve")
    assert answer.code == 2
    assert 'uvicorn, which this installation lacks: pip install "partita[server]"' in answer.err


def test_every_package_of_the_extra_is_looked_for():
    lines = (Path(__file__).parents[2] / "pyproject.toml").read_text().partition("\nserver = [")[2].partition("]")[0]
    named = {line.strip().strip('",').partition(">")[0] for line in lines.splitlines() if line.strip()}
    assert named == set(verb._NEEDED.values())


def test_limits_are_flags_with_their_defaults():
    help_text = verb.command.get_help(click.Context(verb.command))
    for flag in ("--max-upload-bytes", "--max-duration", "--max-requests-per-minute", "--max-open-requests"):
        assert flag in help_text
    assert ServiceConfig().retention.age_s == 30 * DAY_S


def test_a_folder_in_use_is_told(real_partita, tmp_path):
    from partita.service.jobs.folder import FolderLock

    lock = FolderLock(tmp_path)
    try:
        answer = real_partita("serve", "--port", "0", "--folder", str(tmp_path))
    finally:
        lock.release()
    assert answer.code == RequestError.exit_code
    assert "in use by another server" in answer.err


def test_the_program_says_where_it_listens_and_stops(tmp_path):
    own = {"PARTITA_DATA": str(tmp_path / "data"), "PARTITA_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    program = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from partita.cli.main import run; run()",
            "serve",
            "--port",
            "0",
            "--door",
            "acestep=0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **own},
    )
    try:
        assert program.stdout is not None
        lines = [program.stdout.readline().split() for _ in range(2)]
        assert [line[0] for line in lines] == ["api", "acestep"]
        for _, url, *_ in lines:
            assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=60)
        assert program.returncode == 0
        assert errors == "", "nothing is logged where nothing is wrong"
    finally:
        program.kill()
        program.wait()
