"""Stereo audio to the latents of ACE-Step v1 and back: resampling, mels, the mel autoencoder, the vocoder.

One latent frame is 4096 samples at 44.1 kHz; latents are `[8, 16, T]`, scaled as the transformer sees them. It knows
nothing of songs, files or spans. Formulas: specification of v1, section 10.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from partita.errors import AudioError, ModelError
from partita.models.acestepv1.dcae import Dcae
from partita.models.acestepv1.resample import SincResampler
from partita.models.acestepv1.vocoder import Vocoder

CODEC_RATE_HZ = 44_100
SONG_RATE_HZ = 48_000
FRAME_SAMPLES = 4096  # samples at 44.1 kHz to one latent frame

LATENT_SCALE = 0.1786
LATENT_SHIFT = -1.9091
MEL_LOWEST, MEL_HIGHEST = -11.0, 3.0  # log mels that become -1 and 1; what lies beyond is not clipped


@dataclass(frozen=True)
class PieceDone:
    """`done` of `total` pieces of the work are finished."""

    done: int
    total: int


def latent_frames(samples: int, sample_rate_hz: int = SONG_RATE_HZ) -> int:
    """Frames that `samples` of audio are encoded to, the last one filled up with silence."""
    return -(-SincResampler(sample_rate_hz, CODEC_RATE_HZ).length(samples) // FRAME_SAMPLES)


def first_sample(frame: int, sample_rate_hz: int = SONG_RATE_HZ) -> int:
    """Where latent frame `frame` begins in decoded audio: `ceil(4096 frame 160 / 147)` at 48 kHz.

    That of the frame after the last is the length of the decoded audio.
    """
    return SincResampler(CODEC_RATE_HZ, sample_rate_hz).length(frame * FRAME_SAMPLES)


class MusicCodec:
    """Both networks with their weights, ready for inference.

    Nothing is changed by a call, so one object may serve several threads.
    """

    def __init__(
        self,
        dcae: Dcae,
        vocoder: Vocoder,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        """Fold both networks, which may be discarded afterwards. Pass them in the format they are stored in: folding
        computes in float32 and rounds once.

        Args:
            dcae: the mel autoencoder with its weights.
            vocoder: the vocoder with its weights and buffers.
            dtype: format of the convolutions; by default that of the weights.
            device: where to run; by default where the weights are.
        """
        stored = dcae.decoder.conv_in.weight
        self.dtype = dtype or stored.dtype
        self.device = torch.device(device) if device is not None else stored.device
        self._dcae = dcae.to(self.device, self.dtype)
        self._vocoder = vocoder.to(self.device, self.dtype)

    def encode(self, audio: Tensor, sample_rate_hz: int = SONG_RATE_HZ) -> Tensor:
        """Latents `[8, 16, T]`, float32, of `audio` `[2, N]`; see `encode_chunks`."""
        work = self.encode_chunks(audio, sample_rate_hz)
        while True:
            try:
                next(work)
            except StopIteration as end:
                return end.value

    def encode_chunks(self, audio: Tensor, sample_rate_hz: int = SONG_RATE_HZ) -> Generator[PieceDone, None, Tensor]:
        """Encode `audio` `[2, N]` piece by piece; `latents = yield from codec.encode_chunks(audio)`.

        Yields progress between pieces, so that a caller who stops iterating cancels the rest. Returns latents
        `[8, 16, latent_frames(N)]`, float32 on the codec's device; the last frame is filled up with silence.

        Raises:
            AudioError: not two channels, no samples, or samples that are not finite.
        """
        if audio.dim() != 2 or audio.shape[0] != 2 or audio.shape[1] < 1:
            raise AudioError(f"Stereo audio [2, samples] can be encoded; given was {list(audio.shape)}.")
        if not audio.isfinite().all():
            raise AudioError("The audio to be encoded holds samples that are not finite numbers.")
        with torch.no_grad():
            sound = SincResampler(sample_rate_hz, CODEC_RATE_HZ)(audio.to(self.device, torch.float32))
            missing = latent_frames(audio.shape[1], sample_rate_hz) * FRAME_SAMPLES - sound.shape[1]
            mel = self._vocoder.mel_transform(torch.nn.functional.pad(sound, (0, missing)))
            latents = self._dcae.encode(normalise(mel)[None].to(self.dtype))[0].float()
        yield PieceDone(1, 1)
        return scale(latents)

    def decode_chunks(
        self,
        latents: Tensor,
        first_frame: int = 0,
        end_frame: int | None = None,
        sample_rate_hz: int = SONG_RATE_HZ,
    ) -> Iterator[Tensor]:
        """Yield the audio of frames `first_frame` to `end_frame` of `latents` `[8, 16, T]`, in order and without gaps.

        Pieces are `[n, 2]` float32 on the codec's device, within -1 to 1 but for the resampler's ripple; together they
        are samples `first_sample(first_frame)` to `first_sample(end_frame)` of the whole decoded song, to rounding,
        whichever stretch is asked for. A caller who stops iterating cancels the rest.

        Raises:
            ModelError: latents of another shape, a stretch outside of them, or a result that is not finite.
        """
        end_frame = latents.shape[-1] if end_frame is None else end_frame
        self._check_latents(latents, first_frame, end_frame)
        with torch.no_grad():
            mel = denormalise(self._dcae.decode(unscale(latents[None].to(self.device, self.dtype)))[0].float())
            sound = torch.cat([self._vocoder.decode(channel[None].to(self.dtype))[0] for channel in mel])
            audio = SincResampler(CODEC_RATE_HZ, sample_rate_hz)(sound.float()).T
        if not audio.isfinite().all():
            raise ModelError("The decoded audio is not finite: the latents or the weights are damaged.")
        yield audio[first_sample(first_frame, sample_rate_hz) : first_sample(end_frame, sample_rate_hz)]

    def decode(self, latents: Tensor, sample_rate_hz: int = SONG_RATE_HZ) -> Tensor:
        """Audio `[N, 2]` of all of `latents` `[8, 16, T]`; see `decode_chunks`."""
        return torch.cat(list(self.decode_chunks(latents, sample_rate_hz=sample_rate_hz)))

    def _check_latents(self, latents: Tensor, first_frame: int, end_frame: int) -> None:
        channels, height = (
            self._dcae.config.latent_channels,
            self._vocoder.config.input_channels // self._dcae.config.factor,
        )
        if latents.dim() != 3 or latents.shape[:2] != (channels, height) or latents.shape[2] < 1:
            raise ModelError(
                f"The codec decodes latents [{channels}, {height}, T] with T of at least 1; it was given "
                f"{list(latents.shape)}."
            )
        if not 0 <= first_frame < end_frame <= latents.shape[2]:
            raise ModelError(
                f"Frames {first_frame} to {end_frame} were asked for of latents that have {latents.shape[2]}."
            )


def scale(encoded: Tensor) -> Tensor:
    """The autoencoder's latents as the transformer sees them."""
    return (encoded - LATENT_SHIFT) * LATENT_SCALE


def unscale(latents: Tensor) -> Tensor:
    """The inverse of `scale`."""
    return latents / LATENT_SCALE + LATENT_SHIFT


def normalise(log_mel: Tensor) -> Tensor:
    """Log mels from -11..3 to -1..1, as the autoencoder sees them; not clipped."""
    return ((log_mel - MEL_LOWEST) / (MEL_HIGHEST - MEL_LOWEST) - 0.5) / 0.5


def denormalise(mel: Tensor) -> Tensor:
    """The inverse of `normalise`."""
    return (mel * 0.5 + 0.5) * (MEL_HIGHEST - MEL_LOWEST) + MEL_LOWEST
