"""`partita doctor`: how this machine will be used, with the reason for each choice."""

from __future__ import annotations

import json
import platform
from importlib import metadata

import click

from partita.cli.common import json_flag
from partita.settings import Settings

_PACKAGES = (
    "partita",
    "torch",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "numpy",
    "soundfile",
    "symusic",
    "av",
)


@click.command()
@json_flag
def command(as_json: bool) -> None:
    """Print the device, number format, threads, memory and folders that would be used, each with its reason."""
    from partita.models.native_step import build
    from partita.runtime import Runtime

    settings = Settings.load()
    step = build(settings.cache / "native")
    runtime = Runtime.detect()
    choices = {name: {"value": choice.value, "reason": choice.reason} for name, choice in runtime.choices().items()}
    versions = {name: _version(name) for name in _PACKAGES}
    folders = {"cache": settings.cache, "data": settings.data, "checkpoint_dir": settings.checkpoint_dir}
    if as_json:
        click.echo(
            json.dumps(
                {
                    "runtime": choices,
                    "planner_step": {"value": "built" if step.function else "torch", "reason": step.reason},
                    "cpu": runtime.cpu,
                    "python": platform.python_version(),
                    "system": platform.platform(),
                    "versions": versions,
                    "folders": {name: str(path) if path else None for name, path in folders.items()},
                    "model": settings.model,
                }
            )
        )
        return
    click.echo(f"processor       {runtime.cpu}")
    click.echo(f"system          {platform.platform()}, Python {platform.python_version()}")
    for name, choice in choices.items():
        value = f"{choice['value'] / 2**30:.1f} GiB" if name == "memory_bytes" else choice["value"]
        click.echo(f"{name.removesuffix('_bytes'):<16}{value}: {choice['reason']}")
    click.echo(f"planner step    {step.reason if step.function else f'torch: {step.reason}'}")
    click.echo("packages        " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    for name, path in folders.items():
        click.echo(f"{name:<16}{path or 'not set'}")
    click.echo(f"default model   {settings.model}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
