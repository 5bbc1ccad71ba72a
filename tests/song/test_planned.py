"""What of a request is about its plan: options of a planner, and plans that are given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from partita.errors import RequestError
from partita.song.plan import Plan
from partita.song.planning import Description, PlannerOptions
from partita.song.request import SongRequest
from partita.song.resolve import resolve
from partita.song.task import Cover, Retake, TextToMusic
from partita.weights.catalog import card, catalog

TURBO = card("ace-step-1.5-turbo")
PLAN = Plan(
    caption="soft piano", lyrics="[Verse]\nla", language="en", duration_s=12, bpm=96, key="C major",
    time_signature="3/4", codes=(5, 63_999) * 30,
)  # fmt: skip


def asked(model: str = "ace-step-1.5-turbo", **fields: Any) -> Any:
    return resolve(SongRequest(**{"caption": "x", "seed": 1} | fields), card(model), cards=catalog())


def test_without_a_word_the_planner_is_off():
    assert asked().planner == PlannerOptions()
    assert asked().planner.mode == "off"
    assert asked(planner={"mode": "full", "temperature": 0}).planner.temperature == 0


@pytest.mark.parametrize("mode", ["metadata", "full"])
def test_the_built_in_model_takes_no_planner_and_the_error_names_those_that_do(mode):
    with pytest.raises(RequestError, match=r"built-in is planned by rules.*ace-step-1.5-turbo") as caught:
        asked("built-in", planner={"mode": mode})
    assert caught.value.field == "planner.mode"


@pytest.mark.parametrize("task", [Cover(source="a.wav"), Retake(of_seed=1)])
def test_tasks_that_have_a_song_take_no_planner(task):
    with pytest.raises(RequestError, match="from words alone"):
        asked(task=task, planner={"mode": "metadata"})
    with pytest.raises(RequestError, match="off"):
        asked(task=task, planner={"temperature": 0.5})


def test_options_of_a_planner_that_is_off_are_refused():
    with pytest.raises(RequestError, match="the planner is off") as caught:
        asked(planner={"top_p": 0.5})
    assert caught.value.field == "planner.top_p"


def test_usual_options_of_a_planner_that_is_off_are_no_wish():
    assert asked(planner=PlannerOptions().model_dump()) == asked()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"planner": {"mode": "full"}, "task": TextToMusic(codes=(1,) * 60)}, "task.codes"),
        ({"planner": {"mode": "full"}, "duration_s": 9}, "duration_s"),
        ({"planner": {"mode": "metadata", "negative_prompt": "drums"}}, "planner.negative_prompt"),
        ({"planner": {"mode": "full", "negative_prompt": "drums", "guidance_scale": 1}}, "planner.negative_prompt"),
    ],
)
def test_what_a_planner_cannot_honour_is_refused(fields, field):
    with pytest.raises(RequestError) as caught:
        asked(**fields)
    assert caught.value.field == field


def test_codes_that_are_given_go_with_metadata():
    assert asked(planner={"mode": "metadata"}, task=TextToMusic(codes=(1,) * 60)).duration_s == 12


@pytest.mark.parametrize(
    "options", [{"mode": "some"}, {"temperature": -1}, {"top_p": 2}, {"guidance_scale": 0}, {"layout": "old"}, {"a": 1}]
)
def test_bad_options_name_their_field(options):
    with pytest.raises(RequestError, match=next(iter(options))):
        PlannerOptions(**options)


def test_a_request_with_a_plan_needs_nothing_else():
    resolved = resolve(SongRequest(plan=PLAN, seed=1), TURBO)
    assert (resolved.caption, resolved.lyrics, resolved.language) == ("soft piano", "[Verse]\nla", "en")
    assert (resolved.duration_s, resolved.bpm, resolved.key, resolved.time_signature) == (12, 96, "C major", "3/4")
    assert resolved.plan == PLAN
    assert resolve(SongRequest(plan=PLAN, seed=1, caption="soft piano", bpm=96), TURBO) == resolved


@pytest.mark.parametrize(
    "fields",
    [
        {"caption": "drums"},
        {"lyrics": "lo"},
        {"language": "de"},
        {"duration_s": 13},
        {"bpm": 97},
        {"key": "D major"},
        {"time_signature": "4/4"},
        {"instrumental": True},
        {"planner": {"mode": "full"}},
        {"task": TextToMusic(codes=(1, 2))},
        {"task": Cover(source="a.wav")},
    ],
)
def test_a_request_that_says_otherwise_than_its_plan_is_refused(fields):
    with pytest.raises(RequestError):
        resolve(SongRequest(plan=PLAN, seed=1, **fields), TURBO)


@pytest.mark.parametrize(
    "values",
    [
        {"bpm": 12},
        {"key": "H"},
        {"language": "xx"},
        {"codes": ()},
        {"codes": (1, 2)},
        {"duration_s": 900},
        {"time_signature": "7/8"},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(values):
    with pytest.raises(RequestError):
        resolve(SongRequest(plan=PLAN.model_copy(update=values), seed=1), TURBO)


@pytest.mark.parametrize(
    "values", [{"codes": [64_000]}, {"codes": [-1]}, {"duration_s": 0}, {"mood": "sad"}, {"bpm": "x"}]
)
def test_a_plan_that_is_none_is_refused_when_it_is_read(values):
    with pytest.raises(RequestError, match=next(iter(values))):
        Plan.from_json(json.dumps(json.loads(PLAN.model_dump_json()) | values))


def test_a_plan_with_codes_is_for_models_that_follow_them():
    with pytest.raises(RequestError, match="semantic codes"):
        resolve(SongRequest(plan=PLAN, seed=1), card("built-in"))


def test_a_description_asks_for_its_song():
    found = Description(caption="a", lyrics="[Instrumental]", bpm=90, language="unknown", seed=1)
    assert SongRequest(**found.request_fields()).bpm == 90
    assert "key" not in found.request_fields()
