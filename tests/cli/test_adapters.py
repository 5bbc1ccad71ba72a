"""The verb `adapters` lists by what adapters say of themselves, not by the names of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from partita.cli.adapters import command
from partita.errors import ModelError
from tests.weights.adapter_files import kohya, lokr_tensors, lora_factors, lycoris, network, peft

DIT = network()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARTITA_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "adapters"


def listed(*arguments: str) -> str:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False).output


def test_an_empty_folder_says_where_to_put_adapters(folder: Path):
    assert f"There is no adapter in {folder}" in listed()
    assert json.loads(listed("--json")) == {"adapters": [], "damaged": [], "folder": str(folder)}


def test_the_folder_is_listed_by_metadata(folder: Path):
    peft(folder / "singer", lora_factors(DIT), inside="final/adapter")
    lycoris(folder / "room" / "lokr_weights.safetensors", lokr_tensors(DIT, factored=True)[0])
    (folder / "broken.safetensors").write_bytes(b"none")
    text = listed()
    assert "singer" in text
    assert "rank 3" in text
    assert "5 layers" in text
    assert "for acestep-v15-turbo" in text
    assert "LoKr" in text
    assert "broken.safetensors" in text
    answer = json.loads(listed("--json"))
    assert [(row["name"], row["kind"], row["targets"]) for row in answer["adapters"]] == [
        ("room", "lokr", 5),
        ("singer", "lora", 5),
    ]
    assert "cut short" in answer["damaged"][0]["message"]


def test_a_folder_with_one_file_is_still_the_folder(folder: Path):
    kohya(folder / "voice.safetensors", lora_factors(DIT))
    assert [row["name"] for row in json.loads(listed("--json"))["adapters"]] == ["voice"]


def test_paths_are_listed_instead_where_they_are_given(folder: Path, tmp_path: Path):
    one = kohya(tmp_path / "files" / "one.safetensors", lora_factors(DIT))
    peft(tmp_path / "files" / "two", lora_factors(DIT))
    assert [row["path"] for row in json.loads(listed(str(one), "--json"))["adapters"]] == [str(one)]
    names = [row["name"] for row in json.loads(listed(str(tmp_path / "files"), "--json"))["adapters"]]
    assert names == ["one", "two"]


def test_a_path_without_an_adapter_is_an_error(folder: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="There is no adapter at"):
        listed(str(tmp_path / "nowhere"))
