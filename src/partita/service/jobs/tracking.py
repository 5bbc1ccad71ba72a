"""How far a running job is and how long it will take, judged by events of the engine and by what stages took before.

Bookkeeping with the clock given by the caller; knows no queue.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from partita.engine.events import Event, Finished, StageBegan, Step
from partita.service.jobs.job import JobProgress

# Rough shares of a song's time by stage, before anything was seen: sampling is most of it in every family.
FIRST_GUESS = {"plan": 2.0, "text": 3.0, "conditions": 2.0, "sample": 60.0, "decode": 12.0, "play": 12.0, "master": 9.0}
_WEIGHT_OF_LAST = 0.4
_LEAST_DONE = 0.03
"""Share of the work that must be done before its own pace says anything."""


class StageTimes:
    """Mean seconds of each stage for a second of music, by model, in the order of the stages. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, dict[str, float]] = {}

    def of(self, model: str) -> dict[str, float]:
        """Empty where the model has made nothing yet."""
        with self._lock:
            return dict(self._seen.get(model, {}))

    def learn(self, model: str, music_s: float, spent: dict[str, float]) -> None:
        """A run of `music_s` seconds of music took so many seconds by stage."""
        with self._lock:
            seen = self._seen.setdefault(model, {})
            for name in {**seen, **spent}:
                each = spent.get(name, 0.0) / music_s
                seen[name] = each if name not in seen else seen[name] + _WEIGHT_OF_LAST * (each - seen[name])


@dataclass
class RunClock:
    """One run of the engine: `songs` of `model`, `music_s` long in all, begun at `began`.

    Each song is somewhere in the order of the stages, whether the songs go through them side by side or one by one.
    """

    model: str
    music_s: float
    songs: int
    times: StageTimes
    began: float
    stage: str = "plan"
    step: Step | None = None
    spent: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen = self.times.of(self.model)
        self._known_s = sum(seen.values()) * self.music_s if seen else None
        self._weights = seen or FIRST_GUESS
        self._shares = dict.fromkeys(range(self.songs), 0.0)
        self._stage_began = self.began
        self._finished = 0

    def hear(self, event: Event, at: float, place: int | None = None) -> None:
        """Note an event that came at `at`, of song `place`; without one, of the first that is not finished."""
        place = min(self._finished, self.songs - 1) if place is None else place
        if isinstance(event, StageBegan):
            self._enter(event.name, at)
            self._reach(place, self._share_at(event.name, 0.0))
        elif isinstance(event, Step):
            if event.stage != self.stage:
                self._enter(event.stage, at)
            self.step = event
            if event.count:
                self._reach(place, self._share_at(event.stage, event.index / event.count))
        elif isinstance(event, Finished):
            self._enter(self.stage, at)
            self._reach(place, 1.0)
            self._finished += 1

    def learn(self, at: float) -> None:
        """The run has ended well."""
        self._enter(self.stage, at)
        self.times.learn(self.model, self.music_s, self.spent)

    def total_s(self, at: float) -> float | None:
        """Seconds that the run takes in all: what is known of the model, giving way to the pace of the run itself."""
        share, elapsed_s = self.share, at - self.began
        if share < _LEAST_DONE:
            return None if self._known_s is None else max(self._known_s, elapsed_s)
        own_s = elapsed_s / share
        return own_s if self._known_s is None else share * own_s + (1 - share) * max(self._known_s, elapsed_s)

    @property
    def share(self) -> float:
        """Part of the work that is done, 0..1."""
        return sum(self._shares.values()) / self.songs

    def _share_at(self, stage: str, part: float) -> float:
        """How much of a song is done with `part` of a stage; nothing is known of a stage that was not seen before."""
        if stage not in self._weights:
            return 0.0
        names = list(self._weights)
        before = sum(self._weights[name] for name in names[: names.index(stage)])
        return (before + part * self._weights[stage]) / (sum(self._weights.values()) or 1.0)

    def _reach(self, place: int, share: float) -> None:
        self._shares[place] = max(self._shares[place], share)

    def _enter(self, stage: str, at: float) -> None:
        self.spent[self.stage] = self.spent.get(self.stage, 0.0) + at - self._stage_began
        self.stage, self.step, self._stage_began = stage, None, at


@dataclass
class JobTracker:
    """A job over its runs. Of its `songs`, `done` are delivered; `later` are not made by the run in hand."""

    songs: int
    began: float
    done: int = 0
    later: int = 0
    share: float = 0.0

    def progress(self, run: RunClock, at: float) -> JobProgress:
        """How far the job is at `at`, while `run` makes songs of it. The share never falls."""
        total_s, left_s = run.total_s(at), None
        if total_s is not None:
            left_s = max(total_s * (1 - run.share), 0.0) + self.later * total_s / run.songs
            whole_s = at - self.began + left_s
            if whole_s > 0:
                self.share = max(self.share, min(1 - left_s / whole_s, 0.999))
        return JobProgress(
            stage=run.stage,
            step=None if run.step is None else run.step.index,
            steps=None if run.step is None else run.step.count,
            song=self.done,
            songs=self.songs,
            share=round(self.share, 4),
            seconds_left=None if left_s is None else round(left_s, 2),
        )
