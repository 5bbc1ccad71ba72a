"""Does the built-in model edit its own songs? `python benches/builtin_edits.py` (about four minutes)

Songs of 20 s from the bench's prompts, which the model never saw, are each repainted (four bars in the middle),
extended by 8 s to the left, to the right and on both sides, retaken (variance 0.2), and have their last track written
anew beside the others (lego), which is then taken out again (extract). The same edits of the same songs are made with
random weights, which must fail. Counted for every edit:

- seams: of the joints, those whose flux is within the song's own 99th percentile (`measure.seams`).
- tempo: the meter hears, in the whole song, what it heard in the source or what the plan says, within 2 %.
- key: that of all notes of the edited song is the source's or its relative.
- made: that of the made notes alone is. Beside it stands what the source's own notes of as long a stretch give, for a
  few bars of good music are not always in the key of the whole.
- scale, on grid: shares of the made notes in the key's scale, and of the made drum hits on a sixteenth.
- outside: the latents outside of the spans are the source's bit for bit, and so are the notes that begin there. Of a
  lego every other track's notes are the source's, and the one that is taken out again has its own.
- apart: retakes that are another song than the original (note F1 under 0.95).

Exits 1 where trained weights miss a bar or random ones meet them all. `--pictures DIR` draws every edit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from builtin_bars import DURATION_S, RATE_HZ, Prompt, drums_on_grid, prompts, random_weights
from partita.engine.engine import Engine
from partita.engine.song import Song
from partita.measure.key import key_of_notes, relation
from partita.measure.seams import Seam, seam
from partita.measure.tempo import same_tempo, tempo
from partita.render.builtin.tracks import roles_of, track_of
from partita.runtime import Runtime
from partita.score.keys import parse_key, scale_pitch_classes
from partita.score.matching import note_f1
from partita.score.types import Note, Role, Score, Track
from partita.settings import Settings
from partita.song.request import SongRequest
from partita.song.source import AudioRef
from partita.song.task import Extend, Extract, Lego, Repaint, Retake, Task
from partita.weights.builtin import BUILTIN_DIRECTORY
from pictures import draw

SONGS = 24
ADDED_S, REPAINTED_BARS, VARIANCE = 8.0, 4, 0.2
KINDS = ("repaint", "left", "right", "both", "retake", "lego")
TEMPO_TOLERANCE = 0.02
SAME_SONG_F1 = 0.95
# Shares: joints that pass (of the bar lines of uncut songs 19 of 20 do), edits that keep tempo and key (about as many
# as of the songs themselves, see builtin_bars), made notes in the scale.
SEAM_BAR, TEMPO_BAR, KEY_BAR, SCALE_BAR = 0.85, 0.85, 0.75, 0.95


@dataclass(frozen=True)
class Edited:
    """Measures of one edit. `apart` is none for edits with a source; `joints` are the seams at the spans' edges."""

    seed: int
    kind: str
    joints: tuple[Seam, ...]
    tempo_kept: bool
    key_kept: bool
    made_in_key: bool
    source_in_key: bool
    in_scale: float
    on_grid: float | None
    notes_a_second: float
    outside_same: bool
    apart: bool | None

    @property
    def seams_passed(self) -> int:
        return sum(one.flux_percentile <= 99.0 for one in self.joints)


def task_of(kind: str, source: AudioRef, score: Score, seed: int) -> Task:
    """One of `KINDS` for a song of `DURATION_S` with `score` that was made with `seed`."""
    grid = score.grid
    if kind == "repaint":
        first_bar = max(0, round((DURATION_S / grid.bar_s - REPAINTED_BARS) / 2))
        start_s = first_bar * grid.bar_s
        return Repaint(source=source, start_s=start_s, end_s=min(start_s + REPAINTED_BARS * grid.bar_s, DURATION_S))
    if kind == "retake":
        return Retake(of_seed=seed, variance=VARIANCE)
    if kind == "lego":
        return Lego(source=source, track=track_of(score.tracks[-1].role, score.tracks[-1].program))
    left_s, right_s = (ADDED_S if kind in (side, "both") else 0.0 for side in ("left", "right"))
    return Extend(source=source, left_s=left_s, right_s=right_s)


