"""The built-in model against its bars: 200 songs of 20 s from prompts it never saw. `python benches/builtin_bars.py`

Each prompt is a caption with tempo, metre and key of a piece from the bench's own seeds, in one of six languages and in
wordings that training never uses. The same measures are taken of
songs with the trained weights, with random weights (which must fail) and of the composer's own pieces, the ceiling.
The composer is used here to make prompts and that ceiling; the engine that makes the songs never imports it.

Bars, as shares of the songs they apply to: tempo heard within 2 % (half and double count), key of the notes the same,
key the same or its relative, metre of the notes, drums where the caption names them and none where it says so, the lead
played by the instrument that the caption names for it, notes in the scale, a natural ending, nothing silent, clipped
or broken. Of the collection: Fréchet distance of score features to held-out pieces over that between two halves of
these, and the longest run of lead notes shared with a training piece over that of held-out pieces. Of songs of 90 s:
how much of a section returns when its kind does, over that of the composer's.

Exits 1 where the trained weights miss a bar or random ones meet all. `--pictures DIR` draws every song with trained
weights, and the table as a figure.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from partita.engine.engine import Engine
from partita.errors import PartitaError
from partita.measure.defects import defects
from partita.measure.ending import ending_of
from partita.measure.key import key_of_notes, relation
from partita.measure.metre import metre_of
from partita.measure.recurrence import SharedRuns, section_returns, tokens_of
from partita.measure.score_statistics import frechet_distance, score_features
from partita.measure.tempo import same_tempo, tempo
from partita.models.score_model import ScoreModel, ScoreModelConfig
from partita.runtime import Runtime
from partita.score.codec import decode, encode
from partita.score.keys import parse_key, scale_pitch_classes
from partita.score.matching import note_f1
from partita.score.sampler import play
from partita.score.types import Role, Score
from partita.song.request import SongRequest
from partita.training.composer import Caption, Piece, compose, describe
from partita.training.corpus import BENCH_SEEDS, HELD_OUT_SEEDS, TRAINING_SEEDS, duration_of
from partita.weights.builtin import BUILTIN_DIRECTORY, CONFIG, TOKENIZER, save_builtin
from pictures import draw

SONGS, DURATION_S, RATE_HZ = 200, 20.0, 48_000
LONG_SONGS, LONG_S = 24, 90.0
TRAINED_PIECES = 16_000
TEMPO_TOLERANCE = 0.02
BARS = {
    "tempo": 0.95, "key": 0.85, "relative": 0.95, "metre": 0.90, "drums": 0.98, "lead": 0.90, "ending": 0.90,
    "sound": 1.0,
}  # fmt: skip
SCALE_BAR, FRECHET_BAR, RETURN_BAR = 0.92, 1.3, 0.8
NOISE_DEVIATION = 0.25
CODEC_BAR, NOISY_CODEC_BAR = 0.99, 0.97
LONGEST_REST_S = 4.0  # of a song that is not silent; slow music may rest for a bar
FEWEST_LEAD_NOTES = 8


@dataclass(frozen=True)
class Prompt:
    """What is asked for, and the piece it was taken from."""

    seed: int
    said: Caption
    piece: Piece

    @property
    def caption(self) -> str:
        return self.said.text

    @property
    def bpm(self) -> float:
        return self.piece.score.grid.bpm

    @property
    def key(self) -> str:
        return self.piece.score.key

    @property
    def wants_drums(self) -> bool | None:
        """What the caption says of drums, if it does."""
        if "drums" in self.said.missing:
            return False
        return True if any(player.role == "drums" for player in self.said.players) else None

    @property
    def lead(self) -> frozenset[int] | None:
        """Programs of the lead, where the caption names its instrument as that of the tune."""
        return next((one.programs for one in self.said.players if one.role == "lead" and one.said), None)


@dataclass(frozen=True)
class Heard:
    """Measures of one song; a bar that does not apply to it is none. `drums_on_grid`: share of hits within 25 ms of a
    sixteenth, none without drums."""

    seed: int
    caption: str
    met: dict[str, bool | None]
    heard_bpm: float | None
    asked_bpm: float
    heard_key: str | None
    asked_key: str
    heard_metre: str | None
    asked_metre: str
    ending: dict[str, bool]
    in_scale: float
    drums_on_grid: float | None
    notes: int
    roles: tuple[str, ...]
    seconds: float


def prompts(count: int = SONGS, duration_s: float = DURATION_S) -> list[Prompt]:
    """The bench's prompts: a function of its seeds alone."""
    pieces = [(seed, compose(seed, duration_s=duration_s)) for seed in BENCH_SEEDS[:count]]
    return [Prompt(seed, describe(piece, seed, held_out=True), piece) for seed, piece in pieces]


