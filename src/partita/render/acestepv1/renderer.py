"""Renders plans with ACE-Step v1, stage by stage over all songs: words, sources, conditions, noise to latents, audio.

It knows the order of the networks and which songs go through one together; what each task is made of is `recipe`'s
business, and where the weights lie and what becomes of the audio is not known here at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import torch
from torch import Tensor

from partita.models.acestepv1.codec import MusicCodec
from partita.models.acestepv1.conditioner import Conditioner
from partita.models.acestepv1.transformer import Transformer
from partita.render.acestepv1.conditions import Needs, conditions_of, together
from partita.render.acestepv1.decoding import decode
from partita.render.acestepv1.draws import Draws, Generators, Streams
from partita.render.acestepv1.making import Take, sample
from partita.render.acestepv1.recipe import Edit, Recipe, Work, recipe_of
from partita.render.acestepv1.sampling import MAX_FRAMES, Conditions, Manner, manner_of
from partita.render.acestepv1.sources import Listener, to_frames
from partita.render.acestepv1.words import (
    SetName,
    Tags,
    TextEncoder,
    Wording,
    notes_on_language,
    read_lyrics,
    read_tags,
    truncation,
    wordings_of,
)
from partita.render.protocol import Job, LatentsReady, Noted, Parts, RenderEvent, StageStarted, StepDone, Told
from partita.runtime import Runtime
from partita.song.source import SAMPLE_RATE_HZ
from partita.text.v1.lyrics import LyricTokens
from partita.text.v1.tokenizer import LyricTokenizer

LARGEST_BATCH = 8
T = TypeVar("T")


class AceStepV1Renderer:
    """See `partita.render.protocol.Renderer`. Keeps nothing between songs.

    `batch` is how many songs of equal work and manner go through the transformer at a time: by default one on a CPU,
    so that no song's bits depend on another's, and up to 8 elsewhere, where they agree to rounding. In parity songs
    are always made one by one: the original's batches share what they draw. `widest` is how many frames go through the
    transformer at a time; a region of a longer song is made in windows of it.
    """

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, batch: int | None = None, widest: int = MAX_FRAMES) -> None:
        self._batch, self._widest = batch, widest

    @torch.inference_mode()
    def render(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]:
        """Sample (unless a job brings its latents) and decode. Raises ModelError where the result is not finite."""
        device, dtype = torch.device(runtime.device.value), getattr(torch, runtime.number_format.value)
        batch = self._batch or (1 if device.type == "cpu" else LARGEST_BATCH)
        songs = [_Song.of(index, job, dtype, self._widest) for index, job in enumerate(jobs)]
        for song in songs:
            if song.latents is not None:
                yield song.told(LatentsReady(song.latents))
        fresh = [song for song in songs if song.latents is None]
        if fresh:
            yield from _read(fresh, parts)
            yield from _hear(fresh, parts)
            yield from _condition(fresh, parts)
            yield from _sample(fresh, parts, device, batch)
        yield from _decode(songs, parts)


@dataclass(eq=False)
class _Song:
    """One job on its way through the stages."""

    index: int
    job: Job
    recipe: Recipe
    manner: Manner
    needs: Needs
    wordings: dict[SetName, Wording]
    tags: dict[SetName, Tags] = field(default_factory=dict)
    lyrics: dict[SetName, LyricTokens] = field(default_factory=dict)
    source: Tensor | None = None
    conditions: dict[SetName, Conditions] = field(default_factory=dict)
    latents: Tensor | None = None

    @classmethod
    def of(cls, index: int, job: Job, dtype: torch.dtype, widest: int) -> _Song:
        recipe, manner = recipe_of(job, widest), manner_of(job.resolved, dtype)
        needs = Needs.of(manner, edit=isinstance(recipe.work, Edit))
        return cls(index, job, recipe, manner, needs, wordings_of(job), latents=job.latents)

    @property
    def alike(self) -> tuple[Manner, Work]:
        """Songs that have this in common may share a batch."""
        return self.manner, self.recipe.work

    def told(self, event: RenderEvent) -> Told:
        return Told(self.index, event)


def _read(songs: Sequence[_Song], parts: Parts) -> Iterator[Told]:
    """The words of every song: states of its tags and ids of its lyrics. What several songs say is read once."""
    tags: dict[tuple[str, bool], Tags] = {}
    with parts.use("text_encoder") as lent:
        encoder = cast(TextEncoder, lent)
        for song in songs:
            yield song.told(StageStarted("text"))
            yield from _notes(song, (*song.recipe.notes, *notes_on_language(song.job)))
            for name, wording in song.wordings.items():
                yield from _notes(song, truncation(encoder.tokenizer, name, wording))
                key = wording.tags, song.needs.weak_tags
                if key not in tags:
                    tags[key] = read_tags(encoder, wording, weak=song.needs.weak_tags)
                song.tags[name] = tags[key]
    with parts.use("lyric_tokenizer") as lent:
        tokenizer = cast(LyricTokenizer, lent)
        for song in songs:
            for name, wording in song.wordings.items():
                song.lyrics[name] = read_lyrics(tokenizer, wording, parity=song.manner.parity)
            # An edit's two lyrics are often nearly the same, and so are the notes on them.
            said = dict.fromkeys(note for read in song.lyrics.values() for note in read.notes)
            yield from _notes(song, said)


def _notes(song: _Song, notes: Iterable[str]) -> Iterator[Told]:
    return (song.told(Noted(note)) for note in notes)


def _hear(songs: Sequence[_Song], parts: Parts) -> Iterator[Told]:
    """Latents of every source."""
    encoding = [song for song in songs if song.recipe.encode]
    yield from _hear_with(Listener(), [song for song in songs if not song.recipe.encode])
    if encoding:
        with parts.use("codec") as lent:
            yield from _hear_with(Listener(cast(MusicCodec, lent)), encoding)


def _hear_with(listener: Listener, songs: Sequence[_Song]) -> Iterator[Told]:
    for song in songs:
        if song.recipe.encode:
            yield song.told(StageStarted("source"))
        for event in listener.hear(song.job, song.recipe):
            if isinstance(event, StepDone):
                yield song.told(event)
            else:
                song.source = event


def _condition(songs: Sequence[_Song], parts: Parts) -> Iterator[Told]:
    """Contexts of every song."""
    known: dict[object, Conditions] = {}
    with parts.use("conditioner") as lent:
        conditioner = cast(Conditioner, lent)
        for song in songs:
            yield song.told(StageStarted("conditions"))
            for name, tags in song.tags.items():
                key = song.wordings[name].tags, song.lyrics[name].ids, song.needs
                if key not in known:
                    known[key] = conditions_of(conditioner, tags, song.lyrics[name], song.needs)
                song.conditions[name] = known[key]
            song.tags = {}


def _sample(songs: Sequence[_Song], parts: Parts, device: torch.device, batch: int) -> Iterator[Told]:
    """Latents of every song."""
    groups: dict[tuple[Manner, Work], list[_Song]] = {}
    for song in songs:
        groups.setdefault(song.alike, []).append(song)
    with parts.use("transformer") as lent:
        transformer = cast(Transformer, lent)
        for alike in groups.values():
            for group in _portions(alike, 1 if alike[0].manner.parity else batch):
                for song in group:
                    yield song.told(StageStarted("sample"))
                for event in sample(_take(group, device), group[0].manner, transformer):
                    if isinstance(event, StepDone):
                        yield from (song.told(event) for song in group)
                    else:
                        for song, latents in zip(group, event, strict=True):
                            with torch.inference_mode(False):
                                # A copy is a tensor like any other, to its new owner.
                                song.latents = to_frames(latents.cpu()).clone()
                            song.conditions = {}
                            yield song.told(LatentsReady(song.latents))


def _take(group: Sequence[_Song], device: torch.device) -> Take:
    """Songs of equal work as one batch."""
    sets = {name: together([song.conditions[name] for song in group]) for name in group[0].wordings}
    sources = [song.source for song in group if song.source is not None]
    return Take(
        work=group[0].recipe.work,
        main=sets["main"],
        draws=_draws(group, device),
        source=torch.stack(sources).to(device) if sources else None,
        told=sets.get("source"),
    )


def _draws(group: Sequence[_Song], device: torch.device) -> Draws:
    seeds = [song.recipe.seed for song in group]
    retakes = [song.recipe.retake_seed for song in group]
    manner = group[0].manner
    if manner.parity:
        return Generators(seeds, retakes, dtype=manner.dtype, device=device)
    return Streams(seeds, retakes, device)


def _decode(songs: Sequence[_Song], parts: Parts) -> Iterator[Told]:
    """The audio of every song."""
    with parts.use("codec") as lent:
        codec = cast(MusicCodec, lent)
        for song in songs:
            assert song.latents is not None  # every song was sampled, or brought its latents
            yield song.told(StageStarted("decode"))
            for chunk in decode(song.latents, song.recipe, codec):
                yield song.told(chunk)


def _portions(things: list[T], size: int) -> Iterator[list[T]]:
    return (things[first : first + size] for first in range(0, len(things), size))
