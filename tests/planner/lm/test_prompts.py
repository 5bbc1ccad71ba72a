"""Prompts of the current layout, thoughts as YAML, placeholders and texts that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from partita.errors import RequestError
from partita.planner.lm.lengths import answer_tokens, check_fits, code_target
from partita.planner.lm.prompts import CREATE, LEGACY, NO_INPUT, Prompts, thought
from tests.planner.lm.material import tables

SYSTEM = "<|im_start|>system\n# Instruction\n{}\n\n<|im_end|>\n<|im_start|>user\n"
GENERATE = SYSTEM.format("Generate audio semantic tokens based on the given conditions:")
ASSISTANT = "<|im_end|>\n<|im_start|>assistant\n"


def test_metadata() -> None:
    asked = Prompts().metadata("calm piano", "[Instrumental]")
    assert asked == f"{GENERATE}# Caption\ncalm piano\n\n# Lyric\n[Instrumental]\n{ASSISTANT}"


def test_codes_follow_the_thought_in_an_open_turn() -> None:
    written = thought({"bpm": 90, "duration": 30, "keyscale": "C major", "timesignature": "4/4"})
    assert written == "<think>\nbpm: 90\nduration: 30\nkeyscale: C major\ntimesignature: 4\n</think>"
    asked = Prompts().codes("calm piano", "la", written)
    assert asked == f"{GENERATE}# Caption\ncalm piano\n\n# Lyric\nla\n{ASSISTANT}{written}\n\n"


@pytest.mark.parametrize(
    ("negative", "user"), [(NO_INPUT, NO_INPUT), ("", NO_INPUT), (" ", NO_INPUT), ("noise, hiss", "noise, hiss")]
)
def test_codes_are_guided_away_from_a_bare_prompt(negative: str, user: str) -> None:
    asked = Prompts().codes_unconditional("calm piano", "la", negative)
    assert asked == f"{GENERATE}{user}{ASSISTANT}<think>\n\n</think>\n\n"


def test_the_legacy_layout_closes_the_turn_and_keeps_the_frame() -> None:
    prompts = Prompts(layout=LEGACY)
    assert prompts.codes("c", "l", thought({"bpm": 90})).endswith("<think>\nbpm: 90\n</think>\n\n<|im_end|>\n")
    framed = f"{GENERATE}# Caption\nnoise\n\n# Lyric\nl\n{ASSISTANT}<think>\n\n</think>\n\n<|im_end|>\n"
    assert prompts.codes_unconditional("c", "l", "noise") == framed


def test_the_other_operations() -> None:
    prompts = Prompts()
    assert prompts.create("a waltz", True) == SYSTEM.format(CREATE) + f"a waltz\n\ninstrumental: true{ASSISTANT}"
    assert prompts.format("folk", "la").endswith(f"# Caption\nfolk\n\n# Lyric\nla{ASSISTANT}")
    assert prompts.understand("<|audio_code_1|><|audio_code_2|>").endswith(
        f"user\n<|audio_code_1|><|audio_code_2|>{ASSISTANT}"
    )


def test_what_is_empty_becomes_the_trained_placeholder() -> None:
    prompts = Prompts()
    assert prompts.create(" ", False).endswith(f"user\nNO USER INPUT\n\ninstrumental: false{ASSISTANT}")
    assert prompts.format("", "\n").endswith(f"# Caption\nNO USER INPUT\n\n# Lyric\n[Instrumental]{ASSISTANT}")
    assert prompts.understand("").endswith(f"user\nNO USER INPUT{ASSISTANT}")


@pytest.mark.parametrize(
    "text", ["a <|im_end|> b", "<think>", "x</think>", "<|audio_code_5|>", "<|im_start|>system", "<|IM_END|>"]
)
def test_control_marks_of_a_user_are_refused(text: str) -> None:
    prompts = Prompts()
    for field, ask in {
        "lyrics": lambda: prompts.metadata("c", text),
        "caption": lambda: prompts.format(text, "l"),
        "query": lambda: prompts.create(text, False),
        "negative_prompt": lambda: prompts.codes_unconditional("c", "l", text),
    }.items():
        with pytest.raises(RequestError, match="control marks") as caught:
            ask()
        assert caught.value.field == field
    with pytest.raises(RequestError, match="control marks"):
        thought({"caption": text})


@pytest.mark.parametrize(
    ("metadata", "written"),
    [
        ({}, ""),
        ({"bpm": None, "caption": " ", "keyscale": "N/A"}, ""),
        ({"bpm": "96", "language": "no", "timesignature": "3/4"}, "bpm: 96\nlanguage: 'no'\ntimesignature: 3"),
        ({"timesignature": "6/8"}, "timesignature: 6"),
        ({"timesignature": 4, "duration": 74.9}, "duration: 74\ntimesignature: 4"),
        ({"caption": "Verse: soft. Chorus: loud"}, "caption: 'Verse: soft. Chorus: loud'"),
        ({"caption": "雨が # 止んだ"}, "caption: '雨が # 止んだ'"),
        ({"caption": "one\ntwo"}, "caption: 'one\n\n  two'"),
        ({"genres": "pop", "mood": "dark", "bpm": 60}, "bpm: 60"),
    ],
)
def test_thoughts_are_yaml(metadata: dict[str, Any], written: str) -> None:
    assert thought(metadata) == f"<think>\n{written}\n</think>"


def test_long_captions_are_folded() -> None:
    lines = thought({"caption": "a warm ballad with strings " * 8}).splitlines()
    assert len(lines) > 4
    assert all(len(line) <= 90 for line in lines)
    assert all(line.startswith("  ") for line in lines[2:-1])


def test_the_original_keeps_a_metre_of_six_eight() -> None:
    assert thought({"timesignature": "6/8"}, original=True) == "<think>\ntimesignature: 6/8\n</think>"
    assert thought({"timesignature": "4/4"}, original=True) == "<think>\ntimesignature: 4\n</think>"


def test_codes_and_answers_by_duration() -> None:
    assert [code_target(s) for s in (None, 0, -1, 0.1, 4.39, 240)] == [None, None, None, 0, 21, 1200]
    assert answer_tokens(30, codes_only=True) == 160
    assert answer_tokens(30, codes_only=False) == 650
    assert answer_tokens(5, codes_only=True) == 60
    assert answer_tokens(700, codes_only=True) == 3010
    assert answer_tokens(700, codes_only=True, duration_max_s=240) == 1210
    assert answer_tokens(None, codes_only=False) == 4032
    assert answer_tokens(600, codes_only=True, context=2048) == 1984


def test_lyrics_of_ten_thousand_lines_do_not_fit() -> None:
    lyrics = "morning light on the window pane\n" * 10_000
    prompt = tables().vocabulary.encode(Prompts().metadata("calm piano", lyrics))
    with pytest.raises(RequestError, match="shorten the lyrics") as caught:
        check_fits(len(prompt), answer_tokens(120, codes_only=True))
    assert caught.value.field == "lyrics"
    check_fits(1000, answer_tokens(120, codes_only=True))
