"""Recorded numbers of the v1 codec, through the runner."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.golden import registry
from tests.golden.registry import Limit
from tests.golden.runner import Status, check_file

V1 = Path(__file__).parent / "data" / "v1"


@pytest.mark.parametrize("name", ["dcae", "vocoder", "mel", "resample", "audio_codec"])
@pytest.mark.parametrize("plain", [False, True], ids=["folded", "plain"])
def test_every_recorded_output_is_reproduced(name: str, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V1_CHECK_PLAIN", "1" if plain else "")
    rows = check_file(V1 / f"{name}.safetensors")
    assert rows
    assert [row.line() for row in rows if row.status is not Status.PASS] == []


@pytest.mark.parametrize(("value", "off", "passes"), [(0.0, 0.05, True), (0.0, 0.2, False), (-6.0, 0.2, True)])
def test_a_limit_may_depend_on_the_value(value: float, off: float, passes: bool) -> None:
    limit = Limit("absolute", 5.0, above=((-5.0, 0.1), (-8.0, 1.0)))
    expected = torch.tensor([value, -9.0])
    measured = registry.errors(limit, expected, expected + torch.tensor([off, 0.3]), None)
    assert registry.passes(limit, *measured) == passes
