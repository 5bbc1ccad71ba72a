import json

import numpy as np
import pytest
import soundfile

from partita.song.record import Record

TURBO = ("--model", "ace-step-1.5-turbo")


def song(partita, *arguments):
    answer = partita("generate", *arguments, "--output", "first.flac", "--json")
    assert answer.code == 0, answer.err
    return answer.json["songs"][0]["record"]


def retake(partita, *arguments):
    answer = partita("retake", *arguments, "--json")
    assert answer.code == 0, answer.err
    return answer.json["songs"][0]


@pytest.mark.parametrize("file", ["first.flac", "first.json"])
@pytest.mark.parametrize("model", ["built-in", "ace-step-1.5-base"])
def test_a_retake_is_the_song_again_but_for_its_noise(partita, file, model):
    was = song(partita, "slow piano", "--model", model, "--duration", "8", "--seed", "3")
    again = retake(partita, file, "--seed", "9", "--variance", "0.4")
    request = again["record"]["request"]
    assert request["task"] == {"kind": "retake", "of_seed": 3, "variance": 0.4}
    assert request["seeds"] == [9]
    assert again["path"] == "songs/first-retake-9.flac"
    settled = was["request"].keys() - {"task", "seeds"}
    assert {name: request[name] for name in settled} == {name: was["request"][name] for name in settled}
    plan, planned = again["record"]["plan"], was["plan"]
    assert {name: plan[name] for name in plan if name != "origins"} == {
        name: planned[name] for name in planned if name != "origins"
    }


def test_words_reference_and_sampling_are_the_songs(partita, home):
    (home / "words.txt").write_text("[Verse]\nla la\n")
    noise = np.random.default_rng(1).normal(0, 0.1, (48_000, 2))
    soundfile.write(home / "voice.wav", noise, 48_000)
    flags = ["--lyrics", "words.txt", "--reference", "voice.wav", "--language", "fr", "--key", "Am", "--bpm", "77"]
    sampling = ["--timesteps", "1,0.8,0.4,0", "--guidance", "cfg", "--guidance-scale", "3", "--solver", "heun"]
    was = song(partita, "chanson", "--model", "ace-step-1.5-sft", *flags, *sampling, "--duration", "6")
    (home / "voice.wav").unlink()
    request = retake(partita, "first.flac")["record"]["request"]
    for name in ("lyrics", "language", "key", "bpm", "references", "sampling"):
        assert request[name] == was["request"][name], name


@pytest.mark.parametrize("flags", [["--parity"], ["--parity", "--instrumental"], []])
def test_a_song_without_words_is_told_so_in_the_same_way(partita, flags):
    was = song(partita, "drums", *TURBO, "--duration", "6", *flags)
    request = retake(partita, "first.flac")["record"]["request"]
    assert (request["lyrics"], request["instrumental"]) == (was["request"]["lyrics"], was["request"]["instrumental"])


def test_several_retakes_have_seeds_of_their_own(partita):
    song(partita, "drums", "--duration", "5", "--seed", "1")
    answer = partita("retake", "first.flac", "--count", "2", "--seed", "20", "--json")
    assert [one["record"]["request"]["seeds"] for one in answer.json["songs"]] == [[20], [21]]
    assert answer.json["songs"][0]["record"]["request"]["task"]["variance"] == 0.2


def test_a_retake_of_an_edit_is_refused_and_says_what_to_do(partita, renderer):
    song(partita, "drums", *TURBO, "--duration", "5")
    assert partita("cover", "first.flac", "flutes", *TURBO, "--output", "second.flac").code == 0
    sampled = renderer.sampled
    answer = partita("retake", "second.flac")
    assert answer.code == 2
    assert "made by cover" in answer.err
    assert "another seed" in answer.err
    assert renderer.sampled == sampled


def test_a_retake_of_codes_is_refused(partita, home):
    (home / "codes.txt").write_text("1 2 3 4 5 6 7 8 9 10")
    song(partita, "drums", *TURBO, "--codes", "codes.txt")
    answer = partita("retake", "first.flac")
    assert (answer.code, "codes" in answer.err) == (2, True)


@pytest.mark.parametrize("variance", ["1.2", "-0.1", "nan"])
def test_a_variance_beyond_its_range_is_refused(partita, variance):
    song(partita, "drums", "--duration", "5")
    answer = partita("retake", "first.flac", "--variance", variance)
    assert (answer.code, "variance" in answer.err) == (2, True)


def test_audio_without_a_record_cannot_be_taken_again(partita, home):
    soundfile.write(home / "plain.wav", np.full((4800, 2), 0.1), 48_000)
    answer = partita("retake", "plain.wav")
    assert (answer.code, "no record" in answer.err) == (5, True)
    assert partita("retake", "missing.wav").code == 5


def test_a_record_that_is_damaged_is_answered_with_a_sentence(partita, home):
    song(partita, "drums", "--duration", "5")
    record = json.loads((home / "first.json").read_text())
    (home / "first.json").write_text(json.dumps({**record, "record_version": 99}))
    assert Record.model_fields["record_version"].default != 99
    answer = partita("retake", "first.json")
    assert (answer.code, "99" in answer.err) == (5, True)
