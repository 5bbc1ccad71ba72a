"""Prompt strings: what every task is asked with. The recorded strings are checked under tests/golden as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from partita.text import prompts
from partita.text.languages import LANGUAGES

RECORDED = json.loads((Path(__file__).parents[1] / "golden/data/v15/08_prompts.json").read_text("utf-8"))
CONSTANTS = RECORDED["constants"]


def test_constants_are_those_of_the_original() -> None:
    assert list(prompts.TRACK_NAMES) == CONSTANTS["track_names"]
    assert list(prompts.BPM_RANGE) == CONSTANTS["bpm"]
    assert list(prompts.DURATION_RANGE_S) == CONSTANTS["duration"]
    assert list(prompts.TIME_SIGNATURES) == CONSTANTS["time_signatures"]
    assert set(prompts.KEY_SCALES) == set(CONSTANTS["keyscales"])
    assert len(prompts.KEY_SCALES) == len(CONSTANTS["keyscales"])
    assert sorted(LANGUAGES) == sorted(CONSTANTS["valid_languages"])


def test_every_instruction_is_the_trained_one() -> None:
    trained = CONSTANTS["instructions"]
    for task in ("text2music", "repaint", "cover"):
        assert prompts.instruction_for(task) == trained[task]
    for task in ("extract", "lego"):
        assert prompts.instruction_for(task) == trained[task + "_default"]
        expected = trained[task].replace("{TRACK_NAME}", "BACKING_VOCALS")
        assert prompts.instruction_for(task, "backing_vocals") == expected
    assert prompts.instruction_for("complete") == trained["complete_default"]
    expected = trained["complete"].replace("{TRACK_CLASSES}", "DRUMS | BASS")
    assert prompts.instruction_for("complete", tracks=["drums", "bass"]) == expected


def test_instructions_of_recorded_requests_follow_from_their_tasks() -> None:
    overridden = {"", "Make it sparkle without a colon"}
    cases = [case for case in RECORDED["cases"] if case["input"]["instruction"] not in overridden]
    assert len(cases) > 40
    for case in cases:
        source = case["instruction_from"]
        built = prompts.instruction_for(
            source["task_type"], source.get("track_name"), source.get("complete_track_classes", ())
        )
        assert built == case["input"]["instruction"]


@pytest.mark.parametrize("bpm", [None, 0, "", "N/A"])
def test_what_is_not_given_reads_as_not_available(bpm: int | str | None) -> None:
    block = prompts.metadata_block(bpm, " ", None)
    assert block == "- bpm: N/A\n- timesignature: N/A\n- keyscale: N/A\n- duration: 30 seconds\n"


def test_the_names_that_users_give_are_understood() -> None:
    block = prompts.metadata_block_from({"tempo": 90, "time_signature": "3", "scale": "D minor", "length": 61.9})
    assert block == "- bpm: 90\n- timesignature: 3\n- keyscale: D minor\n- duration: 61 seconds\n"


def test_a_caption_that_is_a_full_prompt_is_reduced_to_its_caption() -> None:
    block = prompts.metadata_block(99, "4", "C major", 30)
    whole = prompts.text_prompt("Do a thing", "The inner caption\non two lines", block)
    assert prompts.inner_caption(whole) == "The inner caption\non two lines"


@given(st.text().filter(lambda text: "# Instruction" not in text))
def test_any_other_caption_is_left_alone(caption: str) -> None:
    assert prompts.inner_caption(caption) == caption


@given(st.text(), st.text(), st.sampled_from(sorted(LANGUAGES)))
def test_caption_and_lyrics_stand_in_the_prompts_as_they_are(caption: str, lyrics: str, language: str) -> None:
    prompt = prompts.text_prompt(prompts.TEXT_TO_MUSIC, caption, prompts.metadata_block())
    assert prompt.endswith("seconds\n<|endoftext|>\n")
    assert f"\n\n# Caption\n{caption}\n\n# Metas\n" in prompt
    assert prompts.lyric_prompt(lyrics, language) == f"# Languages\n{language}\n\n# Lyric\n{lyrics}<|endoftext|>"


def test_an_instruction_gets_one_colon() -> None:
    assert "# Instruction\nGo:\n" in prompts.text_prompt("Go", "", "")
    assert "# Instruction\nGo:\n" in prompts.text_prompt("Go:", "", "")


@pytest.mark.parametrize(
    ("sample", "position", "caption"),
    [
        ({"caption": "pad", "custom_tag": "me"}, "prepend", "me, pad"),
        ({"caption": "pad", "custom_tag": "me"}, "append", "pad, me"),
        ({"caption": "pad", "custom_tag": "me"}, "replace", "me"),
        ({"caption": "", "custom_tag": "me"}, "append", "me"),
        ({"caption": "pad", "genre": "jazz", "prompt_override": "genre"}, "prepend", "jazz"),
    ],
)
def test_a_training_caption_takes_its_tag(sample: dict[str, str], position: str, caption: str) -> None:
    assert f"# Caption\n{caption}\n\n# Metas" in prompts.training_prompt(sample, tag_position=position)


def test_the_stems_checkpoint_is_told_where_the_mask_comes_from() -> None:
    whole = prompts.stems_caption("tight", "rock", "Generate the DRUMS track:", explicit_mask=True)
    assert whole == "Global: rock\nLocal: tight\nMask Control: true"
    segment = prompts.stems_caption("tight", "rock", "Generate a segment of the DRUMS track:", explicit_mask=False)
    assert segment == "Local: tight\nMask Control: false"
