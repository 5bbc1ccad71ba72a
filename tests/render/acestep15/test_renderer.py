"""The renderer on tiny random networks: lengths, seeds, schedules and streaming. Exactness is the golden runner's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from partita.errors import ModelError
from partita.render.acestep15.recipe import latent_frames
from partita.render.protocol import AudioChunk, Noted, StageStarted, StepDone
from partita.song.request import Sampling
from tests.render.acestep15.tiny import RATE, audio_of, job_of, latents_of, render_job


def render(parts, **fields) -> list[Any]:
    return render_job(parts, job_of(**fields))


audio, latents = audio_of, latents_of


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
    broken = parts.with_parts(silence_latent=torch.full((15_000, 64), float("nan")))
    with pytest.raises(ModelError, match="not finite"):
        render(broken)


def test_latents_may_be_used_in_any_way(parts):
    assert not latents(render(parts)).is_inference()
