"""What becomes of each field of this door's protocols, as data: the docs show it, and notes are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from partita.service.doors.openai.fields import ChatBody, MusicBody, given
from partita.service.doors.table import FieldRow, not_applied

_ONE_SONG = "one song is made and answered"
_NO_TEXT = "no text is generated"
_NO_TOOLS = "this is music, and calls no tools"
_NO_RECORD = "jobs keep their request and nothing else"
_NO_VOICE = "a singer is described in the caption, and has no name"
_NO_FILTER = "nothing is looked up or filtered"

CHAT: tuple[FieldRow, ...] = (
    FieldRow("model", "translated", "`model`: a catalog id or upstream name, with or without `acestep/`"),
    FieldRow("messages", "translated", "the last user message: `caption`, `lyrics`, audio to a source and references"),
    FieldRow("stream", "passed on", "an event stream; a pause is filled with comments, which clients never see"),
    FieldRow("stream_options.include_usage", "passed on", "a last chunk with `usage`, all zeros"),
    FieldRow("modalities", "translated", "whatever it says, the answer has text and audio"),
    FieldRow("audio.format", "translated", "`output.format`; with `audio`, the answer's audio is as OpenAI has it"),
    FieldRow("audio.voice", "not applied", _NO_VOICE),
    FieldRow("audio_config.duration", "translated", "`duration_s`; 0 or less is left open"),
    FieldRow(
        "audio_config.format", "translated", "`output.format`; `wav32` is float, `m4a` is `aac`, `pcm16` is 24 kHz"
    ),
    FieldRow("audio_config.bpm", "translated", "`bpm`; 0 is left open"),
    FieldRow("audio_config.key_scale", "translated", "`key`"),
    FieldRow("audio_config.time_signature", "translated", "`time_signature`; `3` is `3/4` and `6` is `6/8`"),
    FieldRow("audio_config.vocal_language", "translated", "`language`; left open, it is read from the lyrics"),
    FieldRow("audio_config.instrumental", "translated", "`instrumental`, where there are no lyrics"),
    FieldRow("temperature", "translated", "`planner.temperature`, where a language model plans (`thinking`)"),
    FieldRow("top_p", "translated", "`planner.top_p`, where a language model plans"),
    FieldRow("top_k", "translated", "`planner.top_k`, where a language model plans"),
    FieldRow("lm_cfg_scale", "translated", "`planner.guidance_scale`, where a language model plans"),
    FieldRow("use_cot_caption", "translated", "`planner.rewrite_caption`, where a language model plans"),
    FieldRow("seed", "translated", "`seed`, modulo 2^32; -1 is left open; of several the first"),
    FieldRow("thinking", "translated", "`planner.mode` full, with a model that is planned so"),
    FieldRow("guidance_scale", "translated", "`sampling.guidance_scale`"),
    FieldRow("inference_steps", "translated", "`sampling.steps`"),
    FieldRow("infer_method", "translated", "`ode`: the model's own solver; `sde`: `sampling.solver`"),
    FieldRow("lyrics", "translated", "`lyrics`; the message is then the caption"),
    FieldRow("sample_mode", "translated", "the message is a wish from which a language model writes the song"),
    FieldRow("use_format", "translated", "a language model rewrites caption and lyrics first"),
    FieldRow("task_type", "translated", "`task`, with the first audio as source (for text2music: as reference)"),
    FieldRow("track_name", "translated", "`task.track` of lego and extract"),
    FieldRow("track_classes", "translated", "`task.tracks` of complete"),
    FieldRow("repainting_start", "translated", "`task.start_s`; before 0 the task is outpaint"),
    FieldRow("repainting_end", "translated", "`task.end_s`; 0 or less is the end"),
    FieldRow("audio_cover_strength", "translated", "`task.strength` of cover"),
    FieldRow("cover_noise_strength", "translated", "`task.noise_strength` of cover"),
    FieldRow("audio_codes", "translated", "`task.codes` of text2music"),
    FieldRow("batch_size", "not applied", _ONE_SONG),
    FieldRow("n", "not applied", _ONE_SONG),
    FieldRow("use_cot_language", "not applied", "a language that is given stays, and else it is read from the lyrics"),
    FieldRow("use_cot_metas", "not applied", "tempo, key and metre that are given stay, and else they are planned"),
    FieldRow("max_tokens", "not applied", _NO_TEXT),
    FieldRow("max_completion_tokens", "not applied", _NO_TEXT),
    FieldRow("stop", "not applied", _NO_TEXT),
    FieldRow("frequency_penalty", "not applied", _NO_TEXT),
    FieldRow("presence_penalty", "not applied", _NO_TEXT),
    FieldRow("logit_bias", "not applied", _NO_TEXT),
    FieldRow("logprobs", "not applied", _NO_TEXT),
    FieldRow("top_logprobs", "not applied", _NO_TEXT),
    FieldRow("response_format", "not applied", _NO_TEXT),
    FieldRow("prediction", "not applied", _NO_TEXT),
    FieldRow("reasoning_effort", "not applied", _NO_TEXT),
    FieldRow("verbosity", "not applied", _NO_TEXT),
    FieldRow("tools", "not applied", _NO_TOOLS),
    FieldRow("tool_choice", "not applied", _NO_TOOLS),
    FieldRow("parallel_tool_calls", "not applied", _NO_TOOLS),
    FieldRow("functions", "not applied", _NO_TOOLS),
    FieldRow("function_call", "not applied", _NO_TOOLS),
    FieldRow("web_search_options", "not applied", _NO_TOOLS),
    FieldRow("metadata", "not applied", _NO_RECORD),
    FieldRow("store", "not applied", _NO_RECORD),
    FieldRow("user", "not applied", _NO_RECORD),
    FieldRow("safety_identifier", "not applied", _NO_RECORD),
    FieldRow("prompt_cache_key", "not applied", _NO_RECORD),
    FieldRow("service_tier", "not applied", "jobs are served in the order in which they come"),
    FieldRow("moderation", "not applied", _NO_FILTER),
)

MUSIC: tuple[FieldRow, ...] = (
    FieldRow("model", "translated", "`model`: a catalog id or upstream name, with or without `acestep/`"),
    FieldRow("input", "translated", "`caption` and `lyrics`, told apart as in a message of a chat"),
    FieldRow("instructions", "translated", "joined to `caption`"),
    FieldRow("voice", "not applied", _NO_VOICE),
    FieldRow("response_format", "translated", "`output.format`; `aac` is in an MP4 file, `pcm` 16 bit, 24 kHz, mono"),
    FieldRow("speed", "not applied", "music has a tempo: give bpm"),
    FieldRow("stream_format", "passed on", "`audio`: bytes, `sse`: events with base64; both once the song is whole"),
    FieldRow("lyrics", "passed on", "`lyrics`; the input is then the caption"),
    FieldRow("duration", "translated", "`duration_s`; 0 or less is left open"),
    FieldRow("bpm", "translated", "`bpm`; 0 is left open"),
    FieldRow("key", "passed on", "`key`"),
    FieldRow("time_signature", "translated", "`time_signature`; `3` is `3/4` and `6` is `6/8`"),
    FieldRow("language", "passed on", "`language`; left open, it is read from the lyrics"),
    FieldRow("instrumental", "translated", "`instrumental`, where there are no lyrics"),
    FieldRow("seed", "translated", "`seed`, modulo 2^32; -1 is left open; of several the first"),
    FieldRow("inference_steps", "translated", "`sampling.steps`"),
    FieldRow("guidance_scale", "translated", "`sampling.guidance_scale`"),
    FieldRow("thinking", "translated", "`planner.mode` full, with a model that is planned so"),
)

CHAT_NAMES: Mapping[str, str] = {
    "caption": "messages",
    "task": "task_type",
    "task.source": "messages",
    "output": "audio_config.format",
    "duration_s": "audio_config.duration",
    "bpm": "audio_config.bpm",
    "key": "audio_config.key_scale",
    "time_signature": "audio_config.time_signature",
    "language": "audio_config.vocal_language",
    "sampling.steps": "inference_steps",
    "sampling.guidance_scale": "guidance_scale",
    "sampling.solver": "infer_method",
    "planner": "thinking",
    "references": "a reference of the timbre",
    "task.codes": "audio_codes",
    "task.noise_strength": "cover_noise_strength",
    "task.strength": "audio_cover_strength",
}
"""What this protocol calls fields of ours, for errors and sentences about them."""
MUSIC_NAMES: Mapping[str, str] = {
    **CHAT_NAMES,
    **{name: name for name in ("bpm", "key", "time_signature", "language")},
    "duration_s": "duration",
    "caption": "input",
    "output": "response_format",
}

_MOST_UNKNOWN = 12
# What asks for nothing that is not so anyway.
_USUAL = {"n": 1, "batch_size": 1, "speed": 1, "store": False, "parallel_tool_calls": True, "logprobs": False}
_TEXT_ONLY = {
    "response_format": {"type": "text"},
    "service_tier": "auto",
    "tool_choice": "none",
    "use_cot_language": True,
}


def notes_on(body: ChatBody | MusicBody, rows: Iterable[FieldRow] | None = None) -> tuple[str, ...]:
    """A sentence for each field that was sent and has no effect, those that nobody knows included."""
    table = tuple(rows or (CHAT if isinstance(body, ChatBody) else MUSIC))
    usual: dict[str, Any] = _USUAL | _TEXT_ONLY
    sent = {name: value for name, value in given(body).items() if name not in usual or usual[name] != value}
    known = {row.name for row in table}
    unknown = [name for name in sent if name not in known and name.partition(".")[0] not in known]
    told = tuple(f"There is no field {name[:60]!r} in this protocol: not applied." for name in unknown[:_MOST_UNKNOWN])
    more = len(unknown) - _MOST_UNKNOWN
    return not_applied(table, sent) + told + ((f"{more} more fields are unknown: not applied.",) if more > 0 else ())
