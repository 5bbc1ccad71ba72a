"""Renders plans with ACE-Step 1.5, stage by stage over all songs: words, sources, conditions, noise to latents, audio.

It knows the order of the networks and which songs go through one together; what each task feeds them is `recipe`'s
business, and where the weights lie and what becomes of the audio is not known here at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import torch
from torch import Tensor

from partita.errors import RequestError
from partita.models.acestep15.dit import DiT
from partita.render.acestep15.alignment import FinishedSong, hear_lyrics
from partita.render.acestep15.conditions import (
    Conditioner,
    ConditionReader,
    ConditionSet,
    Material,
    clean_latents,
    context_of,
    embed_codes,
    embed_source,
    latents_of_codes,
    plain_context,
)
from partita.render.acestep15.decoding import decode
from partita.render.acestep15.recipe import Recipe, recipe_of
from partita.render.acestep15.sampling import Manner, Place, Take, manner_of, sample
from partita.render.acestep15.sources import Heard, Listener, needs_codec
from partita.render.acestep15.words import (
    SetName,
    TextEncoder,
    Wording,
    Words,
    read_words,
    token_counts,
    truncations,
    wordings_of,
)
from partita.render.protocol import Job, LatentsReady, Noted, Parts, RenderEvent, StageStarted, StepDone, Told
from partita.runtime import Runtime
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ
from partita.text.prompts import LYRICS_MAX_TOKENS
from partita.text.tokenizers import TextTokenizer
from partita.weights.catalog import card as find_card

LARGEST_BATCH = 8
T = TypeVar("T")


class AceStep15Renderer:
    """See `partita.render.protocol.Renderer`. Keeps nothing between songs.

    `batch` is how many songs of one length and manner go through the transformer at a time. By default one on a CPU,
    so that no song's bits depend on another's, and up to 8 elsewhere, where they agree to rounding. In parity up to 8
    songs of one manner are padded together, as the original pads its batches, and what is padded is not masked.
    """

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, batch: int | None = None) -> None:
        self._batch = batch

    @torch.inference_mode()
    def render(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]:
        """Sample (unless a job brings its latents) and decode. Raises ModelError where the result is not finite."""
        place = Place(torch.device(runtime.device.value), getattr(torch, runtime.number_format.value))
        batch = self._batch or (1 if place.device.type == "cpu" else LARGEST_BATCH)
        songs = [_Song.of(index, job, place) for index, job in enumerate(jobs)]
        for song in songs:
            if song.latents is not None:
                yield song.told(LatentsReady(song.latents))
        yield from _made(songs, parts, place, batch)
        yield from _decode(songs, parts, place, runtime.decode_tile_frames)

    @torch.inference_mode()
    def follow(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]:
        """Find the lyrics in finished songs; see `partita.render.protocol.Follower`."""
        place = Place(torch.device(runtime.device.value), getattr(torch, runtime.number_format.value))
        songs = [_Song.of(index, replace(job, follow=True), place) for index, job in enumerate(jobs)]
        yield from _made(songs, parts, place, 1)


@dataclass(eq=False)
class _Song:
    """One job on its way through the stages."""

    index: int
    job: Job
    recipe: Recipe
    manner: Manner
    wordings: dict[SetName, Wording]
    heard: Heard = field(default_factory=Heard)
    codes: Tensor | None = None
    take: Take | None = None
    latents: Tensor | None = None
    tokenizer: TextTokenizer | None = None

    @classmethod
    def of(cls, index: int, job: Job, place: Place) -> _Song:
        recipe = recipe_of(job)
        manner = manner_of(job.resolved, recipe, find_card(job.resolved.model), place.dtype)
        return cls(index, job, recipe, manner, wordings_of(job, recipe), latents=job.latents)

    def told(self, event: RenderEvent) -> Told:
        return Told(self.index, event)

    def finished(self) -> tuple[FinishedSong, TextTokenizer]:
        """What it was made of, as far as it sounds: frames that only fill the shortest layout are left out."""
        assert self.latents is not None
        assert self.take is not None
        assert self.tokenizer is not None
        frames = min(len(self.latents), -(-self.recipe.samples // FRAME_SAMPLES))
        main = self.take.sets["main"]
        lyrics = self.tokenizer.encode(self.wordings["main"].lyrics, LYRICS_MAX_TOKENS)
        song = FinishedSong(
            latents=self.latents[:frames],
            condition=main.hidden,
            context=main.context[:frames],
            lyric_ids=lyrics,
            language=self.job.plan.language,
            steps=self.manner.schedule.steps,
        )
        return song, self.tokenizer


@dataclass(frozen=True)
class _Unit:
    """Songs whose words are padded to one length, and the words of each set. One song, but in uneven parity batches."""

    songs: list[_Song]
    words: dict[SetName, Words]


def _made(songs: Sequence[_Song], parts: Parts, place: Place, batch: int) -> Iterator[Told]:
    """The latents of every song that brings none, and where in them its lyrics are, for those that ask."""
    groups = _groups([song for song in songs if song.latents is None])
    # Songs that are finished are prepared apart: in parity they would change the padding of the others.
    finished = [[song] for song in songs if song.latents is not None and song.job.follow]
    prepared = [song for group in (*groups, *finished) for song in group]
    if not prepared:
        return
    units: list[_Unit] = []
    yield from _read([*groups, *finished], parts, units)
    yield from _hear(prepared, parts, place)
    yield from _condition(prepared, units, parts, place)
    with parts.use("transformer") as lent:
        transformer = cast(DiT, lent)
        yield from _sample(groups, transformer, place, batch)
        for song in prepared:
            if song.job.follow:
                yield from _follow(song, transformer)


def _groups(songs: Sequence[_Song]) -> list[list[_Song]]:
    """Songs of one manner together, in the order of their first; in parity at most as many as the original takes."""
    by_manner: dict[Manner, list[_Song]] = {}
    for song in songs:
        by_manner.setdefault(song.manner, []).append(song)
    groups: list[list[_Song]] = []
    for manner, alike in by_manner.items():
        groups.extend(_portions(alike, LARGEST_BATCH if manner.parity else len(alike)))
    return groups


def _portions(things: list[T], size: int) -> Iterator[list[T]]:
    return (things[first : first + size] for first in range(0, len(things), size))


def _started(songs: Iterable[_Song], stage: str) -> Iterator[Told]:
    for song in songs:
        yield song.told(StageStarted(stage))


def _read(groups: Sequence[list[_Song]], parts: Parts, units: list[_Unit]) -> Iterator[Told]:
    """Read the words of all songs, and put the songs into `units`."""
    known: dict[tuple[Wording, ...], Words] = {}
    with parts.use("text_encoder") as lent:
        encoder = cast(TextEncoder, lent)
        for group in groups:
            for songs in _padded_together(group, encoder):
                words: dict[SetName, Words] = {}
                yield from _started(songs, "text")
                for song in songs:
                    song.tokenizer = encoder.tokenizer
                    if song.recipe.note is not None:
                        yield song.told(Noted(song.recipe.note))
                    for note in truncations(encoder.tokenizer, song.wordings):
                        yield song.told(note)
                for name in songs[0].wordings:
                    texts = tuple(song.wordings[name] for song in songs)
                    if texts not in known:
                        known[texts] = read_words(encoder, texts)
                    words[name] = known[texts]
                units.append(_Unit(songs, words))


def _padded_together(group: list[_Song], encoder: TextEncoder) -> list[list[_Song]]:
    """The group as one where padding has an effect: in parity, with conditions of different lengths."""
    if not group[0].manner.parity or len(group) == 1:
        return [[song] for song in group]
    lengths = {
        (max(1, len(song.job.references)), *(token_counts(encoder.tokenizer, one) for one in song.wordings.values()))
        for song in group
    }
    return [group] if len(lengths) > 1 else [[song] for song in group]


def _hear(songs: Sequence[_Song], parts: Parts, place: Place) -> Iterator[Told]:
    """Latents of every source and reference."""
    encoding = [song for song in songs if needs_codec(song.job, song.recipe)]
    yield from _hear_with(Listener(None, place.device), [song for song in songs if song not in encoding])
    if encoding:
        with parts.use("vae") as vae:
            yield from _hear_with(Listener(vae, place.device), encoding, "source")


def _hear_with(listener: Listener, songs: Sequence[_Song], stage: str | None = None) -> Iterator[Told]:
    for song in songs:
        if stage is not None:
            yield song.told(StageStarted(stage))
        for event in listener.hear(song.job, song.recipe):
            if isinstance(event, Heard):
                song.heard = event
            else:
                yield song.told(event)


def _condition(songs: Sequence[_Song], units: Sequence[_Unit], parts: Parts, place: Place) -> Iterator[Told]:
    """Contexts and condition states of every song; each is a Take afterwards."""
    yield from _started(songs, "conditions")
    with parts.use("silence_latent") as lent:
        exact = cast(Tensor, lent).to(place.device)
    silence = exact.to(place.dtype)
    _detokenise(songs, silence, parts)
    states: dict[tuple[int, SetName], Tensor] = {}
    with parts.use("conditioner") as lent:
        conditioner = cast(Conditioner, lent)
        null = conditioner.null_condition_emb.clone()
        reader = ConditionReader(conditioner.encoder, silence)
        for unit in units:
            references = [song.heard.references for song in unit.songs]
            for name, words in unit.words.items():
                packed = reader.states([song.wordings[name] for song in unit.songs], words, references)
                states |= {(song.index, name): packed[place] for place, song in enumerate(unit.songs)}
    for song in songs:
        own: dict[SetName, Tensor] = {name: states[song.index, name] for name in song.wordings}
        song.take = _take(song, own, null, silence, exact)


def _detokenise(songs: Sequence[_Song], silence: Tensor, parts: Parts) -> None:
    """What the detokenizer makes of given codes, or of the codes of a cover's source."""
    covers = [song for song in songs if song.recipe.layout.is_cover]
    if not covers:
        return
    with parts.use("audio_tokenizer") as tokenizer:
        embedded = [
            embed_codes(tokenizer, song.recipe.codes, silence.device)
            if song.recipe.codes
            else embed_source(tokenizer, song.recipe.layout, Material.of(song.heard, song.recipe, silence))
            for song in covers
        ]
    with parts.use("audio_detokenizer") as detokenizer:
        for song, one in zip(covers, embedded, strict=True):
            song.codes = latents_of_codes(detokenizer, one)


