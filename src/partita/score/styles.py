"""The styles that the built-in model knows: genres and energies, in the order of its numbers.

The order is part of the weights' meaning: append, never reorder. Knows nothing of what makes a style.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from partita.score.instruments import programs_for
from partita.score.types import ROLES, Role

STYLES: tuple[str, ...] = (
    "lofi",
    "pop",
    "rock",
    "metal",
    "house",
    "techno",
    "jazz",
    "bossa nova",
    "classical",
    "waltz",
    "ambient",
    "folk",
    "country",
    "funk",
    "disco",
    "synthwave",
    "hip hop",
    "reggae",
    "ballad",
    "cinematic",
    "chiptune",
)
ENERGIES: tuple[str, ...] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays, and in what manner: a style, an energy, and the General MIDI program of every role that plays."""

    style: str
    energy: str
    programs: dict[Role, int]

    def numbers(self) -> tuple[int, ...]:
        """Indices into `STYLES` and `ENERGIES`, then of each role's program in `programs_for`, -1 where absent."""
        players = (programs_for(r).index(self.programs[r]) if r in self.programs else -1 for r in ROLES)
        return (STYLES.index(self.style), ENERGIES.index(self.energy), *players)

    @classmethod
    def of_numbers(cls, numbers: Sequence[int]) -> Cast:
        """The inverse of `numbers`."""
        style, energy, *players = numbers
        programs: dict[Role, int] = {
            r: programs_for(r)[index] for r, index in zip(ROLES, players, strict=True) if index >= 0
        }
        return cls(STYLES[style], ENERGIES[energy], programs)
