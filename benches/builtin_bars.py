"""The built-in model against its bars: 40 songs of 20 s from prompts it never saw. `python benches/builtin_bars.py`

Each prompt is a caption with tempo, metre and key of a piece from the bench's own seeds. The same measures are taken of
songs with the trained weights, with random weights (which must fail) and of the composer's own pieces, the ceiling.
The composer is used here to make prompts and that ceiling; the engine that makes the songs never imports it.

Bars: the tempo asked for is heard within 4 % (half and double count) in 34 of 40; the notes are in the key asked for or
its relative in 28; nothing is silent, clipped or broken. Exits 1 where the trained weights miss a bar or random ones
pass. `--pictures DIR` writes a mel spectrogram and a piano roll of each song with trained weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from partita.engine.engine import Engine
from partita.errors import PartitaError
from partita.measure.defects import defects
from partita.measure.key import key_of_notes, relation
from partita.measure.tempo import same_tempo, tempo
from partita.models.score_model import ScoreModel, ScoreModelConfig
from partita.runtime import Runtime
from partita.score.codec import decode, encode
from partita.score.keys import parse_key, scale_pitch_classes
from partita.score.matching import note_f1
from partita.score.sampler import play
from partita.score.types import Role, Score
from partita.song.request import SongRequest
from partita.training.composer import Piece, caption, compose
from partita.training.corpus import BENCH_SEEDS
from partita.weights.builtin import BUILTIN_DIRECTORY, CONFIG, TOKENIZER, save_builtin

SONGS, DURATION_S, RATE_HZ = 40, 20.0, 48_000
TEMPO_BAR, KEY_BAR = 34, 28
LONGEST_REST_S = 4.0  # of a song that is not silent; slow music may rest for a bar
NOISE_DEVIATION = 0.25
CODEC_BAR, NOISY_CODEC_BAR = 0.995, 0.97


@dataclass(frozen=True)
class Prompt:
    """What is asked for, and the piece it was taken from."""

    seed: int
    caption: str
    piece: Piece

    @property
    def bpm(self) -> float:
        return self.piece.score.grid.bpm

    @property
    def key(self) -> str:
        return self.piece.score.key


@dataclass(frozen=True)
class Heard:
    """Measures of one song. `drums_on_grid` is none without drums: the share of hits within 25 ms of a sixteenth."""

    seed: int
    caption: str
    tempo_met: bool
    heard_bpm: float | None
    asked_bpm: float
    key_met: bool
    heard_key: str | None
    asked_key: str
    sound: bool  # not silent, not clipped, not broken
    in_scale: float
    drums_on_grid: float | None
    notes: int
    roles: tuple[str, ...]
    seconds: float


def prompts() -> list[Prompt]:
    """The bench's prompts: a function of its seeds alone."""
    pieces = [(seed, compose(seed, duration_s=DURATION_S)) for seed in BENCH_SEEDS[:SONGS]]
    return [Prompt(seed, caption(piece, seed), piece) for seed, piece in pieces]


def hear(prompt: Prompt, score: Score, audio: np.ndarray, seconds: float) -> Heard:
    """Measure one song."""
    notes = [note for track in score.tracks if not track.is_drums for note in track.notes]
    pulse = tempo(audio, RATE_HZ).bpm
    key = key_of_notes([n.pitch for n in notes], [n.duration_s for n in notes]).name if notes else None
    scale = scale_pitch_classes(*parse_key(prompt.key))
    faults = defects(audio, RATE_HZ)
    return Heard(
        seed=prompt.seed,
        caption=prompt.caption,
        tempo_met=pulse is not None and same_tempo(pulse, prompt.bpm),
        heard_bpm=pulse,
        asked_bpm=prompt.bpm,
        key_met=key is not None and relation(prompt.key, key) in ("same", "relative"),
        heard_key=key,
        asked_key=prompt.key,
        sound=(
            faults.nan_samples + faults.infinite_samples == 0
            and faults.clipped_runs == 0
            and faults.longest_silence_s < LONGEST_REST_S
            and len(audio) == round(DURATION_S * RATE_HZ)
        ),
        in_scale=float(np.mean([n.pitch % 12 in scale for n in notes])) if notes else 0.0,
        drums_on_grid=drums_on_grid(score),
        notes=sum(len(track.notes) for track in score.tracks),
        roles=tuple(track.role for track in score.tracks),
        seconds=seconds,
    )


def drums_on_grid(score: Score) -> float | None:
    """Share of drum hits within 25 ms of a sixteenth (in 6/8: of a sixth of the beat); none without drums."""
    drums = score.track("drums")
    if drums is None:
        return None
    step_s = score.grid.beat_s / (6 if score.grid.time_signature == "6/8" else 4)
    places = np.array([note.start_s - score.grid.offset_s for note in drums.notes]) / step_s
    return float(np.mean(np.abs(places - np.round(places)) * step_s <= 0.025))


