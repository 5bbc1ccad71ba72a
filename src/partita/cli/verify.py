"""`partita verify`: the files of a model, checked, and one fixed song rendered with them; a report to paste."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from partita.cli.common import json_flag, machine_flags, make_engine
from partita.errors import PartitaError
from partita.settings import Settings

if TYPE_CHECKING:
    from partita.engine.engine import Engine
    from partita.song.card import ModelCard
    from partita.weights.verify import Check

# What everyone who verifies renders, so that reports can be compared.
CAPTION = "warm acoustic folk song, fingerpicked guitar, soft female voice"
LYRICS = "[Verse]\nMorning light on the windowsill\nCoffee steam and the world is still\n"
SEED = 2026
DURATION_S = 20.0


@click.command()
@click.argument("model")
@click.option("--no-render", is_flag=True, help="Check the files only.")
@machine_flags
@json_flag
def command(
    model: str,
    no_render: bool,
    checkpoint_dir: Path | None,
    as_json: bool,
    **machine: Any,
) -> None:
    """Check the files of MODEL against the catalog and the networks, render one fixed song, and print a report."""
    from partita.weights.catalog import card as find_card
    from partita.weights.places import caches_of
    from partita.weights.verify import verify

    settings = Settings.load()
    card = find_card(model)
    folder = checkpoint_dir or settings.checkpoint_dir
    report = verify(card, caches_of(settings), folder, on_file=lambda role: click.echo(f"reading {role} ...", err=True))
    if report.passed and not no_render:
        click.echo("rendering ...", err=True)
        engine = make_engine(settings, folder, **machine)
        report = replace(report, checks=(*report.checks, *_render(engine, card)))
    if as_json:
        click.echo(json.dumps({**asdict(report), "passed": report.passed}, default=str))
    else:
        click.echo(report.text())
    if not report.passed:
        raise click.exceptions.Exit(3)


def _render(engine: Engine, card: ModelCard) -> tuple[Check, ...]:
    from partita.cli.meters import meter_lines
    from partita.measure.report import measure
    from partita.song.request import SongRequest
    from partita.weights.verify import Check

    request = SongRequest(
        caption=CAPTION, lyrics=LYRICS if card.sings else "", model=card.id, seed=SEED, duration_s=DURATION_S
    )
    runtime = ", ".join(f"{name} {choice.value}" for name, choice in engine.runtime.choices().items())
    try:
        song = engine.generate(request)
    except PartitaError as error:
        return (Check("fixed render", False, f"{error} ({runtime})"),)
    report = measure(song.audio, song.sample_rate_hz)
    faults = report.defects
    sound = not faults.clipped_runs and not faults.dropouts and faults.silence_share < 0.5
    costs = ", ".join(f"{cost.name} {cost.seconds:.1f} s" for cost in song.costs)
    return (
        Check("fixed render", True, f"seed {SEED}, samples SHA-256 {song.record.audio_sha256[:16]} ({runtime})"),
        Check("sound", sound, "; ".join(" ".join(line.split()) for line in meter_lines(report))),
        Check("seconds", True, costs),
    )
