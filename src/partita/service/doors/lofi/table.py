"""How the door of lofi.nvim treats each field of `generate`, by the model that plays. Data only."""

from __future__ import annotations

from partita.service.doors.table import FieldRow

TAKES_SAMPLING = ("ace-step-v1",)
"""Models that the three fields about sampling were made for."""

_SAMPLING = {
    "inference_steps": "sampling.steps",
    "scheduler": "sampling.solver; pingpong is the stochastic one",
    "guidance_scale": "sampling.guidance_scale, with the model's own method of guidance",
}

FIELDS = (
    FieldRow("prompt", "passed on", "caption; the song is instrumental. Control characters become spaces"),
    FieldRow("duration_sec", "passed on", "duration_s"),
    FieldRow("seed", "translated", "seed; one of more than 32 bits is folded into 32, and answered as it was given"),
    FieldRow("priority", "translated", "place in the waiting list; no part of the song"),
    FieldRow("backend", "translated", "model: what is on this machine for the name, and the built-in one otherwise"),
)


def rows(model: str) -> tuple[FieldRow, ...]:
    """The table of a model, by its id in the catalog."""
    if model in TAKES_SAMPLING:
        return (*FIELDS, *(FieldRow(name, "passed on", to) for name, to in _SAMPLING.items()))
    why = f"{model} plays, whose sampler is another"
    return (*FIELDS, *(FieldRow(name, "not applied", why) for name in _SAMPLING))
