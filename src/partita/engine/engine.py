"""Runs one request to a song: resolve, plan, render, master, record. Progress and cancel are the caller's.

It drives the renderer's generator and owns the store of loaded networks. It knows no network, no prompt and no file
format; what is written where is `save`'s business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch

from partita.audio.loudness import master
from partita.audio.samples import samples_sha256
from partita.engine.events import AudioReady, Event, Finished, LatentsReady, Planned, StageBegan, Step
from partita.engine.meter import StageMeter
from partita.engine.song import Song
from partita.engine.store import ModelStore
from partita.engine.workshop import Workshop
from partita.errors import Cancelled, ModelError, PartitaError, ReplayError, RequestError
from partita.planner.rules import RulePlanner
from partita.render import protocol
from partita.render.protocol import Renderer
from partita.runtime import Runtime
from partita.score.types import Score
from partita.settings import Settings
from partita.song.card import Family, ModelCard
from partita.song.plan import Plan, Planner
from partita.song.record import LoudnessRecord, Record, RuntimeRecord
from partita.song.request import SongRequest
from partita.song.resolve import ResolvedRequest, resolve
from partita.weights.catalog import card as find_card
from partita.weights.loaders import Loader, loader_for

RENDERERS: dict[Family, str] = {
    "built-in": "partita.render.builtin:BuiltInRenderer",
    "acestep-1.5": "partita.render.acestep15.renderer:AceStep15Renderer",
}
_VERSIONED = ("partita", "torch", "numpy", "symusic", "soxr", "pyloudnorm", "scipy")


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

    def card(self, request: SongRequest) -> ModelCard:
        """The card of the model that the request names, or of the default one."""
        return find_card(request.model or self.settings.model)

    def resolve(self, request: SongRequest) -> ResolvedRequest:
        """The request with every default filled in. Raises RequestError where the model cannot honour it."""
        return resolve(request, self.card(request))

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
        """Make every song of every request, `count` of each, in order. All are resolved before the first is made."""
        singles = [resolved.one(seed) for resolved in map(self.resolve, requests) for seed in resolved.seeds]
        return [_last_song(self.run(single, cancel=cancel), on_progress) for single in singles]

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
        self._check_replay(record)
        weights = self._open(find_card(record.request.model)).fingerprint()
        if weights != record.weights:
            raise ReplayError(f"The weights differ: the song was made with {record.weights}, here are {weights}.")
        return _last_song(self.run(record.request, plan=record.plan, cancel=cancel), on_progress)

    def run(
        self, resolved: ResolvedRequest, *, plan: Plan | None = None, cancel: CancelFlag | None = None
    ) -> Iterator[Event]:
        """The events of one resolved song (a single seed), following `plan` where one is given."""
        (seed,) = resolved.seeds
        card = find_card(resolved.model)
        torch.set_num_threads(self.runtime.threads.value)
        meter = StageMeter()
        meter.enter("plan")
        plan = plan or self._planner(card).plan(resolved, seed)
        yield Planned(resolved, plan)
        loader = self._open(card)
        kept = self._workshop.path(resolved, plan, self._runtime_record(), loader.fingerprint())
        renderer = self._renderer_for(card)
        work = _Work(meter, cancel, renderer.sample_rate_hz)
        job = protocol.Job(resolved, plan, latents=self._workshop.find(kept))
        events = renderer.render([job], self.store.parts(loader, meter), self.runtime)
        try:
            for heard in events:
                work.check_cancel()
                for told in work.take(heard.event):
                    if isinstance(told, LatentsReady):
                        self._keep(kept, told, work)
                    yield told
            yield StageBegan("master")
            meter.enter("master")
            song = self._finish(resolved, plan, work, loader)
        except PartitaError as error:
            if isinstance(error, Cancelled):
                self._workshop.discard(kept)
            elif kept.exists():
                error.add_note(f"What was sampled is kept in {kept}; the same request goes on from there.")
            raise
        except (KeyboardInterrupt, GeneratorExit):
            self._workshop.discard(kept)
            raise
        finally:
            cast("_Closable", events).close()
            meter.enter(None)
        self._workshop.discard(kept)
        yield Finished(song)

    def _open(self, card: ModelCard) -> Loader:
        if self._loader is not None:
            return self._loader(card)
        return loader_for(card, self.runtime, settings=self.settings, checkpoint_dir=self._checkpoint_dir)

    def _planner(self, card: ModelCard) -> Planner:
        return RulePlanner(
            complete=card.makes_score, bpm_min=card.bpm_min, bpm_max=card.bpm_max, time_signatures=card.time_signatures
        )

    def _renderer_for(self, card: ModelCard) -> Renderer:
        if self._renderer is not None:
            return self._renderer
        module, name = RENDERERS[card.family].split(":")
        return getattr(import_module(module), name)()

    def _keep(self, path: Path, event: LatentsReady, work: _Work) -> None:
        try:
            self._workshop.keep(path, event.latents)
        except OSError as error:
            work.warnings.append(f"The latents could not be kept in {path.parent} ({error.strerror}).")

    def _finish(self, resolved: ResolvedRequest, plan: Plan, work: _Work, loader: Loader) -> Song:
        raw, rate = work.audio(), work.sample_rate_hz
        output = resolved.output
        audio, loudness = master(
            raw, rate, mode=output.normalise, target_lufs=output.loudness_lufs, true_peak_db=output.true_peak_db
        )
        record = Record(
            request=resolved,
            plan=plan,
            runtime=self._runtime_record(),
            versions={name: metadata.version(name) for name in _VERSIONED},
            weights=loader.fingerprint(),
            sample_rate_hz=rate,
            frames=len(audio),
            audio_sha256=samples_sha256(audio),
            loudness=loudness,
            warnings=(*resolved.warnings, *work.warnings),
        )
        work.meter.enter(None)
        return Song(
            audio=audio,
            raw_audio=raw,
            sample_rate_hz=rate,
            record=record,
            latents=work.latents,
            score=work.score,
            stems=_stems(work.score, loudness) if output.stems and work.score is not None else {},
            costs=work.meter.costs(),
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

    def _check_replay(self, record: Record) -> None:
        here = self._runtime_record().model_dump()
        differing = [
            f"{name}: {was!r} then, {here[name]!r} here"
            for name, was in record.runtime.model_dump().items()
            if was != here[name]
        ]
        differing += [
            f"{name}: {was} then, {_version(name)} here"
            for name, was in record.versions.items()
            if was != _version(name)
        ]
        if differing:
            raise ReplayError(
                "The song cannot be rendered to the same bytes here, for these differ: "
                + "; ".join(differing)
                + ". Use the same versions and settings, or generate it anew with the same seed for a close relative."
            )


class _Closable(Protocol):
    def close(self) -> None: ...


class _Work:
    """What has come out of one run so far."""

    def __init__(self, meter: StageMeter, cancel: CancelFlag | None, sample_rate_hz: int) -> None:
        self.meter, self._cancel, self.sample_rate_hz = meter, cancel, sample_rate_hz
        self.latents: torch.Tensor | None = None
        self.score: Score | None = None
        self.warnings: list[str] = []
        self._chunks: list[np.ndarray] = []
        self._stage = ""
        self._stage_began = 0.0

    def check_cancel(self) -> None:
        """Raises Cancelled where the caller asked to stop."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled

    def take(self, event: protocol.RenderEvent) -> Iterator[Event]:
        """Note a renderer's event and tell the caller's side of it."""
        match event:
            case protocol.StageStarted(name):
                self.meter.enter(name)
                self._stage, self._stage_began = name, time.perf_counter()
                yield StageBegan(name)
            case protocol.StepDone(index, count):
                self.meter.step()
                spent = time.perf_counter() - self._stage_began
                yield Step(self._stage, index, count, spent / index * (count - index))
            case protocol.LatentsReady(latents, _):
                self.latents = latents
                yield event
            case protocol.ScoreReady(score):
                self.score = score
            case protocol.Noted(message):
                self.warnings.append(message)
            case protocol.AudioChunk(samples, start, total):
                self._chunks.append(samples)
                yield AudioReady(samples, start, total, self.sample_rate_hz)

    def audio(self) -> np.ndarray:
        """The whole song, float32 `[N, 2]`. Raises ModelError where the renderer made nothing that can be heard."""
        if not self._chunks:
            raise ModelError(
                "The renderer ended without any audio. This is a fault of Partita: please report the record."
            )
        audio = np.concatenate(self._chunks)
        if not np.isfinite(audio).all():
            raise ModelError(
                "The decoded audio holds numbers that are not finite. Try float32 (--number-format float32)."
            )
        return audio


def _last_song(events: Iterator[Event], on_progress: Callable[[Event], None] | None) -> Song:
    song: Song | None = None
    for event in events:
        if on_progress is not None:
            on_progress(event)
        if isinstance(event, Finished):
            song = event.song
    assert song is not None  # a run ends with Finished or raises
    return song


def _stems(score: Score, loudness: LoudnessRecord) -> dict[str, np.ndarray]:
    """Each track alone, at the gain that the whole song got (a limiter's work is not shared out)."""
    from partita.score.sampler import stems

    gain = np.float32(10 ** (loudness.gain_db / 20))
    return {role: audio * gain for role, audio in stems(score).items()}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
