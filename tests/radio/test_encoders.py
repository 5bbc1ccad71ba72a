"""Endless streams, joined in the middle, and decoded by another program's library."""

import io

import av
import numpy as np
import pytest

from partita.errors import RequestError
from partita.radio.encoders import Encoder, StreamFormat, open_encoder
from partita.radio.mix import RATE_HZ


def decoded(data: bytes) -> np.ndarray:
    """Samples [N, 2] as FFmpeg decodes them."""
    with av.open(io.BytesIO(data)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=-1).T


def tone(duration_s: float, pitch_hz: float = 440.0) -> np.ndarray:
    wave = 0.4 * np.sin(2 * np.pi * pitch_hz * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)
    return np.stack([wave, wave], axis=1).astype(np.float32)


def pieces_of(encoder: Encoder, audio: np.ndarray) -> list[bytes]:
    return [encoder.feed(audio[at : at + 4096]) for at in range(0, len(audio), 4096)]


@pytest.mark.parametrize("name", ["mp3", "opus"])
class TestStream:
    def test_it_is_the_sound_in_time(self, name: StreamFormat):
        encoder = open_encoder(name)
        sound = b"".join(pieces_of(encoder, tone(4)))
        heard = decoded(encoder.header + sound)  # the header is known once there is sound
        encoder.close()
        assert 2.8 < len(heard) / RATE_HZ <= 4.1  # a page of Opus is a second
        spectrum = np.abs(np.fft.rfft(heard[RATE_HZ // 2 : 5 * RATE_HZ // 2, 0]))
        assert np.argmax(spectrum) / 2 == pytest.approx(440, abs=1)
        assert np.abs(heard[RATE_HZ // 2 :]).max() == pytest.approx(0.4, abs=0.05)

    def test_it_can_be_joined_at_every_piece(self, name: StreamFormat):
        encoder = open_encoder(name)
        pieces = [piece for piece in pieces_of(encoder, tone(6)) if piece]
        encoder.close()
        for first in (1, len(pieces) // 2):
            heard = decoded(encoder.header + b"".join(pieces[first:]))
            later = heard[RATE_HZ // 10 : len(heard) // 480 * 480]
            level = np.abs(later[: len(later) // 480 * 480]).reshape(-1, 960).max(axis=1)
            assert level.min() > 0.3

    def test_it_keeps_its_rate(self, name: StreamFormat):
        encoder = open_encoder(name, 96)
        noise = (0.1 * np.random.default_rng(0).standard_normal((10 * RATE_HZ, 2))).astype(np.float32)
        size = len(b"".join(pieces_of(encoder, noise)))
        encoder.close()
        assert size * 8 / 10 / 1000 == pytest.approx(96, rel=0.2)


def test_frames_of_mp3_are_whole():
    encoder = open_encoder("mp3", 128)
    for piece in pieces_of(encoder, tone(1)):
        assert len(piece) % 384 == 0
        assert not piece or piece[:2] == b"\xff\xfb"
    encoder.close()


def test_pages_of_opus_are_whole():
    encoder = open_encoder("opus")
    pieces = pieces_of(encoder, tone(3))
    encoder.close()
    assert encoder.header.startswith(b"OggS")
    assert b"OpusHead" in encoder.header
    assert b"OpusTags" in encoder.header
    assert all(piece.startswith(b"OggS") for piece in pieces if piece)


def test_what_is_too_loud_is_clipped():
    encoder = open_encoder("mp3")
    heard = decoded(b"".join(pieces_of(encoder, 5 * tone(1))))
    encoder.close()
    assert np.abs(heard).max() < 1.5


@pytest.mark.parametrize(("name", "kbps"), [("mp3", 100), ("mp3", 400), ("opus", 8)])
def test_a_rate_that_a_format_does_not_have_is_refused(name: StreamFormat, kbps: int):
    with pytest.raises(RequestError, match="kbit/s"):
        open_encoder(name, kbps)
