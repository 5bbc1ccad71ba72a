"""Beat grids as numbers: twelve channels at 25 Hz that say where in the music each frame lies.

The planner lays them into the source channels of the built-in model, which fills in the music around them. Nothing
here knows of notes, tensors or models. The channels, in order, are listed at `GRID_CHANNELS`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from partita.score.keys import parse_key
from partita.score.types import Grid, Section, SectionKind

FRAME_RATE_HZ = 25
GRID_CHANNELS: tuple[str, ...] = (
    "beat_cos",
    "beat_sin",
    "bar_cos",
    "bar_sin",
    "phrase_cos",  # a phrase is four bars, counted from the start of its section
    "phrase_sin",
    "section_energy",
    "section_sung",  # +1 in the parts that carry the tune
    "section_edge",  # +1 in the parts at either end
    "mode",  # +1 major, -1 minor
    "pulse",  # log2 of eighth notes a second over 4: 6/8 has three to its beat, the others two
    "end",  # -1 far from the end, +1 at it
)
BARS_PER_PHRASE = 4
RELEASE_S = 0.34
"""From the last note's release to what the last channel calls the end: behind it only a tail is heard."""
LAST_CHORD_S = 1.2
"""How long the last chord, struck at a bar line, is held at least."""
TAIL_S = 1.0
"""From the last release to the end of a song: what the room and most instruments need to die away."""
END_SCALE_S = 4.0
"""The last channel rises within about this time before the end: one to three bars of warning."""

_SECTION_CODE: dict[SectionKind, tuple[float, float, float]] = {
    "intro": (-1.0, -1.0, 1.0),
    "verse": (0.0, 1.0, -1.0),
    "chorus": (1.0, 1.0, -1.0),
    "bridge": (0.0, -1.0, -1.0),
    "solo": (1.0, -1.0, -1.0),
    "outro": (-1.0, 1.0, 1.0),
}


def frame_count(duration_s: float) -> int:
    """Latent frames that cover `duration_s` seconds, at least one."""
    return max(1, math.ceil(duration_s * FRAME_RATE_HZ - 1e-6))


def lay_grid(
    grid: Grid, sections: Sequence[Section], key: str, duration_s: float, *, end_s: float | None = None
) -> np.ndarray:
    """The twelve grid channels `[T, 12]`, float32, each within [-1.5, 1.5], sampled at the middle of each frame.

    Where no section is given, the music is one long verse. The music ends at `end_s`, by default with the song.
    """
    frames = frame_count(duration_s)
    time_s = (np.arange(frames) + 0.5) / FRAME_RATE_HZ
    beat = (time_s - grid.offset_s) / grid.beat_s
    bar = beat / grid.beats_per_bar

    section_start_bar = np.zeros(frames)
    section_code = np.tile(np.array(_SECTION_CODE["verse"]), (frames, 1))
    for section in sections:
        inside = (time_s >= section.start_s) & (time_s < section.end_s)
        section_start_bar[inside] = round((section.start_s - grid.offset_s) / grid.bar_s)
        section_code[inside] = _SECTION_CODE[section.kind]
    phrase = (bar - section_start_bar) / BARS_PER_PHRASE

    eighths_per_s = (3 if grid.time_signature == "6/8" else 2) / grid.beat_s
    channels = np.empty((frames, len(GRID_CHANNELS)), dtype=np.float32)
    for index, phase in enumerate((beat, bar, phrase)):
        channels[:, 2 * index] = np.cos(2 * np.pi * phase)
        channels[:, 2 * index + 1] = np.sin(2 * np.pi * phase)
    channels[:, 6:9] = section_code
    channels[:, 9] = 1.0 if parse_key(key)[1] == "major" else -1.0
    channels[:, 10] = np.clip(np.log2(eighths_per_s / 4.0), -1.5, 1.5)
    end_s = duration_s if end_s is None else end_s
    channels[:, 11] = 2.0 * np.exp(-np.maximum(end_s - time_s, 0.0) / END_SCALE_S) - 1.0
    return channels
