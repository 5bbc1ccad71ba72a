"""The bodies of this door's requests, as its protocols have them. What becomes of each field is `table`'s to tell.

Fields that are not named here are taken and told of in the notes: the protocols ignore what they do not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from partita.errors import RequestError
from partita.service.doors.openai.messages import Message

Seed = int | Annotated[str, StringConstraints(max_length=400)] | None
Text = Annotated[str, StringConstraints(max_length=60_000)]
Short = Annotated[str, StringConstraints(max_length=200)]
"""Names, keys, formats: whatever is no text of a song."""
Metre = int | Short | None
"""Beats in a bar, as `3` or as `3/4`."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class AudioConfig(_Body):
    """What the song should be like, beside its words."""

    duration: float | None = Field(default=None, description="Seconds; none, 0 or less: as long as it takes.")
    format: Short | None = Field(default=None, description="mp3, wav, wav32, flac, ogg, opus, aac, m4a or pcm16.")
    bpm: int | None = Field(default=None, description="Beats a minute; none or 0: to be chosen.")
    key_scale: Short | None = Field(default=None, examples=["C major"])
    time_signature: Metre = Field(default=None, examples=["4/4"])
    vocal_language: Short | None = Field(default=None, examples=["en"])
    instrumental: bool | None = None


class AudioOut(_Body):
    """Audio out as OpenAI's protocol asks for it: the answer has the shape that its clients read."""

    format: Short | None = Field(default=None, description="mp3, wav, flac, opus, aac or pcm16.", examples=["mp3"])
    voice: Any = None


class StreamOptions(_Body):
    include_usage: bool | None = None


class ChatBody(_Body):
    """`POST /v1/chat/completions`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "built-in",
                    "messages": [{"role": "user", "content": "calm piano, rain on the window"}],
                    "audio_config": {"duration": 10, "format": "mp3"},
                    "seed": 7,
                }
            ]
        }
    )

    model: Short | None = Field(default=None, description="A model of /v1/models, with or without its owner.")
    messages: list[Message] = Field(min_length=1, max_length=2000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    modalities: list[Short] | None = Field(default=None, max_length=20)
    audio: AudioOut | None = None
    audio_config: AudioConfig | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    seed: Seed = None
    thinking: bool | None = None
    guidance_scale: float | None = None
    batch_size: int | None = None
    lyrics: Text | None = None
    sample_mode: bool | None = None
    use_format: bool | None = None
    use_cot_caption: bool | None = None
    task_type: Short | None = None
    track_name: Short | None = None
    track_classes: list[Short] | Short | None = None
    repainting_start: float | None = None
    repainting_end: float | None = None
    audio_cover_strength: float | None = None
    cover_noise_strength: float | None = None
    inference_steps: int | None = None
    infer_method: Short | None = None
    lm_cfg_scale: float | None = None
    audio_codes: Annotated[str, StringConstraints(max_length=200_000)] | None = None


class MusicBody(_Body):
    """`POST /v1/audio/music` and `/v1/audio/speech`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "built-in",
                    "input": "calm piano, rain on the window",
                    "response_format": "mp3",
                    "duration": 5,
                }
            ]
        }
    )

    model: Short | None = Field(default=None, description="A model of /v1/models, with or without its owner.")
    input: Text = Field(description="What it should sound like, or lyrics, or both between <prompt> and <lyrics> tags.")
    instructions: Text | None = Field(default=None, description="More of what it should sound like.")
    voice: Any = None
    response_format: Short | None = Field(default=None, description="mp3, opus, aac, flac, wav or pcm. Default mp3.")
    speed: float | None = None
    stream_format: Literal["audio", "sse"] | None = None
    lyrics: Text | None = None
    duration: float | None = None
    bpm: int | None = None
    key: Short | None = None
    time_signature: Metre = None
    language: Short | None = None
    instrumental: bool | None = None
    seed: Seed = None
    inference_steps: int | None = None
    guidance_scale: float | None = None
    thinking: bool | None = None

    def as_chat(self) -> ChatBody:
        """The same wishes as a conversation of one message."""
        same = ("model", "lyrics", "seed", "inference_steps", "guidance_scale", "thinking")
        config = AudioConfig(
            duration=self.duration,
            bpm=self.bpm,
            key_scale=self.key,
            time_signature=self.time_signature,
            vocal_language=self.language,
            instrumental=self.instrumental,
            format=self.response_format,
        )
        message = Message(role="user", content=self.input)
        return ChatBody(messages=[message], audio_config=config, **{name: getattr(self, name) for name in same})


def given(body: BaseModel) -> Mapping[str, Any]:
    """Every field that was sent with a value, those of groups as `audio_config.bpm`. Messages are no such field."""
    return dict(_given(body, ""))


def _given(body: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    for name in sorted(body.model_fields_set | set(body.model_extra or {})):
        value = getattr(body, name)
        if isinstance(value, BaseModel):
            yield from _given(value, f"{prefix}{name}.")
        elif value is not None and name != "messages":
            yield prefix + name, value


def metre(value: int | str | None) -> str | None:
    """A metre as a request has it: `3` and `3/4` are the same, and 6 are eighths. None where none is asked for."""
    text = str(value or "").strip().lower()
    if text in ("", "0", "auto", "none", "n/a"):
        return None
    return f"{text}/{8 if text == '6' else 4}" if text.isdecimal() else text


def seeds(value: Seed) -> list[int]:
    """The seeds of a number or a list between commas; empty where the caller leaves them open, as -1 does.

    Raises RequestError for what is none.
    """
    if value is None:
        return []
    try:
        numbers = [int(part) for part in str(value).split(",") if part.strip()]
    except ValueError:
        raise RequestError(f"seed cannot be {str(value)[:60]!r}: give a whole number.", field="seed") from None
    return [number for number in numbers if number != -1]
