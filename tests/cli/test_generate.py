import json

import pytest
import soundfile

from partita.song.request import SongRequest
from tests.fakes import FakeLoader


def test_a_song_is_written_and_named_last(partita, home):
    answer = partita("generate", "Slow piano, warm", "--duration", "2", "--seed", "7")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == "song: songs/slow-piano-warm-7.flac"
    assert soundfile.info(home / "songs" / "slow-piano-warm-7.flac").frames == 96_000
    assert json.loads((home / "songs" / "slow-piano-warm-7.json").read_text())["request"]["seeds"] == [7]


def test_nothing_is_overwritten_unasked(partita, home):
    for _ in range(2):
        assert partita("generate", "tone", "--duration", "1", "--seed", "1").code == 0
    assert sorted(path.name for path in (home / "songs").glob("*.flac")) == ["tone-1-2.flac", "tone-1.flac"]
    again = partita("generate", "tone", "--output", "songs/tone-1.flac")
    assert again.code == 2
    assert "--overwrite" in again.err


def test_a_score_stems_or_record_that_is_there_is_not_written_over(partita, home):
    (home / "mine.mid").write_bytes(b"mine")
    (home / "mine").mkdir()
    (home / "mine" / "bass.wav").write_bytes(b"mine")
    (home / "mine.json").write_text("mine")
    for arguments in (["--midi", "mine.mid"], ["--stems", "mine"], ["--output", "mine.flac"]):
        answer = partita("generate", "tone", "--duration", "1", *arguments)
        assert (answer.code, "exists" in answer.err) == (2, True)
    assert (home / "mine.mid").read_bytes() == (home / "mine" / "bass.wav").read_bytes() == b"mine"
    assert (home / "mine.json").read_text() == "mine"


def test_the_suffix_of_the_output_decides_the_format(partita, home):
    assert partita("generate", "tone", "--duration", "1", "--output", "tone.WAV").code == 0
    assert soundfile.info(home / "tone.WAV").format == "WAV"


def test_json_is_one_object_and_nothing_else(partita):
    answer = partita("generate", "tone", "--duration", "1", "--count", "2", "--seed", "3", "--json")
    assert [song["record"]["request"]["seeds"] for song in answer.json["songs"]] == [[3], [4]]
    assert answer.json["songs"][0]["meters"]
    assert answer.out.count("\n") == 1
    assert answer.err == ""


def test_every_field_of_a_request_has_a_flag(partita):
    text = partita("generate", "--help").out
    for flag in [
        "--duration",
        "--bpm",
        "--key",
        "--time-signature",
        "--language",
        "--seed",
        "--count",
        "--model",
        "--lyrics",
        "--output",
        "--json",
        "--steps",
        "--shift",
        "--timesteps",
        "--solver",
        "--guidance",
        "--guidance-scale",
        "--guidance-interval",
        "--format",
        "--bit-depth",
        "--bitrate",
        "--normalise",
        "--loudness",
        "--true-peak",
        "--keep-raw",
        "--keep-latents",
        "--midi",
        "--stems",
        "--parity",
        "--instrumental",
    ]:
        assert flag in text, flag
    assert set(SongRequest.model_fields) >= {"bpm", "key", "duration_s"}


def test_flags_reach_the_record(partita):
    answer = partita(
        *[
            "generate",
            "tone",
            "--model",
            "ace-step-1.5-sft",
            "--duration",
            "1",
            "--bpm",
            "99",
            "--key",
            "Ebm",
            "--time-signature",
            "3/4",
            "--language",
            "de",
        ],
        *[
            "--steps",
            "12",
            "--shift",
            "2",
            "--guidance",
            "adg",
            "--guidance-scale",
            "4",
            "--guidance-interval",
            "0.1,0.9",
            "--solver",
            "sde",
            "--json",
        ],
        *["--format", "wav", "--bit-depth", "16", "--loudness", "-20", "--true-peak", "-2", "--parity"],
    )
    request = answer.json["songs"][0]["record"]["request"]
    assert (request["bpm"], request["key"], request["time_signature"]) == (99, "Eb minor", "3/4")
    assert request["sampling"]["guidance_interval"] == [0.1, 0.9]
    assert (request["sampling"]["steps"], request["sampling"]["solver"]) == (12, "sde")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["generate"], "caption"),
        (["generate", ""], "caption"),
        (["generate", "x", "--duration", "600.1"], "600"),
        (["generate", "x", "--duration", "0"], "duration_s"),
        (["generate", "x", "--duration", "-3"], "duration_s"),
        (["generate", "x", "--duration", "nan"], "duration_s"),
        (["generate", "x", "--duration", "ten"], "ten"),
        (["generate", "x", "--model", "acestep-v15-trubo"], "acestep-v15-turbo"),
        (["generate", "x", "--key", "Q major"], "key"),
        (["generate", "x", "--language", "klingon"], "yue"),
        (["generate", "x", "--format", "midi"], "format"),
        (["generate", "x", "--lyrics", "missing.txt"], "missing.txt"),
        (["generate", "x", "--output", "song.mp3", "--format", "flac"], ".flac"),
        (["generate", "x", "--output", "song.xyz"], ".flac"),
        (["generate", "x", "--midi", "a.mid", "--model", "ace-step-1.5-turbo"], "score"),
        (["generate", "x", "--nonsense"], "--nonsense"),
        (["sing"], "generate"),
    ],
)
def test_bad_input_is_answered_with_a_sentence_and_exit_2(partita, renderer, arguments, word):
    answer = partita(*arguments)
    assert answer.code == 2
    assert word in answer.err
    assert answer.out == ""
    assert renderer.sampled == 0


def test_errors_are_json_too_when_json_is_asked_for(partita):
    answer = partita("generate", "x", "--duration", "601", "--json")
    assert answer.code == 2
    assert answer.json["error"]["field"] == "duration_s"


def test_lyrics_come_from_a_file(partita, home):
    (home / "words.txt").write_text("[Verse]\nuna canción\n", encoding="utf-8")
    answer = partita("generate", "x", "--lyrics", "words.txt", "--duration", "1", "--json")
    assert answer.json["songs"][0]["record"]["request"]["lyrics"] == "[Verse]\nuna canción"


def test_lyrics_that_are_no_text_are_refused(partita, home):
    (home / "words.bin").write_bytes(b"\xff\xfe\x00\x81")
    answer = partita("generate", "x", "--lyrics", "words.bin")
    assert (answer.code, "UTF-8" in answer.err) == (2, True)


@pytest.mark.parametrize("at", [("text", 0), ("sample", 2), ("decode", 0)])
def test_ctrl_c_leaves_a_tidy_message_and_no_half_file(partita, home, renderer, at):
    def interrupt(stage, step):
        if (stage, step) == at:
            raise KeyboardInterrupt

    renderer.hook = interrupt
    answer = partita("generate", "tone", "--duration", "1")
    assert answer.code == 130
    assert "Stopped" in answer.err
    assert list(home.rglob("*.*")) == []
    assert list((home.parent / "data").rglob("*.*")) == []


def test_ctrl_c_while_loading_is_tidy_too(partita, home, monkeypatch):
    def interrupt(self, part):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeLoader, "load", interrupt)
    answer = partita("generate", "tone", "--duration", "1")
    assert (answer.code, "Stopped" in answer.err) == (130, True)
    assert list(home.rglob("*.*")) == []


def test_plain_lines_tell_the_progress_where_there_is_no_terminal(partita):
    answer = partita("generate", "tone", "--duration", "1", "--seed", "1")
    assert "composing: 2 of 4" in answer.err
    assert "model built-in, seed 1" in answer.err
