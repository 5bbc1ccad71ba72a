"""The best of several, timed lyrics and scores on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from partita.cli import score, songs
from partita.engine.engine import Engine
from partita.text.tokenizers import TextTokenizer
from tests.engine.conftest import music
from tests.engine.test_best_of import ClickRenderer
from tests.engine.test_real_renderer import TinyLoader
from tests.fakes import ToneRenderer, fake_runtime
from tests.render.acestep15.tiny import TinyParts
from tests.text.test_tokenizers import write_tokenizer

BEST = ("generate", "clicks", "--bpm", "120", "--key", "Am", "--duration", "4", "--seed", "5", "--best-of", "3")
SUNG = (
    "generate",
    "words",
    "--model",
    "ace-step-1.5-base",
    "--lyrics",
    "words.txt",
    "--language",
    "en",
    "--steps",
    "2",
)


@pytest.fixture
def renderer() -> ToneRenderer:
    return ClickRenderer({5: 104.0, 6: 120.0, 7: 131.0})


@pytest.fixture
def scoring(monkeypatch, home) -> None:
    """The engine of the verb score is that of the others."""
    monkeypatch.setattr(score, "make_engine", lambda *given, **machine: songs.make_engine(*given, **machine))


@pytest.fixture(scope="module")
def sung_loader(tmp_path_factory) -> TinyLoader:
    folder = write_tokenizer(tmp_path_factory.mktemp("tokenizer"), appends=True)
    return TinyLoader(TinyParts(TextTokenizer.load(folder), layers=5, heads=9))


@pytest.fixture
def singing(monkeypatch, home, sung_loader, scoring) -> Iterator[Path]:
    """An engine of narrow networks, and words to sing."""

    def make_engine(settings, checkpoint_dir, **machine) -> Engine:
        return Engine(runtime=fake_runtime(), settings=settings, loader=lambda card: sung_loader)

    monkeypatch.setattr(songs, "make_engine", make_engine)
    (home / "words.txt").write_text("the sea is wide\nthe sun is low\n")
    return home


def seeds_in(folder: Path) -> dict[str, int]:
    return {one.stem: json.loads(one.read_text())["request"]["seeds"][0] for one in folder.glob("*.json")}


def test_the_best_is_written_and_the_reason_is_told(partita, home):
    answer = partita(*BEST)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == "song: songs/clicks-6.flac"
    assert "chosen      Seed 6 is the best of 3" in answer.out
    assert seeds_in(home / "songs") == {"clicks-6": 6}


def test_losers_are_in_the_json(partita, home):
    (song,) = partita(*BEST, "--json").json["songs"]
    assert song["record"]["choice"]["candidates"][0]["seed"] == 6
    assert [one["seed"] for one in song["candidates"]] == [6, 7, 5]
    assert all(0 <= one["scores"]["overall"] <= 1 for one in song["candidates"])
    assert "kept" not in song


def test_all_are_kept_where_that_is_asked_for(partita, home):
    answer = partita(*BEST, "--keep-all", "--json")
    assert answer.code == 0, answer.err
    assert seeds_in(home / "songs") == {"clicks-5": 5, "clicks-6": 6, "clicks-7": 7}
    assert len(answer.json["songs"][0]["kept"]) == 2


def test_kept_ones_lie_beside_a_named_output_and_write_over_nothing(partita, home):
    assert partita(*BEST, "--keep-all", "--output", "a.wav").code == 0
    assert seeds_in(home) == {"a": 6, "a-seed-5": 5, "a-seed-7": 7}
    (home / "a.wav").unlink()
    (home / "a.json").unlink()
    again = partita(*BEST, "--keep-all", "--output", "a.wav")
    assert (again.code, "a-seed-5.wav exists" in again.err) == (2, True)


def test_keeping_all_of_one_is_refused(partita):
    answer = partita("generate", "x", "--keep-all")
    assert (answer.code, "--best-of" in answer.err) == (2, True)


def test_a_song_is_scored_by_its_file(partita, home, scoring):
    partita(*BEST)
    answer = partita("score", "songs/clicks-6.flac")
    assert answer.code == 0, answer.err
    assert "overall" in answer.out.splitlines()[0]
    assert "120 asked" in answer.out
    told = partita("score", "songs/clicks-6.flac", "--json").json
    assert told["scores"]["overall"] > 0.9
    assert partita("score", "songs/clicks-6.json", "--json").json["scores"]["marks"] == []


def test_what_was_not_made_here_is_not_scored(partita, home, scoring):
    soundfile.write(home / "plain.wav", np.zeros((4800, 2)), 48_000)
    answer = partita("score", "plain.wav")
    assert (answer.code, "no record" in answer.err) == (5, True)


@pytest.mark.parametrize("flag", ["--lrc", "--vtt"])
def test_models_that_do_not_sing_write_no_lines(partita, home, scoring, renderer, flag):
    answer = partita(*BEST, flag, "lines.txt")
    assert (answer.code, "does not sing" in answer.err) == (2, True)
    partita(*BEST)
    answer = partita("score", "songs/clicks-6.flac", flag, "lines.txt")
    assert (answer.code, "not sung" in answer.err) == (2, True)
    assert not (home / "lines.txt").exists()


def test_lines_are_written_with_the_song(partita, singing):
    answer = partita(*SUNG, "--duration", "6", "--output", "a.flac", "--lrc", "a.lrc", "--vtt", "sub/a.vtt")
    assert answer.code == 0, answer.err
    lines = (singing / "a.lrc").read_text().splitlines()
    assert [line.split("]")[1] for line in lines] == ["the sea is wide", "the sun is low"]
    assert (singing / "sub" / "a.vtt").read_text().startswith("WEBVTT")
    assert "also: a.lrc" in answer.out
    again = partita(*SUNG, "--duration", "6", "--lrc", "a.lrc")
    assert (again.code, "a.lrc exists" in again.err) == (2, True)


def test_lines_are_written_later_too_and_write_over_nothing(partita, singing):
    partita(*SUNG, "--duration", "6", "--output", "a.flac", "--lrc", "first.lrc")
    answer = partita("score", "a.flac", "--lrc", "second.lrc", "--json")
    assert answer.code == 0, answer.err
    assert (singing / "second.lrc").read_bytes() == (singing / "first.lrc").read_bytes()
    assert [line["text"] for line in answer.json["lines"]] == ["the sea is wide", "the sun is low"]
    again = partita("score", "a.flac", "--lrc", "second.lrc")
    assert (again.code, "second.lrc exists" in again.err) == (2, True)
    assert partita("score", "a.flac", "--lrc", "second.lrc", "--overwrite").code == 0


def test_verbs_that_edit_have_the_flags_too(partita):
    for verb in ("cover", "repaint", "retake"):
        text = partita(verb, "--help").out
        assert all(flag in text for flag in ("--best-of", "--keep-all", "--lrc", "--vtt"))


def test_the_best_of_an_edit_is_delivered(partita, home):
    soundfile.write(home / "mine.wav", music(4), 48_000)
    span, model = ("--start", "1", "--end", "2"), ("--model", "ace-step-1.5-turbo")
    answer = partita("repaint", "mine.wav", "x", *span, *model, "--seed", "5", "--best-of", "2")
    assert answer.code == 0, answer.err
    assert "chosen " in answer.out
