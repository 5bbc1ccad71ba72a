"""Audio that enters a request: how it is named, and what is known of it once it was read.

Nothing here reads files: taking audio in, keeping it and finding its latents is the engine's business. Every source is
48 kHz stereo float32 once it is in; positions are counted in samples of that rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Self

from pydantic import Field, model_validator

from partita.song.card import Family
from partita.song.plan import Plan
from partita.song.values import Asked, Value

SAMPLE_RATE_HZ = 48_000
FRAME_SAMPLES = 1920
"""Samples to a latent frame where there are 25 a second, as in most families."""
SILENT_BELOW = 1e-6
"""Audio that is nowhere louder is silence, here as in the original."""
SHORTEST_SOURCE_S = 0.1
LONGEST_SOURCE_S = 600.0


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """How a family's latents lie on the samples: `frame_samples` to a frame, which may be no whole number, and
    `channels` numbers in each."""

    frame_samples: Fraction
    channels: int

    @property
    def frame_s(self) -> float:
        return float(self.frame_samples / SAMPLE_RATE_HZ)

    def samples(self, frames: int) -> int:
        """Samples of so many frames, the last one whole: also the first sample of frame `frames`."""
        return -(-frames * self.frame_samples.numerator // self.frame_samples.denominator)

    def within(self, samples: int) -> int:
        """Whole frames in so many samples: also the frame that holds sample `samples`."""
        return samples * self.frame_samples.denominator // self.frame_samples.numerator

    def around(self, samples: int) -> int:
        """Frames that hold so many samples, the last one perhaps in part."""
        return -(-samples * self.frame_samples.denominator // self.frame_samples.numerator)


GRIDS: dict[Family, FrameGrid] = {
    "built-in": FrameGrid(Fraction(FRAME_SAMPLES), 64),
    "acestep-1.5": FrameGrid(Fraction(FRAME_SAMPLES), 64),
    # 4096 samples at 44.1 kHz; 8 channels of 16 bins.
    "acestep-v1": FrameGrid(Fraction(4096 * 160, 147), 128),
}


def grid_of_channels(channels: int) -> FrameGrid | None:
    """The grid of latents whose family is not known, or none where no family has so many channels."""
    return next((grid for grid in GRIDS.values() if grid.channels == channels), None)


class AudioRef(Asked):
    """Audio, or latents, that something is to be made from. Exactly one of the fields is given.

    A plain string or path stands for `path`. Arrays are handed to `Engine.hold` first, which gives a reference. A
    server takes uploads, its own songs and content hashes, and never a path.
    """

    path: str | None = Field(default=None, description="A sound file of any kind, or latents (.safetensors).")
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="Content hash of a source that is kept on this machine."
    )
    upload: str | None = Field(default=None, pattern="^[0-9a-f]{32}$", description="Id of a file uploaded to a server.")
    song: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{32}(/[0-9]{1,2})?$",
        description="Id of a server's song; of a job that made several, followed by /1 for the second.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": str(value)} if isinstance(value, (str, PurePath)) else value

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(value is not None for value in (self.path, self.sha256, self.upload, self.song)) != 1:
            raise ValueError("give one of path, sha256, upload and song")
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
