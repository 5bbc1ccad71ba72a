"""What a user asks for. `SongRequest` is the only description of work: the library takes it, and the command line's
flags and every other front end only build it. It knows no model: what a model can honour is `resolve`'s business.
"""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from partita.audio.formats import BIT_DEPTHS, BITRATES_KBPS, NEEDS_AV
from partita.errors import RequestError
from partita.score.keys import tidy_key
from partita.song.card import AskedSolverName, ErgPart, GuidanceName
from partita.song.plan import Plan
from partita.song.planning import PlannerOptions
from partita.song.source import AudioRef
from partita.song.task import Task, TextToMusic, source_of
from partita.song.values import Asked
from partita.text.languages import check_language

AudioFormat = Literal["wav", "flac", "mp3", "ogg", "opus", "aac"]
TimeSignature = Literal["2/4", "3/4", "4/4", "6/8"]
MAX_SEED = 2**32 - 1
MOST_OSS_STEPS = 1000


class Sampling(Asked):
    """How the sampler walks from noise to music. What is left empty comes from the model's card."""

    steps: int | None = Field(default=None, ge=1, le=200, description="Sampler steps.")
    shift: float | None = Field(default=None, gt=0, le=10, description="Time shift s: t becomes s·t / (1 + (s − 1)·t).")
    timesteps: tuple[float, ...] | None = Field(
        default=None, description="Own times from 1 (noise) down to 0, in place of steps and shift."
    )
    timesteps_verbatim: bool = Field(
        default=False,
        description="Use own timesteps as they are where the published sampler would snap them to its table.",
    )
    solver: AskedSolverName | None = Field(
        default=None,
        description="euler, heun, dpmpp-2m (no chance), or sde, also pingpong (fresh noise each step).",
    )
    guidance: GuidanceName | None = Field(
        default=None, description="How the conditional and the null prediction combine."
    )
    guidance_scale: float | None = Field(default=None, ge=1, le=30, description="1 is no guidance.")
    guidance_interval: tuple[float, float] = Field(
        default=(0.0, 1.0), description="Times t between which guidance acts."
    )
    guidance_share: float | None = Field(
        default=None, ge=0, le=1, description="v1: share of the steps, in the middle of them, in which guidance acts."
    )
    guidance_decay: float | None = Field(
        default=None, ge=0, le=1, description="v1: how far the scale falls towards guidance_floor while it acts."
    )
    guidance_floor: float | None = Field(default=None, ge=1, le=30, description="v1: what the scale falls towards.")
    guidance_text: float | None = Field(
        default=None, ge=0, le=30, description="v1: with guidance_lyrics, a scale for the words alone; 0 is off."
    )
    guidance_lyrics: float | None = Field(
        default=None, ge=0, le=30, description="v1: with guidance_text, a scale for words and lyrics; 0 is off."
    )
    erg: tuple[ErgPart, ...] | None = Field(
        default=None,
        description="v1: where guidance is led away from a weakened reading instead of none: tags, lyrics, diffusion.",
    )
    omega: float | None = Field(
        default=None,
        ge=-100,
        le=100,
        description="v1: how far each step goes: -10 is 0.954 times, 0 once, 10 1.046.",
    )
    oss_steps: tuple[int, ...] | None = Field(
        default=None, description="v1: which steps of a longer schedule to take, such as 16,29,52,96; replaces steps."
    )

    @field_validator("timesteps")
    @classmethod
    def _timesteps_fall(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is None:
            return None
        if not value or any(not 0 <= t <= 1 for t in value) or any(a < b for a, b in pairwise(value)):
            raise ValueError("must be numbers from 1 down to 0, each at most the one before")
        return value

    @field_validator("oss_steps")
    @classmethod
    def _steps_rise(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or value[0] < 1 or any(a >= b for a, b in pairwise(value))):
            raise ValueError("must be whole numbers from 1 up, each above the one before")
        if value is not None and value[-1] > MOST_OSS_STEPS:
            raise ValueError(f"must end at {MOST_OSS_STEPS} or before")
        return value

    @field_validator("guidance_interval")
    @classmethod
    def _interval_in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] <= value[1] <= 1:
            raise ValueError("must be two numbers with 0 <= start <= end <= 1")
        return value


