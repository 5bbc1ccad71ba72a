import numpy as np
import pytest
import soundfile

FLOAT_WAV = ("--format", "wav", "--bit-depth", "32")
QUICK = ("--steps", "4", *FLOAT_WAV)
CROSSFADE = 1200  # 25 ms


@pytest.fixture
def song(real_partita, empty_home):
    """Two seconds of the built-in model's: the name of the file."""
    answer = real_partita("generate", "slow piano", "--duration", "2", "--seed", "3", "--output", "a.wav", *QUICK)
    assert answer.code == 0, answer.err
    return "a.wav"


def samples(path):
    return soundfile.read(path, dtype="float32")[0]


def test_a_chain_of_edits_leaves_everything_else_bit_for_bit(real_partita, empty_home, song):
    first = real_partita("repaint", song, "--start", "0.8", "--end", "1.6", "--seed", "4", "--output", "b.wav", *QUICK)
    assert first.code == 0, first.err
    assert "every other sample is the source's own" in first.out
    was, painted = samples(empty_home / "a.wav"), samples(empty_home / "b.wav")
    start, end = 38_400 - CROSSFADE, 76_800 + CROSSFADE
    np.testing.assert_array_equal(painted[:start], was[:start])
    np.testing.assert_array_equal(painted[end:], was[end:])
    assert (painted[start:end] != was[start:end]).any()

    second = real_partita("extend", "b.wav", "--right", "1", "--seed", "5", "--output", "c.wav", *QUICK, "--json")
    assert second.code == 0, second.err
    record = second.json["songs"][0]["record"]
    assert record["request"]["source"]["song"]["model"] == record["request"]["model"] == "built-in"
    assert record["edit"]["kept"]
    longer = samples(empty_home / "c.wav")
    assert len(longer) == 144_000
    np.testing.assert_array_equal(longer[:96_000], painted)

    again = real_partita("replay", "c.wav", "--json")
    assert (again.code, again.json["same"]) == (0, True)


def test_a_retake_without_variance_is_the_song_itself_and_with_it_another(real_partita, empty_home, song):
    made = {}
    for variance in ("0", "0.5"):
        answer = real_partita("retake", song, "--variance", variance, "--seed", "9", *FLOAT_WAV, "--json")
        assert answer.code == 0, answer.err
        made[variance] = answer.json["songs"][0]["record"]
    assert made["0"]["request"]["sampling"]["steps"] == 4
    was = samples(empty_home / "a.wav")
    np.testing.assert_array_equal(samples(empty_home / "songs" / "a-retake-9.wav"), was)
    assert made["0"]["audio_sha256"] != made["0.5"]["audio_sha256"]


def test_audio_from_elsewhere_is_refused_by_the_model_that_edits_its_own(real_partita, empty_home, song):
    soundfile.write(empty_home / "altered.wav", samples(empty_home / song)[::-1], 48_000)
    answer = real_partita("repaint", "altered.wav", "--start", "0.8", "--end", "1.6", "--model", "built-in")
    assert answer.code == 2
    assert "only songs that it made" in answer.err
