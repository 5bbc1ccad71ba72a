import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from partita.cli import main, songs
from partita.engine.engine import Engine
from partita.settings import Settings
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime


@dataclass(frozen=True)
class Answer:
    """What a command line gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def renderer() -> ToneRenderer:
    return ToneRenderer()


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with folders of its own for all that is kept."""
    monkeypatch.setenv("PARTITA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PARTITA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def home(empty_home: Path, monkeypatch: pytest.MonkeyPatch, renderer: ToneRenderer) -> Path:
    """An empty working folder, and an engine that makes tones."""

    def make_engine(settings: Settings, checkpoint_dir: Path | None, **machine: Any) -> Engine:
        loader = FakeLoader()
        return Engine(runtime=fake_runtime(), settings=settings, renderer=renderer, loader=lambda card: loader)

    monkeypatch.setattr(songs, "make_engine", make_engine)
    return empty_home


@pytest.fixture
def partita(home: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command line in the empty folder, with tones for songs."""
    return _run(capfd)


@pytest.fixture
def real_partita(empty_home: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command line in the empty folder, as it is."""
    return _run(capfd)


def _run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    def run(*arguments: str) -> Answer:
        capfd.readouterr()
        code = main.main(list(arguments))
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Answer(code, out, err)

    return run
