"""Which audio formats there are and what each of them can do. Plain tables: nothing here touches a sample."""

from __future__ import annotations

SUFFIX = {"wav": ".wav", "flac": ".flac", "mp3": ".mp3", "ogg": ".ogg", "opus": ".opus", "aac": ".m4a"}
"""File name ending by format."""

BIT_DEPTHS = {"wav": (16, 24, 32), "flac": (16, 24)}
"""Bits a sample by lossless format; 32 is float."""

BITRATES_KBPS = {"mp3": (32, 320), "ogg": (64, 500), "opus": (32, 510), "aac": (32, 400)}
"""Lowest and highest bit rate by lossy format, for two channels at 48 kHz."""

SAMPLE_RATES_HZ = {"mp3": (32_000, 44_100, 48_000), "opus": (24_000, 48_000)}
"""Rates that a format is bound to; the others take any."""

DEFAULT_BIT_DEPTH = 24
DEFAULT_BITRATE_KBPS = {"mp3": 256, "ogg": 192, "opus": 160, "aac": 192}

NEEDS_AV = ("aac",)
"""Formats that only the extra `codecs` can write."""
