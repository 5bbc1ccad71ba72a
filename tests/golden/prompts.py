"""Checks recorded prompts against `partita.text.prompts`: requests, direct builds and training samples.

Goes by the fields of an entry; an entry with other fields is left to other checkers.
"""

from __future__ import annotations

from typing import Any

from partita.text import prompts


def check_prompts(section: str, entry: dict[str, Any]) -> dict[str, Any] | None:
    """Every string of one entry, or None if the entry is of another kind."""
    given = entry.get("input")
    if not isinstance(given, dict):
        return None
    if {"meta", "tag_position", "use_genre"} <= given.keys():
        use_genre, position = given["use_genre"], given["tag_position"]
        return {"output": prompts.training_prompt(given["meta"], tag_position=position, use_genre=use_genre)}
    if {"caption", "lyrics", "metas"} <= given.keys():
        language, instruction = given["vocal_language"], given["instruction"]
        values = given["metas"]
        built = prompts.text_and_lyric_prompts(given["caption"], given["lyrics"], language, values, instruction)
        return {"output": list(built)}
    if {"task_type", "caption", "lyrics", "batch_size"} <= given.keys():
        return _request(given)
    return None


def _request(given: dict[str, Any]) -> dict[str, Any]:
    task, instruction, count = given["task_type"], given["instruction"], given["batch_size"]
    source_s = given.get("src_seconds")
    asked = given.get("duration")
    duration = source_s if source_s is not None else asked if asked is not None and asked > 0 else None
    metadata = prompts.metadata_block(given.get("bpm"), given.get("timesignature"), given.get("keyscale"), duration)
    caption = full = prompts.inner_caption(given["caption"])
    if "global_caption" in given and task == "lego":
        explicit = given.get("chunk_mask_mode", "auto") != "auto"
        full = prompts.stems_caption(caption, given["global_caption"], instruction, explicit_mask=explicit)
    text = prompts.text_prompt(instruction, full, metadata)
    plain = prompts.text_prompt(prompts.TEXT_TO_MUSIC, caption, metadata)
    return {
        "resolved_task": task,
        "resolved_instruction": instruction,
        "text_prompts": [text] * count,
        "lyric_strings": [prompts.lyric_prompt(given["lyrics"], given["vocal_language"])] * count,
        "text_max_tokens": prompts.PROMPT_MAX_TOKENS,
        "lyric_max_tokens": prompts.LYRICS_MAX_TOKENS,
        "non_cover_text_prompts": [plain] * count if given.get("audio_cover_strength", 1.0) < 1.0 else [],
        "metas": [metadata] * count,
    }
