"""LRC and WebVTT: stamps, merging of quick lines, ends of cues."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from partita.text.subtitles import TimedLine, cues, lrc, webvtt


def at(start_s: float, text: str = "la", end_s: float | None = None) -> TimedLine:
    return TimedLine(text, start_s, start_s + 1.0 if end_s is None else end_s)


@pytest.mark.parametrize(
    ("start_s", "stamp"),
    [
        (0.0, "00:00.00"),
        (59.994, "00:59.99"),
        (59.995, "00:59.99"),  # in binary just below its tie
        (59.999, "01:00.00"),
        (119.996, "02:00.00"),
        (1.115, "00:01.11"),
        (3725.25, "62:05.25"),
        (-0.001, "00:00.00"),
    ],
)
def test_stamps_are_rounded_before_minutes_are_taken_off(start_s: float, stamp: str):
    assert lrc([at(start_s)]) == f"[{stamp}]la"


def test_the_original_rounds_too_late():
    assert lrc([at(59.999, end_s=61.2)], with_end=True, original=True) == "[00:60.00][01:01.20]la"


@given(st.floats(0, 5999.9))
def test_no_stamp_has_sixty_seconds_and_none_is_far_from_its_time(start_s: float):
    minutes, seconds = re.fullmatch(r"\[(\d\d):([0-5]\d\.\d\d)\]la", lrc([at(start_s)])).groups()  # type: ignore[union-attr]
    assert abs(int(minutes) * 60 + float(seconds) - start_s) <= 0.00501
    h, m, s = re.search(r"\n(\d\d):([0-5]\d):([0-5]\d\.\d{3}) -->", webvtt([at(start_s)])).groups()  # type: ignore[union-attr]
    assert abs(int(h) * 3600 + int(m) * 60 + float(s) - start_s) <= 0.000501


def test_lines_stand_one_under_another_and_hold_no_breaks():
    assert lrc([at(1, "[Verse]"), at(2.5, "a\nb")], with_end=True) == (
        "[00:01.00][00:02.00][Verse]\n[00:02.50][00:03.50]a b"
    )
    assert lrc([]) == ""


def test_quick_lines_join_the_cue_they_follow():
    lines = [at(0.0, "[Verse]"), at(0.5, "one"), at(1.99, "two"), at(2.0, "three"), at(9.0, "four")]
    found = cues(lines, 20.0)
    assert [(cue.text, cue.start_s, cue.end_s) for cue in found] == [
        ("[Verse]\none\ntwo", 0.0, 2.0),
        ("three", 2.0, 9.0),
        ("four", 9.0, 20.0),
    ]


def test_the_last_cue_ends_with_the_song_or_after_five_seconds():
    assert cues([at(9.0)], 12.0)[0].end_s == 12.0
    assert cues([at(9.0)])[0].end_s == 14.0
    assert cues([at(9.0)], 8.0)[0].end_s == 14.0


def test_lines_may_keep_their_ends_but_never_end_before_they_start():
    assert [cue.end_s for cue in cues([at(1.0, end_s=2.5), at(5.0, end_s=5.0)], 20.0, keep_ends=True)] == [2.5, 8.0]


def test_cues_come_in_order_and_blank_lines_do_not():
    assert [cue.text for cue in cues([at(8, "b"), at(4, " "), at(1, "a")])] == ["a", "b"]


def test_a_whole_file_with_what_players_would_read_as_markup():
    assert webvtt([at(1.25, "a < b & c --> d"), at(61.5, "e")], 3700.0) == (
        "WEBVTT\n\n1\n00:00:01.250 --> 00:01:01.500\na &lt; b &amp; c --&gt; d\n\n2\n00:01:01.500 --> 01:01:40.000\ne\n"
    )
    assert webvtt([]) == "WEBVTT\n"


def test_a_line_with_a_blank_line_inside_does_not_end_its_cue():
    assert "a\nb\n" in webvtt([at(0.0, "a\n\nb")])
