"""`partita plan`: what `generate` would play with the same flags, without playing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from partita.cli.common import json_flag, machine_flags, make_engine
from partita.cli.flags import build_request, build_task, request_flags, task_flags
from partita.settings import Settings
from partita.song.task import TextToMusic

if TYPE_CHECKING:
    from partita.song.plan import Plan

_MACHINE = ("device", "number_format", "threads", "policy")


@click.command()
@click.argument("caption", required=False)
@request_flags(hidden=("best_of",), groups=("planner",))
@task_flags(TextToMusic)
@machine_flags
@json_flag
def command(caption: str | None, checkpoint_dir: Path | None, as_json: bool, **given: Any) -> None:
    """Tell the plan of a song from CAPTION, and where each value comes from. With --json it is told as `generate
    --plan FILE` takes it.

    Without --planner, a planner writes the metadata for the models that take one, and rules plan for built-in.

    How planners work: docs/planner.md.
    """
    from partita.cli.progress import ProgressView
    from partita.engine.intake import resolve_request
    from partita.weights.catalog import card

    settings = Settings.load()
    machine = {name: given.pop(name) for name in _MACHINE}
    if given["planner__mode"] is None and given["plan"] is None and card(given["model"] or settings.model).codes:
        given["planner__mode"] = "metadata"
    request = build_request(given, midi=None, stems=None, caption=caption or "", task=build_task(TextToMusic, given))
    resolved = resolve_request(request, settings)
    request = request.model_copy(update={"seed": resolved.seeds[0]})
    engine = make_engine(settings, checkpoint_dir, **machine)
    with ProgressView(quiet=as_json) as view:
        plans = engine.plan(request, on_progress=view)
    if as_json:
        told = [plan.model_dump(mode="json") for plan in plans]
        click.echo(json.dumps({"seeds": resolved.seeds, "plans": told}, ensure_ascii=False))
        return
    for number, (seed, plan) in enumerate(zip(resolved.seeds, plans, strict=True)):
        click.echo(f"{chr(10) if number else ''}seed      {seed}")
        for line in plan_lines(plan):
            click.echo(line)


def plan_lines(plan: Plan) -> list[str]:
    """A plan for people: each value, and where it comes from."""
    form = " ".join(f"{one.kind} {one.start_s:.1f}-{one.end_s:.1f}" for one in plan.sections)
    codes = plan.codes or ()
    lines: list[str] = []
    for label, name, text in (
        ("caption", "caption", plan.caption),
        ("language", "language", plan.language),
        ("length", "duration_s", f"{plan.duration_s:g} s"),
        ("tempo", "bpm", f"{plan.bpm} BPM" if plan.bpm else ""),
        ("key", "key", plan.key or ""),
        ("metre", "time_signature", plan.time_signature or ""),
        ("form", "sections", form),
        ("codes", "codes", f"{len(codes)}: {' '.join(map(str, codes[:8]))} ..." if codes else ""),
    ):
        if text:
            origin = plan.origins.get(name)
            lines.append(f"{label:<10}{text}{f'  ({origin})' if origin else ''}")
    if plan.planner is not None:
        lines.append(f"planner   {plan.planner.model}")
    return [*lines, *(f"note: {note}" for note in plan.notes), "", plan.lyrics]
