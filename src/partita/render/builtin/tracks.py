"""Tracks by the names of tasks (guitar, strings): which roles of a score they are, and who plays one that is added.

A role belongs to the track of the instrument that plays it; drums and bass are roles themselves. Knows nothing of
latents or of the network but its likelihoods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from partita.errors import RequestError
from partita.models.score_caption import Likelihoods
from partita.render.builtin.casting import CHOICE_TEMPERATURE
from partita.sampling.noise import Stream, uniforms
from partita.score.instruments import instrument, programs_for
from partita.score.styles import Cast
from partita.score.types import ROLES, Role
from partita.text.orchestration import NamedParts
from partita.text.prompts import TRACK_NAMES, TrackName

# First General MIDI programs of the families that instruments of a score are in, each up to the next.
_FAMILIES: tuple[tuple[int, TrackName], ...] = (
    (0, "keyboard"),
    (9, "percussion"),
    (16, "keyboard"),
    (24, "guitar"),
    (32, "bass"),
    (40, "strings"),
    (52, "synth"),  # choirs without words, as synthesisers have them
    (56, "brass"),
    (64, "woodwinds"),
    (80, "synth"),
    (104, "guitar"),
    (108, "percussion"),
)
_ADDED = 1
"""Which run of the stream that chooses players chooses those who are added."""


def track_of(role: Role, program: int) -> TrackName:
    """The track that a role is, played by a General MIDI program."""
    if role in ("drums", "bass"):
        return "drums" if role == "drums" else "bass"
    return next(name for first, name in reversed(_FAMILIES) if program >= first)


PLAYED: tuple[TrackName, ...] = tuple(
    name
    for name in TRACK_NAMES
    if any(track_of(role, program) == name for role in ROLES for program in programs_for(role))
)
"""The tracks that a score can have."""


def roles_of(track: TrackName, programs: Mapping[Role, int]) -> frozenset[Role]:
    """The roles of a song that are this track; none where it has no such track."""
    return frozenset(role for role, program in programs.items() if track_of(role, program) == track)


def extracted(track: TrackName, cast: Cast) -> Cast:
    """The players of one track of a song. Raises RequestError where it has none."""
    _check_played(track, "task.track")
    roles = roles_of(track, cast.programs)
    if not roles:
        raise RequestError(
            f"The source has no {track} to take out: its tracks are {_told(cast)}.", field="task.track", value=track
        )
    programs: dict[Role, int] = {role: cast.programs[role] for role in ROLES if role in roles}
    return Cast(cast.style, cast.energy, programs)


def added(
    tracks: Sequence[TrackName], cast: Cast, heard: Likelihoods, named: NamedParts, seed: int, field: str
) -> tuple[Cast, frozenset[Role]]:
    """The players of a song with these tracks, and the roles that are to be written for them.

    A track that the song has is written anew for whoever plays it, or for another of its instruments where that is
    named. One that it has not takes a role that nobody plays, by what is named, else by what the text makes likely and
    the seed. Raises RequestError where there is none, naming the tracks that can be added.
    """
    programs: dict[Role, int] = dict(cast.programs)
    written: set[Role] = set()
    draws = uniforms(seed, 2 * len(tracks), Stream.ORCHESTRATION, _ADDED).tolist()
    for index, track in enumerate(tracks):
        _check_played(track, field)
        which = draws[2 * index : 2 * index + 2]
        mine = roles_of(track, programs)
        if not mine:
            mine = frozenset({_free_role(track, programs, heard, named, which[0], field)})
        own_roles: list[Role] = [role for role in ROLES if role in mine]
        for role in own_roles:
            able = _able(track, role, named)
            own = programs.get(role)
            wanted = [program for program in able if _is_named(role, program, named)]
            if own is None or (wanted and own not in wanted):
                programs[role] = _program(heard, role, wanted or able, which[1])
            written.add(role)
    ordered: dict[Role, int] = {role: programs[role] for role in ROLES if role in programs}
    return Cast(cast.style, cast.energy, ordered), frozenset(written)


def missing(cast: Cast, wanted: Cast, heard: Likelihoods) -> tuple[TrackName, ...]:
    """What to add to a song where nobody says: what the words' own cast (`wanted`) has in roles that nobody plays, or
    else the likeliest of these roles. Raises RequestError for a song in which every role plays."""
    free: list[Role] = [role for role in ROLES if role not in cast.programs]
    if not free:
        raise RequestError(
            f"Every part of the source is played already: its tracks are {_told(cast)}. Name the ones to write anew.",
            field="task.tracks",
        )
    own: list[TrackName] = [track_of(role, wanted.programs[role]) for role in free if role in wanted.programs]
    found: list[TrackName] = [track for track in dict.fromkeys(own) if not roles_of(track, cast.programs)]
    if found:
        return tuple(found)
    for role in sorted(free, key=lambda role: float(heard.presence[0, ROLES.index(role)]), reverse=True):
        for program in programs_for(role):
            track = track_of(role, program)
            if not roles_of(track, cast.programs):
                return (track,)
    raise RequestError(
        f"Every track that could be added to the source is there: {_told(cast)}. Name the ones to write anew.",
        field="task.tracks",
    )


def _check_played(track: TrackName, field: str) -> None:
    if track not in PLAYED:
        raise RequestError(
            f"The built-in model plays no {track}; its tracks are {', '.join(PLAYED)}.", field=field, value=track
        )


def _free_role(
    track: TrackName, programs: Mapping[Role, int], heard: Likelihoods, named: NamedParts, draw: float, field: str
) -> Role:
    able: list[Role] = [role for role in ROLES if role not in programs and _able(track, role, named)]
    wanted: list[Role] = [role for role in able if any(_is_named(role, p, named) for p in _able(track, role, named))]
    if not able:
        free = [name for name in PLAYED if any(role not in programs and _able(name, role, named) for role in ROLES)]
        can = f" These can be added: {', '.join(free)}." if free else ""
        roles = [role for role in ROLES if any(track_of(role, program) == track for program in programs_for(role))]
        raise RequestError(
            f"Nobody is left to play {track}: the parts that it could have ({', '.join(roles)}) are played by "
            f"others.{can} A track that is there already is written anew.",
            field=field,
            value=track,
        )
    choices = wanted or able
    logits = heard.presence[0, [ROLES.index(role) for role in choices]]
    return choices[_draw(logits, draw)]


def _able(track: TrackName, role: Role, named: NamedParts) -> list[int]:
    """Programs of a track that can play a role, without those that the words rule out unless nothing else is left."""
    able = [program for program in programs_for(role) if track_of(role, program) == track]
    return [program for program in able if (role, program) not in named.excluded] or able


def _is_named(role: Role, program: int, named: NamedParts) -> bool:
    return any((role, program) in one.parts and one.role in (None, role) for one in named.instruments)


def _program(heard: Likelihoods, role: Role, able: Sequence[int], draw: float) -> int:
    choices = programs_for(role)
    return able[_draw(heard.programs[0, ROLES.index(role), [choices.index(program) for program in able]], draw)]


def _draw(logits: torch.Tensor, draw: float) -> int:
    odds = torch.softmax(logits.double() / CHOICE_TEMPERATURE, dim=0)
    return min(int(torch.searchsorted(odds.cumsum(0), draw)), len(logits) - 1)


def _told(cast: Cast) -> str:
    tracks: dict[TrackName, list[str]] = {}
    for role, program in cast.programs.items():
        tracks.setdefault(track_of(role, program), []).append(instrument(role, program).name)
    return ", ".join(f"{track} ({', '.join(names)})" for track, names in tracks.items())
