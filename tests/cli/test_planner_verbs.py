"""`plan`, `write`, `format`, `describe`, and `generate` with a planner or a plan; the planner follows a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from partita.cli import describe, format as format_verb, plan, write
from partita.engine.engine import Engine
from partita.settings import Settings
from tests.engine.test_planning import LYRICS, Planners
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime
from tests.planner.lm.tiny import SONG, Script, codes_for

TURBO = ("--model", "ace-step-1.5-turbo")


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What the planner writes: change it before the command."""
    written = [SONG | {"lyrics": LYRICS}, {"codes": codes_for(12)}]

    def make_engine(settings: Settings, checkpoint_dir: Path | None, **machine: Any) -> Engine:
        assert set(machine) == {"device", "number_format", "threads", "policy"}
        return Engine(
            runtime=fake_runtime(),
            settings=settings,
            renderer=ToneRenderer(),
            loader=lambda card: FakeLoader(),
            planner_loader=Planners(tmp_path, lambda: Script(*written)),
        )

    for module in (plan, write, format_verb, describe):
        monkeypatch.setattr(module, "make_engine", make_engine)
    monkeypatch.setattr("tests.cli.conftest.songs.make_engine", make_engine)
    return written


@pytest.fixture
def partita(real_partita: Callable[..., Any]) -> Callable[..., Any]:
    return real_partita


def test_a_plan_is_told_with_the_origin_of_each_value(partita):
    told = partita("plan", "calm piano", *TURBO, "--bpm", "80", "--seed", "3")
    assert told.code == 0
    assert "seed      3" in told.out
    assert "tempo     80 BPM  (user)" in told.out
    assert "key       F# minor  (language model)" in told.out
    assert "planner   ace-step-1.5-planner-1.7b" in told.out
    assert "codes" not in told.out


def test_rules_plan_for_the_built_in_model(partita):
    told = partita("plan", "slow waltz in D major, 30 seconds", "--seed", "1")
    assert told.code == 0
    assert "3/4" in told.out
    assert "planner" not in told.out
    assert partita("plan", "x", "--planner", "full").code == 2


def test_generate_follows_a_plan_file(partita, tmp_path):
    told = partita("plan", "calm piano", *TURBO, "--planner", "full", "--seed", "3", "--json")
    assert told.json["seeds"] == [3]
    file = tmp_path / "plan.json"
    file.write_text(told.out, encoding="utf-8")
    song = partita("generate", "--plan", str(file), *TURBO, "--seed", "3", "--json")
    assert song.code == 0
    record = song.json["songs"][0]["record"]
    assert record["plan"] == told.json["plans"][0]
    assert len(record["plan"]["codes"]) == 60
    (tmp_path / "record.json").write_text(json.dumps(record), encoding="utf-8")
    again = partita("plan", "--plan", str(tmp_path / "record.json"), *TURBO, "--json")
    assert again.json["plans"] == told.json["plans"]


def test_generate_plans_with_the_flags_it_is_given(partita):
    song = partita("generate", "x", *TURBO, "--planner", "full", "--planner-temperature", "0.5", "--json",
                   "--no-planner-rewrite-caption")  # fmt: skip
    record = song.json["songs"][0]["record"]
    assert record["request"]["planner"]["temperature"] == 0.5
    assert record["request"]["planner"]["rewrite_caption"] is False
    assert record["plan"]["caption"] == "x"
    assert song.json["songs"][0]["duration_s"] == 12


def test_a_retake_follows_the_plan_of_a_planned_song(partita):
    made = partita("generate", "x", *TURBO, "--planner", "full", "--json").json["songs"][0]
    again = partita("retake", made["path"], "--json").json["songs"][0]
    assert again["record"]["plan"] == made["record"]["plan"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not JSON"), ('{"plans": []}', "0 plans"), ("[1]", "0 plans"), ('{"caption": "x"}', "required")],
)
def test_what_is_no_plan_is_refused(partita, tmp_path, text, said):
    (tmp_path / "plan.json").write_text(text, encoding="utf-8")
    answer = partita("generate", "--plan", str(tmp_path / "plan.json"), *TURBO)
    assert answer.code == 2
    assert said in answer.err


def test_write_tells_a_song_in_words(partita):
    told = partita("write", "a rainy song", "--language", "es", "--seed", "4")
    assert told.code == 0
    assert "language  es" in told.out
    assert told.out.endswith(f"\n\n{LYRICS}\n")
    told = partita("write", "a rainy song", "--instrumental", "--json")
    assert told.json["lyrics"] == "[Instrumental]"
    assert isinstance(told.json["seed"], int)
    assert partita("write", " ").code == 2


def test_format_keeps_what_is_given(partita, tmp_path):
    (tmp_path / "words.txt").write_text("rain", encoding="utf-8")
    told = partita(
        "format", "piano", "--lyrics", str(tmp_path / "words.txt"), "--bpm", "77", "--duration", "20", "--json"
    )
    assert (told.json["bpm"], told.json["duration_s"], told.json["lyrics"]) == (77, 20.0, LYRICS)
    assert partita("format").code == 2
    assert "from 10 to 600" in partita("format", "piano", "--duration", "5").err


def test_describe_tells_what_is_missing_before_it_reads(partita, monkeypatch):
    assert partita("describe", "nowhere.wav", *TURBO).code == 4
    answer = partita("describe", "nowhere.wav")
    assert answer.code == 3
    assert "partita download ace-step-1.5-turbo" in answer.err


def test_a_planner_that_writes_nonsense_is_an_error_of_the_model(partita, runs):
    runs[0]["caption"] = "piano " * 60
    answer = partita("generate", "x", *TURBO, "--planner", "metadata", "--json")
    assert answer.code == 3
    assert answer.json["error"]["kind"] == "PlannerError"
    assert "piano piano" in answer.json["error"]["message"]


def test_planner_flags_stand_where_they_do_something(partita):
    assert "--planner-model" in partita("generate", "--help").out
    assert "--planner" not in partita("cover", "--help").out
    assert "--format" not in partita("plan", "--help").out
