"""The reader of captions: what it is taught with, and that it is taught alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from partita.models.score_model import ScoreModel, ScoreModelConfig
from partita.score.styles import Cast
from partita.text.orchestration import named_parts
from partita.training.corpus import TRAINING_SEEDS
from partita.training.listen import Outlines, relearn
from partita.training.tokens import train_tokenizer
from partita.weights.builtin import CONFIG, TOKENIZER, WEIGHTS, load_builtin, save_builtin

SMALL = ScoreModelConfig(
    vocab_size=300,
    pair_rows=64,
    condition_size=24,
    hidden_size=32,
    intermediate_size=48,
    layers=2,
    heads=2,
    key_value_heads=1,
    head_dim=16,
)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model's directory, and that of the model with another reader."""
    source, directory = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("taught")
    train_tokenizer(["slow piano"], source / "made.json", SMALL.vocab_size)
    torch.manual_seed(0)
    save_builtin(source, ScoreModel(SMALL), source / "made.json", {"step": "7"})
    relearn(source, directory, outlines=40, steps=4)
    return source, directory


def test_outlines_are_captioned_afresh_and_truly() -> None:
    outlines = Outlines(TRAINING_SEEDS[:30])
    rng = np.random.default_rng(0)
    assert len({outlines.prompt(3, rng) for _ in range(40)}) > 30
    for piece in range(len(outlines)):
        cast = Cast.of_numbers(outlines.casts[piece].tolist())
        for _ in range(6):
            assert not named_parts(outlines.prompt(piece, rng)).absent & set(cast.programs)


def test_no_other_weight_changes(taught: tuple[Path, Path]) -> None:
    before, after = (load_file(directory / WEIGHTS) for directory in taught)
    assert before.keys() == after.keys()
    for name, weight in before.items():
        assert name.startswith("reader.") or torch.equal(weight, after[name]), name
    assert before["reader.table.weight"].shape != after["reader.table.weight"].shape


def test_the_model_is_whole_and_has_usual_sizes_of_a_reader(taught: tuple[Path, Path]) -> None:
    _, directory = taught
    assert {path.name for path in directory.iterdir()} == {CONFIG, WEIGHTS, TOKENIZER}
    config = ScoreModelConfig.from_json(json.loads((directory / CONFIG).read_text()))
    assert (config.vocab_size, config.pair_rows) == (ScoreModelConfig().vocab_size, ScoreModelConfig().pair_rows)
    assert config.hidden_size == SMALL.hidden_size
    parts = load_builtin(directory)
    heard = parts.model.reader(*parts.tokens(["jazz con piano"]))
    assert torch.isfinite(heard.style).all()


def test_settings_that_do_not_say_how_many_rows_pairs_have_are_read() -> None:
    values = SMALL.to_json()
    del values["pair_rows"]
    assert ScoreModelConfig.from_json(values).pair_rows == 8192
