"""Shows the events of a run on standard error: a bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from partita.engine.events import AudioReady, Event, Finished, Planned, StageBegan, Step

_WORDS = {
    "plan": "planning",
    "load": "loading",
    "text": "reading the words",
    "source": "listening to the source",
    "conditions": "preparing",
    "sample": "composing",
    "decode": "decoding",
    "play": "playing",
    "lyrics": "following the lyrics",
    "judge": "listening to all of them",
    "master": "mastering",
}


_MANY = 200
"""Of more steps than these, a line is told for each tenth."""


class ProgressView:
    """Call it with every event. Steps that several songs take together are told once.

    As a context manager it tidies the terminal, whatever happens.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._told: tuple[str, int | None] | None = None
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bar: Progress | None = None
        if sys.stderr.isatty() and not quiet:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
                console=self._console,
                transient=True,
            )
        self._task = self._bar.add_task("starting", total=None, left="") if self._bar else None
        self._stage = ""
        self._tenth = -1

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While this is open the bar is away, for others to write on the terminal."""
        if self._bar:
            self._bar.stop()
        yield
        if self._bar:
            self._bar.start()

    def __call__(self, event: Event) -> None:
        match event:
            case Planned(resolved, plan):
                kind = resolved.task.kind
                parts = [
                    f"model {resolved.model}",
                    "" if kind == "text-to-music" else kind,
                    f"seed {resolved.seeds[0]}",
                    f"{plan.duration_s:g} s",
                    f"{plan.bpm} BPM" if plan.bpm else "",
                    plan.key or "",
                    plan.time_signature or "",
                ]
                self._say(", ".join(part for part in parts if part))
            case StageBegan(name):
                self._stage = _WORDS.get(name, name)
                self._show(self._stage, None, None, "")
            case Step(_, index, count, seconds_left, tokens_per_s):
                rate = f"{tokens_per_s:.0f} tokens/s" if tokens_per_s else ""
                left = "" if seconds_left is None else f"{seconds_left:.0f} s left"
                self._show(self._stage, index, count, ", ".join(filter(None, (rate, left))))
            case AudioReady(samples, start, total, _):
                self._show(self._stage, start + len(samples), total, "")
            case Finished(song):
                for warning in song.warnings:
                    self._say(f"note: {warning}")
            case _:
                pass

    def _show(self, text: str, done: int | None, total: int | None, left: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text, completed=done or 0, total=total, left=left)
        elif (text, done) == self._told:
            pass
        elif done is None:
            self._say(f"{text} ...")
        elif left and total is not None:
            if total > _MANY and done < total and 10 * done // total == self._tenth:
                return
            self._tenth = 10 * done // total
            self._say(f"{text}: {done} of {total}, {left}")
        self._told = (text, done)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)
