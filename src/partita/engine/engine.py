"""Runs requests to songs: resolve, plan, render, join, master, record. Progress and cancel are the caller's.

It drives the renderers' generators and owns the store of loaded networks. It knows no network, no prompt and no file
format; what is written where is `save`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch

from partita.audio.loudness import master
from partita.audio.samples import samples_sha256
from partita.engine.adapters import AdaptedParts, AdapterShelf
from partita.engine.archive import Archive
from partita.engine.batch import passes_of
from partita.engine.edit import join, needed_ranges
from partita.engine.events import Event, Finished, LatentsReady, Planned, StageBegan
from partita.engine.intake import resolve_request
from partita.engine.meter import StageMeter
from partita.engine.replay import check_machine, check_sources
from partita.engine.song import Song
from partita.engine.store import ModelStore
from partita.engine.work import SongWork, StepCount
from partita.engine.workshop import Workshop
from partita.errors import AudioError, Cancelled, PartitaError, ReplayError, RequestError, ResourceError
from partita.planner.rules import RulePlanner
from partita.render import protocol
from partita.render.protocol import Parts, Renderer
from partita.runtime import Runtime
from partita.score.types import Score
from partita.settings import Settings
from partita.song.card import Family, ModelCard
from partita.song.plan import Plan, Planner
from partita.song.record import Record, RuntimeRecord
from partita.song.request import SongRequest
from partita.song.resolve import ResolvedRequest
from partita.song.source import AudioRef, SongOrigin
from partita.weights.catalog import card as find_card
from partita.weights.loaders import Loader, loader_for

RENDERERS: dict[Family, str] = {
    "built-in": "partita.render.builtin.renderer:BuiltInRenderer",
    "acestep-1.5": "partita.render.acestep15.renderer:AceStep15Renderer",
}
VERSIONED = ("partita", "torch", "numpy", "symusic", "soxr", "pyloudnorm", "scipy")


class CancelFlag(Protocol):
    """What `threading.Event` is: set from anywhere to stop a run within one step."""

    def is_set(self) -> bool: ...


class Engine:
    """Makes songs. Loaded networks stay with the engine, so one engine serves many requests.

    `checkpoint_dir` is a folder of published files that takes precedence over the cache. `renderer` and `loader` stand
    in for the real ones in tests.
    """

    def __init__(
        self,
        *,
        runtime: Runtime | None = None,
        settings: Settings | None = None,
        checkpoint_dir: Path | None = None,
        renderer: Renderer | None = None,
        loader: Callable[[ModelCard], Loader] | None = None,
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

    def resolve(self, request: SongRequest) -> ResolvedRequest:
        """The request with its files taken in and every default filled in.

        The model is the request's, else the one that made the source, else the setting's. Raises RequestError where
        the model cannot honour the request, AudioError and ModelError for files that cannot be used.
        """
        return resolve_request(request, self.settings, archive=self._archive, shelf=self._shelf)

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

    def generate(
        self,
        request: SongRequest,
        *,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> Song:
        """Make one song. Raises the errors of `partita.errors`; Cancelled within one step of `cancel` being set."""
        return _last_song(self.stream(request, cancel=cancel), on_progress)

    def generate_many(
        self,
        requests: Sequence[SongRequest],
        *,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> list[Song]:
        """Make every song of every request, `count` of each, in order. All are resolved before the first is made.

        Songs of like shape are made in one pass; see `run_many`.
        """
        singles = [resolved.one(seed) for resolved in map(self.resolve, requests) for seed in resolved.seeds]
        songs: dict[int, Song] = {}
        with closing(self.run_many(singles, cancel=cancel)) as events:
            for index, event in events:
                if on_progress is not None:
                    on_progress(event)
                if isinstance(event, Finished):
                    songs[index] = event.song
        return [songs[index] for index in range(len(singles))]

    def stream(self, request: SongRequest, *, cancel: CancelFlag | None = None) -> Iterator[Event]:
        """The events of making one song, the last of them Finished. Closing the iterator stops the work."""
        resolved = self.resolve(request)
        if len(resolved.seeds) != 1:
            raise RequestError(
                f"count is {request.count}, and this makes one song: use generate_many.",
                field="count",
                value=request.count,
            )
        return self.run(resolved, cancel=cancel)

    def replay(
        self,
        record: Record,
        *,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> Song:
        """Render a record again, to the same bytes. Raises ReplayError, naming what differs, where that cannot be."""
        check_machine(record, self._runtime_record())
        check_sources(record, self._archive, find_card(record.request.model).family)
        self._adapters(record.request)
        weights = _weights(self._open(find_card(record.request.model)), record.request)
        if weights != record.weights:
            raise ReplayError(f"The weights differ: the song was made with {record.weights}, here are {weights}.")
        return _last_song(self.run(record.request, plan=record.plan, cancel=cancel), on_progress)

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
    ) -> Generator[tuple[int, Event]]:
        """The events of several resolved songs, each of a single seed, with the place in `resolved` of their song.

        Songs of like shape (model, adapters, kind of task, sampling, length, parity) are rendered in one pass, stage by
        stage, so that each network is loaded once for all of them; a song is Finished as soon as its audio is whole.
        Seconds and peak memory of a song are those of its pass so far. Where one fails, those before it have been
        handed out. Raises the errors of `partita.errors`; Cancelled within one step of `cancel` being set.
        """
        for one in resolved:
            if len(one.seeds) != 1:
                raise RequestError(f"A run makes one song a request, and {len(one.seeds)} seeds were given: use `one`.")
        torch.set_num_threads(self.runtime.threads.value)
        for places in passes_of(resolved):
            songs = [_Pending(place, resolved[place], None if plans is None else plans[place]) for place in places]
            yield from self._pass(songs, cancel)

    def _pass(self, songs: list[_Pending], cancel: CancelFlag | None) -> Generator[tuple[int, Event]]:
        card = find_card(songs[0].resolved.model)
        meter = StageMeter()
        meter.enter("plan")
        planner = self._planner(card)
        for song in songs:
            song.plan = song.plan or planner.plan(song.resolved, song.seed)
            yield song.place, Planned(song.resolved, song.plan)
        loader = self._open(card)
        renderer = self._renderer_for(card)
        steps = StepCount(meter)
        jobs = [self._begin(song, loader, card, steps, renderer.sample_rate_hz) for song in songs]
        heard = renderer.render(jobs, self._parts(loader, meter, songs[0].resolved), self.runtime)
        unfinished = dict(enumerate(songs))
        try:
            for told in heard:
                _check_cancel(cancel)
                for index in [i for i, song in unfinished.items() if i != told.job and song.work.is_whole]:
                    yield from self._end(unfinished.pop(index), loader, meter)
                if told.job in unfinished:
                    song = unfinished[told.job]
                    for event in song.work.take(told.event):
                        if isinstance(event, LatentsReady):
                            self._keep(song, event)
                        yield song.place, event
            for index in list(unfinished):
                _check_cancel(cancel)
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
        self, song: _Pending, loader: Loader, card: ModelCard, steps: StepCount, sample_rate_hz: int
    ) -> protocol.Job:
        """The renderer's side of a song, with what was taken in for it and the latents of an earlier try."""
        resolved, plan = song.resolved, song.plan
        assert plan is not None
        song.kept = self._workshop.path(resolved, plan, self._runtime_record(), _weights(loader, resolved))
        song.work = SongWork(steps, sample_rate_hz, needed_ranges(resolved))
        song.source = None if resolved.source is None else self._archive.data(resolved.source, card.family)
        references = tuple(self._archive.data(facts, card.family) for facts in resolved.references)
        return protocol.Job(resolved, plan, song.source, references, self._workshop.find(song.kept))

    def _end(self, song: _Pending, loader: Loader, meter: StageMeter) -> Iterator[tuple[int, Event]]:
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

    def _discard(self, unfinished: dict[int, _Pending]) -> None:
        for song in unfinished.values():
            self._workshop.discard(song.kept)

    def _parts(self, loader: Loader, meter: StageMeter, resolved: ResolvedRequest) -> Parts:
        """The networks of a pass, with its adapters. Where networks are kept anyway, a misfit is told at once."""
        parts = self.store.parts(loader, meter)
        adapters = self._adapters(resolved)
        if not adapters:
            return parts
        adapted = AdaptedParts(parts, adapters, what=f"the transformer of {resolved.model}")
        if self.store.policy == "keep":
            with adapted.use("transformer"):
                pass
        return adapted

    def _adapters(self, resolved: ResolvedRequest) -> list[tuple[Path, float]]:
        """Where the adapters of a request lie. Raises ReplayError where one is gone."""
        return [(self._shelf.find_again(adapter.facts), adapter.strength) for adapter in resolved.adapters]

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

    def _keep(self, song: _Pending, event: LatentsReady) -> None:
        try:
            self._workshop.keep(song.kept, event.latents)
        except OSError as error:
            song.work.warnings.append(f"The latents could not be kept in {song.kept.parent} ({error.strerror}).")

    def _finish(self, song: _Pending, loader: Loader, meter: StageMeter, before: str | None) -> Song:
        """Join, master, record. What is measured goes on with the stage `before` afterwards."""
        resolved, plan, work, output = song.resolved, song.plan, song.work, song.resolved.output
        assert plan is not None
        raw, edit = join(resolved, work.audio(), song.source)
        rate = work.sample_rate_hz
        audio, loudness = master(
            raw, rate, mode=output.normalise, target_lufs=output.loudness_lufs, true_peak_db=output.true_peak_db
        )
        record = Record(
            request=resolved,
            plan=plan,
            runtime=self._runtime_record(),
            versions={name: metadata.version(name) for name in VERSIONED},
            weights=_weights(loader, resolved),
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
            stems=_stems(work.score, record.gain_db) if output.stems and work.score is not None else {},
            costs=meter.costs(),
        )

    def _runtime_record(self) -> RuntimeRecord:
        runtime = self.runtime
        return RuntimeRecord(
            device=runtime.device.value,
            number_format=runtime.number_format.value,
            attention=runtime.attention.value,
            compiled=runtime.compiled.value,
            threads=runtime.threads.value,
            cpu=runtime.cpu,
        )


