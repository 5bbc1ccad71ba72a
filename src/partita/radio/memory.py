"""What a radio remembers of its listeners from one day to the next: what was played, what was liked and what was not.

One SQLite file, safe for several radios at once and against a crash. Knows no audio and no model.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from partita.errors import ResourceError
from partita.song.styles import folded

KEPT = 1000
"""Songs that are remembered without a judgement; judged ones stay."""
TEMPO_BAND = 10
MOST_STEPS, LEAST_STEPS = 3, -4
"""A liked feature is drawn up to 2**3 times as often, a disliked one down to 2**-4."""

Verdict = Literal[-1, 0, 1]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS songs (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    caption TEXT NOT NULL,
    seed INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    bpm INTEGER,
    key TEXT,
    style TEXT,
    language TEXT NOT NULL,
    verdict INTEGER NOT NULL DEFAULT 0
)
"""
_FIELDS = "at, caption, seed, duration_s, bpm, key, style, language, verdict"


@dataclass(frozen=True, slots=True)
class Played:
    """A song that was on the air. `at` is the clock's time in seconds; `verdict` 1 is liked and -1 disliked."""

    at: float
    caption: str
    seed: int
    duration_s: float
    bpm: int | None = None
    key: str | None = None
    style: str | None = None
    language: str = "en"
    verdict: Verdict = 0

    @property
    def features(self) -> tuple[str, ...]:
        """What a taste may be about."""
        return features(self.caption, bpm=self.bpm, key=self.key, style=self.style)


def features(
    caption: str, *, bpm: int | None = None, key: str | None = None, style: str | None = None
) -> tuple[str, ...]:
    """What of a song a taste may be about: each phrase of its caption, its tempo to ten beats, its key and style."""
    said = [f"words {name}" for part in caption.split(",") if (name := folded(part))]
    if bpm is not None:
        said.append(f"tempo {bpm // TEMPO_BAND * TEMPO_BAND}")
    said += [f"{kind} {folded(value)}" for kind, value in (("key", key), ("style", style)) if value]
    return tuple(dict.fromkeys(said))


class Tastes:
    """What the judged songs say of songs to come."""

    def __init__(self, judged: Sequence[Played] = ()) -> None:
        self._steps = Counter[str]()
        for song in judged:
            for feature in song.features:
                self._steps[feature] += song.verdict
        self._banned = {folded(song.caption) for song in judged if song.verdict < 0}
        self._liked = {folded(song.caption) for song in judged if song.verdict > 0} - self._banned
        self.liked_keys = tuple(dict.fromkeys(song.key for song in judged if song.verdict > 0 and song.key))

    def weight(self, *wanted: str) -> float:
        """How often something of these features is to be drawn, against 1 for what nobody judged."""
        steps = sum(self._steps[feature] for feature in wanted)
        return 2.0 ** min(max(steps, LEAST_STEPS), MOST_STEPS)

    def bans(self, caption: str) -> bool:
        """Whether a song of this caption was disliked."""
        return folded(caption) in self._banned

    def likes(self, caption: str) -> bool:
        """Whether a song of this caption was liked, and none disliked."""
        return folded(caption) in self._liked


class Memory:
    """The remembered songs in `folder`, by the number that `add` gives them. Safe to use from any thread.

    Raises ResourceError where the folder cannot be written.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self.path = folder / "radio.db"
        self._now = now
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"The radio cannot keep its memory in {folder}: {error.strerror}.") from None
        with self._open() as base:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute(_SCHEMA)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one piece of work, which is done whole or not at all."""
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as base, base:
                yield base
        except sqlite3.Error as error:
            raise ResourceError(
                f"The radio's memory {self.path} cannot be used ({error}): move it away to begin another."
            ) from None

    def add(self, song: Played) -> int:
        """Remember a song that goes on the air; its number."""
        values = (song.at or self._now(), song.caption, song.seed, song.duration_s)
        values = (*values, song.bpm, song.key, song.style, song.language, song.verdict)
        with self._open() as base:
            number = base.execute(
                f"INSERT INTO songs ({_FIELDS}) VALUES ({', '.join('?' * len(values))})", values
            ).lastrowid
            base.execute(
                "DELETE FROM songs WHERE verdict = 0 AND id NOT IN (SELECT id FROM songs ORDER BY id DESC LIMIT ?)",
                (KEPT,),
            )
        assert number is not None  # a row was inserted
        return number

    def judge(self, number: int, verdict: Verdict) -> None:
        """Like (1) or dislike (-1) a song, or take it back (0)."""
        with self._open() as base:
            base.execute("UPDATE songs SET verdict = ? WHERE id = ?", (verdict, number))

    def history(self, limit: int = KEPT) -> tuple[Played, ...]:
        """The last songs, oldest first."""
        return self._read(f"SELECT {_FIELDS} FROM songs ORDER BY id DESC LIMIT ?", limit)[::-1]

    def tastes(self) -> Tastes:
        """What is known of the listeners' tastes."""
        return Tastes(self._read(f"SELECT {_FIELDS} FROM songs WHERE verdict <> 0 ORDER BY id"))

    def _read(self, question: str, *values: object) -> tuple[Played, ...]:
        with self._open() as base:
            return tuple(Played(*row) for row in base.execute(question, values))
