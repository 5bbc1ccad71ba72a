"""Who plays a song of the built-in model, and in what manner: drawn from what the text makes likely.

Knows nothing of the network that reads texts but its likelihoods. A song that is edited keeps who plays it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from partita.errors import RequestError
from partita.models.score_caption import Likelihoods
from partita.sampling.noise import Stream, uniforms
from partita.score.instruments import programs_for
from partita.score.styles import ENERGIES, STYLES, Cast
from partita.score.types import ROLES, Role
from partita.song.resolve import ResolvedRequest
from partita.song.task import Retake

PRESENCE_TEMPERATURE = 0.5  # below 1: doubtful instruments follow the likelier side more often than not
CHOICE_TEMPERATURE = 0.7


def choose_cast(heard: Likelihoods, seed: int) -> Cast:
    """Style, energy and instruments, drawn from what the text makes likely (`heard`, of one text)."""
    draws = uniforms(seed, 2 + 2 * len(ROLES), Stream.ORCHESTRATION).tolist()
    style = STYLES[_draw(heard.style[0], draws[0])]
    energy = ENERGIES[_draw(heard.energy[0], draws[1])]
    presence = torch.sigmoid(heard.presence[0].float() / PRESENCE_TEMPERATURE).tolist()
    programs: dict[Role, int] = {}
    for index, role in enumerate(ROLES):
        choices = programs_for(role)
        plays, which = draws[2 + 2 * index : 4 + 2 * index]
        if plays < presence[index] or presence[index] == max(presence):
            programs[role] = choices[_draw(heard.programs[0, index, : len(choices)], which)]
    return Cast(style, energy, programs)


def casts_of(heard: Likelihoods, resolved: ResolvedRequest, seed: int) -> tuple[Cast, Cast]:
    """The song's cast, and the one that what is made is written for.

    Both are drawn for a song of its own (a retake's by the seed of what it retakes). An edited song keeps its cast;
    words that are not its own give what is made in it another manner, never other players. Raises RequestError where
    the source's cast is not known.
    """
    task, source = resolved.task, resolved.source
    drawn = choose_cast(heard, task.of_seed if isinstance(task, Retake) else seed)
    if source is None:
        return drawn, drawn
    if source.song is None or source.song.cast is None:
        raise RequestError(
            "The source does not say which instruments play it, and the built-in model edits only songs that it made: "
            "generate the song again and edit that.",
            field="task.source",
            value=source.sha256,
        )
    own = Cast.of_numbers(source.song.cast)
    same_words = resolved.caption == source.song.plan.caption
    return own, own if same_words else replace(drawn, programs=own.programs)


def _draw(logits: Tensor, draw: float) -> int:
    odds = torch.softmax(logits.double() / CHOICE_TEMPERATURE, dim=0)
    return min(int(torch.searchsorted(odds.cumsum(0), draw)), len(logits) - 1)
