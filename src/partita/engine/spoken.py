"""The part of an engine that speaks: songs in words, written from a wish, rewritten, or told from audio.

`Engine` is made of it; it knows planners and the codec that hears, and makes no song.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import torch

from partita.engine.archive import Archive
from partita.engine.cancel import CancelFlag, check_cancel
from partita.engine.events import Event, StageBegan
from partita.engine.hearing import codes_of, hearing_model
from partita.engine.meter import StageMeter
from partita.engine.planning import DESCRIBING, PlannerRoom, result_of
from partita.engine.store import ModelStore
from partita.runtime import Runtime
from partita.settings import Settings
from partita.song.card import ModelCard
from partita.song.planning import Description, PlannerOptions
from partita.song.source import AudioRef
from partita.weights.loaders import Loader


class SpokenEngine(ABC):
    """What needs a planner alone. Whoever inherits it fills in these."""

    planners: PlannerRoom
    runtime: Runtime
    settings: Settings
    store: ModelStore
    _archive: Archive
    _checkpoint_dir: Path | None

    @abstractmethod
    def _open(self, card: ModelCard) -> Loader: ...

    def write(
        self,
        wish: str,
        *,
        language: str | None = None,
        instrumental: bool = False,
        planner: PlannerOptions = PlannerOptions(),  # noqa: B008  (a frozen value)
        seed: int | None = None,
        parity: bool = False,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> Description:
        """A whole song in words, caption, lyrics and metadata, from a wish. `planner`'s mode does not matter.

        Raises RequestError for an empty wish or an unknown language, ModelError without a planner, PlannerError.
        """
        torch.set_num_threads(self.runtime.threads.value)
        options = {"language": language, "instrumental": instrumental, "original": parity, "cancel": cancel}
        return result_of(self.planners.write(wish, planner, seed, **options), on_progress)

    def format(
        self,
        caption: str,
        lyrics: str = "",
        *,
        bpm: int | None = None,
        duration_s: float | None = None,
        key: str | None = None,
        time_signature: str | None = None,
        language: str | None = None,
        planner: PlannerOptions = PlannerOptions(),  # noqa: B008
        seed: int | None = None,
        parity: bool = False,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> Description:
        """Caption and lyrics in a planner's own words, which song models read best; what is given besides stays.

        Raises as `write` does, and RequestError for a value that a planner cannot write.
        """
        torch.set_num_threads(self.runtime.threads.value)
        given = {"bpm": bpm, "duration_s": duration_s, "key": key, "time_signature": time_signature}
        run = self.planners.format(
            caption, lyrics, given | {"language": language}, planner, seed, original=parity, cancel=cancel
        )
        return result_of(run, on_progress)

    def describe(
        self,
        audio: AudioRef | Path | str | Sequence[int],
        *,
        model: str | None = None,
        planner: PlannerOptions = DESCRIBING,
        seed: int | None = None,
        parity: bool = False,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> Description:
        """Audio, or semantic codes, in words. Audio is heard through the codec of `model`, an ACE-Step 1.5 model; by
        default the setting's, else the first of them that is on this machine.

        Raises RequestError for audio too long to be read, AudioError for what is none, ModelError, PlannerError.
        """
        torch.set_num_threads(self.runtime.threads.value)
        self.planners.find(planner)  # a planner that is not here is told before the audio is read
        if isinstance(audio, (AudioRef, Path, str)):
            codes = self.hear(audio, model=model, on_progress=on_progress, cancel=cancel)
        else:
            codes = audio
        return result_of(self.planners.describe(codes, planner, seed, original=parity, cancel=cancel), on_progress)

    def hear(
        self,
        audio: AudioRef | Path | str,
        *,
        model: str | None = None,
        on_progress: Callable[[Event], None] | None = None,
        cancel: CancelFlag | None = None,
    ) -> tuple[int, ...]:
        """Audio as semantic codes 0..63999, five a second, which songs can follow; see `describe` for `model`.

        Raises AudioError for what is no audio, RequestError for a model that knows no codes, ModelError.
        """
        torch.set_num_threads(self.runtime.threads.value)
        ref = audio if isinstance(audio, AudioRef) else AudioRef(path=str(audio))
        return result_of(self._heard(ref, model, cancel), on_progress)

    def _heard(
        self, ref: AudioRef, model: str | None, cancel: CancelFlag | None
    ) -> Generator[Event, None, tuple[int, ...]]:
        """The semantic codes of audio."""
        card = hearing_model(model, self.settings, self._checkpoint_dir)
        facts = self._archive.take(ref, "audio")
        source = self._archive.data(facts, card.family)
        parts = self.store.parts(self._open(card), StageMeter())
        yield StageBegan("source")
        return codes_of(source, parts, self.runtime, check=lambda: check_cancel(cancel))
