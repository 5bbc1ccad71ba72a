"""A training run's log: one JSON object a line, appended, and a picture of it.

Lines hold `step`, `elapsed_s` and any numbers beside; a run that resumes goes on writing to the same file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class RunLog:
    """Appends to a file; every line is on disk when `write` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, **values: Any) -> None:
        rounded = {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in values.items()}
        with self.path.open("a") as file:
            file.write(json.dumps(rounded) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def plot_log(path: Path, picture: Path) -> None:
    """Draw loss, held-out loss and learning rate over steps. Needs matplotlib (`partita[training]`)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    entries = read_log(path)
    figure, (upper, lower) = pyplot.subplots(2, 1, figsize=(8, 7), sharex=True)
    for key in ("loss", "held_out_loss"):
        points = [(entry["step"], entry[key]) for entry in entries if key in entry]
        if points:
            upper.plot(
                *zip(*points, strict=True), label=key.replace("_", "-"), marker="." if len(points) < 60 else None
            )
    upper.set_ylabel("flow matching loss")
    upper.set_yscale("log")
    upper.legend()
    points = [(entry["step"], entry["learning_rate"]) for entry in entries if "learning_rate" in entry]
    if points:
        lower.plot(*zip(*points, strict=True))
    lower.set_ylabel("learning rate")
    lower.set_xlabel("step")
    figure.tight_layout()
    figure.savefig(picture)
    pyplot.close(figure)