@dataclass(slots=True, eq=False)
class _Pending:
    """A song of a pass. All but the first two are filled in as the pass goes on."""

    place: int
    resolved: ResolvedRequest
    plan: Plan | None
    kept: Path = field(init=False)
    work: SongWork = field(init=False)
    source: protocol.SourceData | None = None

    @property
    def seed(self) -> int:
        (seed,) = self.resolved.seeds
        return seed


class _Closable(Protocol):
    def close(self) -> None: ...


def _check_cancel(cancel: CancelFlag | None) -> None:
    """Raises Cancelled where the caller asked to stop."""
    if cancel is not None and cancel.is_set():
        raise Cancelled


def _weights(loader: Loader, resolved: ResolvedRequest) -> dict[str, str]:
    """Identity of everything that was loaded: the model's files and each adapter's bytes."""
    weights = loader.fingerprint()
    for number, adapter in enumerate(resolved.adapters, 1):
        name = f"adapter:{adapter.facts.name}"
        weights[name if name not in weights else f"{name} ({number})"] = adapter.facts.sha256
    return weights


def _last_song(events: Iterator[Event], on_progress: Callable[[Event], None] | None) -> Song:
    song: Song | None = None
    for event in events:
        if on_progress is not None:
            on_progress(event)
        if isinstance(event, Finished):
            song = event.song
    assert song is not None  # a run ends with Finished or raises
    return song


def _stems(score: Score, gain_db: float) -> dict[str, np.ndarray]:
    """Each track alone, at the level of the whole song (a limiter's work is not shared out)."""
    from partita.score.sampler import stems

    gain = np.float32(10 ** (gain_db / 20))
    return {role: audio * gain for role, audio in stems(score).items()}
