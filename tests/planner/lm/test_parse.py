"""Answers taken apart, codes that users give, and answers that should be thrown away."""

from __future__ import annotations

import pytest

from partita.errors import RequestError
from partita.planner.lm.parse import codes_in, degenerate, parse, read_codes

SONG = (
    "<think>\nbpm: 120\ncaption: A warm\n  ballad.\nduration: 74\nkeyscale: G major\nlanguage: en\n"
    "timesignature: 4\n</think>\n\n# Lyric\n[Verse]\nla la<|im_end|>"
)


def test_the_three_parts() -> None:
    answer = parse(SONG.replace("[Verse]", "[Verse]<|audio_code_3|>"))
    assert answer.metadata == {
        "bpm": 120,
        "caption": "A warm ballad.",
        "duration": 74,
        "keyscale": "G major",
        "language": "en",
        "timesignature": "4",
    }
    assert answer.lyrics == "[Verse]\nla la"
    assert answer.codes == (3,)


def test_an_answer_that_ends_before_its_thought_does() -> None:
    answer = parse("<think>\nbpm: 99\ncaption: x\n<|im_end|>")
    assert answer.metadata == {"bpm": 99, "caption": "x"}
    assert answer.lyrics == ""


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("language: 'no'", "no"),
        ('caption: "a \\"b\\": c"', 'a "b": c'),
        ("caption: 'it''s\n  folded'", "it's folded"),
        ("caption: 'not closed", "'not closed"),
        ("caption: '90s' and 'more'", "90s' and 'more"),
        ("caption: mood: dark", "mood: dark"),
        ("caption:\n  a\n  b", "a b"),
    ],
)
def test_quotes_of_yaml_come_off(line: str, value: str) -> None:
    (found,) = parse(f"<think>\n{line}\n</think>").metadata.values()
    assert found == value


def test_the_original_leaves_quotes_on() -> None:
    assert parse("<think>\nlanguage: 'no'\n</think>", original=True).metadata == {"language": "'no'"}


def test_lyrics_are_never_read_as_metadata() -> None:
    text = "<think>\n</think>\n# Lyric\nbpm: 5 is the name of this song"
    assert parse(text).metadata == {}
    assert parse(text, original=True).metadata == {"bpm": "5 is the name of this song"}


@pytest.mark.parametrize("value", ["fast", "N/A", "", "-3", "twelve"])
def test_numbers_that_are_none_are_left_out(value: str) -> None:
    assert "bpm" not in parse(f"<think>\nbpm: {value}\n</think>").metadata


def test_numbers_lose_their_fractions_and_units() -> None:
    assert parse("<think>\nbpm: 92.5\nduration: 120 s\n</think>").metadata == {"bpm": 92, "duration": 120}


@pytest.mark.parametrize(
    "header", ["", "# Lyric\n", "# Lyrics\n", "#lyrics\n", "# Languages\nen\n\n# Lyric\n", "# Lyrics:\n"]
)
def test_headers_of_lyrics_come_off(header: str) -> None:
    assert parse(f"<think>\n</think>\n\n{header}[Verse]\n# not a header\nla").lyrics == "[Verse]\n# not a header\nla"


def test_the_original_misses_one_header() -> None:
    assert parse("<think>\n</think>\n# Lyrics\nla", original=True).lyrics == "# Lyrics\nla"


@pytest.mark.parametrize("text", ["<|audio_code_5|><|audio_code_63999|>", "5,63999", " 5 63999 ", "5; 63999,\n"])
def test_codes_of_a_user(text: str) -> None:
    assert read_codes(text) == (5, 63_999)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<|audio_code_5|>x<|audio_code_6|>", "after 1 audio codes comes 'x"),
        ("5, six", "after 1 audio codes comes ', six'"),
        ("-1", "after 0 audio codes comes '-1'"),
        ("1.5", "after 1 audio codes comes '.5'"),
        ("<|audio_code_64000|>", "64000 is not an audio code"),
        ("5,70000", "go from 0 to 63999"),
        ("", "no audio code"),
        (" , ", "no audio code"),
    ],
)
def test_codes_that_are_none(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        read_codes(text)
    assert caught.value.field == "codes"


def test_the_planners_own_codes_are_clamped() -> None:
    assert codes_in("<|audio_code_5|>x<|audio_code_70000|>") == (5, 63_999)


VERSES = "\n".join(
    f"[Verse {n}]\nMorning light number {n} on the pane\n[Chorus]\nla la la la\nla la la" for n in range(9)
)


@pytest.mark.parametrize(
    "text",
    [
        SONG,
        "la la la la la la la la la la",
        "No, no, no, no, no, no, no, no, no, no, no!",
        VERSES,
        "雨が" * 30,
        "=" * 79,
    ],
)
def test_music_may_repeat_itself(text: str) -> None:
    assert degenerate(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("caf\ufffd", "no characters"),
        ("a\x00b", "control character"),
        ("A warm song. " + "a" * 400, "repeats 1 characters 400 times"),
        ("Intro. " + "with soft piano and strings, " * 30 + "fin", "repeats 29 characters 30 times from character 6"),
    ],
)
def test_text_that_went_wrong(text: str, reason: str) -> None:
    assert reason in (degenerate(text) or "")


def test_tokens_that_went_wrong() -> None:
    assert degenerate(list(range(3000))) is None
    assert degenerate([7] * 100 + list(range(1000))) is None
    assert degenerate([]) is None
    assert "repeats 2 tokens 100 times from token 50" in (degenerate([*range(50), *([7, 8] * 100)]) or "")


def test_a_tag_that_a_caption_spells_does_not_end_the_thought() -> None:
    text = "<think>\nbpm: 90\ncaption: a <think> and a </think> in words\n  go on\nkeyscale: C major\n</think>\n\nla la"
    found = parse(text)
    assert found.metadata["keyscale"] == "C major"
    assert found.metadata["caption"] == "a <think> and a </think> in words go on"
    assert found.lyrics == "la la"
