import pytest
from hypothesis import given, strategies as st

from partita.text.syllables import syllables
from tests.text.lyrics_of_the_world import LINES


@pytest.mark.parametrize(
    ("line", "language", "count"),
    [
        ("I walk alone through the city at night", "en", 10),
        ("and sing to the moon until the morning light", "en", 11),
        ("the table, the apples and the houses", "en", 10),
        ("loved and walked", "en", 3),
        ("needed and wanted", "en", 5),
        ("Camino solo por las calles de la ciudad", "es", 13),
        ("Kuljen yksin yöllisen kaupungin katuja", "fi", 13),
        ("Solus ambulo per vias", "la", 8),
        ("Tôi bước đi một mình trên phố đêm", "vi", 8),
        ("Я иду один по улицам ночного города", "ru", 14),
        ("Μόνος στους δρόμους", "el", 5),
        ("ひとりであるく", "ja", 7),
        ("きゃりー", "ja", 3),
        ("我一个人走在城市的夜里", "zh", 11),
        ("나는 밤거리를 혼자 걸어가", "ko", 11),
        ("रात की चाँदनी", "hi", 5),
        ("", "en", 0),
        ("... — !", "en", 0),
        ("[Verse] hello", "en", 2),
        ("<b>hello</b>", "en", 2),
    ],
)
def test_lines_have_the_syllables_that_singers_count(line, language, count):
    assert abs(syllables(line, language) - count) <= (count > 4)


@pytest.mark.parametrize("language", LINES)
def test_every_language_has_a_plausible_count(language):
    for line in LINES[language].split("\n"):
        assert 5 <= syllables(line, language) <= 30


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(("en", "fr", "ja", "unknown")))
def test_more_words_never_have_fewer_syllables(one, other, language):
    assert syllables(f"{one} {other}", language) >= syllables(one, language)
