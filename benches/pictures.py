"""Pictures of songs for people to look at: a mel spectrogram above a piano roll."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from partita.score.types import Score

RATE_HZ = 48_000


def draw(score: Score, audio: np.ndarray, path: Path, title: str) -> None:
    """A mel spectrogram above a piano roll, one colour a role."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (upper, lower) = pyplot.subplots(2, 1, figsize=(14, 8), sharex=True)
    power = mel_db(audio.mean(axis=1))
    upper.imshow(power.T, origin="lower", aspect="auto", extent=(0, score.duration_s, 0, power.shape[1]), cmap="magma")
    upper.set_ylabel("mel band")
    upper.set_title(f"{title}\n{score.grid.bpm:g} bpm, {score.grid.time_signature}, {score.key}")
    for number, track in enumerate(score.tracks):
        for note in track.notes:
            lower.hlines(note.pitch, note.start_s, note.start_s + note.duration_s, colors=f"C{number}", linewidth=2.5)
        lower.plot([], [], color=f"C{number}", label=track.role)
    for bar in np.arange(score.grid.offset_s, score.duration_s, score.grid.bar_s):
        lower.axvline(bar, color="0.85", linewidth=0.7, zorder=0)
    lower.set_ylabel("pitch")
    lower.set_xlabel("seconds")
    lower.legend(loc="upper right", ncols=6)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70)
    pyplot.close(figure)


def mel_db(samples: np.ndarray, bands: int = 96, window: int = 2048, hop: int = 960) -> np.ndarray:
    """Mel power in dB, `[frames, bands]`, 30 Hz to 16 kHz."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (0, window)), window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) ** 2
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (30, 16_000))
    edges = 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(window, 1 / RATE_HZ)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.clip(np.minimum(rising, falling), 0, None)
    return 10 * np.log10(power @ weights.T + 1e-7)
