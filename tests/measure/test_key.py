"""The key meter on cadences in every key, and on notes."""

from __future__ import annotations

import numpy as np
import pytest

from partita.errors import RequestError
from partita.measure.key import key, key_of_notes, relation
from partita.score.keys import KEYS, key_name, parse_key, scale_pitch_classes
from tests.measure.sounds import RATE_HZ, cadence, drums, noise


@pytest.mark.parametrize("name", KEYS)
def test_a_cadence_is_heard_in_its_key(name: str) -> None:
    heard = key(cadence(*parse_key(name)), RATE_HZ)
    assert heard.name == name, heard
    assert heard.confidence > 0
    assert sum(heard.chroma) == pytest.approx(1.0)


@pytest.mark.parametrize("cents", [-35.0, 30.0])
def test_a_recording_out_of_tune_keeps_its_key(cents: float) -> None:
    heard = key(cadence(2, "minor", cents=cents), RATE_HZ)
    assert heard.name == "D minor"
    assert heard.tuning_cents == pytest.approx(cents, abs=8)


def test_drums_do_not_hide_the_key() -> None:
    music = cadence(9, "major", loops=4)
    mixed = music + 0.5 * drums("rock 4/4", 120.0)[: len(music)]
    assert key(mixed, RATE_HZ).name == "A major"


def test_silence_has_no_key() -> None:
    heard = key(np.zeros(RATE_HZ * 2, np.float32), RATE_HZ)
    assert heard.name is None
    assert heard.confidence == 0


def test_noise_is_less_clear_than_music() -> None:
    assert key(noise(4.0), RATE_HZ).correlation < key(cadence(0, "major"), RATE_HZ).correlation


@pytest.mark.parametrize("name", KEYS)
def test_a_scale_that_rests_on_its_tonic_is_in_its_key(name: str) -> None:
    tonic, mode = parse_key(name)
    third, fifth = (tonic + (4 if mode == "major" else 3)) % 12, (tonic + 7) % 12
    pitches = [60 + c for c in scale_pitch_classes(tonic, mode)] + [48 + tonic, 60 + third, 60 + fifth]
    lengths = [0.5] * 7 + [2.0, 1.0, 1.0]
    assert key_of_notes(pitches, lengths).name == key_name(tonic, mode)


def test_no_notes_have_no_key() -> None:
    assert key_of_notes([], []).name is None


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("C major", "C major", "same"),
        ("C# minor", "Dbm", "same"),
        ("C major", "A minor", "relative"),
        ("A minor", "C major", "relative"),
        ("C major", "G major", "fifth"),
        ("C major", "F major", "fifth"),
        ("E minor", "B minor", "fifth"),
        ("C major", "C minor", "parallel"),
        ("C major", "E minor", "other"),
        ("C major", "D major", "other"),
    ],
)
def test_relations(a: str, b: str, expected: str) -> None:
    assert relation(a, b) == expected


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(RequestError):
        relation("C major", "H dur")
