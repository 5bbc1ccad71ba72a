"""How a language model helps to plan a song: the options of a request, and which planner made a plan.

Values only. What the options do to its sampling is the planner's business, what they mean is told in docs/planner.md.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from partita.song.values import Asked, Value

PlannerMode = Literal["off", "metadata", "full"]
PlannerLayout = Literal["current", "legacy"]
WeightFormat = Literal["full", "int8", "int4"]


class PlannerOptions(Asked):
    """Whether and how a language model plans. `full` is metadata and then semantic codes for the whole song."""

    mode: PlannerMode = Field(
        default="off",
        description="off: rules alone. metadata: a language model fills in what is left open. full: it also writes "
        "the semantic codes that the song follows.",
    )
    model: str | None = Field(
        default=None, description="Planner id. Default: the first of 1.7b, 0.6b, 4b that is on this machine."
    )
    temperature: float = Field(default=0.85, ge=0, le=5, description="How freely it chooses; 0 takes the likeliest.")
    guidance_scale: float = Field(
        default=2.0, ge=1, le=30, description="How strongly the codes follow the words; 1 is no guidance."
    )
    top_k: int = Field(default=0, ge=0, description="Choose among so many of the likeliest; 0: all.")
    top_p: float = Field(default=0.9, ge=0, le=1, description="Choose among the likeliest that make up this share.")
    min_p: float = Field(default=0.0, ge=0, le=1, description="Least probability, as a share of the likeliest's.")
    negative_prompt: str = Field(
        default="", max_length=10_000, description="What the codes should be led away from; needs guidance."
    )
    rewrite_caption: bool = Field(
        default=True, description="Let the planner put the caption into its own words, which the song then follows."
    )
    layout: PlannerLayout = Field(
        default="current", description="How codes are asked for: current, as trained, or legacy, as older programs did."
    )
    weight_format: WeightFormat = Field(
        default="full", description="full, or weights of 8 or 4 bits: less memory, and quicker on most machines."
    )


class PlannedBy(Value):
    """The planner that made a plan: its id, the identity of its files, and what of the machine changes its numbers."""

    model: str
    weights: dict[str, str]
    device: str
    number_format: str
    weight_format: WeightFormat


class Description(Value):
    """A song in words, as a planner wrote it from a wish, from other words, or from audio.

    What is none was not said. `lyrics` are `[Instrumental]` for music without a voice. `seed` gives the same words
    again. `notes` are what the user should know of how they came about.
    """

    caption: str
    lyrics: str
    bpm: int | None = None
    duration_s: float | None = None
    key: str | None = None
    time_signature: Literal["2/4", "3/4", "4/4", "6/8"] | None = None
    language: str | None = None
    genres: str | None = None
    seed: int
    planner: PlannedBy | None = None
    notes: tuple[str, ...] = ()

    def request_fields(self) -> dict[str, Any]:
        """The fields of a SongRequest that asks for this song."""
        names = ("caption", "lyrics", "bpm", "duration_s", "key", "time_signature", "language")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
