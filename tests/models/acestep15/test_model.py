"""The whole model: published keys and shapes, filling from the meta device, recorded numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.model import AceStepModel
from tests.golden.runner import Status, check_file
from tests.models.acestep15.small import PUBLISHED_2B, PUBLISHED_XL, draw, small_config

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT.parent / "shared" / "manifests"
RECORDED = ROOT / "tests" / "golden" / "data" / "v15"


@pytest.mark.parametrize(
    ("name", "values", "count"),
    [
        ("ace-step-1.5-turbo", PUBLISHED_2B, 677),
        ("ace-step-1.5-base", PUBLISHED_2B, 677),
        ("ace-step-1.5-xl", PUBLISHED_XL, 829),
    ],
)
def test_keys_and_shapes_are_the_published_ones(name: str, values: dict[str, Any], count: int):
    path = MANIFESTS / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"the manifests are not at {MANIFESTS}")
    published = {key: tuple(shape) for key, (_, shape) in json.loads(path.read_text()).items()}
    with torch.device("meta"):
        model = AceStepModel(AceStepConfig.from_json(values))
    ours = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert len(ours) == count
    assert ours == published


@torch.no_grad()
def test_a_model_built_without_memory_and_filled_computes_the_same_bits():
    torch.manual_seed(0)
    model = AceStepModel(small_config()).eval()
    with torch.device("meta"):
        empty = AceStepModel(small_config()).eval()
    assert list(empty.buffers()) == []
    empty.load_state_dict(model.state_dict(), assign=True)
    x, t, condition, context = draw(1, 9, 8), torch.ones(1), draw(1, 4, 32), draw(1, 9, 16)
    assert torch.equal(empty.decoder(x, t, None, condition, context), model.decoder(x, t, None, condition, context))
    codes = torch.tensor([[17, 4000]])
    assert torch.equal(empty.hint_from_codes(codes), model.hint_from_codes(codes))


@torch.no_grad()
def test_one_position_of_the_null_condition_does_for_many():
    torch.manual_seed(0)
    model = AceStepModel(small_config()).eval()
    x, t, context = draw(2, 9, 8), torch.ones(2), draw(2, 9, 16)
    many = model.decoder(x, t, None, model.null_condition(2, 30), context)
    torch.testing.assert_close(model.decoder(x, t, None, model.null_condition(2), context), many, atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    "name", ["01_condition_encoder", "02_dit_decoder_even", "02_dit_decoder_odd", "03_audio_tokenizer"]
)
def test_recorded_numbers_of_the_original_are_met(name: str):
    rows = check_file(RECORDED / f"{name}.safetensors")
    assert rows
    assert [row.line() for row in rows if row.status is not Status.PASS] == []
