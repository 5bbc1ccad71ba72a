import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from partita.text.detection import language_of
from partita.text.languages import LANGUAGES, UNKNOWN
from tests.text.lyrics_of_the_world import LINES

RECORDED = json.loads((Path(__file__).parents[1] / "golden" / "data" / "v1" / "lyrics.json").read_text())


def test_every_language_that_can_be_marked_is_told_from_two_lines():
    assert set(LINES) | {UNKNOWN} == set(LANGUAGES)
    assert {code: language_of(lines) for code, lines in LINES.items()} == {code: code for code in LINES}


def test_songs_of_seventeen_languages_are_told_with_their_tags():
    songs = [(song["group"], song["text"]) for song in RECORDED["whole"] if song["group"] in LANGUAGES]
    assert len(songs) == 17
    assert [(code, language_of(words)) for code, words in songs] == [(code, code) for code, _ in songs]


def test_single_lines_are_told_in_97_of_100():
    lines = [(line["group"], line["text"]) for line in RECORDED["lines"] if line["group"] in LANGUAGES]
    wrong = [(code, text, language_of(text)) for code, text in lines if language_of(text) != code]
    assert len(lines) == 217
    assert len(wrong) <= 6, wrong


@pytest.mark.parametrize("words", ["", "la la la, oh yeah", "1 2 3 4", "🔥 ... !", "[Verse]\n[Chorus]"])
def test_what_is_no_words_is_in_no_language(words):
    assert language_of(words) == UNKNOWN


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("君の name は何ですか", "ja"),
        ("月光の下我想起了你，你在哪里呢为什么不说话", "zh"),
        ("I love you baby, stay with me tonight 사랑", "en"),
        ("사랑해 baby 너만 있으면 돼", "ko"),
        ("[Chorus]\nTe quiero mucho, mi corazón", "es"),
        ("Ljubav moja, gde si sada, srce moje plače", "sr"),
    ],
)
def test_most_of_the_words_decide(words, language):
    assert language_of(words) == language


def test_a_hint_decides_where_the_words_do_not():
    assert language_of("la la la", "it") == "it"
    assert language_of("愛人", "ja") == "ja"
    assert language_of(LINES["en"], "fr") == "en"
    assert language_of(LINES["ru"], "en") == "ru"


@settings(max_examples=80)
@given(st.text(max_size=80), st.sampled_from((None, *LANGUAGES)))
def test_any_text_is_in_a_known_language_or_none(words, hint):
    assert language_of(words, None if hint == UNKNOWN else hint) in LANGUAGES
