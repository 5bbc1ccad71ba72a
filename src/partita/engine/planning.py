"""The planner's place in the engine: which planner, loaded through the store, and its words as plans and descriptions.

It tells what is written as events of the engine and looks for a cancel between any two of them. What is asked of a
planner and how is `planner.lm`'s business.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from partita.engine.cancel import CancelFlag, check_cancel
from partita.engine.events import Event, StageBegan, Step
from partita.engine.meter import StageMeter
from partita.engine.store import ModelStore
from partita.errors import ModelError
from partita.models.quantised import Form
from partita.planner.lm.decode import Event as Written, Notice, Progress
from partita.planner.lm.planner import Draft, LanguagePlanner
from partita.planner.lm.songs import description_of, given_fields, how_of, plan_of, sampling_of, wish_of
from partita.planner.lm.tables import Tables
from partita.planner.lm.vocabulary import PlannerVocabulary
from partita.runtime import Runtime
from partita.settings import Settings
from partita.song.card import PlannerCard
from partita.song.plan import Plan
from partita.song.planning import Description, PlannedBy, PlannerOptions, WeightFormat
from partita.song.request import MAX_SEED
from partita.song.resolve import ResolvedRequest
from partita.weights.catalog import fetch_command, planner as find_planner, planners, total_bytes
from partita.weights.inventory import planner_inventory
from partita.weights.locate_planner import search_planner
from partita.weights.places import caches_of
from partita.weights.planner import open_planner

PREFERRED = ("ace-step-1.5-planner-1.7b", "ace-step-1.5-planner-0.6b", "ace-step-1.5-planner-4b")
"""The one that the original ships, then the quick one; the largest takes the memory of a song model and more."""

DESCRIBING = PlannerOptions(temperature=0.3)
"""Describing what is there wants less invention than planning, as in the original."""

T = TypeVar("T")


class NetworkLoader(Protocol):
    """What `weights.planner.PlannerLoader` is: the parts `network` and `tokenizer` (a folder)."""

    part_names: tuple[str, ...]

    @property
    def identity(self) -> tuple[str, ...]: ...

    @property
    def head_form(self) -> Form: ...

    def load(self, part: str) -> Any: ...

    def fingerprint(self) -> dict[str, str]: ...


OpenPlanner = Callable[[PlannerCard, WeightFormat], NetworkLoader]


@dataclass(frozen=True, slots=True)
class Ready:
    """A planner that was found: its card, its loader, and what of both a record keeps."""

    loader: NetworkLoader
    identity: PlannedBy


class PlannerRoom:
    """Finds planners, borrows them from the store, and asks them. `open_loader` stands in for files in tests."""

    def __init__(
        self,
        store: ModelStore,
        runtime: Runtime,
        settings: Settings,
        checkpoint_dir: Path | None = None,
        open_loader: OpenPlanner | None = None,
        fresh_seed: Callable[[], int] = lambda: secrets.randbelow(MAX_SEED + 1),
    ) -> None:
        self._store, self._runtime, self._settings = store, runtime, settings
        self._checkpoint_dir, self._open_loader, self.fresh_seed = checkpoint_dir, open_loader, fresh_seed
        self._tables: dict[Path, Tables] = {}

    def find(self, options: PlannerOptions) -> Ready:
        """The planner of the options, or the best that is on this machine.

        Raises RequestError for a name that is none, ModelError where there is none, with the command that fetches it.
        """
        card = find_planner(options.model) if options.model is not None else self._preferred()
        loader = (self._open_loader or self._open)(card, options.weight_format)
        identity = PlannedBy(
            model=card.id,
            weights=loader.fingerprint(),
            device=self._runtime.device.value,
            number_format=self._runtime.number_format.value,
            weight_format=options.weight_format,
        )
        return Ready(loader, identity)

    @contextmanager
    def use(self, ready: Ready, meter: StageMeter) -> Iterator[LanguagePlanner]:
        """The loaded planner, lent by the store."""
        parts = self._store.parts(ready.loader, meter)
        with parts.use("network") as network, parts.use("tokenizer") as folder:
            if folder not in self._tables:
                self._tables = {folder: Tables(PlannerVocabulary.load(folder))}  # which takes seconds
            yield LanguagePlanner(network, self._tables[folder], head_form=ready.loader.head_form)

    def plan(
        self,
        songs: Mapping[int, ResolvedRequest],
        rules: Mapping[int, Plan],
        meter: StageMeter,
        cancel: CancelFlag | None,
    ) -> Generator[tuple[int, Event], None, dict[int, Plan]]:
        """Plan songs (by their places), each of a single seed, and return their plans; `rules` are what the rules
        planned. Songs that differ by their seed alone are planned together."""
        found: dict[int, Plan] = {}
        for places in _alike(songs):
            resolved = songs[places[0]]
            ready = self.find(resolved.planner)
            seeds = [seed for place in places for seed in songs[place].seeds]
            if resolved.parity and len(seeds) == 1:
                seeds = [self.fresh_seed()]  # the original seeds the planner for batches alone
            yield from ((place, StageBegan("plan")) for place in places)
            with self.use(ready, meter) as planner:
                meter.enter("plan")
                run = planner.songs(wish_of(resolved), seeds, how_of(resolved))
                notes: list[str] = []
                answers = yield from _tell(run, places, notes, cancel)
            for place, answer in zip(places, answers, strict=True):
                plan = plan_of(songs[place], rules[place], answer, ready.identity)
                found[place] = plan.model_copy(update={"notes": (*plan.notes, *notes)})
        return found

    def write(
        self,
        wish: str,
        options: PlannerOptions,
        seed: int | None,
        *,
        language: str | None = None,
        instrumental: bool = False,
        original: bool = False,
        cancel: CancelFlag | None = None,
    ) -> Generator[Event, None, Description]:
        """A song in words from a wish; see `LanguagePlanner.create`."""
        sampling = sampling_of(options, original=original)

        def ask(planner: LanguagePlanner, own: int) -> Generator[Written, None, Draft]:
            return planner.create(wish, instrumental, own, sampling, language=language, original=original)

        return self._words(ask, options, seed, cancel, instrumental=instrumental, original=original)

    def format(
        self,
        caption: str,
        lyrics: str,
        given: Mapping[str, Any],
        options: PlannerOptions,
        seed: int | None,
        *,
        original: bool = False,
        cancel: CancelFlag | None = None,
    ) -> Generator[Event, None, Description]:
        """Caption and lyrics rewritten; `given` under the names of a request stay. See `LanguagePlanner.format`."""
        sampling = sampling_of(options, original=original)

        def ask(planner: LanguagePlanner, own: int) -> Generator[Written, None, Draft]:
            return planner.format(caption, lyrics, own, sampling, given=given_fields(given), original=original)

        return self._words(ask, options, seed, cancel, lyrics=lyrics, original=original)

    def describe(
        self,
        codes: Sequence[int],
        options: PlannerOptions,
        seed: int | None,
        *,
        original: bool = False,
        cancel: CancelFlag | None = None,
    ) -> Generator[Event, None, Description]:
        """What codes sound like; see `LanguagePlanner.understand`."""
        sampling = sampling_of(options, original=original)

        def ask(planner: LanguagePlanner, own: int) -> Generator[Written, None, Draft]:
            return planner.understand(codes, own, sampling, original=original)

        return self._words(ask, options, seed, cancel, original=original)

    def _words(
        self,
        ask: Callable[[LanguagePlanner, int], Generator[Written, None, Draft]],
        options: PlannerOptions,
        seed: int | None,
        cancel: CancelFlag | None,
        **described: Any,
    ) -> Generator[Event, None, Description]:
        """What a planner answers to `ask`, by the seed or a fresh one; `described` is `description_of`'s."""
        ready = self.find(options)
        seed = self.fresh_seed() if seed is None else seed
        notes: list[str] = []
        yield StageBegan("load")
        with self.use(ready, StageMeter()) as planner:
            yield StageBegan("plan")
            draft = yield from without_places(_tell(ask(planner, seed), [0], notes, cancel))
        description = description_of(draft, seed, ready.identity, **described)
        return description.model_copy(update={"notes": (*description.notes, *notes)})

    def _preferred(self) -> PlannerCard:
        if self._open_loader is not None:
            return find_planner(PREFERRED[0])
        states = {one.card.id: one for one in planner_inventory(caches_of(self._settings), self._checkpoint_dir)}
        here = [name for name in PREFERRED if states[name].state == "ready"]
        if not here:
            first = find_planner(PREFERRED[0])
            faults = [f"{name}: {', '.join(one.missing)}" for name, one in states.items() if one.state != "absent"]
            raise ModelError(
                f"No planner is on this machine{f' ({chr(59).join(faults)})' if faults else ''}. Fetch one with "
                f"`{fetch_command(first)}` ({total_bytes(first) / 1e9:.1f} GB); there are "
                f"{', '.join(one.id for one in planners())}. Or name the folder that holds one with --checkpoint-dir."
            )
        return find_planner(here[0])

    def _open(self, card: PlannerCard, weight_format: WeightFormat) -> NetworkLoader:
        """A folder that the user names may hold the song model alone: planners are looked for in the caches too."""
        caches, named = caches_of(self._settings), self._checkpoint_dir
        if named is not None and search_planner(card, caches, named) is None and search_planner(card, caches):
            named = None
        return open_planner(card, self._runtime, caches, named, weight_format)


