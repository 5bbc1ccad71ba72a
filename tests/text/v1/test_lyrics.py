import subprocess
import sys
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from partita.errors import RequestError
from partita.text.v1 import romanise
from partita.text.v1.cleaners import LANGUAGES
from partita.text.v1.lyrics import read_lines, tokenize_lyrics
from partita.text.v1.tokenizer import LANGUAGE_IDS, VOCABULARY_SIZE
from tests.golden.runner import Status, check_file

RECORDED = Path(__file__).parents[2] / "golden" / "data" / "v1" / "lyrics.json"
SPANISH = """[intro]

[verse]
Farol dormido de aquella esquina
guarda el perfume que no termina
y en cada sombra vuelvo a bailar
[chorus]
CON TU RECUERDO, sin descansar
Dale, dale
¡Corazón! ¿Dónde estás?
[outro]
"""


def test_every_recorded_output_is_reproduced(vocabulary_path):
    rows = check_file(RECORDED)
    assert len(rows) == 2189
    assert [row.line() for row in rows if row.status is not Status.PASS] == []


def test_whole_lyrics_as_the_original_reads_them(tokenizer, recorded):
    for song in recorded["whole"]:
        read = tokenize_lyrics(song["text"], tokenizer, parity=True)
        assert list(read.ids) == song["ids"]
        assert read.mask == (1,) * len(song["ids"])
        assert read.notes == ()


def test_without_lyrics_there_is_one_id_and_it_is_masked(tokenizer):
    for lyrics in ("", "  \n "):
        read = tokenize_lyrics(lyrics, tokenizer)
        assert (read.ids, read.mask, read.lines, read.notes) == ((0,), (0,), (), ())
    assert tokenize_lyrics("", tokenizer, parity=True).ids == (0,)
    assert tokenize_lyrics("  \n ", tokenizer, parity=True).ids == (261, 2, 2)
    assert read_lines("", tokenizer, parity=True).ids == (261, 2)


def test_ids_are_those_of_the_lines_each_ended(tokenizer):
    read = tokenize_lyrics(SPANISH, tokenizer)
    assert read.ids == (261, *(number for line in read.lines for number in (*line.ids, 2)))
    assert [line.number for line in read.lines] == list(range(1, SPANISH.count("\n") + 2))
    assert (read.lines[1].text, read.lines[1].language, read.lines[1].ids) == ("", "", ())


def test_spanish_lyrics_are_spanish_throughout_and_have_no_unknown_token(tokenizer):
    read = tokenize_lyrics(SPANISH, tokenizer)
    assert read.notes == ()
    assert 1 not in read.ids
    assert {line.ids[0] for line in read.lines if line.text and not line.text.startswith("[")} == {284}
    tags = [line.ids[1:] for line in read.lines if line.text.startswith("[")]
    assert tags == [(6682,), (6683,), (6684,), (6686,)]


def test_a_language_for_the_whole_song_leaves_tags_alone(tokenizer):
    read = tokenize_lyrics("[verse]\nBaby, I love you", tokenizer, language="es")
    assert [line.language for line in read.lines] == ["en", "es"]
    assert [line.language for line in tokenize_lyrics("Bébé", tokenizer, language="es", parity=True).lines] == ["es"]


def test_a_language_that_the_model_lacks_is_refused(tokenizer):
    with pytest.raises(RequestError, match="no language 'sv'; use one of en, es") as raised:
        tokenize_lyrics("Hej", tokenizer, language="sv")
    assert (raised.value.field, raised.value.value) == ("language", "sv")


def test_a_line_may_begin_with_its_language(tokenizer):
    read = tokenize_lyrics("[es] La noche cae\n[DE]Nacht\n[es]\n[sv] Natt", tokenizer, language="fr")
    assert [(line.text, line.language) for line in read.lines] == [
        ("La noche cae", "es"),
        ("Nacht", "de"),
        ("[es]", "en"),
        ("[sv]", "en"),
        ("Natt", "fr"),
    ]
    assert read.notes[0].startswith("ACE-Step v1 was not trained on [es] (line 3), [sv] (line 4)")


def test_in_parity_a_bracket_at_the_start_is_what_the_original_makes_of_it(tokenizer):
    read = tokenize_lyrics("[es] La noche cae\n[Coro] Te quiero\n(Chorus)", tokenizer, parity=True)
    assert [(line.text, line.language) for line in read.lines] == [
        ("[es] La noche cae", "en"),
        ("[Coro] Te quiero", "en"),
        ("(Chorus)", "en"),
    ]
    assert read.lines[0].ids[:2] == (259, 284)
    assert read.notes == ()


