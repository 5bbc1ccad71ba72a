from pathlib import Path

import pytest

from partita.engine.engine import Engine
from partita.settings import Settings
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.fixture
def loader() -> FakeLoader:
    return FakeLoader()


@pytest.fixture
def make_engine(settings, loader):
    def make(renderer: ToneRenderer | None = None, **choices) -> Engine:
        return Engine(
            runtime=fake_runtime(**choices),
            settings=settings,
            renderer=renderer or ToneRenderer(),
            loader=lambda card: loader,
        )

    return make
