"""The vocabulary of instruments, on which the codec's meaning rests."""

from __future__ import annotations

import pytest

from partita.score.instruments import INSTRUMENTS, instrument, instruments_for, programs_for
from partita.score.soundfont import DRUM_BANK, open_font
from partita.score.types import ROLES

STABLE = {
    "drums": (0, 8, 16, 24, 25, 32, 40),
    "bass": (0, 32, 33, 34, 35, 36, 38, 39, 42, 43),
    "chords": (0, 4, 5, 6, 11, 16, 21, 24, 25, 26, 27, 30, 48, 61, 81, 90),
    "pad": (16, 19, 48, 49, 50, 52, 88, 89, 90, 91, 94, 95),
    "arp": (0, 4, 6, 8, 10, 11, 12, 24, 25, 27, 28, 45, 46, 80, 81, 108),
    "lead": (0, 4, 11, 24, 27, 30, 40, 42, 56, 59, 66, 71, 68, 73, 80, 81),
}


@pytest.mark.parametrize("role", ROLES)
def test_the_order_of_programs_never_changes(role) -> None:
    """Trained weights know programs by their place here."""
    assert programs_for(role) == STABLE[role]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_between_two_and_sixteen_instruments(role) -> None:
    assert 2 <= len(instruments_for(role)) <= 16


def test_names_are_unambiguous() -> None:
    names = [item.name for item in INSTRUMENTS] + [word for item in INSTRUMENTS for word in item.synonyms]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("item", INSTRUMENTS, ids=lambda item: item.name)
def test_the_sound_font_has_the_instrument(item) -> None:
    assert (DRUM_BANK if item.is_kit else 0, item.program) in open_font().presets


def test_a_program_outside_the_vocabulary_is_still_an_instrument() -> None:
    assert instrument("lead", 127).program == 127
    assert instrument("lead", 73).name == "flute"
