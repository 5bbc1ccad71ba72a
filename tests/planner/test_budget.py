import pytest
from hypothesis import given, strategies as st

from partita.planner.budget import bars_of_line, shortest_s, spans_of, usual_rate
from partita.score.types import Grid

GRID = Grid(100, "4/4")
WORDS = st.lists(st.sampled_from(("la", "river", "tomorrow", "月光", "любовь")), min_size=1, max_size=12).map(" ".join)
LYRICS = st.lists(st.one_of(WORDS, st.sampled_from(("[Verse]", "[Chorus]", "[Solo]", "[Outro]", ""))), max_size=20)


def bars(lyrics, bpm=100, language="en"):
    return sum(span.bars for span in spans_of(lyrics, Grid(bpm, "4/4"), usual_rate(bpm, language), language))


def test_singing_is_faster_at_a_faster_tempo_in_fast_languages_and_in_rap():
    assert usual_rate(60, "en") == pytest.approx(2.0)
    assert usual_rate(180, "en") == pytest.approx(4.0)
    assert usual_rate(20, "en") == usual_rate(60, "en")
    assert usual_rate(100, "zh") < usual_rate(100, "en") < usual_rate(100, "es") < usual_rate(100, "ja")
    assert usual_rate(100, "en", "old school hip hop") > 1.5 * usual_rate(100, "en", "trapeze ballad")


def test_a_line_of_a_folk_song_takes_two_bars():
    assert bars_of_line("Walking down the river road", GRID, usual_rate(100, "en"), "en") == 2
    assert bars_of_line("Oh", GRID, usual_rate(100, "en"), "en") == 1


def test_the_form_is_that_of_the_tags_with_a_beginning_and_an_end():
    lyrics = (
        "[Verse 1]\n" + "Walking down the river road\n" * 4 + "[Whispers]\nhush\n[Guitar Solo]\n[Chorus]\nOh, let it go"
    )
    spans = spans_of(lyrics, GRID, usual_rate(100, "en"), "en")
    assert [(span.kind, span.bars, span.lines) for span in spans] == [
        ("intro", 4, 0),
        ("verse", 10, 5),
        ("solo", 8, 0),
        ("chorus", 4, 1),
        ("outro", 4, 0),
    ]
    named = spans_of("[Intro]\n[Verse]\nhello\n[Outro]", GRID, 3.0, "en")
    assert [span.kind for span in named] == ["intro", "verse", "outro"]
    assert spans_of("", GRID, 3.0, "en") == ()


@given(LYRICS, WORDS, st.integers(0, 20), st.integers(40, 200))
def test_more_words_never_make_a_shorter_song(lines, more, place, bpm):
    longer = "\n".join([*lines[:place], more, *lines[place:]])
    assert bars(longer, bpm) >= bars("\n".join(lines), bpm)


@given(LYRICS, WORDS, st.integers(40, 200))
def test_longer_lines_never_make_a_shorter_song(lines, more, bpm):
    words = [f"{line} {more}" if line and not line.startswith("[") else line for line in lines]
    assert bars("\n".join(words), bpm) >= bars("\n".join(lines), bpm)


@given(LYRICS, st.integers(40, 200), st.sampled_from(("en", "ja", "zh")))
def test_what_is_planned_for_words_is_time_enough_for_them(lines, bpm, language):
    lyrics, grid, rate = "\n".join(lines), Grid(bpm, "4/4"), usual_rate(bpm, language)
    planned_s = sum(span.bars for span in spans_of(lyrics, grid, rate, language)) * grid.bar_s
    assert shortest_s(lyrics, grid, rate, language) <= planned_s + 1e-6
