"""`partita models`: what is here, what could be fetched, and how large it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from partita.cli.common import json_flag
from partita.settings import Settings

if TYPE_CHECKING:
    from partita.weights.inventory import ModelStatus


@click.command()
@click.option("--checkpoint-dir", type=click.Path(path_type=Path), help="Look into this folder too.")
@json_flag
def command(checkpoint_dir: Path | None, as_json: bool) -> None:
    """List every model and planner, its state on this machine, and its size."""
    from partita.weights.inventory import inventory, planner_inventory
    from partita.weights.places import caches_of

    settings = Settings.load()
    caches, folder = caches_of(settings), checkpoint_dir or settings.checkpoint_dir
    models, planners = inventory(caches, folder), planner_inventory(caches, folder)
    if as_json:
        rows = {"models": [_row(one) for one in models], "planners": [_row(one) for one in planners]}
        click.echo(json.dumps({**rows, "default": settings.model}))
        return
    for status in (*models, *planners):
        _print(status)
    click.echo(f"default: {settings.model} (PARTITA_MODEL). Fetch one with: partita download MODEL")


def _row(status: ModelStatus) -> dict[str, Any]:
    return {
        "id": status.card.id,
        "aliases": status.card.aliases,
        "title": status.card.title,
        "licence": status.card.licence,
        "state": status.state,
        "folder": str(status.folder) if status.folder else None,
        "layout": status.layout,
        "missing": status.missing,
        "total_bytes": status.total_bytes,
        "fetch_bytes": status.fetch_bytes,
        "verified": status.card.verified,
    }


def _print(status: ModelStatus) -> None:
    size = f"{status.total_bytes / 1e9:.1f} GB" if status.total_bytes else "with Partita"
    click.echo(f"{status.card.id:<30}{status.state:<9}{size:>13}  {status.card.summary}")
    if status.state == "partial":
        click.echo(f"{'':<30}{status.fetch_bytes / 1e9:.1f} GB to fetch: partita download {status.card.id}")
    elif status.state == "damaged":
        click.echo(f"{'':<30}{status.missing[0]}")
    elif status.folder is not None:
        click.echo(f"{'':<30}in {status.folder}")