def edit_all(
    makes: Engine, edits: Engine, asked: list[Prompt], pictures: Path | None = None
) -> Iterator[tuple[str, Edited]]:
    """Every kind of edit by the engine `edits` of the song that `makes` makes of each prompt."""
    for prompt in asked:
        grid = prompt.piece.score.grid
        song = makes.generate(
            SongRequest(
                model="built-in",
                caption=prompt.caption,
                bpm=round(grid.bpm),
                key=prompt.key,
                time_signature=grid.time_signature,  # pyright: ignore[reportArgumentType]
                duration_s=DURATION_S,
                seed=prompt.seed,
            )
        )
        assert song.score is not None  # the built-in model always makes one
        source = makes.hold(song)
        for kind in KINDS:
            task = task_of(kind, source, song.score, prompt.seed)
            words = {"caption": prompt.caption, "duration_s": DURATION_S, "key": prompt.key} if kind == "retake" else {}
            if kind == "retake":
                words |= {"bpm": round(grid.bpm), "time_signature": grid.time_signature}
            edit = edits.generate(SongRequest(model="built-in", task=task, seed=prompt.seed + 1, **words))
            yield kind, judge(prompt.seed, kind, song, edit, edits)
            if pictures is not None:
                assert edit.score is not None
                title = f"{kind} {spans_s(edit)}: {prompt.caption}"
                draw(edit.score, edit.audio, pictures / f"{prompt.seed}-{kind}.png", title)


def spans_s(song: Song) -> tuple[tuple[float, float], ...]:
    """What was made, in seconds; all of a song without a source."""
    canvas = song.record.request.canvas
    spans = canvas.spans if canvas is not None else ()
    return tuple((first / RATE_HZ, stop / RATE_HZ) for first, stop in spans) or ((0.0, len(song.audio) / RATE_HZ),)


def within(score: Score, spans: tuple[tuple[float, float], ...], *, outside: bool = False) -> dict[Role, list[Note]]:
    """The notes of each role that begin in one of the spans, or `outside` of them all."""
    return {
        track.role: [n for n in track.notes if any(a <= n.start_s < b for a, b in spans) != outside]
        for track in score.tracks
    }


def judge(seed: int, kind: str, song: Song, edit: Song, engine: Engine) -> Edited:
    """Measure one edit of `song`."""
    assert song.score is not None
    assert edit.score is not None
    spans, plan = spans_s(edit), edit.record.plan
    made = within(edit.score, spans)
    task = edit.record.request.task
    if isinstance(task, Lego):
        written = roles_of(task.track, {track.role: track.program for track in edit.score.tracks})
        made = {role: notes for role, notes in made.items() if role in written}
    tuned = [note for role, notes in made.items() if role != "drums" for note in notes]
    scale = scale_pitch_classes(*parse_key(edit.score.key))
    drums = tuple(made.get("drums", ()))
    hits = Score(edit.score.grid, edit.score.key, edit.score.duration_s, (Track("drums", 0, drums),) if drums else ())
    edges = sorted({time_s for span in spans for time_s in span if 0.25 <= time_s <= len(edit.audio) / RATE_HZ - 0.25})
    heard, was = tempo(edit.audio, RATE_HZ).bpm, tempo(song.audio, RATE_HZ).bpm
    wanted = [bpm for bpm in (was, plan.bpm) if bpm is not None]
    return Edited(
        seed=seed,
        kind=kind,
        joints=tuple(seam(edit.audio, RATE_HZ, time_s) for time_s in edges),
        tempo_kept=heard is not None and any(same_tempo(heard, bpm, tolerance=TEMPO_TOLERANCE) for bpm in wanted),
        key_kept=in_key(tuned_of(edit.score), song.score.key),
        made_in_key=in_key(tuned, song.score.key),
        source_in_key=in_key(stretch_of(song.score, sum(b - a for a, b in spans)), song.score.key),
        in_scale=float(np.mean([note.pitch % 12 in scale for note in tuned])) if tuned else 0.0,
        on_grid=drums_on_grid(hits),
        notes_a_second=sum(len(notes) for notes in made.values()) / sum(b - a for a, b in spans),
        outside_same=others_same(song, edit, task, engine)
        if isinstance(task, Lego)
        else outside_same(song, edit, spans),
        apart=note_f1([song.score], [edit.score]) < SAME_SONG_F1 if kind == "retake" else None,
    )


