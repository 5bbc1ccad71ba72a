from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

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


def music(duration_s: float, sample_rate_hz: int = 48_000, channels: int = 2, seed: int = 0) -> np.ndarray:
    """Noise that swells and fades, float32 [N, channels]: no two stretches of it sound the same."""
    frames = round(duration_s * sample_rate_hz)
    noise = np.random.default_rng(seed).normal(size=(frames, channels))
    swell = 0.05 + 0.04 * np.sin(2 * np.pi * 0.7 * np.arange(frames) / sample_rate_hz)
    return (noise * swell[:, None]).astype(np.float32)


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes music as a file; `subtype` as soundfile names them."""

    def make(
        name: str = "source.wav",
        duration_s: float = 3.0,
        sample_rate_hz: int = 48_000,
        channels: int = 2,
        subtype: str | None = None,
    ) -> Path:
        samples = music(duration_s, sample_rate_hz, channels)
        soundfile.write(tmp_path / name, samples, sample_rate_hz, subtype=subtype)
        return tmp_path / name

    return make
