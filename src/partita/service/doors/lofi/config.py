"""What the environment tells the door of lofi.nvim, and its folders. Values only; bad values are ignored, as there.

Names and ranges are those that lofi.nvim documents for its daemon.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

BACKEND_NAMES = {"musicgen": "musicgen", "music_gen": "musicgen", "ace_step": "ace_step", "acestep": "ace_step"}
SCHEDULERS = ("euler", "heun", "pingpong")
DEVICES = {"cpu": "cpu", "cuda": "cuda", "metal": "mps", "coreml": "mps"}
"""Torch's name of a device by the protocol's; auto is none of them."""
MOST_THREADS = 256


@dataclass(frozen=True, slots=True)
class LofiConfig:
    """`device` is torch's name, none for the best there is; `guidance_scale` and its like are for ace_step."""

    tracks: Path
    musicgen_path: Path
    ace_step_path: Path
    backend: str = "musicgen"
    device: str | None = None
    threads: int | None = None
    inference_steps: int = 60
    scheduler: str = "euler"
    guidance_scale: float = 15.0

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> LofiConfig:
        """Read `LOFI_...`; the folders lie in the user's cache folder where no variable names them."""
        root = cache_root(environment)

        def path(name: str, folder: str) -> Path:
            return Path(environment.get(name) or root / folder).expanduser().absolute()

        def read(name: str, parse: Callable[[str], T | None], default: T) -> T:
            try:
                value = parse(environment[name])
            except (KeyError, ValueError):
                return default
            return default if value is None else value

        return cls(
            tracks=path("LOFI_CACHE_PATH", "tracks"),
            musicgen_path=path("LOFI_MODEL_PATH", "musicgen"),
            ace_step_path=path("LOFI_ACE_STEP_MODEL_PATH", "ace-step"),
            backend=read("LOFI_BACKEND", backend_named, "musicgen"),
            device=read("LOFI_DEVICE", lambda text: DEVICES.get(text.lower()), None),
            threads=read("LOFI_THREADS", lambda text: _within(int(text), 1, MOST_THREADS), None),
            inference_steps=read("LOFI_ACE_STEP_STEPS", lambda text: _within(int(text), 1, 200), 60),
            scheduler=read("LOFI_ACE_STEP_SCHEDULER", scheduler_named, "euler"),
            guidance_scale=read("LOFI_ACE_STEP_GUIDANCE", lambda text: _within(float(text), 1.0, 20.0), 15.0),
        )


def backend_named(name: str) -> str | None:
    """The backend of a name, in any case and with `-` for `_`; none where there is none."""
    return BACKEND_NAMES.get(name.lower().replace("-", "_"))


def scheduler_named(name: str) -> str | None:
    """The scheduler of a name in any case; none where there is none."""
    return name.lower() if name.lower() in SCHEDULERS else None


def cache_root(environment: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Where lofi.nvim's daemon keeps everything: in the cache folder of the user, by the custom of the system."""
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lofi.nvim"
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "lofi.nvim" / "cache"
    named = environment.get("XDG_CACHE_HOME", "")
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".cache") / "lofi.nvim"


def _within(value: T, low: float, high: float) -> T | None:
    return value if low <= value <= high else None  # type: ignore[operator]
