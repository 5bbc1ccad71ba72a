"""Checks recorded requests against `acestep15.layout`: lengths, ranges, masks, and where each source frame comes from;
and the recorded readings of repaint strengths and of seed texts.

Goes by the fields of an entry; an entry with other fields is left to other checkers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from partita.models.acestep15.layout import Layout, OriginalBatch, Run, Span, original_layout
from partita.sampling.repaint import blend_settings
from partita.song.seeds import original_seeds

# How the recorded program calls the arguments of `original_layout`.
ARGUMENTS = {
    "task_type": "task_type",
    "duration": "duration_s",
    "repainting_start": "start_s",
    "repainting_end": "end_s",
    "chunk_mask_mode": "chunk_mask_mode",
    "audio_codes": "audio_codes",
    "instruction": "instruction",
    "batch_size": "batch_size",
}


def check_preparation(section: str, entry: dict[str, Any]) -> dict[str, Any] | None:
    """Every output of one entry, or None if the entry is of another kind."""
    fields = entry.keys() - {"output", "name"}
    if fields == {"mode", "strength"}:
        settings = blend_settings(entry["mode"], entry["strength"])
        return {"output": [settings.injection_ratio, settings.latent_crossfade_frames, settings.wave_crossfade_s]}
    if fields == {"batch_size", "seed"}:
        seeds = original_seeds(entry["seed"], entry["batch_size"], _no_fresh_seed)
        return {"output": [list(seeds), ", ".join(str(seed) for seed in seeds)]}
    given = entry.get("input")
    if not isinstance(given, dict) or "task_type" not in given or given.keys() - ARGUMENTS.keys() - {"src_seconds"}:
        return None
    arguments = {ARGUMENTS[name]: value for name, value in given.items() if name in ARGUMENTS}
    if arguments.get("batch_size", 1) is None:
        del arguments["batch_size"]
    seconds = given.get("src_seconds")
    samples = None if seconds is None else int(seconds * 48_000)
    return _outputs(original_layout(source_samples=samples, **arguments))


def _outputs(batch: OriginalBatch) -> dict[str, Any]:
    songs = batch.layouts
    has_range = any(song.repaint is not None for song in songs)
    return {
        "target_samples": batch.target_samples,
        "repainting_start": batch.start_s,
        "repainting_end": batch.end_s,
        "latent_length": songs[0].frames,
        "latent_valid": [song.valid for song in songs],
        "spans": [_span(song) for song in songs],
        "is_covers": [song.is_cover for song in songs],
        "chunk_mask_dtype": "bool",
        "chunk_mask_runs": [song.mask for song in songs],
        "src_latent_runs": [_runs(song.source) for song in songs],
        "target_latent_runs": [_runs(song.clean) for song in songs],
        "repaint_mask_runs": [_range_runs(song.repaint or (), song.frames) for song in songs] if has_range else None,
        "lm_hint_runs": None if songs[0].hint is None else [_runs(song.hint or ()) for song in songs],
    }


def _span(song: Layout) -> tuple[str, int, int]:
    return ("repainting", *song.spans[0]) if song.spans else ("full", 0, song.frames)


def _runs(runs: Iterable[Run]) -> list[tuple[str, int, int, int]]:
    return [(run.kind, run.first, run.end, run.offset) for run in runs]


def _range_runs(spans: Iterable[Span], frames: int) -> list[tuple[float, int, int]]:
    runs: list[tuple[float, int, int]] = []
    at = 0
    for first, end in spans:
        runs += [(0.0, at, first), (1.0, first, end)]
        at = end
    return [run for run in [*runs, (0.0, at, frames)] if run[1] < run[2]]


def _no_fresh_seed() -> int:
    raise ValueError("a recorded seed cannot have been drawn at random")
