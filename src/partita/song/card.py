"""What Partita knows of a model before loading it: where its files are, what it can do, and its defaults.

Cards are read from the catalog's data file. A default that belongs to a checkpoint stands here and nowhere in code.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from partita.song.values import Value

Family = Literal["built-in", "acestep-1.5", "acestep-v1"]
SolverName = Literal["euler", "heun", "dpmpp-2m", "sde"]
AskedSolverName = Literal[SolverName, "pingpong"]
"""Ping-pong is what ACE-Step v1 calls the stochastic solver."""
GuidanceName = Literal["apg", "cfg", "cfg-star", "adg", "adg-w-norm", "adg-wo-clip"]
ErgPart = Literal["tags", "lyrics", "diffusion"]


class FileEntry(Value):
    """One published file: `path` inside `repository`, and its size and SHA-256 where they are known."""

    path: str
    repository: str
    size_bytes: int | None = None
    about_bytes: int | None = Field(default=None, description="What to plan with where the exact size is not known.")
    sha256: str | None = None
    alternatives: tuple[str, ...] = Field(
        default=(), description="Paths to look for where `path` is not in the repository."
    )
    addresses: tuple[str, ...] = Field(
        default=(),
        description="Where to fetch a file that lies on no hub, the first that answers; size and SHA-256 known.",
    )


class SharedFiles(Value):
    """Files that several models need, such as a VAE. They are no model of their own."""

    id: str
    title: str
    licence: str
    source_url: str
    folder: str = Field(description="Name of the folder with these files.")
    files: tuple[FileEntry, ...]
    comfyui: tuple[str, ...] = Field(default=(), description="Names of the same weights as a single file for ComfyUI.")


class DurationLimits(Value):
    """Seconds: the shortest and longest song the model renders, and how long one is when nobody says."""

    min_s: float
    max_s: float
    default_s: float


class V1Sampling(Value):
    """What ACE-Step v1's sampler has besides steps, solver and scale; `song.request.Sampling` says what each does."""

    omega: float = 10.0
    guidance_share: float = 0.5
    guidance_decay: float = 0.0
    guidance_floor: float = 3.0
    guidance_text: float = 0.0
    guidance_lyrics: float = 0.0
    erg: tuple[ErgPart, ...] = ("diffusion",)
    oss_steps: tuple[int, ...] = ()


class SamplingDefaults(Value):
    """How a checkpoint samples when nobody says otherwise, and what it accepts."""

    schedule: Literal["turbo", "continuous", "linear", "shifted-twice"] = Field(
        description="turbo: the published tables; continuous: any number of steps at any shift; linear: base and SFT; "
        "shifted-twice: ACE-Step v1, whose end points are shifted before the line between them is."
    )
    steps: int
    other_steps: tuple[int, ...] = Field(default=(), description="Further numbers of steps that it is known for.")
    max_steps: int
    fixed_steps: bool = Field(default=False, description="True where the published sampler has one step count only.")
    shift: float
    shifts: tuple[float, ...] = Field(
        default=(), description="The only shifts the sampler has; empty where any is fine."
    )
    shift_range: tuple[float, float] | None = Field(
        default=None, description="Least and greatest shift the checkpoint was made for."
    )
    max_timesteps: int = Field(default=20, description="Longest list of custom timesteps.")
    guidance_scale: float = Field(description="1 where the checkpoint runs without guidance.")
    guidance_supported: bool
    guidance: GuidanceName = "apg"
    guidances: tuple[GuidanceName, ...] = ("apg", "cfg", "adg", "adg-w-norm", "adg-wo-clip")
    edit_guidances: tuple[GuidanceName, ...] = Field(default=("apg", "cfg"), description="Those of flow editing.")
    solver: SolverName = "euler"
    solvers: tuple[SolverName, ...] = ("euler", "heun", "dpmpp-2m", "sde")
    edit_solvers: tuple[SolverName, ...] = Field(default=("euler",), description="Those of flow editing.")
    span_solvers: tuple[SolverName, ...] | None = Field(
        default=None, description="Those that make a region of a source, where these are not all."
    )
    edit_steps: int | None = Field(default=None, description="Steps of flow editing, where they differ.")
    edit_guidance_scale: float | None = Field(default=None, description="Guidance of flow editing, where it differs.")
    v1: V1Sampling | None = Field(default=None, description="The knobs of ACE-Step v1, where it has them.")


class LoudnessDefaults(Value):
    """Target of the loudness stage: integrated loudness in LUFS and highest true peak in dBTP; and in `original` what
    the original program does with the level of a song."""

    target_lufs: float
    true_peak_db: float
    original: Literal["peak", "off"] = "peak"


class Published(Value):
    """What can be fetched and found by name: a song model, or something that helps one."""

    id: str
    title: str
    summary: str
    aliases: tuple[str, ...] = ()
    licence: str
    source_url: str | None = None
    folder: str = Field(default="", description="Name of the folder with this checkpoint's own files.")
    files: tuple[FileEntry, ...] = ()
    configuration: str = Field(
        default="", description="Name, in the catalog, of the sizes that its `config.json` should say."
    )
    shared: tuple[str, ...] = Field(default=(), description="Ids of the shared files that this model needs as well.")
    verified: str | None = Field(
        default=None, description="Who checked published files with `partita verify`, and when."
    )


class PlannerCard(Published):
    """A language model that plans songs for other models, and makes none by itself."""


class ModelCard(Published):
    """One entry of the catalog: a model that makes songs."""

    family: Family
    variant: str = Field(
        default="", description="What tells checkpoints of one family apart, such as `turbo`, `base`, `xl-sft`."
    )
    comfyui: tuple[str, ...] = Field(default=(), description="Names of the same weights as a single file for ComfyUI.")
    diffusers: str | None = Field(default=None, description="Repository with the same weights in the diffusers layout.")
    tasks: tuple[str, ...] = ("text-to-music",)
    references: bool = Field(default=False, description="Whether it hears timbre references.")
    codes: bool = Field(default=False, description="Whether it can follow semantic codes.")
    context: bool = Field(
        default=False,
        description="Whether it is given latents to follow, and a mask of what to make.",
    )
    adapters: bool = Field(default=False, description="Whether LoRA and LoKr adapters fit it.")
    own_songs_only: bool = Field(default=False, description="True where it edits only songs that it made.")
    sings: bool = True
    follows_lyrics: bool = Field(default=False, description="Whether it can tell when each line is sung, and how well.")
    makes_score: bool = False
    time_signatures: tuple[str, ...] = ("2/4", "3/4", "4/4", "6/8")
    bpm_min: int = 30
    bpm_max: int = 300
    duration: DurationLimits
    sampling: SamplingDefaults
    loudness: LoudnessDefaults

    @property
    def download_bytes(self) -> int:
        """Sum of the sizes of its own files, exact where the exact size is known. Shared files are not counted."""
        return sum(entry.size_bytes or entry.about_bytes or 0 for entry in self.files)