def in_key(notes: list[Note], name: str) -> bool:
    """Whether these notes by themselves are in the key `name` or its relative."""
    heard = key_of_notes([n.pitch for n in notes], [n.duration_s for n in notes]).name if notes else None
    return heard is not None and relation(name, heard) in ("same", "relative")


def tuned_of(score: Score) -> list[Note]:
    """Every note but the drums'."""
    return [note for track in score.tracks if not track.is_drums for note in track.notes]


def stretch_of(score: Score, length_s: float) -> list[Note]:
    """The tuned notes of as long a stretch out of the middle of a song."""
    start_s = max(0.0, (score.duration_s - length_s) / 2)
    notes = within(score, ((start_s, start_s + length_s),))
    return [note for role, some in notes.items() if role != "drums" for note in some]


def outside_same(song: Song, edit: Song, spans: tuple[tuple[float, float], ...]) -> bool:
    """Whether latents and notes outside the spans are the source's: start, pitch and velocity of every note, and its
    length where it ends outside too."""
    canvas = edit.record.request.canvas
    if canvas is None:
        return True
    assert song.score is not None
    assert edit.score is not None
    assert song.latents is not None
    assert edit.latents is not None
    at = canvas.source_at // 1920
    kept = np.ones(len(edit.latents), dtype=bool)
    for first, stop in canvas.span_frames(len(edit.latents)):
        kept[first:stop] = False
    laid = np.full(tuple(edit.latents.shape), np.nan, np.float32)
    laid[at : at + len(song.latents)] = song.latents.numpy()
    if not np.array_equal(edit.latents.numpy()[kept], laid[kept]):
        return False
    shift_s = canvas.source_at / RATE_HZ
    # A millisecond more, for a note at the very edge of its frame.
    frame_spans = tuple((a / 25 - 1e-3, b / 25 + 1e-3) for a, b in canvas.span_frames(len(edit.latents)))
    here = within(edit.score, frame_spans, outside=True)
    there = within(song.score, tuple((a - shift_s, b - shift_s) for a, b in frame_spans), outside=True)

    def facts(notes: dict[Role, list[Note]], shift_s: float) -> set[tuple[Role, int, int, int]]:
        return {
            (role, round((note.start_s + shift_s) * 1000), note.pitch, note.velocity)
            for role, some in notes.items()
            for note in some
        }

    return facts(here, 0.0) == facts(there, shift_s)


def others_same(song: Song, edit: Song, task: Lego, engine: Engine) -> bool:
    """Whether the tracks that were not written have the source's notes, and the written one, taken out, its own."""
    assert song.score is not None
    assert edit.score is not None
    programs: dict[Role, int] = {track.role: track.program for track in (*song.score.tracks, *edit.score.tracks)}
    written = roles_of(task.track, programs)
    was, now = (
        {track.role: track.notes for track in one.tracks if track.role not in written}
        for one in (song.score, edit.score)
    )
    if not any(track.role in written for track in edit.score.tracks):
        return was == now
    alone = engine.generate(SongRequest(model="built-in", task=Extract(source=engine.hold(edit), track=task.track)))
    assert alone.score is not None
    return was == now and alone.score.tracks == tuple(t for t in edit.score.tracks if t.role in written)


