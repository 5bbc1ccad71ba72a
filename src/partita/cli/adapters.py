"""`partita adapters`: what adapters are here, by what they say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import click

from partita.cli.common import json_flag
from partita.errors import ModelError
from partita.settings import Settings


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@json_flag
def command(paths: tuple[Path, ...], as_json: bool) -> None:
    """List adapters by their metadata: those in the folder of adapters, or those at PATH."""
    from partita.weights.adapters import adapters_in, inspect_adapter
    from partita.weights.adapters.files import has_adapter

    folder = Settings.load().data / "adapters"
    rows, faults = [], []
    for path in paths or (folder,):
        inside = [path] if paths and has_adapter(path) else adapters_in(path)
        if paths and not inside:
            inside = [path]  # which says what is wrong with it
        for one in inside:
            try:
                rows.append((one, inspect_adapter(one)))
            except ModelError as error:
                if one == path:
                    raise
                faults.append((one, error))
    if as_json:
        listed = [{"path": str(path), **facts.model_dump()} for path, facts in rows]
        damaged = [{"path": str(path), "message": str(error)} for path, error in faults]
        click.echo(json.dumps({"adapters": listed, "damaged": damaged, "folder": str(folder)}, ensure_ascii=False))
        return
    for path, facts in rows:
        kind = ("DoRA " if facts.decomposed else "") + {"lora": "LoRA", "lokr": "LoKr"}[facts.kind]
        rank = f"rank {facts.rank}" if facts.rank else "whole"
        size = f"{facts.bytes / 1e6:.1f} MB"
        click.echo(
            f"{facts.name:<30}{kind:<10}{rank:<10}{facts.targets:>4} layers{size:>12}  for {facts.base_model or '?'}"
        )
        click.echo(f"{'':<30}{facts.layout}, in {path}")
    for path, error in faults:
        click.echo(f"{path.name:<30}damaged   {error}")
    if not rows and not faults:
        click.echo(f"There is no adapter in {folder}. Put one there, or name its file or folder.")
