"""Songs of narrow networks heard again: lyrics in time, codes read by a planner, from songs, files and records."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from partita.engine.engine import Engine
from partita.engine.save import save
from partita.engine.targets import Target
from partita.errors import ModelError, ReplayError, RequestError
from partita.models.quantised import plain
from partita.render.builtin.renderer import BuiltInRenderer
from partita.song.request import SongRequest
from partita.song.task import Cover, Repaint
from partita.text.tokenizers import TextTokenizer
from tests.engine.conftest import music
from tests.engine.test_real_renderer import TinyLoader
from tests.fakes import fake_runtime
from tests.planner.lm.material import TOKENIZER, tables
from tests.planner.lm.tiny import tiny_decoder
from tests.render.acestep15.tiny import TinyParts
from tests.text.test_tokenizers import write_tokenizer

BASE = "ace-step-1.5-base"
LYRICS = "the sea is wide\nthe sun is low\n"


class TinyPlannerLoader:
    """A planner of random numbers, with the recorded tokenizer."""

    identity = ("tiny planner",)
    head_form = staticmethod(plain)

    def __init__(self, folder: Path) -> None:
        self._parts = {"tokenizer": folder, "network": tiny_decoder(tables().vocabulary)}

    def load(self, part: str):
        return self._parts[part]

    def fingerprint(self) -> dict[str, str]:
        return {"planner": "tiny"}


@pytest.fixture(scope="module")
def loader(tmp_path_factory) -> TinyLoader:
    folder = write_tokenizer(tmp_path_factory.mktemp("tokenizer"), appends=True)
    return TinyLoader(TinyParts(TextTokenizer.load(folder), layers=5, heads=9))


@pytest.fixture(scope="module")
def planner(tmp_path_factory) -> TinyPlannerLoader:
    folder = tmp_path_factory.mktemp("planner")
    shutil.copy(TOKENIZER, folder / "tokenizer.json")
    return TinyPlannerLoader(folder)


@pytest.fixture
def engine(settings, loader) -> Engine:
    return Engine(runtime=fake_runtime(), settings=settings, loader=lambda card: loader)


@pytest.fixture
def reading_engine(settings, loader, planner) -> Engine:
    return Engine(
        runtime=fake_runtime(),
        settings=settings,
        loader=lambda card: loader,
        planner_loader=lambda card, weights: planner,
    )


def request(**fields) -> SongRequest:
    plain = {"caption": "words", "lyrics": LYRICS, "language": "en", "model": BASE, "seed": 3, "duration_s": 6}
    return SongRequest(**(plain | {"sampling": {"steps": 2}} | fields))


def texts(lines) -> list[str]:
    return [line.text for line in lines]


def test_two_lines_have_their_times_within_the_song(engine):
    song = engine.generate(request(duration_s=6.3))
    lines = engine.align(song)
    assert texts(lines) == ["the sea is wide", "the sun is low"]
    assert 0 <= lines[0].start_s <= lines[0].end_s <= lines[1].start_s <= lines[1].end_s <= 6.3
    assert song.sung is None


def test_lines_that_were_asked_for_come_with_the_song(engine):
    song = engine.generate(request(output={"lrc": True}))
    assert song.sung is not None
    assert song.sung.lines == engine.align(replace(song, sung=None))
    plain = engine.generate(request())
    assert plain.record.audio_sha256 == song.record.audio_sha256


def test_a_song_can_be_followed_later_from_its_file_or_its_record(engine, settings, tmp_path):
    song = engine.generate(request())
    file = save(song, Target(tmp_path / "song.flac"), settings).audio
    lines = engine.align(song)
    for what in (file, song.record):
        assert Engine(runtime=fake_runtime(), settings=settings, loader=engine._loader).align(what) == lines


def test_a_cover_is_followed_with_the_source_that_it_was_made_from(engine, settings, tmp_path):
    source = engine.hold(music(6), 48_000)
    made = {"duration_s": None, "output": {"vtt": True}}
    for task in (Cover(source=source, strength=0.5), Repaint(source=source, start_s=2, end_s=4)):
        song = engine.generate(request(task=task, **made))
        assert engine.align(song.record) == song.sung.lines


def test_an_altered_file_is_not_followed(engine, settings, tmp_path):
    song = engine.generate(request())
    halved = replace(song, audio=song.audio * np.float32(0.5))
    file = save(halved, Target(tmp_path / "song.flac"), settings).audio
    with pytest.raises(RequestError, match="altered"):
        engine.align(file)
    scores = engine.score(file)
    assert scores.lyrics is None
    assert any("altered" in note for note in scores.notes)


def test_a_song_whose_latents_are_gone_is_told_of(engine, settings):
    song = engine.generate(request())
    shutil.rmtree(settings.archive)
    with pytest.raises(RequestError, match="latents are not kept"):
        engine.align(song.record)


def test_a_song_without_lyrics_is_refused(engine):
    song = engine.generate(request(lyrics="", instrumental=True))
    with pytest.raises(RequestError, match="nly songs with lyrics"):
        engine.align(song)
    for name in ("lrc", "vtt"):
        with pytest.raises(RequestError, match=f"output.{name}.*there are no lyrics"):
            engine.resolve(request(lyrics="", output={name: True}))


def test_a_file_without_a_record_is_refused(engine, make_file):
    with pytest.raises(ReplayError, match="no record"):
        engine.score(make_file())


def test_a_score_has_the_singing_and_the_meters(engine):
    scores = engine.score(engine.generate(request(bpm=100, key="C major")))
    names = {mark.name for mark in scores.marks}
    assert names == {"tempo", "key", "lyrics sung"}
    assert scores.lyrics is not None
    assert {one.name: pytest.approx(one.weight) for one in scores.components} == {"lyrics": 0.6, "metadata": 0.4}
    assert any("No planner" in note for note in scores.notes)


def test_a_record_alone_is_scored_without_the_meters(engine):
    scores = engine.score(engine.generate(request(bpm=100)).record)
    assert {mark.name for mark in scores.marks} == {"lyrics sung"}
    assert any("meters are left out" in note for note in scores.notes)


def test_a_planner_reads_the_codes_of_the_latents_or_those_of_the_plan(reading_engine):
    song = reading_engine.generate(request(bpm=100))
    scores = reading_engine.score(song)
    assert scores.planner is not None
    assert scores.planner.codes_of == "latents"
    assert set(scores.planner.fields) == {"bpm", "duration", "language", "caption", "lyrics"}
    assert {one.name for one in scores.components} == {"caption", "lyrics", "metadata"}
    coded = reading_engine.generate(request(duration_s=None, task={"kind": "text-to-music", "codes": [1, 2, 3] * 10}))
    read = reading_engine.score(coded).planner
    assert read is not None
    assert read.codes_of == "plan"


def test_the_best_of_several_sung_songs_is_the_best_scored(reading_engine):
    song = reading_engine.generate(request(best_of=3))
    choice = song.record.choice
    overall = {seed: reading_engine.score(reading_engine.generate(request(seed=seed))).overall for seed in (3, 4, 5)}
    assert {one.seed: one.overall for one in choice.candidates} == pytest.approx(overall)
    assert song.record.seed == max(overall, key=lambda seed: (overall[seed], -seed))
    assert any("lyrics sung" in line for line in choice.candidates[0].said)


def test_a_judge_that_fails_loses_no_song(settings, loader):
    def broken(card, weights):
        raise ModelError("the planner is damaged")

    engine = Engine(runtime=fake_runtime(), settings=settings, loader=lambda card: loader, planner_loader=broken)
    song = engine.generate(request(best_of=2))
    assert song.record.choice is not None
    (note,) = song.record.choice.notes
    assert "the planner is damaged" in note


def test_without_its_model_a_song_is_scored_but_not_aligned(engine, settings):
    def gone(card):
        raise ModelError("the model is not here")

    song = engine.generate(request(bpm=100))
    other = Engine(runtime=fake_runtime(), settings=settings, loader=gone)
    scores = other.score(song)
    assert [mark.name for mark in scores.marks] == ["tempo"]
    assert any("the model is not here" in note for note in scores.notes)
    with pytest.raises(ModelError, match="not here"):
        other.align(song)


def test_lines_are_written_whole_beside_the_song(engine, settings, tmp_path):
    song = engine.generate(request(output={"lrc": True, "vtt": True}))
    saved = save(song, Target(tmp_path / "song.flac", vtt=tmp_path / "subs" / "a.vtt"), settings)
    text = saved.lrc.read_text("utf-8")
    assert [line[10:] for line in text.splitlines()] == ["the sea is wide", "the sun is low"]
    assert text.startswith("[00:0")
    assert saved.vtt == tmp_path / "subs" / "a.vtt"
    assert saved.vtt.read_text("utf-8").startswith("WEBVTT\n")
    assert not list(tmp_path.rglob("*.part"))
    assert json.loads(saved.record.read_text("utf-8"))["request"]["output"]["lrc"] is True


def test_the_built_in_renderer_follows_nothing():
    assert not hasattr(BuiltInRenderer(), "follow")
