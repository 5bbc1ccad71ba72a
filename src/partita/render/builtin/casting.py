"""Who plays a song of the built-in model, and in what manner.

What a caption says in so many words decides (`partita.text.orchestration`): what is named plays, in the part that is
said or else in the likeliest of its parts; what is ruled out does not play. The rest is drawn by the song's seed from
what the text makes likely. Knows nothing of the network that reads texts but its likelihoods. A song that is edited
keeps who plays it. What of the words cannot be done is said in notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from partita.errors import RequestError
from partita.models.score_caption import Likelihoods
from partita.sampling.noise import Stream, uniforms
from partita.score.instruments import instrument, programs_for
from partita.score.styles import ENERGIES, STYLES, Cast
from partita.score.types import ROLES, Role
from partita.song.resolve import ResolvedRequest
from partita.song.task import Retake
from partita.text.orchestration import Named, NamedParts, named_parts

PRESENCE_TEMPERATURE = 0.5  # below 1: doubtful instruments follow the likelier side more often than not
CHOICE_TEMPERATURE = 0.7
_MOST_NAMED = 8
"""More than this many instruments of one caption are not weighed against each other: there are six parts."""
_PLACED, _WISHED = 1000.0, 50.0
"""That one more instrument plays outweighs any likelihood; that one has the part it is known for, most."""

NOBODY = NamedParts()


@dataclass(frozen=True, slots=True)
class Casting:
    """The song's cast, the one that what is made is `written_for`, and sentences on what was asked for in vain."""

    song: Cast
    written_for: Cast
    notes: tuple[str, ...] = ()


def casting_of(heard: Likelihoods, resolved: ResolvedRequest, caption: str, seed: int) -> Casting:
    """The casts of a song whose plan has `caption`, of which `heard` is what the reader makes.

    Both are drawn for a song of its own (a retake's by the seed of what it retakes). An edited song keeps its cast;
    words that are not its own give what is made in it another manner, never other players. Raises RequestError where
    the source's cast is not known, or where the words leave nobody to play.
    """
    task, source = resolved.task, resolved.source
    named = named_parts(caption)
    drawing_seed = task.of_seed if isinstance(task, Retake) else seed
    if source is None:
        drawn, notes = draw_cast(heard, drawing_seed, named)
        return Casting(drawn, drawn, notes)
    if source.song is None or source.song.cast is None:
        raise RequestError(
            "The source does not say which instruments play it, and the built-in model edits only songs that it made: "
            "generate the song again and edit that.",
            field="task.source",
            value=source.sha256,
        )
    own = Cast.of_numbers(source.song.cast)
    if caption == source.song.plan.caption:
        return Casting(own, own)
    manner, _ = draw_cast(heard, drawing_seed, NOBODY)
    return Casting(own, replace(manner, programs=own.programs), tuple(_kept_notes(named, own)))


def choose_cast(heard: Likelihoods, seed: int, named: NamedParts = NOBODY) -> Cast:
    """Style, energy and instruments, by what is `named` and else by what the text makes likely (of one text)."""
    return draw_cast(heard, seed, named)[0]


def draw_cast(heard: Likelihoods, seed: int, named: NamedParts = NOBODY) -> tuple[Cast, tuple[str, ...]]:
    """`choose_cast`, and sentences on what is named and cannot play.

    A part that is not named is drawn with the same numbers whatever else is named. Raises RequestError where the words
    rule out every part.
    """
    draws = uniforms(seed, 2 + 2 * len(ROLES), Stream.ORCHESTRATION).tolist()
    style = STYLES[_draw(heard.style[0], draws[0])]
    energy = ENERGIES[_draw(heard.energy[0], draws[1])]
    choices = _choices(named)
    if not choices:
        raise RequestError(
            "The caption rules out every instrument there is: leave at least one part to play.", field="caption"
        )
    placed = place_named(heard, named)
    presence = torch.sigmoid(heard.presence[0].float() / PRESENCE_TEMPERATURE).tolist()
    certain = {role for role in (*placed, *named.roles) if role in choices}
    # Somebody plays: the likeliest of those who may, where nobody is named.
    likeliest = max(choices, key=lambda role: presence[ROLES.index(role)])
    programs: dict[Role, int] = {}
    for index, role in enumerate(ROLES):
        plays, which = draws[2 + 2 * index : 4 + 2 * index]
        if role not in choices:
            continue
        drawn = not named.only and (plays < presence[index] or (not certain and role == likeliest))
        if role in certain or drawn or (named.only and not certain and role == likeliest):
            able = placed[role].parts if role in placed else choices[role]
            programs[role] = _draw_program(heard, role, [program for part, program in able if part == role], which)
    return Cast(style, energy, programs), tuple(_notes(named, placed))


