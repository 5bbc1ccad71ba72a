import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from partita.errors import RequestError
from partita.text.v1 import romanise
from partita.text.v1.cleaners import LANGUAGES, clean
from partita.text.v1.tables import ABBREVIATIONS, ORDINAL_ENDINGS, SIGN_WORDS, SIGNS
from partita.text.v1.tokenizer import LANGUAGE_IDS


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", "Dr. Smith has $20 & 5%", "doctor smith has twenty dollars and five percent"),
        ("en", "In 12.5 seconds.", "in twelve point five seconds."),
        ("en", "This is a 1st test", "this is a first test"),
        ("en", "20.15€, sir", "twenty euro, fifteen cents, sir"),
        ("en", "That's 100,000.5.", "that's one hundred thousand point five."),
        ("en", "The drs. met Dr. No", "the doctors met doctor no"),
        ("es", "Tengo 3 perros y 12,5 kilos & 20€", "tengo tres perros y doce punto cinco kilos y veinte euros"),
        ("es", "La Dra. Martínez", "la doctora martínez"),
        ("fr", "Ceci est un 1er test", "ceci est un premier test"),
        ("de", "Das macht 20,15€, Fr. Müller", "das macht zwanzig Euro und fünfzehn Cent, frau müller"),
        ("pt", "Este é um 1º teste", "este é um primeiro teste"),
        ("it", "In 12,5 secondi #uno", "in dodici virgola cinque secondi cancelletto uno"),
        ("pl", "Było 50 żołnierzy", "było pięćdziesiąt żołnierzy"),
        ("cs", "Bylo tam 50 vojáků", "bylo tam 50 vojáků"),
        ("ru", "Г-н Иванов, 12.5", "господин иванов, двенадцать целых пять десятых"),
        ("nl", "Er waren 50 soldaten, mevr. Jansen", "er waren vijftig soldaten, mevrouw jansen"),
        ("tr", "İIÖ Bu 1. test", "iiö bu birinci test"),
        ("hu", "Ez az 1. teszt", "ez az első teszt"),
        ("ar", "كان هناك 50 جنديا", "كان هناك خمسون جنديا"),
        ("ko", "비 오는 날", "bi oneun nal"),
        ("ko", "50 명의 병사", "osib myeong-ui byeongsa"),
        ("zh", "我走过深夜的街道", "wo3zou3guo4shen1ye4de5jie1dao4"),
        ("ja", "君の name は何ですか", "kimi no name wa nan desu ka"),
        ("hi", "मुझे  20 OK", "मुझे 20 ok"),
    ],
)
def test_words_as_the_vocabulary_knows_them(language, text, words):
    assert clean(text, language) == words


def test_every_recorded_line_is_cleaned_alike(recorded):
    lines = [
        (line["text"].strip(), line["encoded_as"], line["normalized"]) for line in recorded["lines"] if line["text"]
    ]
    forced = [(one["text"], one["lang"], one["normalized"]) for one in recorded["forced_grid"]]
    forced += [
        (one["text"], one["forced"]["lang"], one["forced"]["normalized"])
        for one in recorded["lines"]
        if "forced" in one
    ]
    assert len(lines) + len(forced) == 329 + 153 + 217
    wrong = [(text, code, clean(text, code), want) for text, code, want in lines + forced if clean(text, code) != want]
    assert wrong == []


def test_a_number_that_cannot_be_said_leaves_the_numbers_of_its_line():
    assert clean("1,000 and 2 and 9" + 310 * "9", "en") == "1,000 and 2 and 9" + 310 * "9"


def test_an_amount_that_is_no_number_stays_and_the_rest_is_said():
    assert clean("$1.2.3 and 5", "en") == "dollar one point two.three and five"


def test_tables_are_of_one_set_of_languages():
    assert set(LANGUAGES) == set(LANGUAGE_IDS)
    assert set(LANGUAGES) - {"ja", "hi"} == set(SIGN_WORDS) == set(ABBREVIATIONS) == set(ORDINAL_ENDINGS) | {"zh"}
    assert {len(words) for words in SIGN_WORDS.values()} == {len(SIGNS)}


def test_another_language_is_refused_with_those_there_are():
    with pytest.raises(RequestError, match="'sv' is no language that ACE-Step v1 reads; use one of en, es"):
        clean("Hej", "sv")


@pytest.mark.parametrize(
    ("package", "extra", "language", "text"),
    [
        ("num2words", "v1", "en", "20 nights"),
        ("pypinyin", "v1", "zh", "我"),
        ("hangul_romanize", "v1", "ko", "비"),
        ("cutlet", "japanese", "ja", "夜"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(monkeypatch, package, extra, language, text):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    romanise._hangul.cache_clear()
    romanise._cutlet.cache_clear()
    with pytest.raises(RequestError, match=rf'{package}.* not installed: pip install "partita\[{extra}\]"'):
        clean(text, language)


def test_no_package_is_needed_where_no_word_asks_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "num2words", None)
    assert clean("La noche & el día", "es") == "la noche y el día"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.sampled_from([code for code in LANGUAGES if code != "ja"]))
def test_any_text_is_cleaned_to_one_line_of_single_spaces(text, language):
    words = clean(text, language)
    assert "\n" not in words
    assert "  " not in words


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_read_as_japanese_or_refused(text):
    with suppress(RequestError):
        assert clean(text, "ja") == clean(text, "ja").lower()
