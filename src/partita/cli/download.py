"""`partita download`: fetch a model's published files, or go on where the last try stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from partita.cli.common import json_flag
from partita.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress as Bars, TaskID

    from partita.weights.download import DownloadEvent


@click.command()
@click.argument("model")
@click.option(
    "--source",
    type=click.Choice(["auto", "huggingface", "modelscope"]),
    help="Where to fetch from. auto: Hugging Face, and ModelScope where that fails.",
)
@click.option("--endpoint", metavar="URL", help="A mirror of the source.")
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="Folder to download into and look in.")
@click.option("--offline", is_flag=True, default=None, help="Fetch nothing: only say what is missing.")
@click.option("--accept-changed", is_flag=True, help="Take files that differ from those this version knows.")
@json_flag
def command(
    model: str,
    source: str | None,
    endpoint: str | None,
    cache: Path | None,
    offline: bool | None,
    accept_changed: bool,
    as_json: bool,
) -> None:
    """Fetch MODEL. What has arrived stays on disk whatever happens, and the next try goes on from there."""
    from partita.song.card import ModelCard
    from partita.weights.catalog import published
    from partita.weights.download import fetch, missing_files
    from partita.weights.places import Caches, caches_of

    settings = Settings.load()
    card = published(model)
    caches = Caches.of_user(cache, private=True) if cache is not None else caches_of(settings)
    with _DownloadView(quiet=as_json) as view:
        fetch(
            card,
            caches,
            source=source or settings.source,
            endpoint=endpoint or settings.endpoint,
            offline=settings.offline if offline is None else offline,
            accept_changed=accept_changed,
            on_event=view,
        )
    missing = [entry.path for entry in missing_files(card, caches)]
    if as_json:
        click.echo(json.dumps({"model": card.id, "missing": missing}))
    elif isinstance(card, ModelCard):
        click.echo(f'{card.id} is here. Try: partita generate "dream pop, female voice" --model {card.id}')
    else:
        click.echo(f"{card.id} is here.")


class _DownloadView:
    """A bar for each file on a terminal; elsewhere a line when a file begins and when it is whole."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told: set[str] = set()
        if self._console.is_terminal and not quiet:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )

    def __enter__(self) -> _DownloadView:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def __call__(self, event: DownloadEvent) -> None:
        from partita.weights.download import Checking, Notice, Planned, Progress

        match event:
            case Planned(source, files, total_bytes, here_bytes):
                self._say(
                    f"{len(files)} files from {source}, {total_bytes / 1e9:.2f} GB, {here_bytes / 1e9:.2f} GB here"
                )
            case Progress(path, done_bytes, size_bytes):
                self._progress(path, done_bytes, size_bytes)
            case Checking(path):
                self._say(f"checking {path}")
            case Notice(text):
                self._say(f"note: {text}")

    def _progress(self, path: str, done: int, size: int | None) -> None:
        if self._bars is not None:
            if path not in self._tasks:
                self._tasks[path] = self._bars.add_task(path, total=size)
            self._bars.update(self._tasks[path], completed=done, total=size)
        elif path not in self._told:
            self._told.add(path)
            self._say(f"fetching {path}" + (f", {size / 1e6:.1f} MB" if size else ""))

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)
