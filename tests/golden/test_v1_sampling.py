"""Recorded schedules, guidance and sampling loops of ACE-Step v1, through the runner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.golden.runner import Status, check_file

V1 = Path(__file__).parent / "data" / "v1"


@pytest.mark.parametrize(
    "name",
    [
        "schedulers",
        "guidance",
        "pipeline_guidance",
        "pipeline_schedulers",
        "pipeline_edit_tasks",
        "pipeline_audio2audio",
        "pipeline_flow_edit",
    ],
)
def test_every_recorded_case_is_reproduced(name: str) -> None:
    path = V1 / f"{name}.safetensors"
    rows = check_file(path)
    with safe_open(path, "pt") as file:
        assert {row.case for row in rows} == set(json.loads(file.metadata()["cases"]))
    assert [row.line() for row in rows if row.status is not Status.PASS] == []
