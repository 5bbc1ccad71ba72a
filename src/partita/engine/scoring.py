"""What the meters, the singing and a planner say of a finished song, put together to its scores.

Pure of networks: audio, the record, and what was found by others come in. What a meter's number is worth is settled
here and nowhere else; see docs/scores.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from partita.measure.defects import Defects
from partita.measure.key import KeyEstimate, Relation, relation
from partita.measure.report import Report, measure
from partita.measure.seams import Seam
from partita.measure.tempo import SHORTEST_S
from partita.song.record import Record
from partita.song.scores import ComponentName, Fault, LyricsFound, Mark, PlannerScores, Scores

if TYPE_CHECKING:
    from partita.render.protocol import LyricsHeard

# A tempo within the meter's own accuracy is as asked, one that is off by a tenth is another.
TEMPO_EXACT, TEMPO_OTHER = 0.01, 0.1
KEY_WORTH: dict[Relation, float] = {"same": 1.0, "fifth": 0.5, "relative": 0.3, "parallel": 0.2, "other": 0.0}
"""What a key is worth that was heard in place of the one that was asked for: the weights of MIREX's key detection."""

SEAM_MARGIN_S = 0.25  # nearer to an end there is nothing to compare a seam with
ENDING_S, ENDING_DB = 0.05, -12.0  # a song that is louder than this, below its own level, at its very end is cut off


def score_song(
    record: Record,
    audio: np.ndarray | None,
    *,
    sung: LyricsHeard | None = None,
    planner: PlannerScores | None = None,
    notes: Sequence[str] = (),
) -> Scores:
    """The scores of a song from its audio `[N, 2]` at the record's rate, and from what else was found.

    Whatever is missing is left out of the score.
    """
    marks: list[Mark] = []
    faults: list[Fault] = []
    lyrics = None
    if audio is not None:
        report = measure(audio, record.sample_rate_hz, seams_s=seam_times_s(record, len(audio)))
        marks += _tempo_mark(record, report)
        marks += _key_mark(record, report)
        faults = [fault for fault in _faults(record, report, audio) if fault.taken_off > 0]
    if sung is not None:
        lyrics = LyricsFound(
            score=sung.song.score,
            coverage=sung.song.coverage,
            monotonicity=sung.song.monotonicity,
            confidence=sung.song.confidence,
            conditions_score=sung.conditions.score,
        )
        said = f"{100 * lyrics.coverage:.0f} % of them heard, {100 * lyrics.monotonicity:.0f} % in order"
        marks.append(Mark(name="lyrics sung", component="lyrics", score=lyrics.score, said=said))
    if planner is not None:
        marks += _planner_marks(planner)
    return Scores.of(marks, faults, lyrics=lyrics, planner=planner, notes=notes)


def seam_times_s(record: Record, frames: int) -> list[float]:
    """Where what was made joins what was kept, as far as it can be judged there."""
    if record.edit is None:
        return []
    rate = record.sample_rate_hz
    margin = round(SEAM_MARGIN_S * rate)
    edges = sorted({edge for span in record.edit.spans for edge in span})
    return [edge / rate for edge in edges if margin <= edge <= frames - margin]


def tempo_worth(heard_bpm: float | None, asked_bpm: float) -> float:
    """1 where the tempo is as asked, at its own, half or double rate; falling to 0 where it is a tenth off."""
    if heard_bpm is None:
        return 0.0
    off = min(abs(heard_bpm / (asked_bpm * factor) - 1.0) for factor in (0.5, 1.0, 2.0))
    return min(1.0, max(0.0, (TEMPO_OTHER - off) / (TEMPO_OTHER - TEMPO_EXACT)))


def key_worth(heard: KeyEstimate, asked: str) -> float:
    """By the relation of the keys. Where the second guess is nearer, it counts by how unclear the first one is."""
    first, second = (
        0.0 if name is None else KEY_WORTH[relation(asked, name)] for name in (heard.name, heard.runner_up)
    )
    return first + (1.0 - heard.confidence) * max(0.0, second - first)


def _tempo_mark(record: Record, report: Report) -> Iterator[Mark]:
    asked, heard = record.plan.bpm, report.tempo.bpm
    if asked is None or report.duration_s < SHORTEST_S:
        return
    said = f"no pulse heard, {asked} BPM asked" if heard is None else f"{heard:.1f} BPM heard, {asked} asked"
    yield Mark(name="tempo", component="metadata", score=tempo_worth(heard, asked), said=said)