def _take(song: _Song, states: dict[SetName, Tensor], null: Tensor, silence: Tensor, exact: Tensor) -> Take:
    """The song with all that sampling needs. `exact` is the silence latent in float32."""
    layout, recipe = song.recipe.layout, song.recipe
    material = Material.of(song.heard, recipe, silence)
    context = context_of(layout, Material(silence, material.source, song.codes))
    sets: dict[SetName, ConditionSet] = {
        name: ConditionSet(hidden, plain_context(layout, silence) if name == "plain" else context)
        for name, hidden in states.items()
    }
    clean = None
    if recipe.start_strength > 0 or recipe.edit is not None or layout.repaint is not None:
        clean = clean_latents(layout, Material.of(song.heard, recipe, exact))
    return Take(recipe, sets, null, clean)


def _sample(groups: Sequence[list[_Song]], transformer: DiT, place: Place, batch: int) -> Iterator[Told]:
    """Latents of every song."""
    for group in groups:
        for songs in _portions(group, batch):
            yield from _started(songs, "sample")
            takes = [song.take for song in songs if song.take is not None]
            for event in sample(takes, songs[0].manner, transformer, place):
                if isinstance(event, StepDone):
                    yield from (song.told(event) for song in songs)
                else:
                    for song, latents in zip(songs, event, strict=True):
                        with torch.inference_mode(False):
                            # A copy is a tensor like any other, to its new owner.
                            song.latents = latents[: song.recipe.kept_frames].cpu().clone()
                        if not song.job.follow:
                            song.take = None
                        yield song.told(LatentsReady(song.latents))


def _follow(song: _Song, transformer: DiT) -> Iterator[Told]:
    """The lyrics of a song that has its latents and its conditions. That they cannot be found is no fault of the
    song, which goes on."""
    yield song.told(StageStarted("lyrics"))
    try:
        finished, tokenizer = song.finished()
        yield song.told(hear_lyrics(transformer, finished, tokenizer, song.recipe.samples / SAMPLE_RATE_HZ))
    except RequestError as error:
        yield song.told(Noted(f"The lyrics cannot be followed. {error}"))
    song.take = None


def _decode(songs: Sequence[_Song], parts: Parts, place: Place, tile_frames: int | None) -> Iterator[Told]:
    """The audio of every song."""
    with parts.use("vae") as vae:
        for song in songs:
            assert song.latents is not None  # every song was sampled, or brought its latents
            yield song.told(StageStarted("decode"))
            for chunk in decode(song.latents, song.recipe, vae, place.device, tile_frames):
                yield song.told(chunk)