def hear(prompt: Prompt, score: Score, audio: np.ndarray, seconds: float) -> Heard:
    """Measure one song."""
    notes = [note for track in score.tracks if not track.is_drums for note in track.notes]
    pulse = tempo(audio, RATE_HZ).bpm
    key = key_of_notes([n.pitch for n in notes], [n.duration_s for n in notes]).name if notes else None
    related = relation(prompt.key, key) if key is not None else "other"
    metre, asked_metre = metre_of(score).name, prompt.piece.score.grid.time_signature
    scale = scale_pitch_classes(*parse_key(prompt.key))
    ending = ending_of(score, audio, RATE_HZ)
    return Heard(
        seed=prompt.seed,
        caption=prompt.caption,
        met={
            "tempo": pulse is not None and same_tempo(pulse, prompt.bpm, tolerance=TEMPO_TOLERANCE),
            "key": related == "same",
            "relative": related in ("same", "relative"),
            "metre": metre == asked_metre,
            "drums": None if prompt.wants_drums is None else prompt.wants_drums == (score.track("drums") is not None),
            "lead": None if prompt.lead is None else _carries(score, prompt.lead),
            "ending": ending.is_natural,
            "sound": _is_sound(audio),
        },
        heard_bpm=pulse,
        asked_bpm=prompt.bpm,
        heard_key=key,
        asked_key=prompt.key,
        heard_metre=metre,
        asked_metre=asked_metre,
        ending=asdict(ending),
        in_scale=float(np.mean([n.pitch % 12 in scale for n in notes])) if notes else 0.0,
        drums_on_grid=drums_on_grid(score),
        notes=sum(len(track.notes) for track in score.tracks),
        roles=tuple(track.role for track in score.tracks),
        seconds=seconds,
    )


def _carries(score: Score, programs: frozenset[int]) -> bool:
    """Whether one of these programs plays the lead, and enough of it to be a tune."""
    lead = score.track("lead")
    return lead is not None and lead.program in programs and len(lead.notes) >= FEWEST_LEAD_NOTES


def _is_sound(audio: np.ndarray) -> bool:
    faults = defects(audio, RATE_HZ)
    return bool(
        faults.nan_samples + faults.infinite_samples == 0
        and faults.clipped_runs == 0
        and faults.longest_silence_s < LONGEST_REST_S
        and len(audio) == round(DURATION_S * RATE_HZ)
    )


def drums_on_grid(score: Score) -> float | None:
    """Share of drum hits within 25 ms of a sixteenth (in 6/8: of a sixth of the beat); none without drums."""
    drums = score.track("drums")
    if drums is None:
        return None
    step_s = score.grid.beat_s / (6 if score.grid.time_signature == "6/8" else 4)
    places = np.array([note.start_s - score.grid.offset_s for note in drums.notes]) / step_s
    return float(np.mean(np.abs(places - np.round(places)) * step_s <= 0.025))


@dataclass(frozen=True)
class Made:
    """Songs of one maker: what was heard, and the scores."""

    name: str
    heard: list[Heard]
    scores: list[Score]
    long_scores: list[Score]


def request_of(prompt: Prompt, duration_s: float) -> SongRequest:
    """The prompt as a request."""
    grid = prompt.piece.score.grid
    return SongRequest(
        model="built-in",
        caption=prompt.caption,
        bpm=round(grid.bpm),
        key=prompt.key,
        time_signature=grid.time_signature,  # pyright: ignore[reportArgumentType]
        duration_s=duration_s,
        seed=prompt.seed,
    )


def songs_of(
    directory: Path,
    asked: list[Prompt],
    long: list[Prompt],
    threads: int | None,
    name: str,
    pictures: Path | None = None,
) -> Made:
    """Make and measure a song of every prompt with the weights in `directory`."""
    engine = Engine(runtime=Runtime.detect(threads=threads), checkpoint_dir=directory)
    engine.generate(SongRequest(model="built-in", caption="warm up", duration_s=1.0, seed=0))
    heard, scores = [], []
    for prompt in asked:
        began = time.perf_counter()
        song = engine.generate(request_of(prompt, DURATION_S))
        seconds = time.perf_counter() - began
        assert song.score is not None  # the built-in model always makes one
        heard.append(hear(prompt, song.score, song.audio, seconds))
        scores.append(song.score)
        if pictures is not None:
            draw(song.score, song.audio, pictures / f"{prompt.seed}.png", prompt.caption)
    longer = [engine.generate(request_of(prompt, LONG_S)).score for prompt in long]
    return Made(name, heard, scores, [score for score in longer if score is not None])


