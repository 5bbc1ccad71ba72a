import time

import pytest
from hypothesis import given, strategies as st

from partita.planner.reading import duration_s_of, key_of, language_named, metre_of, tempo_of
from partita.score.keys import KEYS
from partita.text.languages import LANGUAGES


@pytest.mark.parametrize(
    ("caption", "bpm"),
    [
        ("techno at 132 bpm", 132),
        ("128BPM house", 128),
        ("a song, tempo 75", 75),
        ("tempo: 96", 96),
        ("tempo of 96", 96),
        ("BPM=140", 140),
        ("♩=84", 84),
        ("120 beats per minute", 120),
        ("120 beats a minute", 120),
        ("120.5 bpm", 120),
        ("90-100 bpm", 95),
        ("lofi 2019, 85bpm", 85),
        ("ninety bpm", 90),
        ("eighty-five BPM", 85),
        ("a hundred and twenty beats per minute", 120),
        ("one hundred ten bpm", 110),
        ("one forty bpm", 140),
        ("120 Schläge pro Minute", 120),
        ("120 pulsaciones por minuto", 120),
        ("120 ударов в минуту", 120),
        ("テンポ120", 120),
        ("速度：90", 90),
        ("808 drums, 1980s", None),
        ("tempo rubato", None),
        ("twenty-four hours of rain", None),
        ("bpm", None),
        ("", None),
    ],
)
def test_a_tempo_in_numbers_or_words(caption, bpm):
    assert tempo_of(caption) == bpm


@pytest.mark.parametrize(
    ("caption", "metre"),
    [
        ("a jig in 6/8", "6/8"),
        ("in 3/4, 90 bpm", "3/4"),
        ("3/4-Takt", "3/4"),
        ("6/8拍子", "6/8"),
        ("three-four time", "3/4"),
        ("a six-eight feel", "6/8"),
        ("common time", "4/4"),
        ("four on the floor", "4/4"),
        ("cut time march", "2/4"),
        ("12/8 blues", "6/8"),
        ("7/8 prog", "7/8"),
        ("a Viennese waltz", "3/4"),
        ("ein Walzer", "3/4"),
        ("ワルツ", "3/4"),
        ("24/7 energy", None),
        ("1/16 hats", None),
        ("recorded 3/4/2020", None),
        ("two four six eight", None),
        ("", None),
    ],
)
def test_a_metre_as_a_fraction_or_a_dance(caption, metre):
    assert metre_of(caption) == metre


@pytest.mark.parametrize(
    ("caption", "key"),
    [
        ("piano in F# minor, dreamy", "F# minor"),
        ("in Bbm, dark", "Bb minor"),
        ("C#m ballad", "C# minor"),
        ("in Am", "A minor"),
        ("Gmaj", "G major"),
        ("C sharp minor", "C# minor"),
        ("c sharp minor", "C# minor"),
        ("B-flat major", "Bb major"),
        ("f♯ minor", "F# minor"),
        ("e minor piano", "E minor"),
        ("in a minor, slow", "A minor"),
        ("key of G", "G major"),
        ("key: A", "A major"),
        ("in the key of E flat", "Eb major"),
        ("song in Eb", "Eb major"),
        ("D dorian", "D minor"),
        ("G mixolydian", "G major"),
        ("D minor", "D minor"),
        ("fis-Moll", "F# minor"),
        ("H-Dur", "B major"),
        ("B-Dur", "Bb major"),
        ("Es-Dur", "Eb major"),
        ("as-Moll", "G# minor"),
        ("ré mineur", "D minor"),
        ("si bémol majeur", "Bb major"),
        ("fa sostenido menor", "F# minor"),
        ("sol mayor", "G major"),
        ("do maggiore", "C major"),
        ("ля минор", "A minor"),
        ("си-бемоль мажор", "Bb major"),
        ("C大调", "C major"),
        ("降E大调", "Eb major"),
        ("升F小调", "F# minor"),
        ("嬰ヘ短調", "F# minor"),
        ("変ロ長調", "Bb major"),
        ("Cメジャー", "C major"),
        ("다장조", "C major"),
        ("in a minor key", None),
        ("a major hit", None),
        ("I am sad", None),
        ("Am I dreaming", None),
        ("Cmaj7 chords", None),
        ("in A dark room", None),
        ("", None),
    ],
)
def test_a_key_in_the_spellings_of_many_places(caption, key):
    assert key_of(caption) == key


