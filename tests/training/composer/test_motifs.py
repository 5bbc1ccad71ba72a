"""What happens to a motif when it comes back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from partita.training.composer.motifs import (
    FLIGHTS,
    FORMS,
    FRAGMENTS,
    HOOKS,
    VARIATIONS,
    Motif,
    draw_close,
    draw_motif,
    invert,
    ornament,
    simplify,
    varied,
)
from partita.training.composer.patterns import CELLS

ALL_CELLS = [cell for cells in CELLS.values() for of_metre in cells.values() for cell in of_metre]
SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.sampled_from(ALL_CELLS), st.sampled_from(sorted(VARIATIONS)))
def test_a_varied_motif_keeps_to_its_bar(seed: int, cell: str, sign: str) -> None:
    motif = varied(draw_motif(random.Random(seed), cell), sign)
    assert len(motif.rhythm) == len(motif.heights)
    end = 0
    for step, length, _ in motif.rhythm:
        assert step >= end
        assert length > 0
        end = step + length
    assert end <= len(cell)


@given(SEEDS, st.sampled_from(ALL_CELLS))
def test_an_inversion_twice_is_the_motif(seed: int, cell: str) -> None:
    motif = draw_motif(random.Random(seed), cell)
    assert invert(invert(motif)) == motif


@given(SEEDS, st.sampled_from(CELLS["cadence"]["4/4"]))
def test_a_close_arrives_by_step(seed: int, cell: str) -> None:
    motif = draw_close(random.Random(seed), cell)
    assert motif.heights[-1] == 0
    assert len(motif.heights) == 1 or abs(motif.heights[-2]) == 1


def test_an_ornament_divides_the_longest_note() -> None:
    motif = Motif(((0, 4, "X"), (4, 8, "x")), (0, 2))
    assert ornament(motif) == Motif(((0, 4, "X"), (4, 4, "x"), (8, 4, "o")), (0, 2, 3))


def test_a_simple_motif_gives_short_notes_to_the_one_before() -> None:
    motif = Motif(((0, 2, "X"), (2, 2, "x"), (4, 4, "X")), (0, 1, 2))
    assert simplify(motif) == Motif(((0, 4, "X"), (4, 4, "X")), (0, 2))


@pytest.mark.parametrize("form", [*FORMS, *HOOKS, *FRAGMENTS, *FLIGHTS])
def test_forms_are_four_bars_of_known_motifs_and_signs(form: tuple[str, ...]) -> None:
    assert len(form) == 4
    for name in form:
        assert name == "." or name[0] in "ABC"
        assert all(sign in VARIATIONS for sign in name[1:])