def test_writers_tags_become_trained_ones_and_that_is_noted_once(tokenizer):
    read = tokenize_lyrics(
        "**[Verse 1]**\nTe quiero\n[Verse 1]\n[Coro] Mi amor\n[Drop]\n[Chorus]\n[Verse 2]", tokenizer
    )
    assert [line.text for line in read.lines] == [
        *("[verse]", "Te quiero", "[verse]", "[chorus]", "Mi amor", "[Drop]", "[chorus]", "[verse]"),
    ]
    assert read.lines[4].language == "es"
    assert read.notes == (
        "Read as [verse]: [Verse 1] (line 1, 3), [Verse 2] (line 7).",
        "Read as [chorus]: [Coro] (line 4).",
        "ACE-Step v1 was not trained on [Drop] (line 5) and may sing such a line; its tags are [start], [intro], "
        "[verse], [chorus], [bridge], [outro], [end], [inst], [solo], [hook], [pre-chorus], [break].",
    )


def test_characters_without_a_token_are_noted(tokenizer):
    assert tokenize_lyrics("fire 🔥\nfine\n♪ 🔥", tokenizer).notes == ("ACE-Step v1 cannot read 🔥 ♪ (line 1, 3).",)


def test_detection_can_be_the_originals_outside_parity(tokenizer):
    line = "- hello there my friend"
    assert tokenize_lyrics(line, tokenizer).lines[0].language == "en"
    assert tokenize_lyrics(line, tokenizer, detection="reference").lines[0].language == "zh"
    assert tokenize_lyrics(line, tokenizer, parity=True, detection="simple").lines[0].language == "en"


def test_a_line_that_cannot_be_read_is_named_with_what_to_install(tokenizer, monkeypatch):
    romanise._cutlet.cache_clear()
    monkeypatch.setitem(sys.modules, "cutlet", None)
    lyrics = "La noche\n\n夜空に星が光る"
    with pytest.raises(RequestError, match=r"Line 3 .*夜空.*, ja\): .*pip install \"partita\[japanese\]\"") as raised:
        tokenize_lyrics(lyrics, tokenizer)
    assert raised.value.field == "lyrics"
    read = tokenize_lyrics(lyrics, tokenizer, parity=True)
    assert [line.text for line in read.lines] == ["La noche", ""]
    assert len(read.notes) == 1
    assert read.notes[0].startswith("Line 3 of the lyrics")
    assert read.notes[0].endswith("It is left out.")


def test_nothing_that_reads_a_script_is_imported_before_a_line_needs_it():
    packages = "torch num2words pypinyin hangul_romanize cutlet fugashi langid py3langid transformers"
    code = (
        "import sys, partita.text.v1.lyrics; "
        f"sys.exit(', '.join(name for name in {packages.split()!r} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80), st.sampled_from([None, *LANGUAGES]), st.booleans())
def test_any_text_becomes_ids_of_the_vocabulary(tokenizer, lyrics, language, parity):
    read = tokenize_lyrics(lyrics, tokenizer, language=language, parity=parity)
    assert all(0 <= number < VOCABULARY_SIZE for number in read.ids)
    assert len(read.mask) == len(read.ids)
    assert {line.language for line in read.lines} <= {*LANGUAGE_IDS, ""}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(["[Verse]", "Te quiero", "I love you", "夜空", "", "(oh oh)", "20 €", "[x] y"]), max_size=12
    )
)
def test_lines_stand_for_themselves_in_parity(tokenizer, lines):
    whole = read_lines("\n".join(lines), tokenizer, parity=True).ids
    apart = [read_lines(line, tokenizer, parity=True).ids[1:] for line in lines or [""]]
    assert whole == (261, *(number for ids in apart for number in ids))


@pytest.mark.long
@pytest.mark.parametrize("parity", [True, False])
def test_ten_thousand_lines_take_seconds(tokenizer, recorded, parity):
    lines = [f"{line['text']} {i}" for i in range(31) for line in recorded["lines"]][:10_000]
    begin = perf_counter()
    read = tokenize_lyrics("\n".join(lines), tokenizer, parity=parity)
    assert len(read.lines) >= 10_000
    assert perf_counter() - begin < 60
