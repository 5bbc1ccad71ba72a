"""The drummer's book."""

from __future__ import annotations

import pytest

from partita.score.codec import DRUM_PITCHES
from partita.training.composer.genres import GENRES
from partita.training.composer.grooves import DRUM_KEYS, FILLS, GROOVES, drum_hits
from partita.training.composer.theory import METRES

PAGES = [(style, signature) for style in GROOVES for signature in METRES]


@pytest.mark.parametrize(("style", "signature"), PAGES)
def test_a_style_has_three_grooves_in_every_metre(style: str, signature: str) -> None:
    assert len(set(GROOVES[style][signature])) >= 3


@pytest.mark.parametrize(
    ("style", "signature"), [*PAGES, *((kind, signature) for kind in FILLS for signature in METRES)]
)
def test_every_line_is_one_bar(style: str, signature: str) -> None:
    for groove in {**GROOVES, **FILLS}[style][signature]:
        for line in groove.split():
            letter, pattern = line.split(":")
            assert letter in DRUM_KEYS
            assert len(pattern) == METRES[signature].bar


def test_every_drum_is_one_the_score_can_hold() -> None:
    assert set(DRUM_KEYS.values()) == set(DRUM_PITCHES)


def test_every_style_is_played_by_some_genre() -> None:
    assert {style for genre in GENRES.values() for style in genre.drums} == set(GROOVES)


def test_hits_are_in_order_of_time() -> None:
    assert drum_hits("K:X..x S:..g.") == ((0, 36, "X"), (2, 38, "g"), (3, 36, "x"))
