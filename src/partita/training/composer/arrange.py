"""The arrangement: who plays in which section, who keeps the beat where no drums do, and how loud the band is.

Every section has a weight; a part comes in where the weight reaches what the part waits for, so that music thins out in
an introduction, grows through the verses and is whole in the last chorus. Knows nothing of notes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from partita.score.types import Role, SectionKind
from partita.training.composer.context import Swell
from partita.training.composer.genres import Genre
from partita.training.composer.harmony import Harmony, SectionFrame
from partita.training.composer.spec import PieceSpec

_WEIGHT: dict[SectionKind, float] = {
    "intro": 0.32, "verse": 0.52, "chorus": 0.92, "bridge": 0.46, "solo": 0.80, "outro": 0.50,
}  # fmt: skip
_REPEATED_VERSE = 0.12
_WAITS_FOR: dict[Role, float] = {
    "chords": 0.18, "bass": 0.34, "drums": 0.36, "lead": 0.40, "arp": 0.44, "pad": 0.48,
}  # fmt: skip
_PATIENCE = 0.20
"""How much sooner or later than usual a part comes in, at most, in any one piece."""

_LEVEL: dict[SectionKind, float] = {
    "intro": 0.78, "verse": 0.85, "chorus": 1.0, "bridge": 0.82, "solo": 0.96, "outro": 0.80,
}  # fmt: skip
_LAST_CHORUS_LEVEL = 0.05
_RISE = 0.75
"""How far a section swells towards a louder one that follows."""
_FALL = 0.08  # of an ending

_HARMONIC: tuple[Role, ...] = ("chords", "pad", "arp")
_STRUCK: tuple[Role, ...] = ("arp", "chords", "drums")
_TIMEKEEPERS: tuple[Role, ...] = ("arp", "chords", "bass", "pad", "lead")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """By role and section whether it plays and whether it keeps the beat; by section how loud."""

    plays: dict[Role, tuple[bool, ...]]
    steady: dict[Role, tuple[bool, ...]]
    swells: tuple[Swell, ...]


def arrange(rng: random.Random, spec: PieceSpec, genre: Genre, harmony: Harmony) -> Arrangement:
    """Draw an arrangement. In every section somebody plays the harmony, and somebody marks the beat."""
    sections, roles = harmony.sections, spec.roles
    waits = {role: _WAITS_FOR[role] + rng.uniform(-_PATIENCE, _PATIENCE) for role in roles}
    weights = [_weight(section, sections) + rng.uniform(-0.05, 0.05) for section in sections]
    casts: list[set[Role]] = [{role for role in roles if weight >= waits[role]} for weight in weights]
    if sections:
        casts[max(range(len(sections)), key=lambda index: weights[index])] = set(roles)
    keepers: list[Role | None] = []
    harmonic: list[Role] = [role for role in _HARMONIC if role in roles] or list(roles)
    for cast in casts:
        if not cast & set(harmonic):
            cast.add(harmonic[0])
        keepers.append(_timekeeper(cast, genre, roles))
    return Arrangement(
        {role: tuple(role in cast for cast in casts) for role in roles},
        {role: tuple(keeper == role for keeper in keepers) for role in roles},
        _swells(sections),
    )


def _weight(section: SectionFrame, sections: tuple[SectionFrame, ...]) -> float:
    """0 to 1: how full a section wants to be."""
    weight = _WEIGHT[section.kind]
    if section.kind == "verse":
        weight += _REPEATED_VERSE * min(section.repeat, 2)
    if section.kind == "chorus" and all(later.kind != "chorus" for later in sections[section.index + 1 :]):
        weight += 0.1
    return weight


def _timekeeper(cast: set[Role], genre: Genre, roles: tuple[Role, ...]) -> Role | None:
    """Who marks the beat where no drums do. A part that strikes joins the cast where it holds none."""
    if "drums" in cast:
        return None
    if "bass" in cast and genre.bass[0] == "walk":
        return "bass"
    if not {"arp", "chords"} & cast:
        for role in _STRUCK:
            if role in roles:
                cast.add(role)
                return None if role == "drums" else role
    return next((role for role in _TIMEKEEPERS if role in cast), None)


def _swells(sections: tuple[SectionFrame, ...]) -> tuple[Swell, ...]:
    levels = [_LEVEL[section.kind] for section in sections]
    for section in sections:
        last = all(later.kind != section.kind for later in sections[section.index + 1 :])
        if section.kind == "chorus" and last and section.repeat:
            levels[section.index] += _LAST_CHORUS_LEVEL
        if section.kind == "verse" and section.repeat:
            levels[section.index] += 0.03
    swells = []
    for section, level in zip(sections, levels, strict=True):
        following = level if section.is_last else levels[section.index + 1]
        end = level + _RISE * max(0.0, following - level)
        swells.append(Swell(level, level - _FALL if section.kind == "outro" else end))
    return tuple(swells)
