"""Listens to finished songs with the networks that made them and with a planner, and chooses the best of several.

It knows whom to ask and where a song's latents are kept; what an answer is worth is `scoring`'s and `song.scores`'
business. Networks are lent by whoever makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from partita.engine.archive import Archive
from partita.engine.hearing import codes_of
from partita.engine.meter import StageMeter
from partita.engine.planning import PlannerRoom
from partita.engine.scoring import score_song
from partita.engine.song import Song
from partita.errors import Cancelled, PartitaError, RequestError
from partita.render.protocol import Follower, Job, LyricsHeard, Noted, Parts, Renderer, SourceData
from partita.runtime import Runtime
from partita.song.planning import PlannerOptions
from partita.song.record import Record
from partita.song.scores import Candidate, PlannerScores, Scores, choice_record, ranked
from partita.song.source import FRAME_SAMPLES, SourceFacts
from partita.weights.catalog import card as find_card


class Lender(Protocol):
    """What is asked of an engine."""

    def lend_song_model(self, record: Record) -> tuple[Renderer, Parts]:
        """The renderer of the song's model, and its networks with the song's adapters."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A finished song as far as it is there: audio `[N, 2]` at the record's rate, latents `[T, 64]`, when it is sung.
    `notes` say why something is not."""

    record: Record
    audio: np.ndarray | None = None
    latents: torch.Tensor | None = None
    sung: LyricsHeard | None = None
    notes: tuple[str, ...] = ()


class Judge:
    """Scores songs. `lender` gives the networks, `archive` the latents of songs that are known by their record."""

    def __init__(self, lender: Lender, archive: Archive, planners: PlannerRoom, runtime: Runtime) -> None:
        self._lender, self._archive, self._planners, self._runtime = lender, archive, planners, runtime
        self._last: tuple[str, LyricsHeard] | None = None  # what was followed last is often asked for twice

    def piece(self, what: Song | Record | Path) -> Piece:
        """What there is of a song. Raises ReplayError for a file without a record, AudioError for one that is none."""
        if isinstance(what, Song):
            return Piece(what.record, what.audio, what.latents, what.sung)
        if isinstance(what, Record):
            return self._found(what, None, ())
        notes: list[str] = []
        record, audio, unaltered = self._archive.song_in(what, tell=notes.append)
        if unaltered:
            return self._found(record, audio, notes)
        return Piece(record, audio, notes=tuple(notes))

    def _found(self, record: Record, audio: np.ndarray | None, notes: Sequence[str]) -> Piece:
        latents = self._archive.latents_of(record.audio_sha256)
        if latents is None:
            gone = "The song's latents are not kept on this machine, so nothing is heard in them."
            return Piece(record, audio, notes=(*notes, gone))
        if audio is None:
            notes = (*notes, "There is a record alone and no audio, so the meters are left out.")
        return Piece(record, audio, torch.from_numpy(latents), notes=tuple(notes))

    def lyrics(self, piece: Piece) -> LyricsHeard:
        """When the lines of a song are sung.

        Raises RequestError where it has none, or they cannot be found; ModelError where its model is not here.
        """
        found = piece.sung or self._refusal(piece) or self._follow(piece)
        if isinstance(found, str):
            raise RequestError(found, field="lyrics")
        return found

    def scores(self, piece: Piece, *, check: Callable[[], None] = lambda: None) -> Scores:
        """Everything that can be judged of a song; what cannot is noted."""
        (scores,) = self._scored([piece], check)
        return scores

    def choose(
        self, songs: Sequence[Song], *, check: Callable[[], None] = lambda: None
    ) -> tuple[Song, list[Candidate]]:
        """The best of `songs`, with the reason in its record, and all of them, the best first. `check` is called
        between any two things that take long, and may raise."""
        scores = self._scored([self.piece(song) for song in songs], check)
        order = ranked(Candidate(seed=song.record.seed, scores=own) for song, own in zip(songs, scores, strict=True))
        best = next(song for song in songs if song.record.seed == order[0].seed)
        record = best.record.model_copy(update={"choice": choice_record(order)})
        return replace(best, record=record), list(order)

    def _scored(self, pieces: Sequence[Piece], check: Callable[[], None]) -> list[Scores]:
        """All songs through one network before the next is lent."""
        heard = self._followed([piece for piece in pieces if _may_be_sung(piece)])
        followed = iter(heard)
        sung = [next(followed) if _may_be_sung(piece) else None for piece in pieces]
        check()
        read = self._read(pieces, check)
        scores = []
        for piece, lines, planner in zip(pieces, sung, read, strict=True):
            check()
            said = [one for one in (lines, planner) if isinstance(one, str)]
            scores.append(
                score_song(
                    piece.record,
                    piece.audio,
                    sung=lines if isinstance(lines, LyricsHeard) else None,
                    planner=planner if isinstance(planner, PlannerScores) else None,
                    notes=(*piece.notes, *said),
                )
            )
        return scores

    def _followed(self, pieces: Sequence[Piece]) -> list[LyricsHeard | str]:
        """When each song is sung, or in words why that cannot be told."""
        found: list[LyricsHeard | str] = []
        for piece in pieces:
            try:
                found.append(piece.sung or self._refusal(piece) or self._follow(piece))
            except PartitaError as error:
                found.append(_noted("The lyrics were not followed.", error))
        return found

    def _refusal(self, piece: Piece) -> str | None:
        card, request = find_card(piece.record.request.model), piece.record.request
        if not card.sings:
            return f"{card.id} does not sing, so there are no lyrics to follow."
        if not card.follows_lyrics:
            return f"{card.id} does not tell when a line is sung, so its lyrics are not followed."
        if request.instrumental:
            return "The song has no lyrics, so there are none to follow; only songs with lyrics can be aligned."
        if piece.latents is None:
            return " ".join(piece.notes) or "The song has no latents in which its lyrics could be followed."
        return None

    def _follow(self, piece: Piece) -> LyricsHeard | str:
        assert piece.latents is not None
        name = piece.record.audio_sha256
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        renderer, parts = self._lender.lend_song_model(piece.record)
        if not isinstance(renderer, Follower):
            return f"The renderer of {piece.record.request.model} cannot follow lyrics."
        heard: LyricsHeard | None = None
        said = "The renderer told nothing of the lyrics."
        for told in renderer.follow([self._job(piece)], parts, self._runtime):
            if isinstance(told.event, LyricsHeard):
                heard = told.event
                self._last = (name, heard)
            elif isinstance(told.event, Noted):
                said = told.event.message
        return heard or said

    def _job(self, piece: Piece) -> Job:
        """The job that the song was made by, with its latents."""
        resolved = piece.record.request
        family = find_card(resolved.model).family
        source = None if resolved.source is None else self._archive.data(resolved.source, family)
        references = tuple(self._archive.data(facts, family) for facts in resolved.references)
        return Job(resolved, piece.record.plan, source, references, piece.latents)

    def _read(self, pieces: Sequence[Piece], check: Callable[[], None]) -> list[PlannerScores | str | None]:
        """What a planner reads in the codes of each song, or why it reads none; none where the family has no codes."""
        readable = [index for index, piece in enumerate(pieces) if find_card(piece.record.request.model).codes]
        read: list[PlannerScores | str | None] = [None] * len(pieces)
        if not readable:
            return read
        try:
            ready = self._planners.find(PlannerOptions())
            codes = {index: self._codes(pieces[index], check) for index in readable}
            with self._planners.use(ready, StageMeter()) as planner:
                for index, own in codes.items():
                    check()
                    plan = pieces[index].record.plan
                    if own is not None:
                        found = planner.judge(plan, own)
                        read[index] = PlannerScores(
                            planner=ready.identity.model,
                            codes_of="plan" if plan.codes else "latents",
                            fields=dict(found.fields),
                            total=found.total.score,
                        )
        except PartitaError as error:
            for index in readable:
                read[index] = read[index] or _noted("No planner has read the codes.", error)
        return read

    def _codes(self, piece: Piece, check: Callable[[], None]) -> tuple[int, ...] | None:
        """The codes that the song followed, else those that its latents are read as."""
        record = piece.record
        if record.plan.codes:
            return record.plan.codes
        if piece.latents is None:
            return None
        _, parts = self._lender.lend_song_model(record)
        facts = SourceFacts(sha256=record.audio_sha256, samples=record.frames, latents_only=True)
        frames = -(-record.frames // FRAME_SAMPLES)  # those beyond the song only fill the shortest layout
        return codes_of(SourceData(facts, None, piece.latents[:frames].numpy()), parts, self._runtime, check)


def _noted(what: str, error: PartitaError) -> str:
    """A fault of a judge in words: finished songs are not lost by it. Raises Cancelled where that is the fault."""
    if isinstance(error, Cancelled):
        raise error
    return f"{what} {error}"


def _may_be_sung(piece: Piece) -> bool:
    request = piece.record.request
    return piece.sung is not None or (find_card(request.model).sings and not request.instrumental)