def row(name: str, edits: list[Edited]) -> str:
    """One line of the table."""
    joints = [one for edit in edits for one in edit.joints]
    passed = sum(edit.seams_passed for edit in edits)
    on_grid = [edit.on_grid for edit in edits if edit.on_grid is not None]
    apart = [edit.apart for edit in edits if edit.apart is not None]
    count = len(edits)
    cells = [
        f"{name:16}{f'{passed}/{len(joints)}' if joints else '-':>9}",
        f"{sum(edit.tempo_kept for edit in edits):4d}/{count:<4}",
        f"{sum(edit.key_kept for edit in edits):4d}/{count:<4}",
        f"{sum(edit.made_in_key for edit in edits):5d} ({sum(edit.source_in_key for edit in edits):3d}) ",
        f"{np.mean([edit.in_scale for edit in edits]):6.3f}",
        f"{np.mean(on_grid) if on_grid else float('nan'):8.3f}",
        f"{np.mean([edit.notes_a_second for edit in edits]):8.1f}",
        f"{sum(edit.outside_same for edit in edits):5d}/{count:<4}",
        f"{f'{sum(apart)}/{len(apart)}' if apart else '-':>6}",
    ]
    return "".join(cells)


def passes(edits: list[Edited]) -> bool:
    """Whether these edits meet every bar."""
    joints = sum(len(edit.joints) for edit in edits)
    return bool(
        sum(edit.seams_passed for edit in edits) >= SEAM_BAR * joints
        and sum(edit.tempo_kept for edit in edits) >= TEMPO_BAR * len(edits)
        and sum(edit.key_kept for edit in edits) >= KEY_BAR * len(edits)
        and np.mean([edit.in_scale for edit in edits]) >= SCALE_BAR
        and all(edit.outside_same for edit in edits)
        and all(edit.apart is not False for edit in edits)
    )


def table(name: str, makes: Engine, edits: Engine, asked: list[Prompt], pictures: Path | None = None) -> list[Edited]:
    """Make all edits and print a line for each kind and one for all."""
    found = list(edit_all(makes, edits, asked, pictures))
    for kind in KINDS:
        print(row(f"{name} {kind}", [edit for one, edit in found if one == kind]), flush=True)
    everything = [edit for _, edit in found]
    print(row(f"{name}, all", everything) + ("   pass" if passes(everything) else "   fail"), flush=True)
    return everything


def main() -> int:
    parser = argparse.ArgumentParser(description="Weigh the built-in model's edits of its own songs.")
    parser.add_argument("--weights", type=Path, default=BUILTIN_DIRECTORY, help="directory of the model's files")
    parser.add_argument("--songs", type=int, default=SONGS)
    parser.add_argument("--threads", type=int, help="threads of the engine; default: what it finds best")
    parser.add_argument("--pictures", type=Path, help="write a mel spectrogram and piano roll of each edit here")
    parser.add_argument("--json", type=Path, help="write every measure of every edit here")
    parser.add_argument("--no-control", action="store_true", help="leave out the random weights")
    given = parser.parse_args()
    asked = prompts(given.songs)
    runtime = Runtime.detect(threads=given.threads)
    print("                    seams   tempo      key  made (source) scale on grid notes/s outside  apart")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder) / "data")
        trained = Engine(runtime=runtime, settings=settings, checkpoint_dir=given.weights)
        groups = {"trained": table("trained", trained, trained, asked, given.pictures)}
        if not given.no_control:
            random_weights(Path(folder))
            control = Engine(runtime=runtime, settings=settings, checkpoint_dir=Path(folder))
            groups["random"] = table("random", trained, control, asked)
    if given.json is not None:
        found = {name: [asdict(edit) for edit in edits] for name, edits in groups.items()}
        given.json.write_text(json.dumps(found, indent=1))
    return 0 if passes(groups["trained"]) and not ("random" in groups and passes(groups["random"])) else 1


if __name__ == "__main__":
    sys.exit(main())