def composed(asked: list[Prompt], long: list[Prompt]) -> Made:
    """The composer's own pieces, as if they were answers to their prompts."""
    heard = []
    for prompt in asked:
        began = time.perf_counter()
        audio = play(prompt.piece.score, sample_rate_hz=RATE_HZ)
        heard.append(hear(prompt, prompt.piece.score, audio, time.perf_counter() - began))
    return Made("composer", heard, [one.piece.score for one in asked], [one.piece.score for one in long])


@dataclass(frozen=True)
class Yardstick:
    """What collections are compared with: two sets of held-out pieces, and the tunes that were trained on."""

    first: list[Score]
    second: list[Score]
    tunes: SharedRuns

    @classmethod
    def lay(cls, count: int) -> Yardstick:
        first, second = (
            [compose(seed, duration_s=DURATION_S).score for seed in HELD_OUT_SEEDS[start : start + count]]
            for start in (500_000, 600_000)
        )
        trained = (compose(seed, duration_s=duration_of(seed)).score for seed in TRAINING_SEEDS[:TRAINED_PIECES])
        return cls(first, second, SharedRuns(tokens_of(score, "lead") for score in trained))

    def frechet(self, scores: Sequence[Score]) -> float:
        """Distance of `scores` to one half, over that of the other half to it."""
        one, two, ours = (
            np.array([score_features(score) for score in part]) for part in (self.first, self.second, scores)
        )
        scale = np.concatenate([one, two]).std(axis=0)
        return frechet_distance(ours, one, scale) / frechet_distance(two, one, scale)

    def longest_run(self, scores: Sequence[Score]) -> int:
        return max((self.tunes.longest(tokens_of(score, "lead")) for score in scores), default=0)


@dataclass(frozen=True)
class Verdict:
    """Every bar of one maker: shares, and the numbers of the collection."""

    shares: dict[str, float]
    in_scale: float
    frechet: float
    longest_run: int
    allowed_run: int
    returns: float
    composer_returns: float

    @property
    def misses(self) -> list[str]:
        """Names of the bars that are missed."""
        missed = [name for name, bar in BARS.items() if self.shares[name] < bar]
        missed += ["scale"] if self.in_scale < SCALE_BAR else []
        missed += ["frechet"] if self.frechet > FRECHET_BAR else []
        missed += ["copying"] if self.longest_run > self.allowed_run else []
        return missed + (["returns"] if self.returns < RETURN_BAR * self.composer_returns else [])


def judge(made: Made, yardstick: Yardstick, reference: Made) -> Verdict:
    """Weigh one maker's songs; `reference` are the composer's."""
    shares = {}
    for name in BARS:
        applies = [one.met[name] for one in made.heard if one.met[name] is not None]
        shares[name] = float(np.mean(applies)) if applies else float("nan")
    return Verdict(
        shares=shares,
        in_scale=float(np.mean([one.in_scale for one in made.heard])),
        frechet=yardstick.frechet(made.scores),
        longest_run=yardstick.longest_run(made.scores),
        allowed_run=yardstick.longest_run(reference.scores),
        returns=_returns(made.long_scores),
        composer_returns=_returns(reference.long_scores),
    )


def _returns(scores: Sequence[Score]) -> float:
    same = [found.same for found in map(section_returns, scores) if found.same is not None]
    return float(np.mean(same)) if same else float("nan")


def table(verdicts: dict[str, Verdict], mades: dict[str, Made]) -> str:
    """One column a maker, one row a bar."""
    lines = [f"{'':24}{'bar':>8}" + "".join(f"{name:>15}" for name in verdicts)]

    def row(name: str, bar: str, cells: list[str]) -> None:
        lines.append(f"{name:24}{bar:>8}" + "".join(f"{cell:>15}" for cell in cells))

    found = list(verdicts.values())
    for name, bar in BARS.items():
        counts = [[one.met[name] for one in made.heard if one.met[name] is not None] for made in mades.values()]
        row(name, f"{bar:.2f}", [f"{sum(map(bool, c))}/{len(c)} {np.mean(c):.3f}" if c else "-" for c in counts])
    row("notes in scale", f"{SCALE_BAR:.2f}", [f"{one.in_scale:.3f}" for one in found])
    row("Fréchet / halves", f"{FRECHET_BAR:.2f}", [f"{one.frechet:.2f}" for one in found])
    row("longest shared run", str(found[0].allowed_run), [str(one.longest_run) for one in found])
    row("sections return", f"{RETURN_BAR * found[0].composer_returns:.2f}", [f"{one.returns:.2f}" for one in found])
    row("notes a song", "", [f"{np.mean([h.notes for h in made.heard]):.0f}" for made in mades.values()])
    row("seconds a song", "", [f"{np.median([h.seconds for h in made.heard]):.2f}" for made in mades.values()])
    row("misses", "", [str(len(one.misses)) for one in found])
    return "\n".join(lines)


