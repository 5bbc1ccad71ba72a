"""The mel front end of the ACE-Step v1 vocoder: 44.1 kHz audio to log mels.

The window and the filter bank are stored with the weights, rounded to bfloat16, and are used as stored: that is how the
networks heard every song they were trained on. Knows nothing of latents. Formulas: specification of v1, section 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.errors import AudioError

# Below this, magnitudes and mel values count as silence.
POWER_FLOOR = 1e-6
MEL_FLOOR = 1e-5

# The Slaney mel scale: linear up to 1 kHz, then 27 steps for every factor of 6.4.
_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27.0


@dataclass(frozen=True)
class MelConfig:
    """Sizes of the front end; `sampling_rate`, `f_min` and `f_max` in Hz."""

    sampling_rate: int = 44_100
    n_fft: int = 2048
    hop_length: int = 512
    f_min: float = 40.0
    f_max: float = 16_000.0
    n_mels: int = 128

    @property
    def margin(self) -> int:
        """Samples by which audio is reflected at either end, so that there is one frame to a hop (768)."""
        return (self.n_fft - self.hop_length) // 2


class Spectrogram(nn.Module):
    """Magnitudes of the short-time Fourier transform, `[..., N]` to `[..., n_fft / 2 + 1, N / hop]`."""

    window: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.n_fft))

    def forward(self, audio: Tensor) -> Tensor:
        config = self.config
        flat = audio.reshape(-1, audio.shape[-1]).to(torch.promote_types(audio.dtype, torch.float32))
        padded = F.pad(flat, (config.margin, config.margin), mode="reflect")
        transform = torch.stft(
            padded,
            config.n_fft,
            config.hop_length,
            window=self.window.to(flat.dtype),
            center=False,
            return_complex=True,
        )
        parts = torch.view_as_real(transform)
        return parts.square().sum(-1).add_(POWER_FLOOR).sqrt_().unflatten(0, audio.shape[:-1])


class MelScale(nn.Module):
    """The filter bank, `[..., n_fft / 2 + 1, L]` to `[..., n_mels, L]`."""

    fb: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.register_buffer("fb", slaney_filter_bank(config).float())

    def forward(self, magnitude: Tensor) -> Tensor:
        return (magnitude.mT @ self.fb.to(magnitude.dtype)).mT


class MelTransform(nn.Module):
    """Audio `[..., N]` at 44.1 kHz to log mels `[..., n_mels, N / hop]`, float32 at least."""

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.spectrogram = Spectrogram(config)
        self.mel_scale = MelScale(config)

    def forward(self, audio: Tensor) -> Tensor:
        """Raises AudioError where audio is no longer than the part of it that is reflected (768 samples)."""
        if audio.dim() < 2 or audio.shape[-1] <= self.config.margin:
            raise AudioError(
                f"Mels need audio [channels, samples] of more than {self.config.margin} samples; given was "
                f"{list(audio.shape)}. Pad short audio with zeros."
            )
        return log_mel(self.mel_scale(self.spectrogram(audio)))


def log_mel(mel: Tensor) -> Tensor:
    """The natural logarithm of mel magnitudes, those below 1e-5 counting as that."""
    return mel.clamp(min=MEL_FLOOR).log()


def slaney_filter_bank(config: MelConfig) -> Tensor:
    """Triangular filters `[n_fft / 2 + 1, n_mels]` in float64, equally spaced in Slaney's mels, each of area 1 per Hz.

    A checkpoint brings its own, rounded; this is what a network without weights starts from.
    """
    bins = torch.linspace(0, config.sampling_rate / 2, config.n_fft // 2 + 1, dtype=torch.float64)
    ends = torch.linspace(_mel_of(config.f_min), _mel_of(config.f_max), config.n_mels + 2, dtype=torch.float64)
    corners = torch.where(
        ends < _BREAK_MEL, ends * _LINEAR_HZ_PER_MEL, _BREAK_HZ * torch.exp((ends - _BREAK_MEL) * _LOG_STEP)
    )
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    rise = (bins[:, None] - low) / (centre - low)
    fall = (high - bins[:, None]) / (high - centre)
    return torch.minimum(rise, fall).clamp(min=0) * (2.0 / (high - low))


def _mel_of(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _BREAK_MEL + math.log(hz / _BREAK_HZ) / _LOG_STEP
