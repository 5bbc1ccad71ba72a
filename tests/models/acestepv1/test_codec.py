"""Stereo audio to latents and back, in pieces: the same as whole, in order, to be stopped at any time."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from partita.errors import AudioError, ModelError
from partita.models.acestepv1.codec import (
    FRAME_SAMPLES,
    MusicCodec,
    PieceDone,
    denormalise,
    first_sample,
    latent_frames,
    normalise,
    original_latent_length,
    scale,
    unscale,
)
from partita.models.acestepv1.dcae import Dcae, DcaeConfig
from partita.models.acestepv1.overlap_original import decode_overlap_original, windows
from partita.models.acestepv1.resample import SincResampler
from partita.models.acestepv1.vocoder import Vocoder
from tests.models.acestepv1.tiny_codec import DCAE, VOCODER, gap, tiny_codec, tiny_dcae, tiny_vocoder

FRAMES = 11


@cache
def whole_song() -> tuple[Tensor, Tensor]:
    """Latents and what the plain networks make of them in one pass."""
    torch.manual_seed(11)
    latents = torch.randn(8, 16, FRAMES, dtype=torch.float64)
    mel = denormalise(tiny_dcae().decode(unscale(latents)[None])[0])
    sound = torch.cat([tiny_vocoder().decode(channel[None])[0] for channel in mel])
    return latents, SincResampler(44_100, 48_000)(sound).T


@cache
def codec_of(piece_frames: int) -> MusicCodec:
    return tiny_codec(piece_frames=piece_frames)


@pytest.mark.parametrize("piece_frames", [1, 3, 4, 128])
def test_pieces_in_order_are_what_one_pass_gives(piece_frames: int) -> None:
    latents, expected = whole_song()
    pieces = list(codec_of(piece_frames).decode_chunks(latents))
    assert len(pieces) == math.ceil(FRAMES / piece_frames)
    assert all(len(piece) for piece in pieces)
    assert gap(torch.cat(pieces), expected) < 1e-11


@given(stretch=st.tuples(st.integers(0, FRAMES), st.integers(0, FRAMES)), piece_frames=st.sampled_from([1, 2, 5, 128]))
@settings(max_examples=25, deadline=None)
def test_a_stretch_is_that_part_of_the_song(stretch: tuple[int, int], piece_frames: int) -> None:
    first, end = sorted(stretch)
    if first == end:
        return
    latents, expected = whole_song()
    got = torch.cat(list(codec_of(piece_frames).decode_chunks(latents, first, end)))
    assert gap(got, expected[first_sample(first) : first_sample(end)]) < 1e-11


@given(frame=st.integers(0, 3000))
def test_frames_begin_at_the_first_sample_after_their_moment(frame: int) -> None:
    assert first_sample(frame) == math.ceil(frame * FRAME_SAMPLES * 160 / 147)
    assert first_sample(frame, 44_100) == frame * FRAME_SAMPLES
    assert latent_frames(first_sample(frame)) in (frame, frame + 1)


@given(samples=st.integers(1, 40_000), rate=st.sampled_from([44_100, 48_000, 32_000]))
@settings(max_examples=15, deadline=None)
def test_encoding_gives_a_frame_for_all_that_begins_one(samples: int, rate: int) -> None:
    latents = codec_of(128).encode(torch.randn(2, samples), rate)
    assert latents.shape == (8, 16, math.ceil(math.ceil(samples * 44_100 / rate - 1e-9) / FRAME_SAMPLES))
    assert latents.shape[2] == latent_frames(samples, rate)


@pytest.mark.parametrize("piece_frames", [1, 3, 128])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_encoding_in_pieces_is_what_one_pass_gives(piece_frames: int, rate: int) -> None:
    audio = torch.randn(2, 9 * FRAME_SAMPLES + 100, dtype=torch.float64) * 0.3
    sound = SincResampler(rate, 44_100)(audio)
    sound = torch.nn.functional.pad(sound, (0, -sound.shape[1] % FRAME_SAMPLES))
    expected = scale(tiny_dcae().encode(normalise(tiny_vocoder().mel_transform(sound))[None])[0])
    assert gap(codec_of(piece_frames).encode(audio, rate), expected) < 1e-9


def test_encoding_tells_its_progress_and_returns_latents() -> None:
    audio = torch.randn(2, 5 * FRAME_SAMPLES)
    work = codec_of(2).encode_chunks(audio, 44_100)
    seen: list[PieceDone] = []
    while True:
        try:
            seen.append(next(work))
        except StopIteration as end:
            latents = end.value
            break
    assert seen == [PieceDone(done, 4) for done in (1, 2, 3, 4)]
    assert latents.shape == (8, 16, 5)


def test_what_is_not_asked_for_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = tiny_codec(torch.float32, piece_frames=8)
    heard: list[int] = []
    leave = codec.vocoder._leave_head
    monkeypatch.setattr(codec.vocoder, "_leave_head", lambda x: (heard.append(x.shape[1]), leave(x))[1])
    pieces = codec.decode_chunks(torch.randn(8, 16, 80))
    next(pieces)
    pieces.close()
    last_rate = codec.vocoder.config.upsample_rates[-1]
    assert 8 * FRAME_SAMPLES <= sum(heard) * last_rate < 9 * FRAME_SAMPLES  # a piece and its margin


def test_scales_are_undone() -> None:
    values = torch.randn(50, dtype=torch.float64) * 5
    torch.testing.assert_close(unscale(scale(values)), values)
    torch.testing.assert_close(denormalise(normalise(values)), values)
    assert normalise(torch.tensor([-11.0, 3.0])).tolist() == [-1.0, 1.0]
    assert normalise(torch.tensor(5.0)) > 1  # nothing is clipped


def test_a_half_format_decodes_and_encodes_in_float32() -> None:
    torch.manual_seed(0)
    codec = MusicCodec(tiny_dcae(torch.float32), tiny_vocoder(torch.float32), dtype=torch.bfloat16)
    exact = MusicCodec(tiny_dcae(torch.float32), tiny_vocoder(torch.float32))
    latents = torch.randn(8, 16, 4)
    got, expected = codec.decode(latents), exact.decode(latents)
    assert got.dtype == torch.float32
    assert (got - expected).norm() / expected.norm() < 0.2
    encoded = codec.encode(torch.randn(2, 9000))
    assert encoded.dtype == torch.float32


def test_what_cannot_be_coded_is_named() -> None:
    codec = codec_of(128)
    with pytest.raises(AudioError, match=r"\[1, 500\]"):
        codec.encode(torch.zeros(1, 500))
    with pytest.raises(AudioError, match="not finite"):
        codec.encode(torch.full((2, 500), float("nan")))
    with pytest.raises(ModelError, match=r"\[8, 16, T\]"):
        codec.decode(torch.zeros(8, 15, 4))
    with pytest.raises(ModelError, match="Frames 3 to 9"):
        list(codec.decode_chunks(torch.zeros(8, 16, 4), 3, 9))
    with pytest.raises(ModelError, match="not finite"):
        codec.decode(torch.full((8, 16, 2), float("inf")))


def test_networks_that_do_not_belong_together_are_refused() -> None:
    mono = DcaeConfig(**{**{name: getattr(DCAE, name) for name in DCAE.__dataclass_fields__}, "in_channels": 1})
    with pytest.raises(ModelError, match="stereo"):
        MusicCodec(Dcae(mono), tiny_vocoder())


def test_the_originals_length_counts_full_frames() -> None:
    assert [original_latent_length(n, 44_100) for n in (1, 4095, 8200)] == [0, 0, 2]
    assert original_latent_length(48_000 * 30) == 322


@given(frames=st.integers(1, 3000))
def test_windows_of_the_original_keep_every_mel_frame_once(frames: int) -> None:
    kept = [range(first * 8 + low, first * 8 + high) for first, _, low, high in windows(frames)]
    assert [one.start for one in kept] == [0, *(one.stop for one in kept[:-1])]
    assert kept[-1].stop == frames * 8
    assert all(end - first <= 512 for first, end, _, _ in windows(frames))


@pytest.mark.parametrize("frames", [1, 63, 64, 130])
def test_the_originals_blocks_are_joined_where_it_joins_them(frames: int) -> None:
    """Against the rule written out over whole arrays."""
    codec = tiny_codec(torch.float32)
    latents = torch.randn(8, 16, frames)
    mel = codec.mel_of(latents)
    audio = None
    for start in range(0, frames * FRAME_SAMPLES, 260_096):
        block = torch.zeros(2, 128, 512)
        part = mel[:, :, start // 512 : start // 512 + 512]
        block[:, :, : part.shape[2]] = part
        new = codec.vocoder.decode(block)[:, 0]
        if audio is None:
            audio = new[:, :-1024]
            continue
        fade = torch.linspace(0, 1, 128)
        assert audio.shape[1] == start + 1024
        audio[:, -128:] = audio[:, -128:] * (1 - fade) + new[:, 896:1024] * fade
        last = start + 260_096 >= frames * FRAME_SAMPLES
        audio = torch.cat([audio, new[:, 1024:] if last else new[:, 1024:-1024]], dim=1)
    assert audio is not None
    pieces = list(decode_overlap_original(codec, latents, 44_100))
    assert len(pieces) > 1 or frames <= 64
    assert gap(torch.cat(pieces), audio[:, : frames * FRAME_SAMPLES].T) < 1e-5
    resampled = torch.cat(list(decode_overlap_original(codec, latents)))
    assert len(resampled) == math.floor(frames * FRAME_SAMPLES * 48_000 / 44_100)


def test_a_vocoder_of_another_rate_is_refused() -> None:
    other = Vocoder(replace(VOCODER, mel=replace(VOCODER.mel, sampling_rate=48_000)))
    with pytest.raises(ModelError, match="48000, and ACE-Step v1's is 44100") as caught:
        MusicCodec(tiny_dcae(), other)
    assert caught.value.key == "sampling_rate"
