"""The renderer on tiny random networks: lengths, seeds, schedules and streaming. Exactness is the golden runner's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from partita.errors import ModelError
from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.model import AceStepModel
from partita.models.oobleck import OobleckConfig, OobleckVAE
from partita.models.qwen3 import Qwen3, Qwen3Config
from partita.planner.rules import RulePlanner
from partita.render.acestep15.recipe import latent_frames
from partita.render.acestep15.renderer import AceStep15Renderer
from partita.render.protocol import AudioChunk, Job, LatentsReady, Noted, StageStarted, StepDone
from partita.song.request import Sampling, SongRequest
from partita.song.resolve import resolve
from partita.text.tokenizers import TextTokenizer
from partita.weights.catalog import card
from tests.fakes import fake_runtime
from tests.text.test_tokenizers import write_tokenizer

RATE = 48_000


class TinyParts:
    """Random networks in the shapes of the published ones, but narrow."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_key_value_heads": 1}
        config = AceStepConfig(
            **sizes,
            num_hidden_layers=2,
            head_dim=16,
            in_channels=192,
            audio_acoustic_hidden_dim=64,
            text_hidden_dim=32,
            num_lyric_encoder_hidden_layers=2,
            num_timbre_encoder_hidden_layers=2,
        )
        model = AceStepModel(config).eval()
        words = Qwen3Config(**sizes, num_hidden_layers=1, head_dim=16, vocab_size=tokenizer.size)
        vae = OobleckConfig(encoder_hidden_size=4, channel_multiples=(1, 1, 1, 1, 2), decoder_channels=4)
        self.parts: dict[str, Any] = {
            "text_encoder": SimpleNamespace(tokenizer=tokenizer, model=Qwen3(words).eval()),
            "conditioner": SimpleNamespace(encoder=model.encoder, null_condition_emb=model.null_condition_emb),
            "transformer": model.decoder,
            "vae": OobleckVAE(vae).eval(),
            "silence_latent": torch.randn(15_000, 64) * 0.1,
        }

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        yield self.parts[name]


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> TinyParts:
    folder = write_tokenizer(tmp_path_factory.mktemp("tokenizer"), appends=True)
    return TinyParts(TextTokenizer.load(folder))


def render(parts, *, model="ace-step-1.5-turbo", seed=1, latents=None, **fields) -> list[Any]:
    resolved = resolve(SongRequest(**{"caption": "x", "duration_s": 5.12, "seed": seed, **fields}), card(model))
    plan = RulePlanner(complete=False).plan(resolved, seed)
    return [
        told.event for told in AceStep15Renderer().render([Job(resolved, plan, latents=latents)], parts, fake_runtime())
    ]


def audio(events: list[Any]) -> np.ndarray:
    return np.concatenate([event.samples for event in events if isinstance(event, AudioChunk)])


def latents(events: list[Any]) -> torch.Tensor:
    return next(event.latents for event in events if isinstance(event, LatentsReady))


@pytest.mark.parametrize("duration", [1, 1.3337, 5.12, 7.001, 24.9])
def test_a_song_is_exactly_as_long_as_asked(parts, duration):
    assert len(audio(render(parts, duration_s=duration))) == round(duration * RATE)


@pytest.mark.parametrize(("duration", "frames"), [(1, 25), (5.3, 132), (7.04, 175), (30, 750), (599.97, 15_000)])
def test_in_parity_lengths_are_the_originals(duration, frames):
    assert latent_frames(duration, parity=True) == frames


def test_in_parity_short_songs_are_not_cut(parts):
    assert len(audio(render(parts, duration_s=1, parity=True))) == 128 * 1920


def test_a_seed_gives_the_same_song_and_another_seed_another(parts):
    first, again, other = (audio(render(parts, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_chunks_follow_each_other_without_gaps(parts):
    chunks = [event for event in render(parts, duration_s=41) if isinstance(event, AudioChunk)]
    assert len(chunks) > 1
    position = 0
    for chunk in chunks:
        assert chunk.start == position
        position += len(chunk.samples)
    assert position == chunks[0].total == 41 * RATE


def test_stages_and_steps_are_told(parts):
    events = render(parts)
    assert [event.name for event in events if isinstance(event, StageStarted)] == [
        "text",
        "conditions",
        "sample",
        "decode",
    ]
    assert [event.index for event in events if isinstance(event, StepDone)] == list(range(1, 9))


def test_kept_latents_give_the_same_audio_without_sampling(parts):
    whole = render(parts)
    rest = render(parts, latents=latents(whole))
    assert not any(isinstance(event, StepDone) for event in rest)
    np.testing.assert_array_equal(audio(rest), audio(whole))


@pytest.mark.parametrize(
    ("model", "sampling", "steps"),
    [
        ("ace-step-1.5-turbo", {"timesteps": (1.0, 0.7, 0.3)}, 3),
        ("ace-step-1.5-turbo", {"timesteps": (1.0, 0.71, 0.31), "timesteps_verbatim": True}, 3),
        ("ace-step-1.5-turbo", {"shift": 1}, 8),
        ("ace-step-1.5-turbo-continuous", {"shift": 4.5}, 8),
        ("ace-step-1.5-xl-turbo", {"steps": 12}, 12),
        ("ace-step-1.5-base", {"steps": 4}, 4),
        ("ace-step-1.5-base", {"steps": 4, "guidance_scale": 1}, 4),
        ("ace-step-1.5-base", {"steps": 4, "guidance": "adg"}, 4),
        ("ace-step-1.5-base", {"steps": 4, "guidance": "cfg", "guidance_interval": (0.2, 0.8)}, 4),
        ("ace-step-1.5-sft", {"timesteps": (1.0, 0.5, 0.2, 0.0)}, 3),
    ],
)
def test_every_sampler_setting_changes_the_song(parts, model, sampling, steps):
    plain = render(parts, model=model)
    chosen = render(parts, model=model, sampling=Sampling(**sampling))
    assert sum(isinstance(event, StepDone) for event in chosen) == steps
    assert not torch.equal(latents(chosen), latents(plain))


def test_snapped_and_verbatim_timesteps_differ(parts):
    snapped = render(parts, sampling=Sampling(timesteps=(1.0, 0.71, 0.31)))
    verbatim = render(parts, sampling=Sampling(timesteps=(1.0, 0.71, 0.31), timesteps_verbatim=True))
    assert not torch.equal(latents(snapped), latents(verbatim))


def test_the_stochastic_solver_is_seeded(parts):
    first, again = (render(parts, sampling=Sampling(solver="sde")) for _ in range(2))
    assert torch.equal(latents(first), latents(again))
    assert not torch.equal(latents(first), latents(render(parts)))


def test_words_that_are_cut_are_noted(parts):
    notes = [event.message for event in render(parts, caption="word " * 400) if isinstance(event, Noted)]
    assert len(notes) == 1
    assert notes[0].startswith("The caption")
    assert not any(isinstance(event, Noted) for event in render(parts, caption="x"))


def test_latents_that_are_not_finite_are_an_error(parts):
    broken = TinyParts.__new__(TinyParts)
    broken.parts = {**parts.parts, "silence_latent": torch.full((15_000, 64), float("nan"))}
    with pytest.raises(ModelError, match="not finite"):
        render(broken)
