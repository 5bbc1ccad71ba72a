"""Reading sound fonts: the package's own, and refusing what is not one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from partita.errors import AudioError
from partita.score.soundfont import DRUM_BANK, SoundFont, open_font


def test_the_packages_font_has_all_of_general_midi() -> None:
    presets = open_font().presets
    assert all((0, program) in presets for program in range(128))
    assert presets[0, 0] == "Yamaha Grand Piano"
    assert presets[DRUM_BANK, 25] == "TR-808"


def test_a_key_is_served_by_a_sample_near_it() -> None:
    font = open_font()
    for key in range(28, 100):
        zones = font.zones(0, 0, key, 90)
        assert zones, key
        assert min(abs(zone.semitones) for zone in zones) <= 5


def test_zones_hold_what_the_format_allows() -> None:
    font = open_font()
    for bank, program in font.presets:
        for key in (36, 48, 60, 72, 84):
            for zone in font.zones(bank, program, key, 100):
                assert 0 < zone.gain <= 1
                assert -1 <= zone.pan <= 1
                assert 0 <= zone.sustain <= 1
                assert min(zone.attack_s, zone.hold_s, zone.decay_s, zone.release_s) >= 0


def test_loops_lie_within_their_samples() -> None:
    font = open_font()
    for program in (0, 4, 33, 48, 66, 73, 89):
        for zone in font.zones(0, program, 60, 90):
            assert zone.loop is not None
            assert 0 <= zone.loop[0] < zone.loop[1] <= len(font.sample(zone.sample))


def test_samples_are_sound() -> None:
    font = open_font()
    zone = font.zones(DRUM_BANK, 0, 38, 100)[0]
    sample = font.sample(zone.sample)
    assert sample.dtype == np.float32
    assert 0.3 < np.abs(sample).max() <= 1.0
    assert font.sample(zone.sample) is sample


def test_a_file_that_is_no_font_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "font.sf2"
    path.write_bytes(b"RIFF\0\0\0\0WAVE")
    with pytest.raises(AudioError, match="not a SoundFont"):
        SoundFont(path)


def test_a_font_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "font.sf3"
    path.write_bytes(open_font().path.read_bytes()[:100_000])
    with pytest.raises(AudioError, match="cut short"):
        SoundFont(path)
