"""A request of this door as fields of a SongRequest: which model, which words, which task, in which format.

What is translated how is told in `table`. Knows no HTTP; may wait for a language model where one is asked to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from partita.errors import RequestError
from partita.service.doors import spoken
from partita.service.doors.choice import choose_model
from partita.service.doors.openai.fields import AudioConfig, ChatBody, metre, seeds
from partita.service.doors.openai.messages import Words, words_of
from partita.service.service import Service
from partita.service.uploads import Upload
from partita.song.planning import PlannerOptions
from partita.song.request import MAX_SEED

OWNERS = ("acestep", "acemusic", "ace-step")
"""What stands before the name of a model, and is no part of it."""
_OF_PLANNER = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "lm_cfg_scale": "guidance_scale",
    "use_cot_caption": "rewrite_caption",
}
_OF_TASKS = {
    "repainting_start": ("repaint", "lego"),
    "repainting_end": ("repaint", "lego"),
    "audio_cover_strength": ("cover",),
    "cover_noise_strength": ("cover",),
    "audio_codes": ("text2music",),
    "track_name": ("lego", "extract"),
    "track_classes": ("complete",),
}
"""Fields that only these kinds of work have."""
TASKS = ("text2music", "cover", "repaint", "lego", "extract", "complete")


@dataclass(frozen=True, slots=True)
class Format:
    """A format by this protocol's name: what is rendered, what it is called on the wire, and whether it is the bare
    samples that OpenAI calls PCM."""

    output: dict[str, Any]
    media_type: str
    is_pcm: bool = False


FORMATS: dict[str, Format] = {
    "mp3": Format({"format": "mp3"}, "audio/mpeg"),
    "wav": Format({"format": "wav", "bit_depth": 16}, "audio/wav"),
    "wav32": Format({"format": "wav", "bit_depth": 32}, "audio/wav"),
    "flac": Format({"format": "flac"}, "audio/flac"),
    "ogg": Format({"format": "ogg"}, "audio/ogg"),
    "opus": Format({"format": "opus"}, "audio/ogg"),
    "aac": Format({"format": "aac"}, "audio/mp4"),
    "m4a": Format({"format": "aac"}, "audio/mp4"),
    "pcm": Format({"format": "wav", "bit_depth": 16}, "audio/pcm", is_pcm=True),
    "pcm16": Format({"format": "wav", "bit_depth": 16}, "audio/pcm", is_pcm=True),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made: fields of a SongRequest, what is to be told of it, and how it is delivered."""

    fields: dict[str, Any]
    notes: tuple[str, ...]
    format: Format


def format_of(name: str | None, field: str) -> Format:
    """Raises RequestError for a format that there is not."""
    found = FORMATS.get((name or "mp3").strip().lower())
    if found is None:
        raise RequestError(
            f"{field} cannot be {(name or '')[:40]!r}: there are {', '.join(FORMATS)}.", field=field, value=name
        )
    return found


def bare(model: str | None) -> str | None:
    """The name of a model without its owner."""
    owner, slash, rest = (model or "").strip().partition("/")
    return (rest if slash and owner in OWNERS else (model or "").strip()) or None


def wanted(body: ChatBody, text: str, uploads: Sequence[Upload], service: Service, *, timeout_s: float) -> Wanted:
    """What a body asks for, with the text of its message and the audio that came with it.

    May block until a language model has written words. Raises RequestError for what cannot be made sense of, BusyError
    and DeadlineError where the language model is not to be had in time.
    """
    config = body.audio_config or AudioConfig()
    asked_format = (body.audio.format if body.audio else None) or config.format
    form = format_of(asked_format, "audio.format" if body.audio and body.audio.format else "audio_config.format")
    choice = choose_model(bare(body.model), service.settings)
    notes = [*choice.notes]
    duration_s = config.duration if config.duration and config.duration > 0 else None
    given: dict[str, Any] = {
        "duration_s": duration_s,
        "bpm": config.bpm or None,
        "key": (config.key_scale or "").strip() or None,
        "time_signature": metre(config.time_signature),
        "language": (config.vocal_language or "").strip() or None,
        "seed": _seed(body, notes),
    }
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    fields |= {"model": choice.model_id, "output": form.output, "sampling": _sampling(body, notes)}
    fields |= _task(body, uploads, notes)
    planner = _planner(body, notes)
    fields |= _words(body, config, text, fields, planner, service, notes, timeout_s)
    by_model = spoken.planned(
        "full" if body.thinking else "off",
        choice.card,
        service.settings,
        "thinking",
        options=planner,
        duration_s=duration_s,
    )
    notes += by_model.notes
    if not by_model.fields and not body.sample_mode and not body.use_format:
        notes += [
            f"{name} was asked for and is not applied: no language model plans this song." for name in _told(body)
        ]
    return Wanted({**fields, **by_model.fields}, tuple(notes), form)


def _seed(body: ChatBody, notes: list[str]) -> int | None:
    asked = seeds(body.seed)
    if len(asked) > 1:
        notes.append(f"seed {body.seed} was asked for and is not applied in full: one song is made, with the first.")
    if not asked:
        return None
    seed = asked[0] % (MAX_SEED + 1)
    if seed != asked[0]:
        notes.append(f"seed {asked[0]} is beyond what there is: {seed} is taken, which is it modulo 2^32.")
    return seed


