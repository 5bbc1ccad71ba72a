"""The two backends of the protocol: what clients are told of them, and which names of our catalog stand for each.

Values only: what of the catalog is on this machine is `player`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partita.service.doors.lofi.config import LofiConfig

_TOKENS_PER_S = 50
_DELAY_TOKENS = 3  # the codebooks of MusicGen lag behind each other


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend. Its files have two channels at `sample_rate_hz`; durations are in seconds."""

    name: str
    title: str
    min_duration_s: int
    max_duration_s: int
    sample_rate_hz: int
    takes_sampling: bool
    """Whether steps, scheduler and guidance mean anything for it."""

    def model_version(self, config: LofiConfig) -> str:
        """The version that is part of a track's id: for musicgen read off the name of its folder, as lofi-daemon does.

        It names what the client asked for; what really played stands in the track's own file and record.
        """
        if self.takes_sampling:
            return "ace-step-v1"
        folder = config.musicgen_path.name.lower()
        size = "medium" if "medium" in folder else "small"
        precision = "fp32" if "fp32" in folder else "fp16"
        return f"musicgen-{size}-{precision}-v1"

    def model_path(self, config: LofiConfig) -> Path:
        """The folder in which lofi-daemon would look for this backend's files."""
        return config.ace_step_path if self.takes_sampling else config.musicgen_path

    def units(self, duration_s: int, steps: int) -> int:
        """What its progress counts to: tokens, or the client's steps."""
        return steps if self.takes_sampling else _TOKENS_PER_S * duration_s + _DELAY_TOKENS

    def described(self, loaded_version: str | None) -> dict[str, Any]:
        """Its entry in the list of backends. It is always ready: the built-in model plays where nothing else does."""
        told: dict[str, Any] = {
            "type": self.name,
            "name": self.title,
            "status": "ready",
            "min_duration_sec": self.min_duration_s,
            "max_duration_sec": self.max_duration_s,
            "sample_rate": self.sample_rate_hz,
        }
        return told if loaded_version is None else {**told, "model_version": loaded_version}


MUSICGEN = Backend("musicgen", "MusicGen-Small", 5, 120, 32_000, takes_sampling=False)
ACE_STEP = Backend("ace_step", "ACE-Step-3.5B", 5, 240, 48_000, takes_sampling=True)
BACKENDS = {one.name: one for one in (MUSICGEN, ACE_STEP)}


def foreign_files(backend: Backend, config: LofiConfig) -> str | None:
    """A sentence for files of lofi-daemon that lie in its folder and that are of no use here."""
    folder = backend.model_path(config)
    if any(folder.glob("*.onnx")):
        return f"{folder} holds ONNX files, which this daemon does not run; {backend.name} plays from the catalog."
    return None
