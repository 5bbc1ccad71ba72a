"""Audio that enters a request: how it is named, and what is known of it once it was read.

Nothing here reads files: taking audio in, keeping it and finding its latents is the engine's business. Every source is
48 kHz stereo float32 once it is in; positions are counted in samples of that rate.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Self

from pydantic import Field, model_validator

from partita.song.card import Family
from partita.song.plan import Plan
from partita.song.values import Asked, Value

SAMPLE_RATE_HZ = 48_000
FRAME_SAMPLES = 1920
"""Samples to a latent frame, in every family that edits: 25 frames a second."""
SILENT_BELOW = 1e-6
"""Audio that is nowhere louder is silence, here as in the original."""
SHORTEST_SOURCE_S = 0.1
LONGEST_SOURCE_S = 600.0


class AudioRef(Asked):
    """Audio, or latents, that something is to be made from. Exactly one of the two is given.

    A plain string or path stands for `path`. Arrays are handed to `Engine.hold` first, which gives a reference.
    """

    path: str | None = Field(default=None, description="A sound file of any kind, or latents (.safetensors).")
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="Content hash of a source that is kept on this machine."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": str(value)} if isinstance(value, (str, PurePath)) else value

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.path is None) == (self.sha256 is None):
            raise ValueError("give either a path or a sha256")
        return self


class SongOrigin(Value):
    """What is known of a source that is a song of Partita's, unaltered: its latents are kept and used as they are.

    `gain_db` is the level of the song above what its latents decode to. `cast` is the built-in model's (style, energy
    and a program or -1 for each role); none for other families.
    """

    model: str
    family: Family
    plan: Plan
    gain_db: float
    cast: tuple[int, ...] | None = None


class SourceFacts(Value):
    """A source that was taken in.

    `sha256` names its content: of the samples as little-endian float32, or of the latents where it is `latents_only`.
    `samples` is its length in samples at 48 kHz (for latents, that of what they decode to).
    """

    sha256: str
    samples: int
    latents_only: bool = False
    song: SongOrigin | None = None

    @property
    def duration_s(self) -> float:
        return self.samples / SAMPLE_RATE_HZ
