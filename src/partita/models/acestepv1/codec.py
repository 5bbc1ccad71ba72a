"""Stereo audio to the latents of ACE-Step v1 and back: resampling, mels, the mel autoencoder, the vocoder.

One latent frame is 4096 samples at 44.1 kHz; latents are `[8, 16, T]`, scaled as the transformer sees them. It knows
nothing of songs, files or spans. Formulas: specification of v1, section 10.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from partita.errors import AudioError, ModelError
from partita.models.acestepv1.dcae import Dcae
from partita.models.acestepv1.dcae_folded import FoldedDcae, from_rows
from partita.models.acestepv1.resample import SincResampler
from partita.models.acestepv1.streaming import Local, Paced, Rows, Stream, Whole, chain, run_whole
from partita.models.acestepv1.vocoder import Vocoder
from partita.models.acestepv1.vocoder_folded import FoldedVocoder

CODEC_RATE_HZ = 44_100
SONG_RATE_HZ = 48_000
FRAME_SAMPLES = 4096  # samples at 44.1 kHz to one latent frame

CHANNELS = 2

# Latent frames to a piece: 3 s on a CPU, which computes them in about as long, and where longer ones take more memory
# and no less time; an accelerator wants few large launches instead.
CPU_PIECE_FRAMES = 32
DEVICE_PIECE_FRAMES = 256
RESAMPLE_STRETCH = 1 << 20

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


def original_latent_length(samples: int, sample_rate_hz: int = SONG_RATE_HZ) -> int:
    """Frames that the original takes `samples` of audio for: those that are full, in its float32 arithmetic."""
    seconds = torch.tensor(samples) / sample_rate_hz
    return int(seconds * CODEC_RATE_HZ / 512 / 8)


def first_sample(frame: int, sample_rate_hz: int = SONG_RATE_HZ) -> int:
    """Where latent frame `frame` begins in decoded audio: `ceil(4096 frame 160 / 147)` at 48 kHz.

    That of the frame after the last is the length of the decoded audio.
    """
    return SincResampler(CODEC_RATE_HZ, sample_rate_hz).length(frame * FRAME_SAMPLES)


class MusicCodec:
    """Both networks with their weights folded, ready for inference, in pieces or whole.

    Everything but the attention of the autoencoder is local and is computed piece by piece with what lies around it,
    so that pieces and stretches are what one pass over the whole gives, to rounding. Holds 0.5 GB in bfloat16 and 1 GB
    in float32 at the published sizes. Nothing is changed by a call, so one object may serve several threads.
    """

    def __init__(
        self,
        dcae: Dcae,
        vocoder: Vocoder,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        piece_frames: int | None = None,
    ) -> None:
        """Fold both networks, which may be discarded afterwards. Pass them in the format they are stored in: folding
        computes in float32 and rounds once.

        Args:
            dcae: the mel autoencoder with its weights.
            vocoder: the vocoder with its weights and buffers.
            dtype: format of the convolutions; by default that of the weights. What touches latents, mels and audio
                directly stays in float32 in any case.
            device: where to run; by default where the weights are.
            piece_frames: latent frames to a piece; the default suits the kind of device.

        Raises:
            ModelError: networks that do not belong together.
        """
        self.dcae = FoldedDcae(dcae, dtype=dtype, device=device)
        self.vocoder = FoldedVocoder(vocoder, dtype=dtype, device=device)
        self.device = self.dcae.form.device
        self._edge = self.dcae.form.edge
        self._mel = copy.deepcopy(vocoder.mel_transform).to(self.device)
        self._piece_frames = piece_frames or (CPU_PIECE_FRAMES if self.device.type == "cpu" else DEVICE_PIECE_FRAMES)
        bands, factor = vocoder.config.input_channels, dcae.config.factor
        if dcae.config.in_channels != CHANNELS or factor * vocoder.config.hop_length != FRAME_SAMPLES or bands % factor:
            raise ModelError(
                f"A mel autoencoder of {dcae.config.in_channels} channels with a factor of {factor} and a vocoder of "
                f"{bands} bands with a hop of {vocoder.config.hop_length} samples do not make ACE-Step v1's codec, "
                f"stereo with {FRAME_SAMPLES} samples to a frame. Take both configurations from the same model."
            )
        rate = vocoder.config.mel.sampling_rate
        if rate != CODEC_RATE_HZ:
            raise ModelError(
                f"The vocoder's `sampling_rate` is {rate}, and ACE-Step v1's is {CODEC_RATE_HZ}. Take the "
                "configuration published with the weights.",
                key="sampling_rate",
            )
        self.latent_shape = (dcae.config.latent_channels, bands // factor)

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
            ModelError: a result that is not finite.
        """
        if audio.dim() != 2 or audio.shape[0] != CHANNELS or audio.shape[1] < 1:
            raise AudioError(f"Stereo audio [2, samples] can be encoded; given was {list(audio.shape)}.")
        if not bool(audio.isfinite().all()):
            raise AudioError("The audio to be encoded holds samples that are not finite numbers.")
        frames = latent_frames(audio.shape[1], sample_rate_hz)
        starts = range(0, frames, self._piece_frames)
        with torch.no_grad():
            rows = self._encoder_rows(audio, frames, sample_rate_hz)
        pieces = []
        for start in starts:
            with torch.no_grad():
                pieces.append(rows.take(start, min(start + self._piece_frames, frames)))
            yield PieceDone(len(pieces), len(starts) + 1)
        with torch.no_grad():
            latents = scale(from_rows(self.dcae.finish_encode(torch.cat(pieces, dim=1)))[0])
        _require_finite(latents, "encoded latents")
        yield PieceDone(len(starts) + 1, len(starts) + 1)
        return latents

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
        self.check_latents(latents, first_frame, end_frame)
        resample = resampling(SincResampler(CODEC_RATE_HZ, sample_rate_hz))
        first, last = first_sample(first_frame, sample_rate_hz), first_sample(end_frame, sample_rate_hz)
        edges = self._edges(resample.window(first, last, latents.shape[-1] * FRAME_SAMPLES))
        with torch.no_grad():
            rows = Stream(Paced(self._decoder_rows(latents), edges), resample)
        for edge in edges[1:]:
            # What the stretches so far suffice for, without looking into the next one.
            end = last if edge == edges[-1] else resample.ready(edge)
            if end <= first:
                continue
            with torch.no_grad():
                audio = rows.take(first, end).T
            _require_finite(audio, "decoded audio")
            yield audio
            first = end

    def decode(self, latents: Tensor, sample_rate_hz: int = SONG_RATE_HZ) -> Tensor:
        """Audio `[N, 2]` of all of `latents` `[8, 16, T]`; see `decode_chunks`."""
        return torch.cat(list(self.decode_chunks(latents, sample_rate_hz=sample_rate_hz)))

    def mel_of(self, latents: Tensor) -> Tensor:
        """Log mels `[2, 128, 8 T]`, float32, of `latents` `[8, 16, T]`."""
        self.check_latents(latents, 0, latents.shape[-1])
        with torch.no_grad():
            return denormalise(self.dcae.decode(unscale(latents.to(self.device, self._edge))[None])[0])

    def check_latents(self, latents: Tensor, first_frame: int, end_frame: int) -> None:
        """Raise ModelError unless `latents` is `[8, 16, T]` and has the frames `first_frame` to `end_frame`."""
        if latents.dim() != 3 or latents.shape[:2] != self.latent_shape or latents.shape[2] < 1:
            channels, height = self.latent_shape
            raise ModelError(
                f"The codec decodes latents [{channels}, {height}, T] with T of at least 1; it was given "
                f"{list(latents.shape)}."
            )
        if not 0 <= first_frame < end_frame <= latents.shape[2]:
            raise ModelError(
                f"Frames {first_frame} to {end_frame} were asked for of latents that have {latents.shape[2]}."
            )

    def _encoder_rows(self, audio: Tensor, frames: int, sample_rate_hz: int) -> Rows:
        """Audio up to where encoding needs the whole: rows `[1, T, 16, 1024]`."""
        to_codec = resampling(SincResampler(sample_rate_hz, CODEC_RATE_HZ))
        sound = run_whole(to_codec, audio.to(self.device, self._edge))
        padded = F.pad(sound, (0, frames * FRAME_SAMPLES - sound.shape[1]))
        config = self._mel.config
        mel = Local(self._mel_rows, config.margin, down=config.hop_length)
        return chain(Whole(padded), [mel, *self.dcae.encoder_stages(config.n_mels)])

    def _mel_rows(self, sound: Tensor) -> Tensor:
        """Normalised mels `[1, L, 128, 2]` of samples `[2, n]` at 44.1 kHz."""
        return normalise(self._mel(sound)).permute(2, 1, 0)[None]

    def _decoder_rows(self, latents: Tensor) -> Rows:
        """Samples `[2, 4096 T]` at 44.1 kHz of all of `latents`, computed as far as they are asked for."""
        start = self.dcae.begin_decode(self.dcae.to_rows(unscale(latents.to(self.device, self._edge))[None]))
        channels_apart = Local(lambda mel: denormalise(mel)[0].permute(2, 0, 1), reach=0)
        mels = [*self.dcae.decoder_stages(self.latent_shape[1]), channels_apart]
        return chain(Whole(start), [*mels, *self.vocoder.stages()])

    def _edges(self, window: tuple[int, int]) -> list[int]:
        """Whole frames around `window`, cut into pieces; in samples at 44.1 kHz."""
        low, high = window[0] // FRAME_SAMPLES, -(-window[1] // FRAME_SAMPLES)
        return [frame * FRAME_SAMPLES for frame in (*range(low, high, self._piece_frames), high)]


def resampling(resampler: SincResampler) -> Local:
    """`resampler` over rows `[channels, N]`."""
    return Local(resampler, resampler.width, resampler.up, resampler.down, RESAMPLE_STRETCH)


def _require_finite(values: Tensor, what: str) -> None:
    if not bool(values.isfinite().all()):
        raise ModelError(
            f"The {what} are not finite numbers: what went in was damaged, or the weights are, or the number format "
            "overflows; try float32."
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