class Output(Asked):
    """What is delivered. What is left empty comes from the model's card or the format's usual value."""

    format: AudioFormat = Field(default="flac", description="wav, flac, mp3, ogg (Vorbis), opus or aac.")
    bit_depth: Literal[16, 24, 32] | None = Field(
        default=None, description="16 or 24; 32 is float and for wav only. Default 24 for flac and wav."
    )
    bitrate_kbps: int | None = Field(default=None, ge=32, le=510, description="For mp3, ogg, opus and aac.")
    normalise: Literal["loudness", "peak", "off"] | None = Field(
        default=None,
        description="loudness: to loudness_lufs under true_peak_db; peak: to true_peak_db as sample peak; off.",
    )
    loudness_lufs: float | None = Field(default=None, ge=-40, le=-5, description="Target integrated loudness.")
    true_peak_db: float | None = Field(default=None, ge=-20, le=0, description="Highest true peak in dBTP.")
    keep_raw: bool = Field(
        default=False, description="Keep the audio before the loudness stage too, as 32-bit float WAV."
    )
    keep_latents: bool = Field(default=False, description="Keep the latents beside the audio, as safetensors.")
    midi: bool = Field(default=False, description="Write the score as MIDI (models that make a score).")
    stems: bool = Field(default=False, description="Write one audio file a track (models that make a score).")
    lrc: bool = Field(default=False, description="Write when each line is sung, as LRC (models that sing).")
    vtt: bool = Field(default=False, description="Write when each line is sung, as WebVTT (models that sing).")

    @model_validator(mode="after")
    def _fits_the_format(self) -> Self:
        depths, rates = BIT_DEPTHS.get(self.format), BITRATES_KBPS.get(self.format)
        if self.bit_depth is not None and depths is None:
            raise ValueError(f"bit_depth {self.bit_depth} is for wav and flac; {self.format} takes bitrate_kbps")
        if depths is not None and self.bit_depth not in (None, *depths):
            raise ValueError(
                f"bit_depth {self.bit_depth} is not for {self.format}, which takes {depths[0]} or {depths[1]}"
            )
        if self.bitrate_kbps is not None and rates is None:
            raise ValueError(f"bitrate_kbps {self.bitrate_kbps} is for lossy formats; {self.format} is lossless")
        if rates is not None and self.bitrate_kbps is not None and not rates[0] <= self.bitrate_kbps <= rates[1]:
            raise ValueError(
                f"bitrate_kbps {self.bitrate_kbps} is outside what {self.format} takes: {rates[0]} to {rates[1]}"
            )
        if self.format in NEEDS_AV and find_spec("av") is None:
            raise ValueError(f'format {self.format} needs the codecs extra: pip install "partita[codecs]"')
        if self.normalise in ("peak", "off") and self.loudness_lufs is not None:
            raise ValueError(f"loudness_lufs needs normalise loudness, and normalise is {self.normalise}")
        return self


class AdapterChoice(Asked):
    """A trained adapter and how much of it. A plain string stands for `name`, or for both as in `name:0.8`."""

    name: str = Field(min_length=1, description="A file or folder, or the name of one in the folder of adapters.")
    strength: float = Field(default=1.0, ge=-4, le=4, description="1 is as trained, 0 is nothing.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        name, colon, strength = value.rpartition(":")
        try:
            return {"name": name, "strength": float(strength)} if colon and name else {"name": value}
        except ValueError:  # the colon belongs to the path
            return {"name": value}


class SongRequest(Asked):
    """A song as a user describes it. Everything but a caption or lyrics may be left out; with a source, these too.

    Raises RequestError, which names the field, where a value is bad.
    """

    caption: str = Field(default="", max_length=10_000, description="What it should sound like, in words.")
    lyrics: str = Field(
        default="", max_length=50_000, description="Words to sing, with tags such as [Verse] and [Chorus]."
    )
    instrumental: bool = Field(default=False, description="No voice. Implied where there are no lyrics.")
    style: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Genre of `partita styles`, or a YAML file: tags, tempo and words for what is left open.",
    )
    model: str | None = Field(default=None, description="Model id; default: the PARTITA_MODEL setting, else built-in.")
    task: Task = TextToMusic()
    references: tuple[AudioRef, ...] = Field(
        default=(), max_length=8, description="Audio whose timbre the song should have: one file or several."
    )
    adapters: tuple[AdapterChoice, ...] = Field(
        default=(), max_length=8, description="Trained adapters (LoRA, LoKr), each NAME or NAME:STRENGTH."
    )
    duration_s: float | None = Field(default=None, gt=0, description="Length in seconds.")
    bpm: int | None = Field(default=None, ge=30, le=300, description="Tempo in beats a minute.")
    key: str | None = Field(default=None, description="Key, such as 'C major' or 'F# minor'.")
    time_signature: TimeSignature | None = Field(default=None, description="Metre: 2/4, 3/4, 4/4 or 6/8.")
    language: str | None = Field(default=None, description="Language code of the lyrics, or 'unknown'.")
    seed: int | None = Field(
        default=None, ge=0, le=MAX_SEED, description="Same seed, same song. Default: drawn at random."
    )
    count: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="How many songs, with seeds s, s+1, ...")
    best_of: Annotated[int, Field(ge=1, le=16)] = Field(
        default=1, description="Make so many for each song, with seeds one after another, and deliver the best."
    )
    planner: PlannerOptions = PlannerOptions()
    plan: Plan | None = Field(default=None, description="Follow exactly this plan, as `partita plan --json` tells it.")
    sampling: Sampling = Sampling()
    output: Output = Output()
    parity: bool = Field(default=False, description="Do as the original program does where Partita knowingly differs.")

    @field_validator("caption", "lyrics")
    @classmethod
    def _no_null_characters(cls, value: str) -> str:
        if "\x00" in value:
            raise ValueError("must be text; it holds a null character")
        return value

    @field_validator("key")
    @classmethod
    def _spell_key(cls, value: str | None) -> str | None:
        return None if value is None else tidy_key(value)

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str | None) -> str | None:
        return None if value is None else check_language(value)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        worded = self.plan is not None or self.style is not None or source_of(self.task) is not None
        if not worded and not self.caption.strip() and not self.lyrics.strip():
            raise RequestError(
                "caption and lyrics are both empty: say what the song should sound like, for example "
                "'slow piano ballad, warm and quiet', or give lyrics or a style.",
                field="caption",
                value=self.caption,
            )
        if self.instrumental and self.lyrics.strip():
            raise RequestError(
                "instrumental was asked for and lyrics were given: leave out one of them.",
                field="instrumental",
                value=True,
            )
        return self
