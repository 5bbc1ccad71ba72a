"""Samples to the bytes of a sound file, tags included. Everything in memory: knows no files and no folders.

libsndfile makes WAV, FLAC, MP3, Ogg Vorbis and Opus; PyAV makes AAC. WAV, FLAC, Ogg and Opus come out as the same bytes
for the same input, with the same library versions.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import soundfile

from partita.audio import mp4
from partita.audio.av_codec import encode_aac
from partita.audio.formats import (
    BIT_DEPTHS,
    BITRATES_KBPS,
    DEFAULT_BIT_DEPTH,
    DEFAULT_BITRATE_KBPS,
    SAMPLE_RATES_HZ,
    SUFFIX,
)
from partita.audio.id3 import build_id3
from partita.audio.riff import wav_with_tags
from partita.audio.xiph import flac_with_comments, ogg_with_comments
from partita.errors import AudioError

_BLOCK_FRAMES = 1 << 14  # libvorbis keeps a block on the stack
_MP3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # MPEG-1 layer III
# libsndfile 1.2 maps compression level 1..0 linearly to these bits a second (mpeg_l3_encode.c, ogg_opus.c).
_MP3_SPAN_BPS = (32_000, 320_000)
_OPUS_SPAN_BPS = (6_000, 256_000)  # each channel
_PROBE_S, _PROBES, _PROBE_STEPS = 4.0, 6, 6


@dataclass(frozen=True)
class Encoded:
    """`buffers` in order are the file; `audio_bytes` of it are not tags. `clipped` samples lay beyond full scale."""

    buffers: list[bytes | memoryview]
    audio_bytes: int
    clipped: int


def encode(
    samples: np.ndarray,
    sample_rate_hz: int,
    *,
    format: str,
    bit_depth: int | None,
    bitrate_kbps: int | None,
    tags: dict[str, str],
    dither_seed: int | None = None,
) -> Encoded:
    """`samples` [N, 1 or 2] float32, finite, as a file of `format`. `tags` by lower-case name.

    Beyond ±1 is clipped except in 32-bit float. `dither_seed` adds triangular noise of one step to 16 and 24 bits.
    Raises AudioError where the format cannot do what was asked.
    """
    _check(format, sample_rate_hz, bit_depth, bitrate_kbps, dither_seed)
    # A signal is raised in the main thread only. libsndfile calls back into Python to write, and there an interrupt
    # would be lost and the file be cut; so encoding has a thread of its own.
    with ThreadPoolExecutor(1, thread_name_prefix="encode") as pool:
        try:
            if format in BIT_DEPTHS:
                job = pool.submit(
                    _lossless, samples, sample_rate_hz, format, bit_depth or DEFAULT_BIT_DEPTH, tags, dither_seed
                )
            else:
                kbps = bitrate_kbps or DEFAULT_BITRATE_KBPS[format]
                job = pool.submit(_lossy, samples, sample_rate_hz, format, kbps, tags)
            return job.result()
        except (soundfile.SoundFileError, ValueError) as error:
            raise AudioError(f"The audio could not be written as {format}: {error}.") from None


def quantise(samples: np.ndarray, bits: int, dither_seed: int | None = None) -> np.ndarray:
    """Float samples as whole steps of `bits`, int32, rounded to nearest (half to even) and clipped, never wrapped.

    With a seed, triangular noise of ±1 step is added before rounding, from Philox so that it is the same everywhere.
    """
    scale = float(1 << (bits - 1))
    steps = samples * np.float32(scale)  # a power of two: exact
    if dither_seed is not None:
        noise = np.random.Generator(np.random.Philox(dither_seed)).random((2, *samples.shape), np.float32)
        steps = steps + (noise[0] - noise[1])
    return np.clip(np.rint(steps), -scale, scale - 1).astype(np.int32)


def _check(
    format: str, sample_rate_hz: int, bit_depth: int | None, bitrate_kbps: int | None, dither_seed: int | None
) -> None:
    if format not in SUFFIX:
        raise AudioError(f"There is no format {format!r}: choose one of {', '.join(SUFFIX)}.")
    depths, rates = BIT_DEPTHS.get(format), BITRATES_KBPS.get(format)
    if bit_depth is not None and (depths is None or bit_depth not in depths):
        usable = f"choose {' or '.join(map(str, depths))}" if depths else "it takes bitrate_kbps"
        raise AudioError(f"{format} cannot have a bit depth of {bit_depth}: {usable}.")
    if bitrate_kbps is not None and (rates is None or not rates[0] <= bitrate_kbps <= rates[1]):
        usable = f"choose {rates[0]} to {rates[1]}" if rates else "it is lossless; leave bitrate_kbps out"
        raise AudioError(f"{format} cannot have a bit rate of {bitrate_kbps} kbit/s: {usable}.")
    fixed = SAMPLE_RATES_HZ.get(format)
    if sample_rate_hz <= 0 or (fixed and sample_rate_hz not in fixed):
        usable = f"resample to {' or '.join(map(str, fixed))} first" if fixed else "it must be positive"
        raise AudioError(f"{format} cannot have a sample rate of {sample_rate_hz} Hz: {usable}.")
    if dither_seed is not None and (depths is None or bit_depth == 32):
        raise AudioError(f"Dither is for 16 and 24 bits, and {format} was asked for: leave the dither seed out.")


def _lossless(
    samples: np.ndarray, rate: int, format: str, bits: int, tags: dict[str, str], dither_seed: int | None
) -> Encoded:
    if bits == 32:
        clipped, data, subtype = 0, samples, "FLOAT"
    else:
        clipped = int(np.count_nonzero(np.abs(samples) > 1))
        # libsndfile's own conversion rounds down; whole steps in the upper bits pass through it unchanged.
        data, subtype = quantise(samples, bits, dither_seed) << (32 - bits), f"PCM_{bits}"
    raw = _sndfile(data, rate, format.upper(), subtype).getbuffer()
    buffers = wav_with_tags(raw, tags) if format == "wav" else flac_with_comments(raw, tags)
    return Encoded(buffers, len(raw), clipped)


def _lossy(samples: np.ndarray, rate: int, format: str, kbps: int, tags: dict[str, str]) -> Encoded:
    clipped = int(np.count_nonzero(np.abs(samples) > 1))
    if clipped:
        samples = np.clip(samples, -1.0, 1.0)
    channels = samples.shape[1]
    if format == "aac":
        native = {name: text for name, text in tags.items() if name in mp4.NATIVE}
        data = encode_aac(samples, rate, kbps, native)
        whole = mp4.mp4_with_tags(data, {name: text for name, text in tags.items() if name not in native})
        return Encoded([whole], len(data) - sum(len(text.encode()) for text in native.values()), clipped)
    if format == "mp3":
        nearest = min(_MP3_KBPS, key=lambda usable: abs(usable - kbps))
        level = _level(nearest * 1000, _MP3_SPAN_BPS)
        raw = _sndfile(samples, rate, "MP3", "MPEG_LAYER_III", compression_level=level, bitrate_mode="CONSTANT")
        return Encoded([build_id3(tags) if tags else b"", raw.getbuffer()], len(raw.getbuffer()), clipped)
    if format == "opus":
        level = _level(kbps * 1000, (_OPUS_SPAN_BPS[0] * channels, _OPUS_SPAN_BPS[1] * channels))
        raw = _sndfile(samples, rate, "OGG", "OPUS", compression_level=level)
    else:
        raw = _sndfile(samples, rate, "OGG", "VORBIS", compression_level=_vorbis_level(samples, rate, kbps))
    return Encoded(ogg_with_comments(raw.getbuffer(), tags), len(raw.getbuffer()), clipped)


def _sndfile(data: np.ndarray, rate: int, format: str, subtype: str, **settings: float | str) -> io.BytesIO:
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, data.shape[1], subtype, format=format, **settings) as file:  # pyright: ignore[reportArgumentType]
        for start in range(0, len(data), _BLOCK_FRAMES):
            file.write(data[start : start + _BLOCK_FRAMES])
    return out


def _level(bits_per_s: float, span: tuple[int, int]) -> float:
    """libsndfile's compression level, 0 the highest rate and 1 the lowest."""
    return float(np.clip((span[1] - bits_per_s) / (span[1] - span[0]), 0.0, 1.0))


def _vorbis_level(samples: np.ndarray, rate: int, kbps: int) -> float:
    """The level at which Vorbis, which knows qualities only, comes nearest to `kbps` on this music.

    Bisects on excerpts spread over the song; the rate falls as the level rises.
    """
    length = int(_PROBE_S * rate)
    if len(samples) > _PROBES * length:
        starts = np.linspace(0, len(samples) - length, _PROBES).astype(int)
        probe = np.concatenate([samples[start : start + length] for start in starts])
    else:
        probe = samples
    empty_bytes = len(_sndfile(probe[:0], rate, "OGG", "VORBIS", compression_level=0.5).getbuffer())
    low, high = 0.0, 1.0
    for _ in range(_PROBE_STEPS):
        level = (low + high) / 2
        encoded = _sndfile(probe, rate, "OGG", "VORBIS", compression_level=level).getbuffer()
        if (len(encoded) - empty_bytes) * 8 / len(probe) * rate > kbps * 1000:
            low = level
        else:
            high = level
    return (low + high) / 2