def plot(verdicts: dict[str, Verdict], path: Path) -> None:
    """The shares as bars beside what is wanted."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(12, 4))
    places = np.arange(len(BARS))
    for number, (name, one) in enumerate(verdicts.items()):
        axes.bar(places + 0.25 * (number - 1), list(one.shares.values()), width=0.25, label=name)
    for place, bar in zip(places, BARS.values(), strict=True):
        axes.hlines(bar, place - 0.4, place + 0.4, colors="black")
    axes.set_xticks(places, list(BARS))
    axes.set_ylabel("share of songs")
    axes.legend(loc="lower right")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def random_weights(directory: Path) -> None:
    """Model files with the shipped sizes and tokenizer, and untrained weights."""
    torch.manual_seed(0)
    config = ScoreModelConfig.from_json(json.loads((BUILTIN_DIRECTORY / CONFIG).read_text()))
    save_builtin(directory, ScoreModel(config), BUILTIN_DIRECTORY / TOKENIZER, {})


def codec_f1(asked: list[Prompt]) -> tuple[float, float, float]:
    """Note F1 (onsets within 15 ms) of encoding and decoding the composer's pieces, clean and with noise on the
    latents, and the mean difference of velocities of the clean ones."""
    scores = [prompt.piece.score for prompt in asked]
    results, clean = [], []
    for deviation in (0.0, NOISE_DEVIATION):
        again = []
        for prompt, score in zip(asked, scores, strict=True):
            latents = encode(score)
            noise = np.random.default_rng(prompt.seed).normal(0.0, deviation, latents.shape)
            programs: dict[Role, int] = {track.role: track.program for track in score.tracks}
            again.append(decode(latents + noise, score.grid, score.key, programs, duration_s=score.duration_s))
        clean = clean or again
        results.append(note_f1(scores, again, tolerance_s=0.015))
    return results[0], results[1], velocity_error(scores, clean)


def velocity_error(wanted: Sequence[Score], got: Sequence[Score]) -> float:
    """Mean difference of velocity, of 127, over the notes of the same role and pitch that begin within 15 ms."""
    gaps = []
    for one, other in zip(wanted, got, strict=True):
        for track in one.tracks:
            again = other.track(track.role)
            at = {(round(n.start_s * 50), n.pitch): n for n in (again.notes if again is not None else ())}
            for note in track.notes:
                found = at.get((round(note.start_s * 50), note.pitch))
                if found is not None and abs(found.start_s - note.start_s) <= 0.015:
                    gaps.append(abs(found.velocity - note.velocity))
    return float(np.mean(gaps)) if gaps else float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(description="Weigh the built-in model against its bars.")
    parser.add_argument("--weights", type=Path, default=BUILTIN_DIRECTORY, help="directory of the model's files")
    parser.add_argument("--songs", type=int, default=SONGS, help="fewer for a quick look; bars are made for 200")
    parser.add_argument("--threads", type=int, help="threads of the engine; default: what it finds best")
    parser.add_argument("--pictures", type=Path, help="write a mel spectrogram and piano roll of each song here")
    parser.add_argument("--json", type=Path, help="write every measure of every song here")
    given = parser.parse_args()

    asked = prompts(given.songs)
    long = [replace(one, piece=compose(one.seed, duration_s=LONG_S)) for one in asked[:LONG_SONGS]]
    clean, noisy, velocity = codec_f1(asked)
    print(f"codec: note F1 {clean:.4f} clean, {noisy:.4f} with noise of {NOISE_DEVIATION} on the latents; ", end="")
    print(f"velocity off by {velocity:.2f} of 127", flush=True)
    yardstick = Yardstick.lay(given.songs)
    trained = songs_of(given.weights, asked, long, given.threads, "trained", given.pictures)
    mades = {"trained": trained}
    with tempfile.TemporaryDirectory() as folder:
        random_weights(Path(folder))
        try:
            mades["random"] = songs_of(Path(folder), asked, long, given.threads, "random")
        except PartitaError as error:
            print(f"random     no songs: {error}")
    mades["composer"] = composed(asked, long)
    verdicts = {name: judge(made, yardstick, mades["composer"]) for name, made in mades.items()}
    print(table(verdicts, mades))
    print(f"trained weights miss: {', '.join(verdicts['trained'].misses) or 'nothing'}")
    if given.pictures is not None:
        plot(verdicts, given.pictures / "bars.png")
    if given.json is not None:
        groups = {name: [asdict(one) for one in made.heard] for name, made in mades.items()}
        given.json.write_text(json.dumps(groups, indent=1, default=lambda number: number.item()))
    random_fails = "random" not in verdicts or bool(verdicts["random"].misses)
    good = not verdicts["trained"].misses and random_fails and clean >= CODEC_BAR and noisy >= NOISY_CODEC_BAR
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
