"""Joins audio that was made with the audio it was made for, so that the source stays itself wherever it was not edited.

Arrays [N, C] float32 at one rate, in and out; knows no files, latents or tasks. `splice` is ours, for any number of
spans on a canvas that may be longer than the source; `original_splice` is ACE-Step 1.5's, for parity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from partita.audio.true_peak import limit
from partita.errors import AudioError

CORRECTION_S = 0.025
_EDGE_S = 0.005  # a limited span's gain comes back to 1 over this at its edges
_REFLECTED = 64  # samples; more than the reach of the true-peak meter's filter

Span = tuple[int, int]


def splice(
    source: np.ndarray,
    made: np.ndarray,
    *,
    source_at: int,
    spans: Sequence[Span],
    ramp: int,
    keep_source: bool = False,
    sample_rate_hz: int = 48_000,
) -> np.ndarray:
    """[total, C] float32: `made` inside `spans`, `source` bit for bit outside them and their ramps.

    `made` [total, C] is the canvas; `source` [N, C] lies on it from sample `source_at` on, and may end anywhere before
    the canvas does. `spans` are half-open ranges of the canvas in any order, and may touch or overlap. Outside each
    edge where there is source, the two are crossfaded in a straight line over `ramp` samples, or as many as there are
    (the two are the same music there, so amplitudes add).

    With a ramp of 0, or with `keep_source`, the source is not touched at all. There `made` is corrected inside the
    span instead: what the source has over `made` just outside the edge is mirrored into the span and fades out over
    25 ms, at most half the span, so that the joint steps no further than the made music itself does.

    `made` must be meant for the same music within the spans and, outside them, within the ramp or 25 ms of an edge.
    Raises AudioError for shapes that do not fit, spans outside the canvas, and samples that are in neither.
    """
    _check_shapes(source, made, source_at)
    total, end = len(made), source_at + len(source)
    merged = _merged(spans, total)
    _check_covered(merged, (source_at, end), total, sample_rate_hz)
    out = np.array(made, dtype=np.float32)
    out[source_at:end] = source
    for first, stop in merged:
        out[first:stop] = made[first:stop]
    if ramp > 0 and not keep_source:
        _crossfade(out, source, made, source_at, merged, ramp)
        return out
    reach = max(1, round(CORRECTION_S * sample_rate_hz))
    canvas_source = (source, source_at)
    for k, (first, stop) in enumerate(merged):
        before = merged[k - 1][1] if k else source_at
        after = merged[k + 1][0] if k + 1 < len(merged) else end
        _correct(out[first:stop], _residual(canvas_source, made, before, first)[::-1], reach)
        _correct(out[first:stop][::-1], _residual(canvas_source, made, stop, after), reach)
    return out


def original_splice(
    made: np.ndarray, source: np.ndarray, start_s: float, end_s: float, crossfade_s: float, sample_rate_hz: int = 48_000
) -> np.ndarray:
    """ACE-Step 1.5's joint of `made` [N, C] and `source` [M, C] around one region in seconds; [N, C].

    Straight ramps of up to `crossfade_s` lie outside the region. Behind the end of the source `made` stays as it is,
    and so it does everywhere where the region covers all.
    """
    common = min(len(made), len(source))
    first = min(max(int(start_s * sample_rate_hz), 0), common)
    stop = min(max(int(end_s * sample_rate_hz), first), common)
    if first == 0 and stop == common:
        return made
    weights = np.zeros(common, np.float32)
    weights[first:stop] = 1.0
    ramp = int(crossfade_s * sample_rate_hz)
    before, after = min(ramp, first), min(ramp, common - stop)
    weights[first - before : first] = _rising(before)
    weights[stop : stop + after] = _rising(after)[::-1]
    out = np.array(made, dtype=np.float32)
    soft = weights[:, None]
    out[:common] = soft * made[:common] + (1.0 - soft) * source[:common]
    return out


def limit_spans(
    audio: np.ndarray, spans: Sequence[Span], sample_rate_hz: int, peak_db: float = 0.0
) -> tuple[np.ndarray, bool]:
    """`audio` [N, C] with every span that holds a sample over `peak_db` dBFS limited to it, and whether any did.

    Samples outside the spans stay bit for bit, and so do spans under the ceiling; `audio` itself comes back where
    nothing was over. The gain is 1 at a span's edges and reaches the limiter's within 5 ms. There no sample passes
    full scale, or what the sample beside the span has if that is more; further in the ceiling holds for the true peak.
    """
    ceiling = 10.0 ** (peak_db / 20.0)
    out = audio
    for first, stop in _merged(spans, len(audio)):
        part = out[first:stop]
        if not part.size or float(np.abs(part).max()) <= ceiling:
            continue
        if out is audio:
            out = np.array(audio, dtype=np.float32)
        before = float(np.abs(audio[first - 1]).max()) if first else None
        after = float(np.abs(audio[stop]).max()) if stop < len(audio) else None
        out[first:stop] = _limited(part, sample_rate_hz, peak_db, (before, after))
    return out, out is not audio


def _limited(
    part: np.ndarray, sample_rate_hz: int, peak_db: float, beside: tuple[float | None, float | None]
) -> np.ndarray:
    """`part` [N, C] limited; `beside` is the level of the samples before and after it, None at the song's own ends."""
    ceiling = np.float32(10.0 ** (peak_db / 20.0))
    # Reflected ends: cut off hard, the meter would see a step and read too much.
    margin = min(_REFLECTED, len(part) - 1)
    padded = np.pad(part, ((margin, margin), (0, 0)), mode="reflect") if margin else part
    limited = limit(padded, sample_rate_hz, peak_db)[0][margin : margin + len(part)]
    edge = min(max(1, round(_EDGE_S * sample_rate_hz)), (len(part) + 1) // 2)
    share = np.ones(len(part), np.float32)
    bound = np.full(len(part), ceiling, np.float32)
    for side, level in ((slice(None), beside[0]), (slice(None, None, -1), beside[1])):
        if level is None:
            continue
        rising = np.arange(edge, dtype=np.float32) / edge
        share[side][:edge] = np.minimum(share[side][:edge], rising)
        most = max(1.0, float(ceiling), level)
        bound[side][:edge] = np.maximum(bound[side][:edge], most + rising * (ceiling - most))
    out = part + share[:, None] * (limited - part)
    return np.clip(out, -bound[:, None], bound[:, None])


def _crossfade(
    out: np.ndarray, source: np.ndarray, made: np.ndarray, source_at: int, spans: Sequence[Span], ramp: int
) -> None:
    end = source_at + len(source)
    weights: dict[Span, np.ndarray] = {}
    for k, (first, stop) in enumerate(spans):
        before = max(source_at, spans[k - 1][1] if k else 0)
        after = min(end, spans[k + 1][0] if k + 1 < len(spans) else end)
        if first > before:
            n = min(ramp, first - before)
            weights[first - n, first] = _rising(n)
        if after > stop:
            n = min(ramp, after - stop)
            weights[stop, stop + n] = _rising(n)[::-1]
    soft = np.zeros(len(made), np.float32)
    for (first, stop), values in weights.items():
        soft[first:stop] = np.maximum(soft[first:stop], values)  # where two ramps meet, the larger counts
    at = np.flatnonzero(soft)
    share = soft[at, None]
    out[at] = share * made[at] + (1.0 - share) * source[at - source_at]


def _residual(source: tuple[np.ndarray, int], made: np.ndarray, first: int, stop: int) -> np.ndarray:
    """What the source has over `made` in [first, stop) of the canvas, as far as there is source."""
    samples, at = source
    first, stop = max(first, at), min(stop, at + len(samples))
    if stop <= first:
        return made[:0]
    return samples[first - at : stop - at] - made[first:stop]


def _correct(part: np.ndarray, residual: np.ndarray, reach: int) -> None:
    """Add `residual`, nearest sample first, to the beginning of `part` [N, C] in place, fading out."""
    n = min(reach, len(residual), max(1, len(part) // 2))
    if n and len(part):
        fade = 0.5 + 0.5 * np.cos(np.pi * np.arange(n) / n)
        part[:n] += (residual[:n] * (fade if len(part) > 1 else 0.5 * fade)[:, None]).astype(np.float32)


def _rising(n: int) -> np.ndarray:
    return (np.arange(1, n + 1, dtype=np.float64) / (n + 1)).astype(np.float32)


def _merged(spans: Sequence[Span], total: int) -> list[Span]:
    """The spans in order, those that touch or overlap as one; empty ones are left out."""
    merged: list[Span] = []
    for first, stop in sorted(spans):
        if not 0 <= first <= stop <= total:
            raise AudioError(
                f"The span of samples {first} to {stop} does not lie in audio of {total} samples; "
                "give spans inside it, each with its start before its end."
            )
        if first == stop:
            continue
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((first, stop))
    return merged


def _check_shapes(source: np.ndarray, made: np.ndarray, source_at: int) -> None:
    if source.ndim != 2 or made.ndim != 2 or source.shape[1] != made.shape[1]:
        raise AudioError(
            f"The source is {list(source.shape)} and what was made {list(made.shape)}; "
            "both must be [samples, channels] with the same channels."
        )
    if source_at < 0 or source_at + len(source) > len(made):
        raise AudioError(
            f"A source of {len(source)} samples from sample {source_at} on does not fit in {len(made)} samples; "
            "make the canvas longer, or cut the source."
        )


def _check_covered(spans: Sequence[Span], source: Span, total: int, sample_rate_hz: int) -> None:
    reached = 0
    pieces = sorted([*spans, *([source] if source[1] > source[0] else [])])
    for first, stop in [*pieces, (total, total)]:
        if first > reached:
            raise AudioError(
                f"From {reached / sample_rate_hz:.3f} s to {first / sample_rate_hz:.3f} s there is neither source nor "
                "a span that is made; let the spans reach the source."
            )
        reached = max(reached, stop)
