"""The built-in model's corpus: composed pieces as score latents on disk, and batches drawn from them.

Pieces come from seeds: those from `TRAINING_SEEDS` are trained on, those from `HELD_OUT_SEEDS` never are, and
`BENCH_SEEDS` (prompts of the bench) are neither. The ranges do not overlap, and `build` refuses any other seed.
A batch is a function of a number: batch n is the same whoever draws it, so a run resumes by its step alone.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from partita.errors import RequestError
from partita.score.codec import CHANNELS, encode
from partita.score.context import lay_context
from partita.score.styles import Cast
from partita.score.types import ROLES
from partita.text.score_prompt import score_prompt
from partita.training.composer import caption, compose

TRAINING_SEEDS = range(0, 4_000_000)
HELD_OUT_SEEDS = range(5_000_000, 6_000_000)
BENCH_SEEDS = range(6_000_000, 7_000_000)

CAPTIONS_PER_PIECE = 6
WINDOW_FRAMES = 500  # 20 s
CONTINUED_FRAMES = 200  # 8 s: how much of a long song the next window is given
WINDOWS: tuple[tuple[float, int], ...] = ((0.76, WINDOW_FRAMES), (0.12, 300), (0.07, 200), (0.05, 125))
"""Share of batches, length of their windows."""
DURATIONS_S: tuple[tuple[float, float], ...] = (
    (0.46, 20.0),
    (0.05, 5.0),
    (0.07, 8.0),
    (0.10, 12.0),
    (0.12, 30.0),
    (0.12, 45.0),
    (0.08, 90.0),
)
"""Share of pieces, length. Most are as long as some window, so that whole songs with both ends are seen."""


def duration_of(seed: int) -> float:
    """Length of the piece of a seed, from `DURATIONS_S`."""
    shares, durations_s = zip(*DURATIONS_S, strict=True)
    return float(np.random.default_rng([seed, 1]).choice(durations_s, p=shares))


@dataclass(frozen=True, slots=True)
class _Encoded:
    latents: np.ndarray
    cast: tuple[int, ...]
    captions: list[str]
    plan: dict[str, Any]


def _encode_seed(seed: int) -> _Encoded:
    piece = compose(seed, duration_s=duration_of(seed))
    score = piece.score
    cast = Cast(piece.spec.genre, piece.spec.energy, {track.role: track.program for track in score.tracks})
    captions = [caption(piece, seed * CAPTIONS_PER_PIECE + number) for number in range(CAPTIONS_PER_PIECE)]
    plan = {
        "bpm": score.grid.bpm,
        "time_signature": score.grid.time_signature,
        "key": score.key,
        "duration_s": score.duration_s,
    }
    return _Encoded(encode(score).astype(np.float16), cast.numbers(), captions, plan)


def build(directory: Path, seeds: range, workers: int = 2) -> None:
    """Compose and encode the pieces of `seeds` into `directory`.

    Raises RequestError for seeds outside `TRAINING_SEEDS` and `HELD_OUT_SEEDS`.
    """
    if not any(
        seeds.start >= allowed.start and seeds.stop <= allowed.stop for allowed in (TRAINING_SEEDS, HELD_OUT_SEEDS)
    ):
        raise RequestError(
            f"Seeds {seeds.start}..{seeds.stop} lie in neither {TRAINING_SEEDS} nor {HELD_OUT_SEEDS}.", value=seeds
        )
    directory.mkdir(parents=True, exist_ok=True)
    starts, casts = [0], []
    # Fork is not everywhere, and torch's threads do not survive it.
    with (
        multiprocessing.get_context("spawn").Pool(workers) as pool,
        (directory / "latents.f16").open("wb") as latents,
        (directory / "pieces.jsonl").open("w") as pieces,
    ):
        for seed, one in zip(seeds, pool.imap(_encode_seed, seeds, chunksize=16), strict=True):
            latents.write(one.latents.tobytes())
            starts.append(starts[-1] + len(one.latents))
            casts.append(one.cast)
            pieces.write(json.dumps({"seed": seed, "captions": one.captions, "plan": one.plan}) + "\n")
    np.savez(directory / "index.npz", starts=np.array(starts), casts=np.array(casts, dtype=np.int8))


@dataclass(frozen=True, slots=True)
class Batch:
    """B windows of T frames.

    latents `[B, T, 64]`, context `[B, T, 128]` (source and mask), casts `[B, 8]` (`Cast.numbers`), drop `[B]` (bool:
    classifier-free guidance's null condition).
    """

    latents: np.ndarray
    context: np.ndarray
    casts: np.ndarray
    drop: np.ndarray


class Corpus:
    """Pieces in a directory written by `build`, read by memory map."""

    def __init__(self, directory: Path) -> None:
        index_path = directory / "index.npz"
        if not index_path.exists():
            raise RequestError(f"There is no corpus at {directory}; build one first.", value=directory)
        index = np.load(index_path)
        self._starts, self.casts = index["starts"], index["casts"]
        self._latents = np.memmap(directory / "latents.f16", dtype=np.float16, mode="r").reshape(-1, CHANNELS)
        self.pieces = [json.loads(line) for line in (directory / "pieces.jsonl").read_text().splitlines()]
        self._lengths = np.diff(self._starts)

    def __len__(self) -> int:
        return len(self._lengths)

    def latents(self, piece: int) -> np.ndarray:
        """All latents of a piece, `[T, 64]`, float16."""
        return self._latents[self._starts[piece] : self._starts[piece + 1]]

    def prompt(self, piece: int, rng: np.random.Generator) -> str:
        """One of a piece's captions with its plan; at times one of the two alone."""
        entry = self.pieces[piece]
        text = entry["captions"][rng.integers(len(entry["captions"]))]
        chance = rng.random()
        if chance < 0.1:
            return text
        return score_prompt("" if chance < 0.15 else text, **entry["plan"])

    def batch(self, number: int, size: int, *, seed: int = 0, drop: float = 0.15) -> Batch:
        """Batch `number` of the endless sequence that `seed` names."""
        rng = np.random.default_rng([seed, number])
        shares, lengths = zip(*WINDOWS, strict=True)
        frames = int(rng.choice(lengths, p=shares))
        # A shorter window gets more items, so that a step costs the same.
        size = size * WINDOW_FRAMES // frames
        whole_pieces = np.flatnonzero(self._lengths == frames)
        long_enough = np.flatnonzero(self._lengths >= frames)
        chosen = rng.choice(long_enough, size=size)
        if len(whole_pieces):
            chosen = np.where(rng.random(size) < 0.5, rng.choice(whole_pieces, size=size), chosen)
        windows, contexts = [], []
        for piece in chosen:
            latents = self.latents(piece)
            first = _window_start(len(latents) - frames, rng)
            window = latents[first : first + frames].astype(np.float32)
            windows.append(window)
            contexts.append(lay_context(window, draw_keep(self.casts[piece, 2:] >= 0, frames, first > 0, rng)))
        return Batch(np.stack(windows), np.stack(contexts), self.casts[chosen], rng.random(size) < drop)


def _window_start(room: int, rng: np.random.Generator) -> int:
    """Where in a piece a window starts: often at either end, for beginnings and endings are rarer than middles."""
    chance = rng.random()
    if room <= 0 or chance < 0.2:
        return 0
    return room if chance < 0.4 else int(rng.integers(room + 1))


def draw_keep(present: np.ndarray, frames: int, inside: bool, rng: np.random.Generator) -> np.ndarray:
    """What stays, `[frames, 6]` bool, of a window in which the roles `present` `[6]` play.

    Of windows that start inside a song (`inside`) half are continuations. Of the others six in ten are made whole, the
    rest have a span repainted, or some tracks given. In most cases roles that are absent are given as silence.
    """
    keep = np.zeros((frames, len(ROLES)), dtype=bool)
    kind = rng.random()
    if inside and kind < 0.5:
        keep[:CONTINUED_FRAMES] = True
    elif kind > 0.8:
        length = int(frames * rng.uniform(0.15, 0.7))
        first = int(rng.integers(frames - length + 1))
        keep[:] = True
        keep[first : first + length] = False
    elif kind > 0.65:
        keep[:, present & (rng.random(len(ROLES)) < 0.5)] = True
    if rng.random() < 0.75:
        keep[:, ~present] = True
    return keep


def captions_of(corpus: Corpus) -> Sequence[str]:
    """Every prompt of a corpus in full, for training a tokenizer."""
    return [score_prompt(text, **piece["plan"]) for piece in corpus.pieces for text in piece["captions"]]
