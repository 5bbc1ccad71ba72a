"""Keys: reading a key as people write it, and spelling it one way.

A key is a tonic pitch class (0 = C .. 11 = B) and a mode, `major` or `minor` (natural minor). This module knows
nothing of notes, chords or files.
"""

from __future__ import annotations

import re
from typing import Literal

from partita.errors import RequestError

Mode = Literal["major", "minor"]

# The spelling with the fewest accidentals; F# major over Gb and Eb minor over D#, as lead sheets do.
_MAJOR_TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR_TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")

KEYS: tuple[str, ...] = tuple(f"{tonic} major" for tonic in _MAJOR_TONICS) + tuple(
    f"{tonic} minor" for tonic in _MINOR_TONICS
)
"""The 24 keys in their canonical spelling: twelve major from C upward, then twelve minor."""

SCALE_STEPS: dict[Mode, tuple[int, ...]] = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
"""Semitones above the tonic of each degree; minor is natural minor."""

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}
_KEY = re.compile(
    r"\s*([A-Ga-g])\s*-?\s*(#|♯|♭|b|sharp|flat)?\s*-?\s*(major|maj|ionian|minor|min|aeolian|M|m)?\s*", re.IGNORECASE
)


def parse_key(text: str) -> tuple[int, Mode]:
    """Tonic pitch class (0..11) and mode of a key such as `C major`, `F# minor`, `Bbm`, `A♭ Major`, `d flat min`.

    A tonic alone is major. Raises `RequestError` (field `key`) for anything else.
    """
    match = _KEY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise RequestError(
            f"key {text!r} is not a key: write a tonic and a mode, such as 'C major', 'F# minor' or 'Bb minor'.",
            field="key",
            value=text,
        )
    letter, accidental, mode_word = match.groups()
    tonic = (_LETTERS[letter.upper()] + _ACCIDENTALS[(accidental or "").lower()]) % 12
    is_minor = mode_word is not None and (mode_word == "m" or mode_word.lower() in ("minor", "min", "aeolian"))
    return tonic, "minor" if is_minor else "major"


def key_name(tonic: int, mode: Mode) -> str:
    """Canonical spelling, one of `KEYS`, of a tonic pitch class (any integer, taken modulo 12) and mode."""
    tonics = _MAJOR_TONICS if mode == "major" else _MINOR_TONICS
    return f"{tonics[tonic % 12]} {mode}"


def scale_pitch_classes(tonic: int, mode: Mode) -> tuple[int, ...]:
    """The seven pitch classes of the scale from the tonic upward."""
    return tuple((tonic + step) % 12 for step in SCALE_STEPS[mode])


def tidy_key(text: str) -> str:
    """The key as `F# minor`, keeping the letter and accidental that were written (`A#m` becomes `A# minor`).

    Raises `RequestError` (field `key`) where the text is no key.
    """
    _, mode = parse_key(text)
    match = _KEY.fullmatch(text)
    assert match is not None  # parse_key has read it
    sign = {0: "", 1: "#", -1: "b"}[_ACCIDENTALS[(match.group(2) or "").lower()]]
    return f"{match.group(1).upper()}{sign} {mode}"
