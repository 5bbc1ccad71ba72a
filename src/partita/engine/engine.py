"""Runs requests to songs: resolve, plan, render, join, master, record. Progress and cancel are the caller's.

It drives the renderers' generators and owns the store of loaded networks. It knows no network, no prompt and no file
format; what is written where is `save`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch

from partita.audio.loudness import master
from partita.audio.samples import samples_sha256
from partita.engine.adapters import AdaptedParts, AdapterShelf
from partita.engine.archive import Archive
from partita.engine.batch import passes_of
from partita.engine.cancel import CancelFlag, check_cancel
from partita.engine.edit import join, needed_ranges
from partita.engine.events import Chosen, Event, Finished, LatentsReady, Planned, StageBegan
from partita.engine.intake import resolve_request
from partita.engine.judge import Judge
from partita.engine.meter import StageMeter
from partita.engine.planning import OpenPlanner, PlannerRoom, result_of, without_places
from partita.engine.replay import check_machine, check_sources, runtime_record, versions_of, weights_of
from partita.engine.song import Song
from partita.engine.spoken import SpokenEngine
from partita.engine.store import ModelStore
from partita.engine.work import Pending, SongWork, StepCount, stems_of
from partita.engine.workshop import Workshop
from partita.errors import AudioError, Cancelled, PartitaError, ReplayError, RequestError, ResourceError
from partita.planner.rules import RulePlanner
from partita.render import protocol
from partita.render.protocol import Parts, Renderer
from partita.runtime import Runtime
from partita.settings import Settings
from partita.song.card import Family, ModelCard
from partita.song.plan import Plan, Planner
from partita.song.record import Record
from partita.song.request import SongRequest
from partita.song.resolve import ResolvedRequest
from partita.song.scores import Scores
from partita.song.source import AudioRef, SongOrigin
from partita.text.subtitles import TimedLine
from partita.weights.catalog import card as find_card
from partita.weights.loaders import Loader, loader_for

RENDERERS: dict[Family, str] = {
    "built-in": "partita.render.builtin.renderer:BuiltInRenderer",
    "acestep-1.5": "partita.render.acestep15.renderer:AceStep15Renderer",
    "acestep-v1": "partita.render.acestepv1.renderer:AceStepV1Renderer",
}


class Engine(SpokenEngine):
    """Makes songs. Loaded networks stay with the engine, so one engine serves many requests.

    `checkpoint_dir` is a folder of published files that takes precedence over the cache. `renderer` and the loaders
    stand in for the real ones in tests.
    """

    def __init__(
        self,
        *,
        runtime: Runtime | None = None,
        settings: Settings | None = None,
        checkpoint_dir: Path | None = None,
        renderer: Renderer | None = None,
        loader: Callable[[ModelCard], Loader] | None = None,
        planner_loader: OpenPlanner | None = None,
    ) -> None:
        self.settings = settings or Settings.load()
        self.runtime = runtime or Runtime.detect()
        self.store = ModelStore(self.runtime.policy.value)
        self._checkpoint_dir = checkpoint_dir or self.settings.checkpoint_dir
        self._renderer = renderer
        self._loader = loader
        self._workshop = Workshop(self.settings.work)
        self._archive = Archive(self.settings.archive)
        self._shelf = AdapterShelf(self.settings.adapters)
        self.planners = PlannerRoom(
            self.store, self.runtime, self.settings, self._checkpoint_dir, open_loader=planner_loader
        )
        self._judge = Judge(self, self._archive, self.planners, self.runtime)

    def resolve(self, request: SongRequest) -> ResolvedRequest:
        """The request with its files taken in and every default filled in.

        The model is the request's, else the one that made the source, else the setting's. Raises RequestError where
        the model cannot honour the request, AudioError and ModelError for files that cannot be used.
        """
        return resolve_request(request, self.settings, archive=self._archive, shelf=self._shelf)

    def load(self, model: str) -> None:
        """Load a model's networks before they are needed; where one is held at a time, the first. Raises ModelError."""
        loader = self._open(find_card(model))
        parts = self.store.parts(loader, StageMeter())
        for name in loader.part_names if self.store.policy == "keep" else loader.part_names[:1]:
            with parts.use(name):
                pass

    def check_files(self, resolved: ResolvedRequest) -> None:
        """Raises ModelError, which names the command that fetches them, where the model's files are not here."""
        self._open(find_card(resolved.model))

    def hold(self, what: Song | np.ndarray | torch.Tensor, sample_rate_hz: int | None = None) -> AudioRef:
        """Keep audio or latents on this machine, and give the reference that a request takes as source or reference.

        A song is kept with its latents. An array or tensor is audio, floats `[N, 2]`, `[N, 1]` or `[N]` within ±1,
        where its rate is given, and else latents `[T, 64]`. Raises AudioError where it is neither.
        """
        if isinstance(what, Song):
            return self._archive.hold_song(what)
        array = what.detach().float().cpu().numpy() if isinstance(what, torch.Tensor) else what
        if sample_rate_hz is None:
            return self._archive.hold_latents(array)
        return self._archive.hold(array, sample_rate_hz)

    def forget(self, sha256: str) -> str | None:
        """Keep no more the source, or the latents of the song, whose samples have this hash; see `Archive.forget`."""
        return self._archive.forget(sha256)

    def generate(
        self,
        request: SongRequest,
        *,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> Song:
        """Make one song. Raises the errors of `partita.errors`; Cancelled within one step of `cancel` being set."""
        if request.best_of > 1 and request.count == 1:
            return self.generate_many([request], on_progress=on_progress, cancel=cancel)[0]
        return _last_song(self.stream(request, cancel=cancel), on_progress)

    def generate_many(
        self,
        requests: Sequence[SongRequest],
        *,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> list[Song]:
        """Make every song of every request, `count` of each, in order. All are resolved before the first is made.

        Songs of like shape are made in one pass; see `run_many`. Of a request with `best_of` see `run_best`.
        """
        groups = [
            [resolved.one(seed) for seed in seeds]
            for resolved in map(self.resolve, requests)
            for seeds in resolved.groups
        ]
        plain = [index for index, group in enumerate(groups) if len(group) == 1]
        songs: dict[int, Song] = {}

        def hear(event: Event) -> None:
            if on_progress is not None:
                on_progress(event)

        with closing(self.run_many([groups[index][0] for index in plain], cancel=cancel)) as events:
            for place, event in events:
                hear(event)
                if isinstance(event, Finished):
                    songs[plain[place]] = event.song
        for index, group in enumerate(groups):
            if len(group) > 1:
                with closing(self.run_best(group, cancel=cancel)) as told:
                    for event in told:
                        hear(event)
                        if isinstance(event, Chosen):
                            songs[index] = event.song
        return [songs[index] for index in range(len(groups))]

    def stream(self, request: SongRequest, *, cancel: CancelFlag | None = None) -> Iterator[Event]:
        """The events of making one song, the last of them Finished. Closing the iterator stops the work."""
        resolved = self.resolve(request)
        if len(resolved.seeds) != 1:
            field = "count" if request.count > 1 else "best_of"
            raise RequestError(
                f"{field} is {getattr(request, field)}, and this makes one song: use generate_many.",
                field=field,
                value=getattr(request, field),
            )
        return self.run(resolved, cancel=cancel)

    def score(self, what: Song | Record | Path) -> Scores:
        """How good a song is: by the meters, by how its lyrics are sung, and by a planner where one is here.

        A song may be named by its file, or by its record alone, where its latents are kept on this machine. What cannot
        be judged, or not on this machine, is left out and noted. Raises ReplayError for a file without a record,
        AudioError for one that is no sound.
        """
        return self._judge.scores(self._judge.piece(what))

    def align(self, what: Song | Record | Path) -> tuple[TimedLine, ...]:
        """When each line of a song is sung, by the attention of the transformer that made it; see `score`.

        Raises RequestError for a song without lyrics, of a model that does not sing, or whose latents are gone, and
        ModelError where its model is not here.
        """
        return self._judge.lyrics(self._judge.piece(what)).lines

    def run_best(self, resolved: Sequence[ResolvedRequest], *, cancel: CancelFlag | None = None) -> Generator[Event]:
        """The events of making several songs of a single seed each, and last Chosen with the best of them.

        Each song is Finished before; those that are not the best are not kept here, and all of them are in memory until
        one is chosen.
        """
        songs: dict[int, Song] = {}
        with closing(self.run_many(resolved, cancel=cancel, follow=True)) as events:
            for place, event in events:
                yield event
                if isinstance(event, Finished):
                    songs[place] = event.song
        yield StageBegan("judge")
        best, order = self._judge.choose([songs[place] for place in sorted(songs)], check=lambda: check_cancel(cancel))
        yield Chosen(best, tuple(order))

    def plan(
        self,
        request: SongRequest,
        *,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> list[Plan]:
        """What would be played: the plan of every song of the request. A request that is given one follows it."""
        resolved = self.resolve(request)
        torch.set_num_threads(self.runtime.threads.value)
        singles = [resolved.one(seed) for seed in resolved.seeds]
        return result_of(without_places(self._plans(singles, StageMeter(), cancel)), on_progress)

    def replay(
        self,
        record: Record,
        *,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> Song:
        """Render a record again, to the same bytes. Raises ReplayError, naming what differs, where that cannot be."""
        usual = self.runtime
        self.runtime = replace(usual, decode_tile_frames=record.runtime.decode_tile_frames)  # any machine has them all
        try:
            check_machine(record, runtime_record(self.runtime))
            check_sources(record, self._archive, find_card(record.request.model).family)
            self._adapters(record.request)
            weights = weights_of(self._open(find_card(record.request.model)), record.request)
            if weights != record.weights:
                raise ReplayError(f"The weights differ: the song was made with {record.weights}, here are {weights}.")
            song = _last_song(self.run(record.request, plan=record.plan, cancel=cancel), on_progress)
        finally:
            self.runtime = usual
        return replace(song, record=song.record.model_copy(update={"choice": record.choice}))

    def run(
        self, resolved: ResolvedRequest, *, plan: Plan | None = None, cancel: CancelFlag | None = None
    ) -> Iterator[Event]:
        """The events of one resolved song (a single seed), following `plan` where one is given."""
        with closing(self.run_many([resolved], plans=None if plan is None else [plan], cancel=cancel)) as events:
            for _, event in events:
                yield event

    def run_many(
        self,
        resolved: Sequence[ResolvedRequest],
        *,
        plans: Sequence[Plan] | None = None,
        cancel: CancelFlag | None = None,
        follow: bool = False,
    ) -> Generator[tuple[int, Event]]:
        """The events of several resolved songs, each of a single seed, with the place in `resolved` of their song.

        Songs of like shape (model, adapters, kind of task, sampling, length, parity) are rendered in one pass, stage by
        stage, so that each network is loaded once for all of them; a song is Finished as soon as its audio is whole.
        Seconds and peak memory of a song are those of its pass so far. Where one fails, those before it have been
        handed out. Lyrics are timed where the output needs it, and wherever there are some with `follow`. Raises the
        errors of `partita.errors`; Cancelled within one step of `cancel` being set.
        """
        for one in resolved:
            if len(one.seeds) != 1:
                raise RequestError(f"A run makes one song a request, and {len(one.seeds)} seeds were given: use `one`.")
        torch.set_num_threads(self.runtime.threads.value)
        meter = StageMeter()
        if plans is None:
            plans = yield from self._plans(resolved, meter, cancel)
        for places in passes_of(resolved, plans):
            songs = [Pending(place, resolved[place], plans[place], meter.costs()) for place in places]
            yield from self._pass(songs, cancel, follow)

    def _plans(
        self, resolved: Sequence[ResolvedRequest], meter: StageMeter, cancel: CancelFlag | None
    ) -> Generator[tuple[int, Event], None, list[Plan]]:
        """A plan for each song: the one that was given, or that of the rules, with what a language model wrote where it
        was asked. All are made before the first song is rendered: a planner is loaded once, and let go of."""
        meter.enter("plan")
        made = {place: one.plan or self._by_rules(one) for place, one in enumerate(resolved)}
        asked = {place: one for place, one in enumerate(resolved) if one.plan is None and one.planner.mode != "off"}
        if asked:
            made |= yield from self.planners.plan(asked, made, meter, cancel)
        meter.enter(None)
        return [made[place] for place in range(len(resolved))]

    def _by_rules(self, one: ResolvedRequest) -> Plan:
        (seed,) = one.seeds
        return self._planner(find_card(one.model)).plan(one, seed)

    def _pass(self, songs: list[Pending], cancel: CancelFlag | None, follow: bool) -> Generator[tuple[int, Event]]:
        card = find_card(songs[0].resolved.model)
        meter = StageMeter()
        for song in songs:
            yield song.place, Planned(song.resolved, song.plan)
        loader = self._open(card)
        renderer = self._renderer_for(card)
        steps = StepCount(meter)
        jobs = [self._begin(song, loader, card, steps, renderer.sample_rate_hz) for song in songs]
        if card.follows_lyrics:
            jobs = [replace(job, follow=_has_lines(job.resolved, follow)) for job in jobs]
        heard = renderer.render(jobs, self._parts(loader, meter, songs[0].resolved), self.runtime)
        unfinished = dict(enumerate(songs))
        try:
            for told in heard:
                check_cancel(cancel)
                for index in [i for i, song in unfinished.items() if i != told.job and song.work.is_whole]:
                    yield from self._end(unfinished.pop(index), loader, meter)
                if told.job in unfinished:
                    song = unfinished[told.job]
                    for event in song.work.take(told.event):
                        if isinstance(event, LatentsReady):
                            self._keep(song, event)
                        yield song.place, event
            for index in list(unfinished):
                check_cancel(cancel)
                yield from self._end(unfinished.pop(index), loader, meter)
        except PartitaError as error:
            if isinstance(error, Cancelled):
                self._discard(unfinished)
            elif kept := [str(song.kept) for song in unfinished.values() if song.kept.exists()]:
                error.add_note(f"What was sampled is kept in {', '.join(kept)}; the same request goes on from there.")
            raise
        except (KeyboardInterrupt, GeneratorExit):
            self._discard(unfinished)
            raise
        finally:
            cast("_Closable", heard).close()
            meter.enter(None)

    def _begin(
        self, song: Pending, loader: Loader, card: ModelCard, steps: StepCount, sample_rate_hz: int
    ) -> protocol.Job:
        """The renderer's side of a song, with what was taken in for it and the latents of an earlier try."""
        resolved, plan = song.resolved, song.plan
        song.kept = self._workshop.path(resolved, plan, runtime_record(self.runtime), weights_of(loader, resolved))
        song.work = SongWork(steps, sample_rate_hz, needed_ranges(resolved))
        song.source = None if resolved.source is None else self._archive.data(resolved.source, card.family)
        references = tuple(self._archive.data(facts, card.family) for facts in resolved.references)
        return protocol.Job(resolved, plan, song.source, references, self._workshop.find(song.kept))

    def _end(self, song: Pending, loader: Loader, meter: StageMeter) -> Iterator[tuple[int, Event]]:
        """The last stage of a song whose audio is whole."""
        try:
            yield song.place, StageBegan("master")
            before = meter.enter("master")
            finished = self._finish(song, loader, meter, before)
        except PartitaError as error:
            if song.kept.exists():
                error.add_note(f"What was sampled is kept in {song.kept}; the same request goes on from there.")
            raise
        except (KeyboardInterrupt, GeneratorExit):
            self._workshop.discard(song.kept)
            raise
        self._workshop.discard(song.kept)
        song.work.forget()
        yield song.place, Finished(finished)

    def _discard(self, unfinished: dict[int, Pending]) -> None:
        for song in unfinished.values():
            self._workshop.discard(song.kept)

    def _parts(self, loader: Loader, meter: StageMeter, resolved: ResolvedRequest) -> Parts:
        """The networks of a pass, with its adapters. Where networks are kept anyway, a misfit is told at once."""
        parts = self.store.parts(loader, meter)
        adapters = self._adapters(resolved)
        if not adapters:
            return parts
        family = find_card(resolved.model).family
        adapted = AdaptedParts(
            parts,
            adapters,
            family=family,
            what=f"the transformer of {resolved.model}",
            as_trained=not (resolved.parity and family == "acestep-v1"),
        )
        if self.store.policy == "keep":
            with adapted.use("transformer"):
                pass
        return adapted

    def _adapters(self, resolved: ResolvedRequest) -> list[tuple[Path, float]]:
        """Where the adapters of a request lie. Raises ReplayError where one is gone."""
        return [(self._shelf.find_again(adapter.facts), adapter.strength) for adapter in resolved.adapters]

    def lend_song_model(self, record: Record) -> tuple[Renderer, Parts]:
        """The renderer of the song's model, and its networks with the song's adapters."""
        card = find_card(record.request.model)
        return self._renderer_for(card), self._parts(self._open(card), StageMeter(), record.request)

    def _open(self, card: ModelCard) -> Loader:
        if self._loader is not None:
            return self._loader(card)
        return loader_for(card, self.runtime, settings=self.settings, checkpoint_dir=self._checkpoint_dir)

    def _planner(self, card: ModelCard) -> Planner:
        return RulePlanner(
            complete=card.makes_score,
            bpm_min=card.bpm_min,
            bpm_max=card.bpm_max,
            time_signatures=card.time_signatures,
            duration_min_s=card.duration.min_s,
            duration_max_s=card.duration.max_s,
        )

    def _renderer_for(self, card: ModelCard) -> Renderer:
        if self._renderer is not None:
            return self._renderer
        module, name = RENDERERS[card.family].split(":")
        return getattr(import_module(module), name)()

    def _keep(self, song: Pending, event: LatentsReady) -> None:
        try:
            self._workshop.keep(song.kept, event.latents)
        except OSError as error:
            song.work.warnings.append(f"The latents could not be kept in {song.kept.parent} ({error.strerror}).")

    def _finish(self, song: Pending, loader: Loader, meter: StageMeter, before: str | None) -> Song:
        """Join, master, record. What is measured goes on with the stage `before` afterwards."""
        resolved, plan, work, output = song.resolved, song.plan, song.work, song.resolved.output
        raw, edit = join(resolved, work.audio(), song.source)
        rate = work.sample_rate_hz
        audio, loudness = master(
            raw, rate, mode=output.normalise, target_lufs=output.loudness_lufs, true_peak_db=output.true_peak_db
        )
        record = Record(
            request=resolved.model_copy(update={"plan": None}),
            plan=plan,
            runtime=runtime_record(self.runtime),
            versions=versions_of(find_card(resolved.model).family),
            weights=weights_of(loader, resolved),
            sample_rate_hz=rate,
            frames=len(audio),
            audio_sha256=samples_sha256(audio),
            loudness=loudness,
            edit=edit,
        )
        origin = None
        if work.latents is not None:
            family = find_card(resolved.model).family
            origin = SongOrigin(model=resolved.model, family=family, plan=plan, gain_db=record.gain_db, cast=work.cast)
            try:
                self._archive.keep_song(record.audio_sha256, origin, work.latents.numpy(), audio)
            except (AudioError, ResourceError) as error:
                work.warnings.append(f"The song cannot be edited without a loss: {error}")
        record = record.model_copy(update={"warnings": (*resolved.warnings, *plan.notes, *work.warnings)})
        meter.enter(before)
        return Song(
            audio=audio,
            raw_audio=raw,
            sample_rate_hz=rate,
            record=record,
            latents=work.latents,
            score=work.score,
            origin=origin,
            sung=work.sung,
            stems=stems_of(work.score, record.gain_db, work.cast) if output.stems and work.score is not None else {},
            costs=(*song.planning, *meter.costs()),
        )


class _Closable(Protocol):
    def close(self) -> None: ...


def _has_lines(resolved: ResolvedRequest, wanted: bool) -> bool:
    return not resolved.instrumental and (wanted or resolved.output.lrc or resolved.output.vtt)


def _last_song(events: Iterator[Event], on_progress: Callable[[Event], None] | None) -> Song:
    song: Song | None = None
    for event in events:
        if on_progress is not None:
            on_progress(event)
        if isinstance(event, Finished):
            song = event.song
    assert song is not None  # a run ends with Finished or raises
    return song