@pytest.mark.parametrize(
    ("caption", "seconds"),
    [
        ("two minutes", 120),
        ("one minute", 60),
        ("a minute long", 60),
        ("half a minute", 30),
        ("a minute and a half", 90),
        ("two and a half minutes", 150),
        ("1.5 minutes", 90),
        ("3 min", 180),
        ("three-minute pop song", 180),
        ("2 minutes 30 seconds", 150),
        ("two minutes and thirty seconds", 150),
        ("2m30s", 150),
        ("2:30", 150),
        ("length: 2:10", 130),
        ("30 seconds", 30),
        ("a 30-second loop", 30),
        ("a loop of 30 seconds", 30),
        ("ninety seconds", 90),
        ("90 secs", 90),
        ("lofi, 30s", 30),
        ("45s", 45),
        ("90s long", 90),
        ("duration: 95", 95),
        ("short", 30),
        ("a short piece for flute", 30),
        ("a long song", 240),
        ("30秒", 30),
        ("2分30秒", 150),
        ("3分半", 210),
        ("两分钟", 120),
        ("30초", 30),
        ("30 Sekunden", 30),
        ("um loop de 30 segundos", 30),
        ("2 минуты", 120),
        ("30 second intro, 90 seconds", 90),
        ("80s synthwave", None),
        ("the best of the 90s", None),
        ("1980s pop", None),
        ("30s swing", None),
        ("90's", None),
        ("after 30 seconds a drop", None),
        ("a 30 second intro", None),
        ("an intro of 10 seconds", None),
        ("3:00 am vibes", None),
        ("at 2:30 the drop", None),
        ("I am a man", None),
        ("short staccato notes", None),
        ("jingle bells", None),
        ("minute by minute", None),
        ("", None),
    ],
)
def test_a_length_that_is_the_song_s(caption, seconds):
    assert duration_s_of(caption) == seconds


@pytest.mark.parametrize(
    ("caption", "language"),
    [
        ("sung in French", "fr"),
        ("pop, Spanish vocals", "es"),
        ("Korean female vocals", "ko"),
        ("Mandarin singer", "zh"),
        ("language: Japanese", "ja"),
        ("french horn and spanish guitar", None),
    ],
)
def test_the_language_that_is_sung(caption, language):
    assert language_named(caption) == language


PIECES = (
    "a an and hundred one twenty ninety two half minutes minute seconds 30s 2:30 bpm tempo 120 12 / 3/4 in C# minor B "
    "flat key of 分 秒 长调 降 si bémol majeur - , sung French vocals 0 00 99999"
)
WORDS = st.lists(st.sampled_from(PIECES.split()), max_size=12).map(" ".join)


@given(st.one_of(WORDS, st.text(max_size=80)))
def test_any_caption_is_read_to_values_or_nothing(caption):
    assert tempo_of(caption) is None or 0 <= tempo_of(caption) <= 9999
    assert key_of(caption) in (None, *KEYS)
    length_s = duration_s_of(caption)
    assert length_s is None or length_s > 0
    assert language_named(caption) in (None, *LANGUAGES)


def test_a_long_caption_is_read_in_no_time():
    began_s = time.process_time()
    for word in ("and ", "a hundred ", "1 ", "minute ", "in B ", "3/", "0", "["):
        caption = word * (10_000 // len(word))
        for read in (tempo_of, metre_of, key_of, duration_s_of, language_named):
            read(caption)
    assert time.process_time() - began_s < 5
