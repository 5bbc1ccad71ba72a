"""Recorded numbers of the original programs, through the runner; and the runner itself, on files made here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.golden.__main__ import main
from tests.golden.runner import Row, Status, check_file, split_name, summary

DATA = Path(__file__).parent / "data"
V15 = DATA / "v15"
ROOT = Path(__file__).parents[2]

COMPLETE = [
    "01_condition_encoder.safetensors",
    "02_dit_decoder_even.safetensors",
    "02_dit_decoder_odd.safetensors",
    "03_audio_tokenizer.safetensors",
    "04_oobleck_vae.safetensors",
    "05_generate_turbo.safetensors",
    "06_generate_base_sft.safetensors",
    "07_guidance.safetensors",
    "08_prompts.json",
    "08_latent_preparation.json",
    "08_repaint_blending.safetensors",
    "10_planner_decodes.json",
    "10_planner_prompts.json",
    "11_scoring.json",
    "11_scoring.safetensors",
]


@cache
def rows_of(name: str) -> list[Row]:
    return check_file(V15 / name)


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


@pytest.mark.parametrize("name", COMPLETE)
def test_every_recorded_output_is_reproduced(name: str) -> None:
    rows = rows_of(name)
    assert rows
    assert [row.line() for row in rows if row.status is not Status.PASS] == []


@pytest.mark.parametrize("name", [name for name in COMPLETE if "generate" in name])
def test_every_recorded_generation_has_a_row(name: str) -> None:
    assert {row.case for row in rows_of(name)} == set(json.loads(metadata(V15 / name)["cases"]))


def test_blending_follows_the_names_of_a_file_never_seen(tmp_path: Path) -> None:
    path = V15 / "08_repaint_blending.safetensors"
    tensors, meta = load_file(path), metadata(path)
    asked = json.loads(meta["splice"])
    asked["crossfade_seconds"]["none"] = 0.0
    renamed = {
        "out.inject.0.30": tensors["out.inject.0.3"],
        "out.soft_mask.40": tensors["out.soft_mask.25"],
        "out.blend.03": tensors["out.blend.3"],
        "out.splice.none": tensors["out.splice.hard"],
        "out.splice.unheard_of": tensors["out.splice.10ms"],
    }
    inputs = {name: value for name, value in tensors.items() if name.startswith("in.")}
    save_file(inputs | renamed, tmp_path / "08_other.safetensors", metadata={"splice": json.dumps(asked)})
    found = {f"{row.case}.{row.output}": row.status for row in check_file(tmp_path / "08_other.safetensors")}
    assert found == {
        "inject.0.30": Status.PASS,
        "soft_mask.40": Status.FAIL,  # longer ramps than those recorded under this name
        "blend.03": Status.PASS,
        "splice.none": Status.PASS,
        "splice.unheard_of": Status.UNCOVERED,
    }


def test_uncovered_files_say_so_for_every_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "unheard_of.safetensors"
    tensors = load_file(DATA / "v1" / "attention.safetensors")
    save_file(tensors, path, metadata={"kind": "nobody-knows"})
    assert main([str(path)]) == 1
    recorded = [name for name in tensors if name.startswith("out.")]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{len(recorded)} outputs, 0 pass, 0 fail, {len(recorded)} uncovered"
    assert all(line.endswith(" UNCOVERED") for line in lines[:-1])


def guidance_copy(folder: Path, name: str = "07_copy.safetensors", **changes: torch.Tensor) -> Path:
    path = folder / name
    tensors = load_file(V15 / "07_guidance.safetensors") | {key.replace("__", "."): v for key, v in changes.items()}
    save_file(tensors, path, metadata=metadata(V15 / "07_guidance.safetensors"))
    return path


def test_a_file_is_checked_whatever_it_is_called_after_its_digits(tmp_path: Path) -> None:
    assert {row.status for row in check_file(guidance_copy(tmp_path))} == {Status.PASS}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x + 2e-4,
        lambda x: x[:-1].clone(),
        lambda x: torch.full_like(x, float("nan")),
        lambda x: torch.where(x == x.max(), float("inf"), x),
    ],
    ids=["off", "shape", "nan", "inf"],
)
def test_a_corrupted_output_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object) -> None:
    original = load_file(V15 / "07_guidance.safetensors")["out.apg.lastdim.guided"]
    path = guidance_copy(tmp_path, out__apg__lastdim__guided=spoil(original))  # type: ignore[operator]
    assert main([str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if line.endswith(" FAIL")] == ["lastdim.guided"]
    assert re.fullmatch(r"28 outputs, 27 pass, 1 fail, 0 uncovered", lines[-1])


def test_a_line_has_seven_fields_and_numbers_that_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(V15 / "07_guidance.safetensors"), "--cases", "apg"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in lines[:-1]:
        file, case, _output, absolute, relative, limit, status = line.split()
        assert (file, case, status) == (str(V15 / "07_guidance.safetensors"), "apg", "PASS")
        assert float(absolute) <= float(limit)
        assert float(relative) >= 0
    assert lines[-1] == f"{len(lines) - 1} outputs, {len(lines) - 1} pass, 0 fail, 0 uncovered"


def test_an_output_that_nobody_computes_is_uncovered(tmp_path: Path) -> None:
    path = guidance_copy(tmp_path, out__apg__unheard_of__guided=torch.zeros(3))
    left = [row for row in check_file(path) if row.status is not Status.PASS]
    assert [(row.output, row.status) for row in left] == [("unheard_of.guided", Status.UNCOVERED)]


def test_metadata_chooses_the_checker_before_the_name_does(tmp_path: Path) -> None:
    tensors = {"in.x": torch.zeros(2), "out.y": torch.zeros(2)}
    save_file(tensors, tmp_path / "07_guidance.safetensors", metadata={"kind": "nobody-knows"})
    assert [row.status for row in check_file(tmp_path / "07_guidance.safetensors")] == [Status.UNCOVERED]


def test_a_checker_that_dies_fails_its_outputs_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"out.cfg.guided": torch.zeros(2)}, tmp_path / "07_empty.safetensors")
    assert [row.status for row in check_file(tmp_path / "07_empty.safetensors")] == [Status.FAIL]
    assert "in.pred_cond" in capsys.readouterr().err


def test_a_generation_with_an_argument_that_nobody_knows_is_uncovered(tmp_path: Path) -> None:
    path = V15 / "05_generate_turbo.safetensors"
    meta = metadata(path)
    cases = {"batch1": json.loads(meta["cases"])["batch1"] | {"crossed_fingers": True}}
    save_file(load_file(path), tmp_path / path.name, metadata=meta | {"cases": json.dumps(cases)})
    assert {row.status for row in check_file(tmp_path / path.name, "batch1")} == {Status.UNCOVERED}


def test_whole_numbers_must_be_equal(tmp_path: Path) -> None:
    path = V15 / "01_condition_encoder.safetensors"
    tensors = load_file(path)
    tensors["out.encoder_attention_mask"] = 1 - tensors["out.encoder_attention_mask"]
    save_file(tensors, tmp_path / path.name, metadata=metadata(path))
    failed = [row for row in check_file(tmp_path / path.name) if row.status is Status.FAIL]
    assert [(row.output, row.limit) for row in failed] == [("encoder_attention_mask", 0.0)]


def test_a_changed_string_fails_alone(tmp_path: Path) -> None:
    data = json.loads((V15 / "08_prompts.json").read_text("utf-8"))
    data["cases"][3]["output"]["lyric_strings"][0] += " "
    path = tmp_path / "08_other.json"
    path.write_text(json.dumps(data), "utf-8")
    failed = [(row.case, row.output) for row in check_file(path) if row.status is not Status.PASS]
    assert failed == [("cases.3", "lyric_strings")]


def scoring_copy(folder: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> list[Row]:
    """Rows that do not pass of both scoring files, changed, under another name and far from their tokenizer."""
    data = json.loads((V15 / "11_scoring.json").read_text("utf-8"))
    tensors = load_file(V15 / "11_scoring.safetensors")
    change(data, tensors)
    (folder / "11_other.json").write_text(json.dumps(data), "utf-8")
    save_file(tensors, folder / "11_other.safetensors")
    rows = check_file(folder / "11_other.json") + check_file(folder / "11_other.safetensors")
    return [row for row in rows if row.status is not Status.PASS]


def test_scores_of_cases_never_seen_are_checked_by_what_they_hold(tmp_path: Path) -> None:
    def rename(data: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        data["alignment_cases"] = {f"song-{name}": case for name, case in data["alignment_cases"].items()}
        data["pmi_cases"] = {f"p-{name}": case for name, case in data["pmi_cases"].items()}
        for name in list(tensors):
            side, case, what = name.split(".")
            tensors[f"{side}.{'p-' if case.startswith('pmi') else 'song-'}{case}.{what}"] = tensors.pop(name)

    assert scoring_copy(tmp_path, rename) == []


def test_scores_may_be_off_by_their_limit_and_times_by_nothing(tmp_path: Path) -> None:
    def spoil(data: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        data["pmi_cases"]["pmi0"]["mean_log_prob"] += 9e-6
        data["pmi_cases"]["pmi1"]["mean_log_prob"] += 2e-5
        data["pmi_cases"]["pmi2"]["recall"]["5"]["per_k"]["3"] += 2e-5
        data["rewards"][0]["explanation"] += " "
        data["alignment_cases"]["lrc_format"][2]["plain"] += " "
        data["alignment_cases"]["l1v0"]["token_timestamps"][4]["end"] += 1e-6
        data["alignment_cases"]["constant_energy"]["path"][1] = [0, 1]
        tensors["out.l2v0.alignment_path"][3, 1] += 1

    found = [(row.case, row.output) for row in scoring_copy(tmp_path, spoil)]
    assert found == [
        ("alignment_cases.l1v0", "token_timestamps"),
        ("alignment_cases.constant_energy", "path"),
        ("alignment_cases.lrc_format.2", "plain"),
        ("pmi_cases.pmi1", "mean_log_prob"),
        ("pmi_cases.pmi2", "recall"),
        ("rewards.0", "explanation"),
        ("l2v0", "alignment_path"),
    ]


def test_times_follow_the_recorded_matrix_but_attention_must_lead_there_too(tmp_path: Path) -> None:
    def move(data: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        tensors["in.l0v0.selected_heads"] = tensors["in.l0v0.selected_heads"].roll(4, dims=-1)

    failed = {(row.case, row.output) for row in scoring_copy(tmp_path, move)}
    assert failed >= {("alignment_cases.l0v0", "lrc"), ("l0v0", "alignment_path"), ("l0v0", "calc_matrix")}
    assert {case.rpartition(".")[2] for case, _ in failed} == {"l0v0"}


def test_scores_without_their_tensors_are_uncovered(tmp_path: Path) -> None:
    path = tmp_path / "11_alone.json"
    path.write_text((V15 / "11_scoring.json").read_text("utf-8"), "utf-8")
    left = {row.case for row in check_file(path) if row.status is Status.UNCOVERED}
    assert {"alignment_cases.l0v0", "pmi_cases.pmi0"} <= left
    assert not any(row.status is Status.FAIL for row in check_file(path))


def test_entries_of_another_kind_are_uncovered(tmp_path: Path) -> None:
    path = tmp_path / "08_other.json"
    path.write_text(json.dumps({"cases": [{"name": "a b", "input": {"colour": "red"}, "output": {"sound": "loud"}}]}))
    (row,) = check_file(path)
    assert (row.case, row.output, row.status) == ("cases.a_b", "sound", Status.UNCOVERED)


def planner_copy(folder: Path, keep: int, change: Callable[[dict[str, Any]], None]) -> Path:
    """The first `keep` recorded decodes and all else of the file, with `change` made."""
    data = json.loads((V15 / "10_planner_decodes.json").read_text("utf-8"))
    data["decodes"] = data["decodes"][:keep]
    change(data)
    path = folder / "10_other.json"
    path.write_text(json.dumps(data), "utf-8")
    return path


def test_planner_files_elsewhere_use_the_recorded_tokenizer_and_their_own_where_there_is_one(tmp_path: Path) -> None:
    path = planner_copy(tmp_path, 20, lambda data: None)
    rows = check_file(path)
    assert {row.status for row in rows} == {Status.PASS}
    assert {row.case.split(".")[0] for row in rows} == {
        *("tokenizer", "prefix_trees", "parse_cases", "sampling_filters", "decodes")
    }
    tokenizer = json.loads((V15 / "10_tokenizer.json").read_text("utf-8"))
    tokenizer["added_tokens"] = tokenizer["added_tokens"][:-1]
    (tmp_path / "10_tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    wrong = [(row.case, row.output) for row in check_file(path, "tokenizer.*") if row.status is Status.FAIL]
    assert wrong == [("tokenizer.-", "vocab_size")]


def test_a_tokenizer_has_no_outputs() -> None:
    assert check_file(V15 / "10_tokenizer.json") == []


def test_a_decode_that_was_recorded_otherwise_fails_where_it_differs(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["decodes"][0]["steps"][10]["a"]["h"] = "0" * 16
        data["decodes"][1]["parsed_metadata"]["bpm"] += 1
        data["decodes"][14]["steps"][3]["v"] += 0.5
        data["prefix_trees"]["bpm_prefix_tree"]["size"] += 1
        data["sampling_filters"][1]["kept"][0].pop()

    failed = {
        (row.case, row.output) for row in check_file(planner_copy(tmp_path, 20, change)) if row.status is Status.FAIL
    }
    assert failed == {
        ("decodes.0", "steps"),
        ("decodes.1", "parsed_metadata"),
        ("decodes.14", "steps"),
        ("prefix_trees.-", "bpm_prefix_tree"),
        ("sampling_filters.1", "kept"),
    }


def test_a_decode_with_a_setting_that_nobody_knows_is_uncovered(tmp_path: Path) -> None:
    path = planner_copy(tmp_path, 2, lambda data: data["decodes"][1]["spec"].update(crossed_fingers=True))
    assert {row.case for row in check_file(path) if row.status is Status.UNCOVERED} == {"decodes.1"}


def test_cases_select_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    name = str(V15 / "05_generate_turbo.safetensors")
    assert main([name, "--cases", "ode_shift[12]"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines[:-1]} == {"ode_shift1", "ode_shift2"}
    assert main([name, "--cases", "batch1.x*"]) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[:-1]] == ["xt"]
    assert main([name, "--cases", "nothing-like-it"]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == "0 outputs, 0 pass, 0 fail, 0 uncovered"


def test_what_was_computed_is_written_under_the_same_names(tmp_path: Path) -> None:
    for name in ("07_guidance.safetensors", "08_prompts.json"):
        check_file(V15 / name, write=tmp_path)
    written, recorded = load_file(tmp_path / "07_guidance.safetensors"), load_file(V15 / "07_guidance.safetensors")
    assert set(written) == {key for key in recorded if key.startswith("out.")}
    assert all(torch.allclose(written[key], recorded[key], atol=1e-4) for key in written)
    again = json.loads((tmp_path / "08_prompts.json").read_text("utf-8"))
    assert again == json.loads((V15 / "08_prompts.json").read_text("utf-8"))
    inputs = {key: value for key, value in recorded.items() if key.startswith("in.")}
    save_file(inputs | written, tmp_path / "07_again.safetensors", metadata=metadata(V15 / "07_guidance.safetensors"))
    assert {row.status for row in check_file(tmp_path / "07_again.safetensors")} == {Status.PASS}


def test_case_names_may_hold_dots() -> None:
    cases = ["cfg3", "cfg3.5_steps"]
    assert split_name("cfg3.5_steps.xt", cases) == ("cfg3.5_steps", "xt")
    assert split_name("cfg3.xt", cases) == ("cfg3", "xt")
    assert split_name("long_padding.mask", []) == ("long_padding", "mask")
    assert split_name("velocity", cases) == ("-", "velocity")


def test_the_summary_counts_each_status() -> None:
    rows = [Row("f", "c", "o", 0, 0, 0, status) for status in (Status.PASS, Status.PASS, Status.FAIL)]
    assert summary(rows) == "3 outputs, 2 pass, 1 fail, 0 uncovered"


def test_it_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "tests.golden", "tests/golden/data/v15/08_prompts.json", "--cases", "cases.1?"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "80 outputs, 80 pass, 0 fail, 0 uncovered"
    missing = subprocess.run([*command[:3], "no-such-file"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert "no such file" in missing.stderr
