"""From a request to a resolved one: takes in the files that it names and finds the model that it means.

The one way there, for the engine and the command line alike. Imports no torch, unless the request has adapters.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from partita.engine.archive import Archive
from partita.errors import RequestError
from partita.planner.reading import key_of, language_named, metre_of, tempo_of
from partita.settings import Settings
from partita.song.request import MAX_SEED, SongRequest
from partita.song.resolve import ResolvedRequest, TakenIn, resolve
from partita.song.source import SourceFacts
from partita.song.styles import Said, find_style
from partita.song.task import source_of
from partita.weights.catalog import card as find_card, catalog

if TYPE_CHECKING:
    from partita.engine.adapters import AdapterShelf


def take_in(request: SongRequest, archive: Archive, shelf: AdapterShelf | None = None) -> TakenIn:
    """Take in the source, the references and the adapters that `request` names.

    A shelf is needed only where there are adapters. Raises AudioError, RequestError and ModelError for what cannot be
    used, ResourceError where it cannot be kept.
    """
    source = source_of(request.task)
    if shelf is None and request.adapters:
        raise ValueError("a request with adapters needs a shelf to find them on")
    notes: list[str] = []
    return TakenIn(
        source=None if source is None else archive.take(source, "task.source", tell=notes.append),
        references=tuple(archive.take(ref, f"references.{index}") for index, ref in enumerate(request.references)),
        adapters=tuple(shelf.resolve(choice.name) for choice in request.adapters) if shelf is not None else (),
        said=_said(request.caption) if request.style is not None else Said(),
        notes=tuple(notes),
    )


def _said(caption: str) -> Said:
    return Said(
        bpm=tempo_of(caption),
        key=key_of(caption),
        time_signature=metre_of(caption),
        language=language_named(caption),
    )


def resolve_request(
    request: SongRequest,
    settings: Settings,
    *,
    archive: Archive | None = None,
    shelf: AdapterShelf | None = None,
    fresh_seed: Callable[[], int] = lambda: secrets.randbelow(MAX_SEED + 1),
) -> ResolvedRequest:
    """`request` with its files taken in and every default filled in.

    The model is the request's, else the one that made its source, else the setting's. Archive and shelf are those of
    `settings` where none are given. Raises the errors of `take_in`, and RequestError where the model cannot honour the
    request.
    """
    if request.model is not None:
        find_card(request.model)  # a misspelt name is told before ten minutes of audio are read
    if request.style is not None:
        find_style(request.style)
    archive = archive or Archive(settings.archive)
    if shelf is None and request.adapters:
        shelf = shelf_of(settings)
    taken = take_in(request, archive, shelf)
    card = find_card(request.model or _maker(taken.source) or settings.model)
    for field, facts in (
        ("task.source", taken.source),
        *((f"references.{n}", r) for n, r in enumerate(taken.references)),
    ):
        if facts is not None:
            archive.check_family(facts, card.family, field)
    try:
        return resolve(request, card, taken, cards=catalog(), fresh_seed=fresh_seed)
    except RequestError as error:
        for note in taken.notes:  # why a song is not taken as one may be why it cannot be edited
            error.add_note(note)
        raise


def shelf_of(settings: Settings) -> AdapterShelf:
    """This user's adapters. Imports torch."""
    from partita.engine.adapters import AdapterShelf

    return AdapterShelf(settings.adapters)


def _maker(source: SourceFacts | None) -> str | None:
    return source.song.model if source is not None and source.song is not None else None
