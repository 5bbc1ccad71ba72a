"""Make a finished (or running) training run into model files: `python -m partita.training.export RUN DIRECTORY`.

Writes the mean weights in bfloat16 with sizes and tokenizer, as `partita.weights.builtin` reads them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from partita.errors import ModelError
from partita.models.score_model import ScoreModel, ScoreModelConfig
from partita.training.checkpoint import checkpoint_values, find_checkpoint, load_mean
from partita.weights.builtin import TOKENIZER, save_builtin


def export(run: Path, directory: Path) -> int:
    """Write the model files of the run's checkpoint to `directory`; return the step. Raises ModelError without one."""
    checkpoint = find_checkpoint(run / "checkpoint")
    if checkpoint is None:
        raise ModelError(f"There is no checkpoint in {run}.", path=run)
    values = checkpoint_values(checkpoint)
    model = ScoreModel(ScoreModelConfig.from_json(values["config"]))
    load_mean(checkpoint, model)
    save_builtin(directory, model, run / TOKENIZER, {"step": str(values["step"]), "weights": "mean"})
    return values["step"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Make a training run into model files.")
    parser.add_argument("run", type=Path)
    parser.add_argument("directory", type=Path)
    given = parser.parse_args(arguments)
    export(given.run, given.directory)


if __name__ == "__main__":
    main()
