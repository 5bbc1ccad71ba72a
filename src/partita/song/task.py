"""The kinds of work: one value each, told apart by `kind`, with the fields that only this kind has.

What the numbers mean for the sound is told in docs/tasks.md; which checkpoint can do what stands on its card. Times are
seconds from the start of the source.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from partita.song.plan import LAST_CODE
from partita.song.source import AudioRef
from partita.song.values import Asked
from partita.text.prompts import TrackName

BlendMode = Literal["conservative", "balanced", "aggressive"]
ChunkMask = Literal["explicit", "ones", "two"]
_CODE = re.compile(r"<\|audio_code_(\d+)\|>")

SourceField = Annotated[AudioRef, Field(description="The audio to work from: a file of any kind, or kept audio.")]
_Share = Annotated[float, Field(ge=0, le=1)]


class TextToMusic(Asked):
    """A song from words alone, or from words and given semantic codes."""

    kind: Literal["text-to-music"] = "text-to-music"
    codes: tuple[Annotated[int, Field(ge=0, le=LAST_CODE)], ...] | None = Field(
        default=None, description="Semantic codes at 5 Hz to follow, as numbers or as <|audio_code_N|> text."
    )
    strength: _Share = Field(default=1.0, description="Share of the steps that follow the codes.")

    @field_validator("codes", mode="before")
    @classmethod
    def _codes_from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        codes = tuple(int(code) for code in _CODE.findall(value))
        if not codes:
            raise ValueError("must hold codes such as <|audio_code_123|>")
        return codes


class Cover(Asked):
    """The source's melody and form in another style."""

    kind: Literal["cover"] = "cover"
    source: SourceField
    fsq: bool = Field(
        default=True,
        description="Follow the source through its semantic codes; without, its latents, which keep far more of it.",
    )
    strength: _Share = Field(
        default=1.0, description="Share of the steps that follow the source: 1 all of them, 0.2 little but its style."
    )
    noise_strength: _Share = Field(
        default=0.0, description="Where the walk begins: 0 at noise, towards 1 near the source itself."
    )


class AudioToAudio(Asked):
    """The source, partly dissolved in noise and made anew by the words."""

    kind: Literal["audio-to-audio"] = "audio-to-audio"
    source: SourceField
    strength: _Share = Field(default=0.5, description="How much of the source stays: 0 nothing, towards 1 nearly all.")


class _Blended(Asked):
    """How what is made joins what stays."""

    mode: BlendMode = Field(
        default="balanced",
        description="conservative holds on to the source, aggressive gives the model free hand, balanced goes by "
        "strength.",
    )
    strength: _Share = Field(default=0.5, description="For balanced: 0 as conservative, 1 as aggressive.")
    chunk_mask: ChunkMask = Field(
        default="explicit",
        description="What the model is told of the region: explicit marks it, ones and two leave it to the model.",
    )


class Repaint(_Blended):
    """A region of the source made anew; outside of it every sample stays."""

    kind: Literal["repaint"] = "repaint"
    source: SourceField
    start_s: float = Field(ge=0, description="Where the region begins.")
    end_s: float | None = Field(default=None, gt=0, description="Where it ends. Default: the source's end.")


class Outpaint(_Blended):
    """A region that may begin before the source and end after it."""

    kind: Literal["outpaint"] = "outpaint"
    source: SourceField
    start_s: float = Field(description="Where the region begins; negative is before the source.")
    end_s: float = Field(description="Where it ends; it may be after the source's end.")


class Extend(_Blended):
    """More music before the source, after it, or both. The source stays, bit for bit."""

    kind: Literal["extend"] = "extend"
    source: SourceField
    left_s: float = Field(default=0.0, ge=0, description="How much to make before the source.")
    right_s: float = Field(default=0.0, ge=0, description="How much to make after the source.")


class Complete(Asked):
    """An accompaniment of given kinds to the source."""

    kind: Literal["complete"] = "complete"
    source: SourceField
    tracks: tuple[TrackName, ...] = Field(default=(), description="What to add, such as drums,bass. Default: any.")


class Lego(_Blended):
    """One track made to go with the source, over all of it or a region."""

    kind: Literal["lego"] = "lego"
    source: SourceField
    track: TrackName = Field(description="The track to make.")
    start_s: float = Field(default=0.0, ge=0, description="Where the region begins.")
    end_s: float | None = Field(default=None, gt=0, description="Where it ends. Default: the source's end.")


class Extract(Asked):
    """One track alone out of the source."""

    kind: Literal["extract"] = "extract"
    source: SourceField
    track: TrackName = Field(description="The track to take out.")


class Retake(Asked):
    """The same song sung again: its noise turned a little towards that of another seed, which is the request's."""

    kind: Literal["retake"] = "retake"
    of_seed: int = Field(ge=0, le=2**32 - 1, description="Seed of the song that this is a retake of.")
    variance: _Share = Field(default=0.2, description="0 is the same song, 1 is as different as another seed.")


class FlowEdit(Asked):
    """Other words, or another style, for the source or a region of it. The request's words are the wanted ones."""

    kind: Literal["edit"] = "edit"
    source: SourceField
    source_caption: str | None = Field(
        default=None, max_length=10_000, description="What the source sounds like. Default: its own, where recorded."
    )
    source_lyrics: str | None = Field(
        default=None, max_length=50_000, description="What the source's words are. Default: its own, where recorded."
    )
    recipe: Literal["lyrics", "style"] = Field(
        default="lyrics", description="lyrics keeps the sound and changes words; style keeps form and changes sound."
    )
    n_min: _Share | None = Field(default=None, description="Share of the steps to leave out first. Default: by recipe.")
    n_max: _Share | None = Field(
        default=None, description="Share of the steps at which editing turns into plain sampling. Default: by recipe."
    )
    n_avg: int = Field(default=1, ge=1, le=16, description="How many noises each step is averaged over.")
    follow: Literal["nothing", "codes", "latents"] = Field(
        default="nothing", description="What the model sees of the source besides: its codes, its latents, or nothing."
    )
    start_s: float = Field(default=0.0, ge=0, description="Where the region begins.")
    end_s: float | None = Field(default=None, gt=0, description="Where it ends. Default: the source's end.")


Task = Annotated[
    TextToMusic | Cover | AudioToAudio | Repaint | Outpaint | Extend | Complete | Lego | Extract | Retake | FlowEdit,
    Field(discriminator="kind"),
]
"""Every kind of work, told apart by `kind`; a further task is a further member of the union."""

TASKS: tuple[type[Asked], ...] = (
    TextToMusic, Cover, AudioToAudio, Repaint, Outpaint, Extend, Complete, Lego, Extract, Retake, FlowEdit,
)  # fmt: skip

# n_min and n_max of flow editing that users report to work best.
EDIT_RECIPES: dict[str, tuple[float, float]] = {"lyrics": (0.6, 1.0), "style": (0.2, 0.4)}


def source_of(task: Task) -> AudioRef | None:
    """The task's source, or none for tasks that work from words."""
    return getattr(task, "source", None)
