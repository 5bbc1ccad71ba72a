import numpy as np
import pytest
import soundfile

from partita.weights.catalog import catalog


def test_models_lists_every_card_with_its_state(partita):
    rows = partita("models", "--json").json["models"]
    assert [row["id"] for row in rows] == [card.id for card in catalog()]
    assert rows[0]["state"] == "shipped"
    text = partita("models").out
    assert all(card.id in text for card in catalog())


def test_doctor_gives_a_reason_for_each_choice(partita):
    found = partita("doctor", "--json").json
    assert all(choice["reason"] for choice in found["runtime"].values())
    assert {"device", "number_format", "threads", "memory_bytes", "policy"} <= set(found["runtime"])
    assert "bfloat16" in partita("doctor").out or "float32" in partita("doctor").out


def test_probe_measures_any_file(partita, home):
    time_s = np.arange(48_000 * 4) / 48_000
    tone = 0.3 * np.sin(2 * np.pi * 440 * time_s)
    soundfile.write(home / "tone.ogg", np.stack([tone, tone], axis=1), 48_000)
    answer = partita("probe", "tone.ogg", "--json")
    assert answer.json["meters"]["duration_s"] == pytest.approx(4, abs=0.05)
    assert answer.json["meters"]["loudness"]["integrated_lufs"] == pytest.approx(-10.5, abs=1)
    assert answer.json["record"] is None
    assert "LUFS" in partita("probe", "tone.ogg").out


def test_probe_of_a_song_says_how_it_was_made(partita):
    partita("generate", "a tone", "--duration", "1", "--seed", "9")
    answer = partita("probe", "songs/a-tone-9.flac")
    assert "made by Partita with built-in, seed 9: a tone" in answer.out


@pytest.mark.parametrize("verb", ["probe", "replay"])
def test_a_file_that_is_not_audio_is_answered_with_a_sentence(partita, home, verb):
    (home / "notes.txt").write_text("these are words, not sound")
    answer = partita(verb, "notes.txt")
    assert answer.code in (4, 5)
    assert "notes.txt" in answer.err
    missing = partita(verb, "missing.flac")
    assert missing.code in (4, 5)
    assert "missing.flac" in missing.err


def test_audio_without_a_record_cannot_be_replayed(partita, home):
    soundfile.write(home / "plain.wav", np.zeros((4800, 2)), 48_000)
    answer = partita("replay", "plain.wav")
    assert answer.code == 5
    assert "no record" in answer.err


def test_offline_downloads_say_what_is_missing(partita):
    answer = partita("download", "ace-step-1.5-turbo", "--offline")
    assert answer.code == 3
    assert "model.safetensors" in answer.err


def test_an_environment_variable_that_makes_no_sense_is_named(partita, monkeypatch):
    monkeypatch.setenv("PARTITA_SOURCE", "ftp")
    answer = partita("models")
    assert answer.code == 2
    assert "PARTITA_SOURCE" in answer.err
