"""Checks recorded lyrics of ACE-Step v1 against `partita.text.v1`: languages, cleaned words and token ids.

The vocabulary is the `lyric_vocab.json` beside the file, else the one in `../shared`. Where there is none, all ids
fail. Everything runs as the original does (`parity=True`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from partita.text.v1.cleaners import clean
from partita.text.v1.lyrics import read_lines
from partita.text.v1.segments import language_of_line, ranking
from partita.text.v1.tokenizer import LyricTokenizer
from tests.golden import registry

NAME = "lyric_vocab.json"
SHARED = Path(__file__).parents[3] / "shared" / "golden" / "v1" / NAME


def check_lyrics(section: str, entry: dict[str, Any], place: registry.Place) -> dict[str, Any] | None:
    """What an entry of a lyrics file should hold, or None if it is of another kind."""
    if "text" not in entry:
        return None
    tokenizer = _tokenizer(place.path.with_name(NAME))
    if section == "forced_grid":
        return _forced(tokenizer, entry["text"], entry["lang"])
    if section == "whole":
        return {"ids": tokenizer and read_lines(entry["text"], tokenizer, parity=True).ids}
    return _line(tokenizer, entry) if section == "lines" else None


def _line(tokenizer: LyricTokenizer | None, entry: dict[str, Any]) -> dict[str, Any]:
    text = entry["text"].strip()
    got: dict[str, Any] = {"ids": None}
    if tokenizer is not None:
        read = read_lines(entry["text"], tokenizer, parity=True)
        got = {"ids": read.ids, "encoded_as": read.lines[0].language, "normalized": read.lines[0].normalised}
    if text:
        got |= {"detected": language_of_line(text), "counts": ranking(text)}
    if "forced" in entry:
        language = entry["forced"]["lang"]
        got["forced"] = {"lang": language, **_forced(tokenizer, text, language)}
    return got


def _forced(tokenizer: LyricTokenizer | None, text: str, language: str) -> dict[str, Any]:
    return {"normalized": clean(text, language), "ids": tokenizer and tokenizer.encode(text, language)}


@cache
def _tokenizer(beside: Path) -> LyricTokenizer | None:
    path = beside if beside.is_file() else SHARED
    return LyricTokenizer.load(path) if path.is_file() else None