def _sampling(body: ChatBody, notes: list[str]) -> dict[str, Any]:
    sampling: dict[str, Any] = {"steps": body.inference_steps, "guidance_scale": body.guidance_scale}
    if body.infer_method == "sde":
        sampling["solver"] = "sde"
    elif body.infer_method not in (None, "", "ode"):
        notes.append(f"infer_method {body.infer_method} was asked for and is not applied: there are ode and sde.")
    return {name: value for name, value in sampling.items() if value is not None}


def _told(body: ChatBody) -> list[str]:
    """Fields for a language model that the caller sent; to let it rewrite the caption is what is usual."""
    return [name for name in _OF_PLANNER if getattr(body, name) not in (None, True)]


def _planner(body: ChatBody, notes: list[str]) -> dict[str, Any]:
    """Options of a language model, each that makes sense for one."""
    options: dict[str, Any] = {}
    for name, ours in _OF_PLANNER.items():
        value = getattr(body, name)
        if value is None:
            continue
        try:
            PlannerOptions(**{ours: value})
        except RequestError as error:
            notes.append(f"{name} {value:g} was asked for and is not applied: {error}")
        else:
            options[ours] = value
    return options


def _words(
    body: ChatBody,
    config: AudioConfig,
    text: str,
    fields: dict[str, Any],
    planner: dict[str, Any],
    service: Service,
    notes: list[str],
    timeout_s: float,
) -> dict[str, Any]:
    """Caption and lyrics, and whatever else a language model wrote where one was asked to."""
    found = words_of(text)
    direct = (body.lyrics or "").strip()
    if direct:
        # The message is the caption as it is, but for tags.
        found = Words(caption=found.caption or found.lyrics, lyrics=body.lyrics or "")
    options, seed = PlannerOptions(**planner), fields.get("seed")
    settled = {name: fields.get(name) for name in ("bpm", "duration_s", "key", "time_signature", "language")}
    if body.sample_mode:
        written = spoken.written(
            service.queue,
            service.settings,
            found.caption or found.lyrics,
            "sample_mode",
            language=settled["language"],
            instrumental=bool(config.instrumental),
            options=options,
            seed=seed,
            timeout_s=timeout_s,
        )
        words = written.fields | {name: value for name, value in settled.items() if value is not None}
    elif body.use_format:
        written = spoken.rewritten(
            service.queue,
            service.settings,
            found.caption,
            found.lyrics,
            "use_format",
            given=settled,
            options=options,
            seed=seed,
            timeout_s=timeout_s,
        )
        words = written.fields
    else:
        written = None
        words = {"caption": found.caption, "lyrics": found.lyrics}
    notes += written.notes if written is not None else ()
    sung = spoken.sung(words.pop("lyrics", ""), config.instrumental)
    if config.instrumental and "lyrics" in sung:
        notes.append("audio_config.instrumental was asked for and is not applied: there are lyrics.")
    return words | sung


def _task(body: ChatBody, uploads: Sequence[Upload], notes: list[str]) -> dict[str, Any]:
    """The task with its source, and references."""
    kind = (body.task_type or "text2music").strip().lower()
    if kind not in TASKS:
        raise RequestError(
            f"task_type cannot be {kind[:40]!r}: there are {', '.join(TASKS)}.", field="task_type", value=kind
        )
    for name, kinds in _OF_TASKS.items():
        if getattr(body, name) not in (None, "", []) and kind not in kinds:
            notes.append(f"{name} was asked for and is not applied: it is of {' and '.join(kinds)}, not of {kind}.")
    refs = [{"upload": upload.id} for upload in uploads]
    places = 1 if kind == "text2music" else 2
    if len(refs) > places:
        notes.append(f"{len(refs) - places} more audio was sent and is not applied: {kind} takes {places}.")
    if kind == "text2music":
        codes = (body.audio_codes or "").strip()
        task: dict[str, Any] = {"kind": "text-to-music", **({"codes": codes} if codes else {})}
        references = refs[:1]
    elif not refs:
        raise RequestError(
            f"task_type {kind} works on audio, and none was sent: add an input_audio part to the message.",
            field="messages",
        )
    else:
        task = {"source": refs[0], **_fields_of(kind, body, uploads[0])}
        references = refs[1:2]
    return {"task": task, **({"references": references} if references else {})}


def _fields_of(kind: str, body: ChatBody, source: Upload) -> dict[str, Any]:
    """The fields of a task that has a source, but for the source."""
    start_s, end_s = body.repainting_start or 0.0, body.repainting_end
    end_s = end_s if end_s is not None and end_s > 0 else None
    if kind == "cover":
        asked = {"strength": body.audio_cover_strength, "noise_strength": body.cover_noise_strength}
        return {"kind": "cover", **{name: value for name, value in asked.items() if value is not None}}
    if kind == "repaint" and start_s < 0:
        return {"kind": "outpaint", "start_s": start_s, "end_s": end_s if end_s is not None else source.duration_s}
    if kind == "repaint":
        return {"kind": "repaint", "start_s": start_s, "end_s": end_s}
    if kind == "complete":
        named = body.track_classes or []
        tracks = named.replace("|", ",").split(",") if isinstance(named, str) else named
        return {"kind": "complete", "tracks": [name.strip().lower() for name in tracks if name.strip()]}
    if not body.track_name:
        raise RequestError(f"task_type {kind} makes one track: say in track_name which.", field="track_name")
    track = {"kind": kind, "track": body.track_name.strip().lower()}
    return track if kind == "extract" else {**track, "start_s": max(0.0, start_s), "end_s": end_s}