def songs_of(directory: Path, asked: list[Prompt], threads: int | None, pictures: Path | None = None) -> list[Heard]:
    """Make and measure a song of every prompt with the weights in `directory`."""
    engine = Engine(runtime=Runtime.detect(threads=threads), checkpoint_dir=directory)
    engine.generate(SongRequest(model="built-in", caption="warm up", duration_s=1.0, seed=0))
    heard = []
    for prompt in asked:
        grid = prompt.piece.score.grid
        request = SongRequest(
            model="built-in",
            caption=prompt.caption,
            bpm=round(grid.bpm),
            key=prompt.key,
            time_signature=grid.time_signature,  # pyright: ignore[reportArgumentType]
            duration_s=DURATION_S,
            seed=prompt.seed,
        )
        began = time.perf_counter()
        song = engine.generate(request)
        seconds = time.perf_counter() - began
        assert song.score is not None  # the built-in model always makes one
        heard.append(hear(prompt, song.score, song.audio, seconds))
        if pictures is not None:
            draw(song.score, song.audio, pictures / f"{prompt.seed}.png", prompt.caption)
    return heard


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


def random_weights(directory: Path) -> None:
    """Model files with the shipped sizes and tokenizer, and untrained weights."""
    torch.manual_seed(0)
    config = ScoreModelConfig.from_json(json.loads((BUILTIN_DIRECTORY / CONFIG).read_text()))
    save_builtin(directory, ScoreModel(config), BUILTIN_DIRECTORY / TOKENIZER, {})


def codec_f1(asked: list[Prompt]) -> tuple[float, float]:
    """Note F1 of encoding and decoding the composer's pieces, clean and with noise on the latents."""
    scores = [prompt.piece.score for prompt in asked]
    results = []
    for deviation in (0.0, NOISE_DEVIATION):
        again = []
        for prompt in asked:
            score = prompt.piece.score
            latents = encode(score)
            noise = np.random.default_rng(prompt.seed).normal(0.0, deviation, latents.shape)
            programs: dict[Role, int] = {track.role: track.program for track in score.tracks}
            again.append(decode(latents + noise, score.grid, score.key, programs, duration_s=score.duration_s))
        results.append(note_f1(scores, again))
    return results[0], results[1]


def passes(heard: list[Heard]) -> bool:
    """Whether these songs meet every bar."""
    return (
        sum(one.tempo_met for one in heard) >= TEMPO_BAR
        and sum(one.key_met for one in heard) >= KEY_BAR
        and all(one.sound for one in heard)
    )


def row(name: str, heard: list[Heard]) -> str:
    """One line of the table."""
    on_grid = [one.drums_on_grid for one in heard if one.drums_on_grid is not None]
    counts = [sum(getattr(one, bar) for one in heard) for bar in ("tempo_met", "key_met", "sound")]
    cells = [f"{count:3d}/{len(heard):<4}" for count in counts]
    cells.append(f"{np.mean([one.in_scale for one in heard]):9.3f}")
    cells.append(f"{np.mean(on_grid) if on_grid else float('nan'):9.3f}")
    cells.append(f"{np.mean([one.notes for one in heard]):7.0f}")
    cells.append(f"{np.median([one.seconds for one in heard]):8.2f}")
    return f"{name:10}" + "".join(cells) + ("   pass" if passes(heard) else "   fail")


def main() -> int:
    parser = argparse.ArgumentParser(description="Weigh the built-in model against its bars.")
    parser.add_argument("--weights", type=Path, default=BUILTIN_DIRECTORY, help="directory of the model's files")
    parser.add_argument("--threads", type=int, help="threads of the engine; default: what it finds best")
    parser.add_argument("--pictures", type=Path, help="write a mel spectrogram and piano roll of each song here")
    parser.add_argument("--json", type=Path, help="write every measure of every song here")
    given = parser.parse_args()

    asked = prompts()
    clean, noisy = codec_f1(asked)
    print(f"codec: note F1 {clean:.4f} clean, {noisy:.4f} with noise of {NOISE_DEVIATION} on the latents")
    print("             tempo     key   sound in scale  on grid  notes  s/song")
    trained = songs_of(given.weights, asked, given.threads, given.pictures)
    print(row("trained", trained), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        random_weights(Path(folder))
        try:
            random = songs_of(Path(folder), asked, given.threads)
        except PartitaError as error:
            print(f"random     no songs: {error}")
            random = []
    if random:
        print(row("random", random), flush=True)
    composed = []
    for prompt in asked:
        began = time.perf_counter()
        audio = play(prompt.piece.score, sample_rate_hz=RATE_HZ)
        composed.append(hear(prompt, prompt.piece.score, audio, time.perf_counter() - began))
    print(row("composer", composed))
    print(f"bars: tempo {TEMPO_BAR}, key {KEY_BAR}, sound {SONGS} of {SONGS}; random weights must fail")
    if given.json is not None:
        groups = {"trained": trained, "random": random, "composer": composed}
        given.json.write_text(
            json.dumps({name: [asdict(one) for one in heard] for name, heard in groups.items()}, indent=1)
        )
    good = passes(trained) and not (random and passes(random)) and clean >= CODEC_BAR and noisy >= NOISY_CODEC_BAR
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