def _key_mark(record: Record, report: Report) -> Iterator[Mark]:
    asked, heard = record.plan.key, report.key.name
    if asked is None:
        return
    said = f"no key heard, {asked} asked" if heard is None else f"{heard} heard, {asked} asked"
    yield Mark(name="key", component="metadata", score=key_worth(report.key, asked), said=said)


def _planner_marks(planner: PlannerScores) -> Iterator[Mark]:
    components: dict[str, ComponentName] = {"caption": "caption", "lyrics": "lyrics"}
    for name, score in planner.fields.items():
        yield Mark(
            name=f"{name} in the codes",
            component=components.get(name, "metadata"),
            score=score,
            said=f"as {planner.planner} reads them",
        )


def _faults(record: Record, report: Report, audio: np.ndarray) -> Iterator[Fault]:
    """Everything that could be wrong; what takes nothing off is nothing."""
    yield from _signal_faults(report.defects)
    yield from _silence_faults(report.defects, report.duration_s)
    if _ends_with_what_was_made(record, len(audio)) and _is_cut_off(audio, record.sample_rate_hz):
        yield Fault(name="ending", taken_off=0.05, said="it is cut off at its end")
    yield from _limiter_faults(record)
    yield from _seam_faults(report.seams)


def _signal_faults(found: Defects) -> Iterator[Fault]:
    if found.nan_samples or found.infinite_samples:
        yield Fault(name="broken samples", taken_off=1.0, said=f"{found.nan_samples + found.infinite_samples} samples")
    yield Fault(
        name="clipping",
        taken_off=min(0.5, 100 * found.clipped_share),
        said=f"{found.clipped_runs} clipped stretches",
    )
    holes = len(found.dropouts)
    yield Fault(name="drop-outs", taken_off=min(0.5, 0.1 * holes), said=f"{holes} drop-outs")
    if found.dc_offset > 0.01:
        yield Fault(name="offset", taken_off=0.1, said=f"a constant offset of {found.dc_offset:.3f}")


def _silence_faults(found: Defects, duration_s: float) -> Iterator[Fault]:
    if found.silence_share > 0.95:
        yield Fault(name="silence", taken_off=1.0, said="nothing is heard")
        return
    late, early, longest = found.leading_silence_s, found.trailing_silence_s, found.longest_silence_s
    yield _lasting("late start", late - 1.5, 0.2, f"{late:.1f} s of silence at the start")
    yield _lasting("early end", early - 3.0, 0.3, f"{early:.1f} s of silence at the end")
    at_s = found.longest_silence_at_s
    if at_s > 0.0 and at_s + longest < duration_s - 0.1:
        yield _lasting("gap", longest - 2.0, 0.5, f"{longest:.1f} s of silence from {at_s:.1f} s on", each_s=0.1)


def _lasting(name: str, beyond_s: float, most: float, said: str, each_s: float = 0.02) -> Fault:
    return Fault(name=name, taken_off=min(most, each_s * max(0.0, beyond_s)), said=said)


def _ends_with_what_was_made(record: Record, frames: int) -> bool:
    spans = () if record.edit is None else record.edit.spans
    return not spans or spans[-1][1] >= frames


def _is_cut_off(audio: np.ndarray, sample_rate_hz: int) -> bool:
    def power(part: np.ndarray) -> float:
        return float(np.mean(np.square(part, dtype=np.float64)))

    whole = power(audio)
    return whole > 0 and power(audio[-round(ENDING_S * sample_rate_hz) :]) > whole * 10 ** (ENDING_DB / 10)


def _limiter_faults(record: Record) -> Iterator[Fault]:
    did = record.loudness
    if did.limited and did.before_lufs is not None and did.after_lufs is not None:
        lost = did.before_lufs + did.gain_db - did.after_lufs
        taken_off = min(0.3, 0.05 * max(0.0, lost - 1.0))
        yield Fault(name="limiter", taken_off=taken_off, said=f"the limiter took {lost:.1f} LU off")
    if record.edit is not None and record.edit.limited:
        yield Fault(name="limiter at work", taken_off=0.05, said="what was made had to be limited")


def _seam_faults(seams: Sequence[Seam]) -> Iterator[Fault]:
    heard = [seam.time_s for seam in seams if seam.audible]
    places = ", ".join(f"{time_s:.2f} s" for time_s in heard)
    yield Fault(name="seams", taken_off=min(0.6, 0.2 * len(heard)), said=f"heard at {places}")