def place_named(heard: Likelihoods, named: NamedParts) -> dict[Role, Named]:
    """Who of the instruments that are named plays which part: as many as can, in the likeliest parts of theirs.

    A part has one player. One whose part is said has it before one whose is not.
    """
    presence = torch.nn.functional.logsigmoid(heard.presence[0].float())
    likely = torch.log_softmax(heard.programs[0].float(), dim=-1)

    def worth(one: Named, role: Role) -> float:
        places = [programs_for(role).index(program) for part, program in one.parts if part == role]
        said = _WISHED if one.role is not None else 0.0
        row = likely[ROLES.index(role)]
        return _PLACED + said + float(presence[ROLES.index(role)]) + max(float(row[place]) for place in places)

    best: tuple[float, dict[Role, Named]] = (0.0, {})
    options: list[list[tuple[Role, float]]] = [
        [(role, worth(one, role)) for role in one.roles] for one in named.instruments[:_MOST_NAMED]
    ]

    def place(index: int, total: float, taken: dict[Role, Named]) -> None:
        nonlocal best
        if total > best[0]:
            best = (total, taken)
        if index == len(options):
            return
        for role, value in options[index]:
            if role not in taken:
                more = taken.copy()
                more[role] = named.instruments[index]
                place(index + 1, total + value, more)
        place(index + 1, total, taken)

    place(0, 0.0, {})
    return best[1]


def _choices(named: NamedParts) -> Mapping[Role, Sequence[tuple[Role, int]]]:
    """What may play each part; parts that nothing may play are left out."""
    allowed: dict[Role, list[tuple[Role, int]]] = {
        role: [(role, program) for program in programs_for(role) if (role, program) not in named.excluded]
        for role in ROLES
        if role not in named.absent
    }
    return {role: parts for role, parts in allowed.items() if parts}


def _notes(named: NamedParts, placed: Mapping[Role, Named]) -> Iterable[str]:
    for text in named.strangers:
        yield f"{text} is not among the instruments of the built-in model, and does not play."
    for text in named.contradicted:
        yield f"The caption asks for {text} and rules it out as well: it does not play."
    players = list(placed.values())
    for one in named.instruments:
        if one not in players:
            others = " and ".join(dict.fromkeys(placed[role].text for role in one.roles if role in placed))
            taken = f"of {others}" if others else "of others that the caption names"
            yield f"{one.text} does not play: {' or '.join(one.roles)} is the part {taken}, and each has one player."
        elif one.wished is not None:
            role = next(part for part, player in placed.items() if player == one)
            yield f"{one.text} cannot play the {one.wished} part in the built-in model: it plays {role}."


def _kept_notes(named: NamedParts, own: Cast) -> Iterable[str]:
    """What the words of an edit ask for in vain: the players are the song's."""
    for text in named.strangers:
        yield f"{text} is not among the instruments of the built-in model, and does not play."
    playing = set(own.programs.items())
    players = ", ".join(instrument(role, program).name for role, program in own.programs.items())
    for one in named.instruments:
        if not playing & set(one.parts):
            yield f"{one.text} does not play: an edited song keeps its players ({players})."
    for role in ROLES:
        if role in named.roles and role not in own.programs:
            yield f"{role} is not added: an edited song keeps its players ({players})."
        if role in named.absent and role in own.programs:
            yield f"{role} is not taken out: an edited song keeps its players ({players})."


def _draw_program(heard: Likelihoods, role: Role, able: Sequence[int], draw: float) -> int:
    choices = programs_for(role)
    places = [choices.index(program) for program in able]
    logits = heard.programs[0, ROLES.index(role), places]
    return choices[places[_draw(logits, draw)]]


def _draw(logits: Tensor, draw: float) -> int:
    odds = torch.softmax(logits.double() / CHOICE_TEMPERATURE, dim=0)
    return min(int(torch.searchsorted(odds.cumsum(0), draw)), len(logits) - 1)
