"""What this door answers, as values: completions and their pieces, audio in two shapes, models. Knows no HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from partita.audio.resample import resample
from partita.service.doors.openai.wanted import Format
from partita.service.jobs.job import Job
from partita.song.card import ModelCard
from partita.text.prompts import INSTRUMENTAL_LYRICS

PCM_RATE_HZ = 24_000
"""OpenAI's PCM: 16 bit, little-endian, mono, without a header."""
USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
PIECE_BYTES = 48 * 1024
"""A multiple of three, so that the base64 of pieces can be read one by one or joined."""
NEVER = 2**31 - 1
LONGEST_HEADER = 3000
MODELS_SINCE = 1_767_225_600
"""`created` of every model in a list, which nobody can use for anything: the first day of 2026."""


def audio_bytes(path: Path, form: Format) -> bytes:
    """A finished song as it goes over the wire."""
    return pcm_of(path) if form.is_pcm else path.read_bytes()


def pcm_of(path: Path) -> bytes:
    """A sound file as OpenAI's PCM."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = resample(np.ascontiguousarray(samples.mean(axis=1)), rate_hz, PCM_RATE_HZ)
    return (np.clip(mono, -1, 1) * 32767).round().astype("<i2").tobytes()


def notes_of(job: Job) -> tuple[str, ...]:
    """What is to be told of a song: what its job was submitted with, and what its record says besides."""
    recorded = job.songs[0].record.warnings if job.songs else ()
    return tuple(dict.fromkeys((*job.options.notes, *recorded)))


def notes_header(notes: Iterable[str]) -> str:
    """Notes as the JSON list of a header, in ASCII; those that would make it too long are counted."""
    kept: list[str] = []
    for at, note in enumerate(every := list(notes)):
        if len(json.dumps([*kept, note])) > LONGEST_HEADER:
            kept.append(f"and {len(every) - at} more, in the record")
            break
        kept.append(note)
    return json.dumps(kept)


def text_of(job: Job) -> str:
    """The song in words, as the message says it: what it was planned to be, what is to be told of it, its lyrics."""
    plan = job.songs[0].record.plan
    facts = {
        "Caption": plan.caption,
        "BPM": plan.bpm,
        "Duration": f"{job.songs[0].duration_s:g}s",
        "Key": plan.key,
        "Time Signature": plan.time_signature,
    }
    blocks = ["\n".join(["## Metadata", *(f"**{name}:** {value}" for name, value in facts.items() if value)])]
    if notes := notes_of(job):
        blocks.append("\n".join(["## Notes", *(f"- {note}" for note in notes)]))
    if lyrics := lyrics_of(job):
        blocks.append(f"## Lyrics\n{lyrics}")
    return "\n\n".join(blocks)


def lyrics_of(job: Job) -> str:
    lyrics = job.songs[0].record.plan.lyrics.strip()
    return "" if lyrics == INSTRUMENTAL_LYRICS else lyrics


def codes_of(job: Job) -> str | None:
    """The semantic codes that the song follows, as text, where there are some."""
    codes = job.songs[0].record.plan.codes
    return "".join(f"<|audio_code_{code}|>" for code in codes) if codes else None


def about(job: Job) -> dict[str, Any]:
    """What this server adds to an answer: which song it is, what played, and what is to be told."""
    song = job.songs[0]
    return {
        "song": job.id,
        "model": song.record.request.model,
        "seed": song.seed,
        "duration_s": song.duration_s,
        "notes": list(notes_of(job)),
    }


def audio_list(data: bytes, form: Format) -> list[dict[str, Any]]:
    """Audio as OpenRouter has it."""
    url = f"data:{form.media_type};base64,{base64.b64encode(data).decode()}"
    return [{"type": "audio_url", "audio_url": {"url": url}}]


def audio_object(data: bytes, job: Job, expires_at: int) -> dict[str, Any]:
    """Audio as OpenAI has it. The transcript is what is sung, or else what is heard."""
    encoded = base64.b64encode(data).decode()
    return {"id": f"audio_{job.id}", "data": encoded, "expires_at": expires_at, "transcript": transcript_of(job)}


def audio_pieces(data: bytes, job: Job, expires_at: int) -> Iterator[dict[str, Any]]:
    """The same in pieces, as OpenAI streams it."""
    yield {"id": f"audio_{job.id}", "transcript": transcript_of(job)}
    for start in range(0, len(data), PIECE_BYTES):
        yield {"id": f"audio_{job.id}", "data": base64.b64encode(data[start : start + PIECE_BYTES]).decode()}
    yield {"id": f"audio_{job.id}", "expires_at": expires_at}


def transcript_of(job: Job) -> str:
    return lyrics_of(job) or job.songs[0].record.plan.caption


def expires_at(job: Job, age_s: float | None) -> int:
    """Until when the server keeps a song, where nothing else makes it go."""
    return NEVER if age_s is None or job.finished_at is None else min(NEVER, int(job.finished_at + age_s))


def completion(job: Job, model: str, audio: Any) -> dict[str, Any]:
    """The answer to a chat that is not streamed."""
    message = {"role": "assistant", "content": text_of(job), "audio": audio, "audio_codes": codes_of(job)}
    return {
        "id": chat_id(job),
        "object": "chat.completion",
        "created": int(job.submitted_at),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
        "partita": about(job),
    }


def chunk(job: Job, model: str, delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A piece of a streamed answer; without a delta it has no choice, as the piece with the usage."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {
        "id": chat_id(job),
        "object": "chat.completion.chunk",
        "created": int(job.submitted_at),
        "model": model,
        "choices": choices,
        **more,
    }


def chat_id(job: Job) -> str:
    return f"chatcmpl-{job.id[:16]}"


def model_entry(card: ModelCard, name: str) -> dict[str, Any]:
    """A model by one of its names, in OpenAI's shape and in OpenRouter's at once."""
    return {
        "id": name,
        "object": "model",
        "created": MODELS_SINCE,
        "owned_by": name.partition("/")[0] if "/" in name else "partita",
        "name": f"ACE-Step {name.rpartition('/')[2]}" if card.family != "built-in" else card.title,
        "description": card.summary,
        "input_modalities": ["text", "audio"],
        "output_modalities": ["audio", "text"],
        "context_length": 4096,
        "max_output_length": int(card.duration.max_s),
        "pricing": {"prompt": "0", "completion": "0", "request": "0", "image": "0"},
        "architecture": None,
    }
