"""The report gathers every meter and survives JSON."""

from __future__ import annotations

import json

import numpy as np

from partita.measure.report import measure
from partita.measure.tempo import same_tempo
from tests.measure.sounds import RATE_HZ, cadence, drums


def test_a_song_is_measured_whole() -> None:
    music = cadence(7, "minor", loops=3) + 0.5 * drums("house 4/4", 120.0, 12.0)
    report = measure(np.stack([music, 0.9 * music], axis=1), RATE_HZ, seams_s=(6.3,))
    assert (report.duration_s, report.sample_rate_hz, report.channels) == (12.0, RATE_HZ, 2)
    assert report.key.name == "G minor"
    assert report.tempo.bpm is not None
    assert same_tempo(report.tempo.bpm, 120.0, tolerance=0.01)
    assert len(report.seams) == 1
    again = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert again["loudness"]["integrated_lufs"] == report.loudness.integrated_lufs
    assert again["tempo"]["beats_s"] == list(report.tempo.beats_s)


def test_silence_can_be_reported() -> None:
    report = measure(np.zeros(RATE_HZ, np.float32), RATE_HZ)
    text = json.dumps(report.to_json(), allow_nan=False)
    assert json.loads(text)["key"]["name"] is None
