import sys

import pytest
from hypothesis import given, settings, strategies as st

from partita.errors import RequestError
from partita.text.v1 import likelihood
from partita.text.v1.likelihood import languages, most_likely
from partita.text.v1.segments import language_of_line, ranking


def test_every_recorded_line_is_ranked_alike(recorded):
    lines = [line for line in recorded["lines"] if "detected" in line]
    assert len(lines) == 329
    wrong = [
        (line["text"], ranking(line["text"].strip()), line["counts"])
        for line in lines
        if [list(one) for one in ranking(line["text"].strip())] != line["counts"]
        or language_of_line(line["text"].strip()) != line["detected"]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("", [("zh", 0)]),
        # English has a space added, and one before each capital within a word.
        ("hello there my friend", [("en", 22)]),
        ("I have an iPhone", [("en", 18)]),
        # Chinese counts double; a piece without letters is Chinese.
        ("- hello there my friend", [("en", 24), ("zh", 4)]),
        ("🔥", [("zh", 2)]),
        # Repeated letters are told as one, numbers go with what was before them.
        ("사랑 3 ", [("ko", 5)]),
        # A few Han characters wait for what comes next.
        ("今夜 let's dance tonight", [("fr", 19), ("ja", 3)]),
        # What is marked is believed, and what speech markup names is spoken.
        ("<ja>夜</ja> 你好吗朋友", [("zh", 12), ("ja", 1)]),
        ("<number>3.5</number>", [("zh", 6)]),
        ("<foo>bar</foo>", [("zh", 0)]),
    ],
)
def test_ranking(line, counts):
    assert list(ranking(line)) == counts


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("La noche cae, 20 veces", "it"),
        ("- hello there my friend", "zh"),
        ("Привет, how are you today?", "ru"),
        ("1 2 3 4", "zh"),
        ("⑥7654321⑥ 한", "ko"),
        ("⑥12⑥3456789⑥3456789⑥", "en"),
    ],
)
def test_english_gives_way_to_a_second_language(line, language):
    assert language_of_line(line) == language


def test_the_model_has_97_languages_and_is_sure_of_plain_words():
    assert len(set(languages())) == 97
    assert most_likely("the night is long and the road is longer") == ("en", 1.0)
    assert most_likely("") == most_likely("123")


def test_without_its_package_it_says_what_to_install(monkeypatch):
    likelihood._model.cache_clear()
    monkeypatch.setitem(sys.modules, "langid.langid", None)
    with pytest.raises(RequestError, match=r'langid.* not installed: pip install "partita\[v1\]"'):
        most_likely("hello")


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=50))
def test_any_line_is_in_some_language(line):
    assert language_of_line(line) in {*languages(), "", "a", "f"}
