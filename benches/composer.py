"""The composer against what its pieces are to teach, genre by genre. `python benches/composer.py --pieces 400`

Measures are those of `builtin_bars`, taken of the composer's own pieces of 20 s from the bench's seeds: tempo heard
within 2 %, key of the notes, metre, ending, notes in the scale. Of pieces of 90 s: how much of a section is there again
when its kind returns, and how much of it another kind has. `--pictures DIR` draws the first pieces.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from builtin_bars import DURATION_S, LONG_S, RATE_HZ, Heard, Prompt, hear
from partita.measure.recurrence import Returns, section_returns
from partita.score.codec import decode, encode
from partita.score.matching import note_f1
from partita.score.sampler import play
from partita.score.types import Role
from partita.training.composer import compose, describe
from partita.training.corpus import BENCH_SEEDS
from pictures import draw

MEASURES = ("tempo", "key", "relative", "metre", "ending", "sound")


@dataclass(frozen=True)
class Row:
    """What was measured of one piece."""

    genre: str
    heard: Heard
    returns: Returns
    codec_f1: float
    composed_s: float


def measure(seed: int) -> Row:
    """Compose, play and measure the piece of a seed."""
    began = time.perf_counter()
    piece = compose(seed, duration_s=DURATION_S)
    composed_s = time.perf_counter() - began
    score = piece.score
    heard = hear(
        Prompt(seed, describe(piece, seed, held_out=True), piece),
        score,
        play(score, sample_rate_hz=RATE_HZ),
        composed_s,
    )
    programs: dict[Role, int] = {track.role: track.program for track in score.tracks}
    again = decode(encode(score), score.grid, score.key, programs, duration_s=score.duration_s)
    returns = section_returns(compose(seed, duration_s=LONG_S).score)
    return Row(piece.spec.genre, heard, returns, note_f1([score], [again], tolerance_s=0.015), composed_s)


def line(name: str, rows: list[Row]) -> str:
    """One row of the table: means over some pieces."""

    def mean(values: list[float]) -> float:
        return float(np.mean(values)) if values else float("nan")

    cells = [f"{mean([bool(row.heard.met[name]) for row in rows]):8.3f}" for name in MEASURES]
    cells.append(f"{mean([row.heard.in_scale for row in rows]):8.3f}")
    cells.append(f"{mean([row.heard.notes / DURATION_S for row in rows]):8.1f}")
    cells.append(f"{mean([row.returns.same for row in rows if row.returns.same is not None]):8.2f}")
    cells.append(f"{mean([row.returns.other for row in rows if row.returns.other is not None]):8.2f}")
    cells.append(f"{mean([row.codec_f1 for row in rows]):8.4f}")
    cells.append(f"{1000 * float(np.median([row.composed_s for row in rows])):8.1f}")
    return f"{name:12}{len(rows):5}" + "".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the composer's pieces by genre.")
    parser.add_argument("--pieces", type=int, default=400)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pictures", type=Path, help="draw the first pieces here")
    parser.add_argument("--drawn", type=int, default=12, help="how many are drawn")
    parser.add_argument("--misses", action="store_true", help="name the pieces that miss something")
    given = parser.parse_args()
    with get_context("spawn").Pool(given.workers) as pool:
        rows = pool.map(measure, BENCH_SEEDS[: given.pieces], chunksize=8)
    titles = (*MEASURES, "scale", "notes/s", "same", "other", "F1", "ms")
    print(f"{'genre':12}{'n':>5}" + "".join(f"{title:>8}" for title in titles))
    by_genre: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_genre[row.genre].append(row)
    for genre in sorted(by_genre):
        print(line(genre, by_genre[genre]))
    print(line("all", rows))
    for row in rows if given.misses else ():
        missed = [name for name in MEASURES if not row.heard.met[name]]
        if missed:
            one = row.heard
            print(
                f"{one.seed} {row.genre} {','.join(missed)}: {one.asked_bpm:g} heard {one.heard_bpm or 0:.1f};", end=" "
            )
            print(f"{one.asked_key} heard {one.heard_key}; {one.asked_metre} heard {one.heard_metre};", end=" ")
            print(f"{[name for name, good in one.ending.items() if not good]} {','.join(one.roles)}")
    if given.pictures is not None:
        for seed in BENCH_SEEDS[: given.drawn]:
            piece = compose(seed, duration_s=DURATION_S)
            title = f"{piece.spec.genre}: {describe(piece, seed, held_out=True).text}"
            draw(piece.score, play(piece.score, sample_rate_hz=RATE_HZ), given.pictures / f"{seed}.png", title)


if __name__ == "__main__":
    main()
