import subprocess
import sys
from pathlib import Path

import pytest

from partita.song.styles import styles

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("verb", ["styles", "estilos"])
def test_every_style_is_listed_with_its_tempo(partita, verb):
    lines = {line.split()[0]: line for line in partita(verb).out.splitlines()}
    for style in styles():
        assert f"{style.bpm[0]}-{style.bpm[1]}" in lines[style.name]
    assert [row["name"] for row in partita(verb, "--json").json["styles"]] == [
        name for name in lines if name in {style.name for style in styles()}
    ]


def test_the_listing_in_spanish_is_in_spanish(partita):
    told = partita("estilos", "reggaetón").out
    assert told.startswith("reggaeton: Reguetón\nDembow bajo una melodía")
    assert "instrumentos dembow drums" in told
    assert "letra (español)" in told
    assert "hecha para la pista" not in partita("styles", "reggaetón").out
    assert partita("estilos").out.index("bachata") < partita("estilos").out.index("ambient")
    assert partita("styles").out.index("ambient") < partita("styles").out.index("bachata")


def test_one_style_is_told_with_all_that_it_fills_in(partita):
    told = partita("styles", "tango").out
    assert "112-128 BPM" in told
    assert "tango, bandoneon, violin, piano, double bass, dramatic, passionate, deep female vocals, spanish" in told
    assert "classical chamber music, accordion" in told
    assert "{title}: Con tu recuerdo | Con tu fantasma" in told
    assert "[chorus]\nFarol dormido de aquella esquina" in told
    assert partita("styles", "tango", "--json").json["name"] == "tango"


def test_words_alone_are_those_of_the_song_of_a_seed(partita):
    words = partita("styles", "cumbia", "--words", "--seed", "5").out
    plan = partita("plan", "--style", "cumbia", "--seed", "5", "--model", "ace-step-v1", "--json").json["plans"][0]
    assert words.strip() == plan["lyrics"]
    told = partita("styles", "cumbia", "--words", "--seed", "5", "--json").json
    assert told == {"language": "es", "lyrics": words.rstrip("\n")}
    assert partita("styles", "bossa-nova", "--words", "--language", "es").out.count("Ven despacito") == 2
    assert partita("styles", "salsa", "--words", "--language", "en").code == 2
    assert "--words needs a style" in partita("styles", "--words").err


def test_a_slip_is_answered_before_any_work(partita):
    answer = partita("generate", "--style", "regaeton", "--json")
    assert answer.code == 2
    assert answer.json["error"]["field"] == "style"
    assert "Did you mean reggaeton" in answer.err


def test_a_song_in_a_style_can_be_made_again(real_partita):
    made = real_partita("generate", "--style", "salsa", "--duration", "3", "--seed", "4", "--output", "s.wav", "--json")
    request = made.json["songs"][0]["record"]["request"]
    assert request["style"] == "salsa"
    assert 160 <= request["bpm"] <= 180
    assert made.json["songs"][0]["record"]["plan"]["origins"]["bpm"] == "style"
    replayed = real_partita("replay", "s.wav", "--output", "again.wav", "--json")
    assert replayed.code == 0, replayed.err
    assert Path("s.wav").read_bytes() == Path("again.wav").read_bytes()
    retaken = real_partita("retake", "s.wav", "--variance", "0.3", "--json").json["songs"][0]["record"]["request"]
    assert {name: retaken[name] for name in ("caption", "bpm", "key")} == {
        name: request[name] for name in ("caption", "bpm", "key")
    }


def test_the_second_song_of_two_is_the_one_of_its_seed(partita):
    both = partita("generate", "--style", "rock", "--duration", "2", "--seed", "4", "--count", "2", "--json")
    alone = partita("generate", "--style", "rock", "--duration", "2", "--seed", "5", "--json")
    records = [song["record"] for song in both.json["songs"]]
    assert records[0]["plan"]["bpm"] != records[1]["plan"]["bpm"]
    assert records[1] == alone.json["songs"][0]["record"]


def test_what_the_caption_says_wins(partita):
    plan = partita("plan", "at 120 bpm in E minor", "--style", "salsa", "--seed", "1", "--json").json["plans"][0]
    assert (plan["bpm"], plan["key"]) == (120, "E minor")
    assert plan["origins"]["bpm"] == "rule"


def test_a_file_of_ones_own(partita, home):
    (home / "mio.yaml").write_text("genre: [ska]\nbpm: [150, 150]\n", encoding="utf-8")
    plan = partita("plan", "--style", "./mio.yaml", "--json").json["plans"][0]
    assert (plan["caption"], plan["bpm"]) == ("ska", 150)
    (home / "mio.yaml").write_text("genre: [ska]\nbpm: fast\n", encoding="utf-8")
    answer = partita("styles", "mio.yaml")
    assert answer.code == 2
    assert "bpm cannot be 'fast'" in answer.err


def test_listing_styles_imports_no_torch():
    code = "import sys\nfrom partita.cli.main import main\nmain(['styles'])\nassert 'torch' not in sys.modules\n"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("page", ["styles.md", "estilos.md"])
def test_the_pages_name_every_style(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert {style.name for style in styles()} <= {word.strip("`,.;()|") for word in text.split()}
