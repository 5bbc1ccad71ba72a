"""The built-in renderer on a tiny random network: lengths, seeds, instruments, windows. The bench weighs the music."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from partita.errors import ModelError, RequestError
from partita.models.score_caption import Likelihoods
from partita.models.score_model import ScoreModel, ScoreModelConfig
from partita.planner.rules import RulePlanner
from partita.render.builtin.casting import choose_cast
from partita.render.builtin.renderer import SAMPLE_RATE_HZ, BuiltInRenderer
from partita.render.builtin.windows import CONTINUED_FRAMES, WINDOW_FRAMES, windows_for
from partita.render.protocol import AudioChunk, Job, LatentsReady, RenderEvent, ScoreReady, StageStarted, StepDone
from partita.score.codec import CHANNELS, LAYOUT, ONSET_THRESHOLD
from partita.score.grid import frame_count
from partita.score.instruments import programs_for
from partita.score.keys import parse_key, scale_pitch_classes
from partita.score.styles import STYLES
from partita.song.request import Sampling, SongRequest
from partita.song.resolve import resolve
from partita.training.tokens import train_tokenizer
from partita.weights.builtin import BUILTIN_DIRECTORY, BuiltInLoader, BuiltInParts, save_builtin
from partita.weights.catalog import card
from tests.fakes import fake_runtime

TINY = ScoreModelConfig(
    vocab_size=300,
    condition_size=24,
    hidden_size=32,
    intermediate_size=48,
    layers=2,
    heads=2,
    key_value_heads=1,
    head_dim=16,
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    train_tokenizer(["slow piano", "fast drums"], directory / "made.json", TINY.vocab_size)
    torch.manual_seed(0)
    save_builtin(directory, ScoreModel(TINY), directory / "made.json", {})
    return directory


class OneModel:
    """Parts of a directory."""

    def __init__(self, directory: Path) -> None:
        self.model: BuiltInParts = BuiltInLoader("cpu", torch.float32, directory).load("score_model")

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        assert name == "score_model"
        yield self.model


@pytest.fixture(scope="module")
def parts(directory: Path) -> OneModel:
    return OneModel(directory)


def render(
    parts: OneModel, seed: int = 1, latents: torch.Tensor | None = None, sampling: Sampling | None = None, **fields: Any
) -> list[RenderEvent]:
    request = SongRequest(
        caption=fields.pop("caption", "slow piano"), seed=seed, sampling=sampling or Sampling(steps=2), **fields
    )
    resolved = resolve(request, card("built-in"))
    plan = RulePlanner(complete=True).plan(resolved, seed)
    return [
        told.event for told in BuiltInRenderer().render([Job(resolved, plan, latents=latents)], parts, fake_runtime())
    ]


def latents_of(events: list[RenderEvent]) -> torch.Tensor:
    return next(event.latents for event in events if isinstance(event, LatentsReady))


def audio_of(events: list[RenderEvent]) -> np.ndarray:
    return np.concatenate([event.samples for event in events if isinstance(event, AudioChunk)])


@pytest.mark.parametrize("duration_s", [1.0, 3.33, 20.0, 20.08, 41.7])
def test_a_song_is_as_long_as_asked(parts: OneModel, duration_s: float) -> None:
    events = render(parts, duration_s=duration_s)
    assert latents_of(events).shape == (frame_count(duration_s), CHANNELS)
    assert audio_of(events).shape == (round(duration_s * SAMPLE_RATE_HZ), 2)
    assert next(event.score for event in events if isinstance(event, ScoreReady)).duration_s == duration_s


def test_events_come_in_the_order_promised(parts: OneModel) -> None:
    events = render(parts, duration_s=30.0, sampling=Sampling(steps=3))
    kinds = [type(event) for event in events if not isinstance(event, StepDone)]
    early = [kind for kind in kinds if kind is not AudioChunk]
    assert early == [StageStarted, StageStarted, LatentsReady, ScoreReady, StageStarted]
    assert kinds[-1] is AudioChunk
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.index for event in steps] == [1, 2, 3, 4, 5, 6]  # two windows of three steps
    assert {event.count for event in steps} == {6}


def test_same_seed_same_song_other_seed_another(parts: OneModel) -> None:
    one, again, other = (render(parts, seed, duration_s=4.0) for seed in (5, 5, 6))
    assert torch.equal(latents_of(one), latents_of(again))
    np.testing.assert_array_equal(audio_of(one), audio_of(again))
    assert not torch.equal(latents_of(one), latents_of(other))


def test_given_latents_are_played_without_sampling(parts: OneModel) -> None:
    first = render(parts, duration_s=4.0)
    again = render(parts, duration_s=4.0, latents=latents_of(first))
    assert not any(isinstance(event, StepDone) for event in again)
    np.testing.assert_array_equal(audio_of(first), audio_of(again))


def test_guidance_changes_the_song(parts: OneModel) -> None:
    plain, guided = (
        latents_of(render(parts, duration_s=4.0, sampling=Sampling(steps=2, guidance_scale=scale))) for scale in (1, 4)
    )
    assert not torch.allclose(plain, guided)


def test_tempo_metre_and_key_are_the_request_s(parts: OneModel) -> None:
    events = render(parts, duration_s=8.0, bpm=97, key="Eb minor", time_signature="3/4")
    score = next(event.score for event in events if isinstance(event, ScoreReady))
    assert (score.grid.bpm, score.grid.time_signature, score.key) == (97.0, "3/4", "Eb minor")
    bars = latents_of(events)[:, LAYOUT.grid][:, 2]
    assert bars[0] > 0.99
    assert bars[round(25 * score.grid.bar_s)] > 0.95


def test_instruments_are_some_of_each_role_s_own(parts: OneModel) -> None:
    model, tokens = parts.model.model, parts.model.tokens
    with torch.no_grad():
        heard = model.reader(*tokens(["slow piano"]))
    casts = [choose_cast(heard, seed) for seed in range(40)]
    for cast in casts:
        assert cast.programs
        assert all(program in programs_for(role) for role, program in cast.programs.items())
    assert len({cast.numbers() for cast in casts}) > 10
    assert casts[3] == choose_cast(heard, 3)


def test_what_is_likely_is_chosen() -> None:
    sure = Likelihoods(torch.zeros(1, 21), torch.zeros(1, 3), torch.full((1, 6), -40.0), torch.zeros(1, 6, 16))
    sure.style[0, STYLES.index("reggae")] = 40.0
    sure.energy[0, 2] = 40.0
    sure.presence[0, [0, 5]] = 40.0
    sure.programs[0, 5, programs_for("lead").index(73)] = 40.0
    for seed in range(10):
        cast = choose_cast(sure, seed)
        assert (cast.style, cast.energy) == ("reggae", "high")
        assert list(cast.programs) == ["drums", "lead"]
        assert cast.programs["lead"] == 73


def test_roles_that_do_not_play_stay_silent(parts: OneModel) -> None:
    events = render(parts, duration_s=8.0)
    score = next(event.score for event in events if isinstance(event, ScoreReady))
    latents = latents_of(events).numpy()
    silent = [role for role in LAYOUT.mono if score.track(role) is None]
    for role in silent:
        assert not (latents[:, LAYOUT.mono[role].start] > ONSET_THRESHOLD).any()


@pytest.mark.parametrize("frames", [1, 25, 499, 500, 501, 800, 801, 2000, 15_000])
def test_windows_cover_a_song_without_gaps(frames: int) -> None:
    windows = windows_for(frames, [(0, frames)])
    made = [span for window in windows for span in window.spans]
    assert [made[0][0], made[-1][1]] == [0, frames]
    assert all(window.stop - window.start <= WINDOW_FRAMES for window in windows)
    for (_, written), (first, _), window in zip(made, made[1:], windows[1:], strict=False):
        assert first == written
        assert first - window.start >= CONTINUED_FRAMES


def test_a_longer_song_is_finite_to_its_end(parts: OneModel) -> None:
    latents = latents_of(render(parts, duration_s=44.0, bpm=100, key="C major"))
    assert torch.isfinite(latents).all()
    assert latents[-200:, : LAYOUT.grid.start].std() > 0.1  # written, not left as silence


def test_a_plan_without_tempo_is_refused(parts: OneModel) -> None:
    resolved = resolve(SongRequest(caption="piano", seed=1), card("built-in"))
    plan = RulePlanner(complete=False).plan(resolved, 1)
    with pytest.raises(RequestError, match="tempo"):
        list(BuiltInRenderer().render([Job(resolved, plan)], parts, fake_runtime()))


def test_missing_and_damaged_files_are_named(directory: Path, tmp_path: Path) -> None:
    loader = BuiltInLoader("cpu", torch.float32, tmp_path)
    with pytest.raises(ModelError, match=r"config\.json"):
        loader.load("score_model")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes((directory / name).read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        loader.load("score_model")


def test_the_fingerprint_tells_weights_apart(directory: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    save_builtin(tmp_path, ScoreModel(TINY), directory / "tokenizer.json", {})
    one, other = (BuiltInLoader("cpu", torch.float32, path).fingerprint() for path in (directory, tmp_path))
    assert one["tokenizer.json"] == other["tokenizer.json"]
    assert one["model.safetensors"] != other["model.safetensors"]


def test_the_shipped_weights_write_music_in_key_and_on_the_beat() -> None:
    events = render(
        OneModel(BUILTIN_DIRECTORY),
        caption="house with drums and bass",
        duration_s=10.0,
        key="F# minor",
        sampling=Sampling(),
    )
    score = next(event.score for event in events if isinstance(event, ScoreReady))
    pitches = [note.pitch for track in score.tracks if not track.is_drums for note in track.notes]
    scale = scale_pitch_classes(*parse_key("F# minor"))
    assert len(pitches) > 20
    assert np.mean([pitch % 12 in scale for pitch in pitches]) > 0.85
    drums = score.track("drums")
    assert drums is not None
    sixteenths = np.array([note.start_s for note in drums.notes]) / (score.grid.beat_s / 4)
    assert np.mean(np.abs(sixteenths - sixteenths.round()) < 0.25) > 0.8
    assert 0.05 < np.abs(audio_of(events)).max() <= 1.0
