import numpy as np
import pytest

from partita.audio.read import read
from partita.audio.write import write
from partita.engine.likeness import difference, envelope, level_db
from tests.engine.conftest import music

SUFFIX = {"mp3": ".mp3", "ogg": ".ogg", "opus": ".opus", "aac": ".m4a"}


def coloured(duration_s: float) -> np.ndarray:
    """Noise with the spectrum of music, which codecs are made for."""
    spectrum = np.fft.rfft(music(duration_s), axis=0)
    spectrum /= np.sqrt(np.arange(1, len(spectrum) + 1))[:, None]
    samples = np.fft.irfft(spectrum, round(duration_s * 48_000), axis=0)
    return (0.7 * samples / np.abs(samples).max()).astype(np.float32)


@pytest.mark.parametrize(
    ("audio_format", "bitrate_kbps"),
    [("mp3", 128), ("mp3", 320), ("ogg", 96), ("ogg", 192), ("opus", 64), ("opus", 128), ("aac", 128), ("aac", 256)],
)
def test_what_codecs_do_is_no_difference(tmp_path, audio_format, bitrate_kbps):
    samples = coloured(4)
    path = tmp_path / f"a{SUFFIX[audio_format]}"
    write(path, samples, format=audio_format, bitrate_kbps=bitrate_kbps)
    heard = read(path).samples
    assert abs(len(heard) - len(samples)) < 2400
    kept = envelope(samples)
    assert difference(kept, envelope(heard[: len(samples)]), lossless=False) is None
    assert difference(kept, envelope(heard[: len(samples)]), lossless=True) is not None


@pytest.mark.parametrize("bits", [16, 24])
def test_whole_numbers_are_no_difference(bits):
    samples = music(3) * 0.1
    rounded = (np.round(samples * 2 ** (bits - 1)) / 2 ** (bits - 1)).astype(np.float32)
    assert difference(envelope(samples), envelope(rounded), lossless=True) is None


def test_an_envelope_is_the_level_of_each_frame_in_each_band():
    time_s = np.arange(48_000) / 48_000
    left, right = 0.5 * np.sin(2 * np.pi * 500 * time_s), 0.1 * np.sin(2 * np.pi * 5_000 * time_s)
    found = envelope(np.stack([left, right], axis=1).astype(np.float32)).astype(np.float64)
    assert found.shape == (25, 2, 4)
    np.testing.assert_allclose(found[:, 0], [[0, 0.5 / 2**0.5, 0, 0]] * 25, atol=1e-3)
    np.testing.assert_allclose(found[:, 1], [[0, 0, 0, 0.1 / 2**0.5]] * 25, atol=1e-3)


@pytest.mark.parametrize("gain_db", [-6.0, -0.4, 0.0, 0.3])
def test_levels_are_told_in_decibels(gain_db):
    kept = envelope(music(2))
    assert level_db(kept, kept * 10 ** (gain_db / 20)) == pytest.approx(gain_db, abs=0.005)


def test_silence_has_no_level_and_no_difference():
    nothing = envelope(np.zeros((4_800, 2), np.float32))
    assert level_db(nothing, nothing) == 0
    assert difference(nothing, nothing, lossless=True) is None
    assert difference(nothing, envelope(music(0.1)), lossless=False) is not None
