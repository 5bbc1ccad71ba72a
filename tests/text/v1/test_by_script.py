import pytest

from partita.text.v1.by_script import line_language, song_language


@pytest.mark.parametrize(
    ("line", "song", "language"),
    [
        ("Baby 사랑해 tonight", "en", "ko"),
        ("мама said есть борщ", None, "ru"),
        ("君の name は何ですか", None, "ja"),
        ("我爱你", None, "zh"),
        ("夜空", "ja", "ja"),
        ("La noche cae sobre la ciudad", None, "es"),
        ("Dale, dale", "es", "es"),
        ("I love you baby, stay with me", "es", "en"),
        ("Gradient explode", "zh", "en"),
        ("la la la", "fr", "fr"),
        ("la la la", None, "en"),
        ("- hello there my friend", None, "en"),
        ("1 2 3 4", "es", "es"),
        ("...", None, "en"),
        ("Hej, jag heter Sven och jag bor i Stockholm", None, "en"),
    ],
)
def test_a_line_is_in_the_language_that_its_script_or_song_says(line, song, language):
    assert line_language(line, song) == language


def test_every_line_of_the_recorded_songs_is_told(recorded):
    lines = [
        (song["group"], line_language(line, song_language(song["text"])))
        for song in recorded["whole"]
        if len(song["group"]) == 2
        for line in song["text"].split("\n")
        if line.strip() and not line.startswith("[")
    ]
    assert len(lines) == 102
    assert [(want, got) for want, got in lines if got != want] == []


@pytest.mark.parametrize(
    ("lyrics", "language"),
    [
        ("[Verse]\nTe quiero mucho, mi corazón", "es"),
        ("la la la", None),
        ("Hej, jag heter Sven", None),
        ("佢哋嚟咗", "zh"),
    ],
)
def test_a_song_is_in_one_of_the_models_languages_or_none(lyrics, language):
    assert song_language(lyrics) == language