def _alike(songs: Mapping[int, ResolvedRequest]) -> list[list[int]]:
    """Places of songs that differ by their seed alone, together."""
    groups: dict[str, list[int]] = {}
    for place, resolved in songs.items():
        groups.setdefault(resolved.model_dump_json(exclude={"seeds"}), []).append(place)
    return list(groups.values())


def _tell(
    run: Generator[Written, None, T], places: Sequence[int], notes: list[str], cancel: CancelFlag | None
) -> Generator[tuple[int, Event], None, T]:
    """What a planner's generator returns; its progress is told as steps of the stage `plan`, for every place."""
    with closing(run):
        while True:
            check_cancel(cancel)
            try:
                told = next(run)
            except StopIteration as stop:
                return stop.value
            if isinstance(told, Progress):
                step = Step("plan", told.tokens, told.total, told.seconds_left, told.tokens_per_s)
                yield from ((place, step) for place in places)
            elif isinstance(told, Notice):
                notes.append(told.text)


def without_places(run: Generator[tuple[int, Event], None, T]) -> Generator[Event, None, T]:
    """The same events without the places of their songs."""
    with closing(run):
        while True:
            try:
                yield next(run)[1]
            except StopIteration as stop:
                return stop.value


def result_of(run: Generator[Event, None, T], hear: Callable[[Event], None] | None = None) -> T:
    """What a generator of events returns, each event told to `hear`."""
    with closing(run):
        while True:
            try:
                event = next(run)
            except StopIteration as stop:
                return stop.value
            if hear is not None:
                hear(event)
