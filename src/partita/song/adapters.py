"""What is known of an adapter without loading it: its identity, its kind and what it says of itself.

The facts go into a song's record, so they hold no path: the weights are found again by their digest. Read from files
by `partita.weights.adapters`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

AdapterKind = Literal["lora", "lokr"]
AdapterLayout = Literal["peft", "lycoris", "kohya", "comfyui", "diffusers", "plain"]


class AdapterFacts(BaseModel):
    """One adapter file. Two files with the same `sha256` hold the same tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The folder's or the file's name, without what every trainer calls its output.")
    sha256: str = Field(description="Of the weight file's bytes, in hexadecimal.")
    kind: AdapterKind
    layout: AdapterLayout
    rank: int | None = Field(description="The largest rank of a layer; none where no matrix is factored.")
    alpha: float | None = Field(description="As stored; none where nothing says one, and the scale is then 1.")
    decomposed: bool = Field(default=False, description="True for DoRA: weights split into direction and magnitude.")
    base_model: str | None = Field(description="The model it was trained on, in the trainer's words.")
    targets: int = Field(description="How many layers it adapts.")
    bytes: int = Field(description="Size of the weight file.")
    metadata: dict[str, str] = Field(
        default_factory=dict, description="What its file or configuration says; long values are cut, with their length."
    )
