import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from partita.planner.lint import MAX_CHARACTERS, TOLD_NOTES, LintNote, lint, told
from partita.song.plan import Plan
from partita.text.detection import language_of

GOLDEN = Path(__file__).parents[1] / "golden" / "data"
V1 = json.loads((GOLDEN / "v1" / "lyrics.json").read_text())
V15 = json.loads((GOLDEN / "v15" / "08_prompts.json").read_text())


def plan(lyrics, **fields):
    values = {"caption": "folk", "language": "en", "duration_s": 120.0, "bpm": 100, **fields}
    return Plan(lyrics=lyrics, **values)


def found(lyrics, *, sung=True, count_tokens=None, **fields):
    notes = lint(lyrics, plan(lyrics, **fields), sung=sung, count_tokens=count_tokens)
    return [(note.line, note.kind) for note in notes]


@pytest.mark.parametrize(
    ("lyrics", "notes"),
    [
        ("[Vrese 1]\nhello", [(1, "unknown-tag")]),
        ("[Anna]\nhello", [(1, "unknown-tag")]),
        ("[]\nhello", [(1, "unknown-tag")]),
        ("[Verse] hello", [(1, "tag-not-alone")]),
        ("hello [Chorus]\nyou", [(1, "tag-not-alone")]),
        ("[Verse\nhello", [(1, "unclosed-bracket")]),
        ("hello]\nyou", [(1, "unclosed-bracket")]),
        ("[Verse]\n\n[Chorus]\nhello", [(1, "empty-section")]),
        ("[Drop]\n[Chorus]\nhello", []),
        ("[Guitar Solo]\n[Chorus]\nhello", []),
        ("[Verse]\n[Chorus]", []),
        ("(Verse 1)\nhello", [(1, "markup")]),
        ("**Chorus**\nhello", [(1, "markup")]),
        ("## Bridge\nhello", [(1, "markup")]),
        ("Outro:\nhello", [(1, "markup")]),
        ("(Hold on to me)\nShe said:\nhello", []),
        ("<i>hello</i>", [(1, "markup")]),
        ("rock &amp; roll", [(1, "markup")]),
        ("rock & roll, I <3 you", []),
        ("**hello** you", [(1, "markup")]),
        ("[00:12.30] hello", [(1, "markup")]),
        ("hello <|endoftext|>", [(1, "markup")]),
        ("https://example.org/song", [(1, "markup")]),
        ("hello  you", [(1, "whitespace")]),
        ("  hello you  \n\n\n", []),
        ("word " * 40, [(1, "long-line")]),
        ("[Instrumental]", []),
        ("", []),
    ],
)
def test_findings_have_their_line_and_kind(lyrics, notes):
    assert found(lyrics) == notes


def test_a_slip_is_told_with_what_was_meant():
    assert "[Verse 1]" in lint("[Vrese 1]\nla", plan("[Vrese 1]\nla"))[0].sentence
    assert "[chorus]" in lint("[chrous]\nla", plan("[chrous]\nla"))[0].sentence


def test_words_need_time_and_whoever_has_no_voice_needs_none():
    song = "[Verse]\n" + "Walking down the river road tonight\n" * 20
    assert found(song, duration_s=20.0) == [(0, "little-time")]
    assert found(song, duration_s=90.0) == []
    assert found(song, duration_s=20.0, sung=False) == []
    assert found("word " * 24, bpm=60) == []
    assert found("word " * 24, bpm=170) == [(1, "long-line")]


def test_limits_of_characters_and_tokens():
    assert found("la " * 30 + "\n" + "la la\n" * (MAX_CHARACTERS // 6), duration_s=600.0)[0] == (0, "long-lyrics")
    assert found("la la", count_tokens=lambda text: 3000) == [(0, "long-lyrics")]
    assert found("la la", count_tokens=lambda text: 2048) == []


def test_many_findings_are_told_in_short():
    notes = tuple(LintNote(line, "whitespace", "blanks.") for line in range(1, 21))
    sentences = told(notes)
    assert len(sentences) == TOLD_NOTES + 1
    assert sentences[0] == "Lyrics, line 1: blanks."
    assert "12 more" in sentences[-1]
    assert told((LintNote(0, "little-time", "Too short."),)) == ("Too short.",)


def test_songs_that_are_well_written_raise_no_alarm():
    songs = [song["text"] for song in V1["whole"] if song["group"] != "every line of this file, in order"]
    assert len(songs) == 17
    for song in songs:
        assert lint(song, plan(song, language=language_of(song), duration_s=60.0)) == ()


def test_single_lines_raise_no_alarm_but_for_what_is_in_them():
    for line in V1["lines"]:
        text = line["text"]
        if line["group"] in ("tags", "punct", "empty"):
            continue
        notes = lint(text, plan(text, language=language_of(text)))
        assert [note.kind for note in notes] == (["whitespace"] if "   " in text else []), text


def test_recorded_prompts_raise_only_the_alarms_that_they_were_made_for():
    lyrics = {case["input"].get("lyrics", "") for case in (*V15["cases"], *V15["direct_cases"])}
    noted = {text: [kind for _, kind in found(text)] for text in lyrics}
    assert {text: kinds for text, kinds in noted.items() if kinds} == {
        "La la la <|endoftext|> trailing": ["markup"],
        "  [Bridge]\n\n\n  spaced   out  \n": ["whitespace"],
    }


@settings(max_examples=60)
@given(st.text(alphabet="[]()*#:<>&; \tab\nVerse1é月", max_size=120), st.floats(1, 600))
def test_any_text_can_be_looked_at(lyrics, duration_s):
    notes = lint(lyrics, plan(lyrics, duration_s=duration_s))
    lines = lyrics.count("\n") + 1
    assert all(0 <= note.line <= lines and note.sentence.endswith((".", "?")) for note in notes), notes
