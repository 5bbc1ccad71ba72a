"""Joins what was made to its source, so that what was not edited stays bit for bit, and at the source's level.

Arrays `[N, 2]` float32 at 48 kHz in and out. Which samples are made is the canvas's business, how two pieces are joined
is `audio.splice`'s; nothing here knows files or networks.
"""

from __future__ import annotations

import math

import numpy as np

from partita.audio.splice import CORRECTION_S, limit_spans, original_splice, splice
from partita.render.protocol import SourceData
from partita.sampling.repaint import blend_settings
from partita.song.canvas import Canvas
from partita.song.record import EditRecord
from partita.song.resolve import KEEPS_LEVEL, ResolvedRequest
from partita.song.source import SAMPLE_RATE_HZ
from partita.weights.catalog import card as find_card

# What a joint looks at beside an edge where there is no cross-fade, and a little for rounding.
_REACH = math.ceil(CORRECTION_S * SAMPLE_RATE_HZ) + 1


def needed_ranges(resolved: ResolvedRequest) -> tuple[tuple[int, int], ...] | None:
    """The ranges of samples that a renderer must make, or none where it is all of the song.

    They are the canvas's spans and what their joints reach into. The original's order of work needs all.
    """
    canvas = resolved.canvas
    if canvas is None or not canvas.spans or resolved.parity or _without_audio(resolved):
        return None
    reach = max(ramp_samples(resolved), _REACH)
    return tuple((first - reach, end + reach) for first, end in canvas.spans)


def ramp_samples(resolved: ResolvedRequest) -> int:
    """Length of the cross-fade outside each edge of what is made, in samples."""
    task = resolved.task
    mode, strength = getattr(task, "mode", "balanced"), getattr(task, "strength", 0.5)
    return int(blend_settings(mode, strength).wave_crossfade_s * SAMPLE_RATE_HZ)


def join(
    resolved: ResolvedRequest, made: np.ndarray, source: SourceData | None
) -> tuple[np.ndarray, EditRecord | None]:
    """The song before its loudness stage, and what was done; no record for work that stands by itself.

    `made` `[N, 2]` is on the canvas, at the level of the latents. It is brought to the source's level, put into the
    source where the canvas has spans, and limited within what is made if that would clip.
    """
    canvas = resolved.canvas
    if resolved.parity:
        return _as_the_original(resolved, made, source)
    if canvas is None or resolved.task.kind not in KEEPS_LEVEL:
        return made, None
    gain_db = _gain_db(source)
    if gain_db:
        made = made * np.float32(10.0 ** (gain_db / 20.0))
    if canvas.spans and source is not None and source.audio is not None:
        ramp = ramp_samples(resolved)
        joined = splice(
            source.audio,
            made,
            source_at=canvas.source_at,
            spans=canvas.spans,
            ramp=ramp,
            keep_source=canvas.keep_source,
            sample_rate_hz=SAMPLE_RATE_HZ,
        )
        crossfade = 0 if canvas.keep_source else ramp
        touched = [(max(0, first - crossfade), min(end + crossfade, len(joined))) for first, end in canvas.spans]
        out, limited = limit_spans(joined, touched, SAMPLE_RATE_HZ)
        return out, EditRecord(
            kept=resolved.output.normalise == "off",
            spans=canvas.spans,
            crossfade_samples=crossfade,
            limited=limited,
            gain_db=gain_db,
        )
    out, limited = limit_spans(made, ((0, len(made)),), SAMPLE_RATE_HZ)
    return out, EditRecord(kept=False, spans=(), crossfade_samples=0, limited=limited, gain_db=gain_db)


def _as_the_original(
    resolved: ResolvedRequest, made: np.ndarray, source: SourceData | None
) -> tuple[np.ndarray, EditRecord | None]:
    """Divide by a peak over 1, then join; nothing is brought to the source's level and nothing is limited.

    Without a joint the division is left to the loudness stage, which comes next. ACE-Step v1 joins latents alone: all
    of the song comes from its codec.
    """
    canvas, ramp = resolved.canvas, ramp_samples(resolved)
    if canvas is None or not canvas.spans or source is None or source.audio is None:
        return made, None
    if find_card(resolved.model).family == "acestep-v1":
        return made, EditRecord(kept=False, spans=canvas.spans, crossfade_samples=0, limited=False, gain_db=0.0)
    peak = max(1.0, float(np.abs(made).max(initial=0.0)))
    if peak > 1:
        made = made / np.float32(peak)
    if ramp > 0:  # it joins nothing in its aggressive mode
        joined = _laid(source.audio, canvas, min(canvas.samples, len(made)))
        # One range at a time: what is outside a range is what the ranges before it have left.
        for first, end in canvas.spans:
            joined = original_splice(made, joined, _seconds(first), _seconds(end), _seconds(ramp), SAMPLE_RATE_HZ)
        made = joined
    return made, EditRecord(
        kept=ramp > 0 and resolved.output.normalise == "off",
        spans=canvas.spans,
        crossfade_samples=ramp,
        limited=False,
        gain_db=-20.0 * math.log10(peak),
    )


def _seconds(samples: int) -> float:
    """Seconds that are this number of samples when their fraction is dropped."""
    return (samples + 0.5) / SAMPLE_RATE_HZ


def _laid(source: np.ndarray, canvas: Canvas, total: int) -> np.ndarray:
    """`[total, 2]`: the source on its canvas, with silence around it, cut where what was made is shorter."""
    out = np.zeros((total, source.shape[1]), np.float32)
    piece = source[: max(0, total - canvas.source_at)]
    out[canvas.source_at : canvas.source_at + len(piece)] = piece
    return out


def _gain_db(source: SourceData | None) -> float:
    song = source.facts.song if source is not None else None
    return song.gain_db if song is not None and source is not None and source.latents is not None else 0.0


def _without_audio(resolved: ResolvedRequest) -> bool:
    return resolved.source is None or resolved.source.latents_only
